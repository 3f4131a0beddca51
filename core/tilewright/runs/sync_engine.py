"""The engine for tests and notebooks: a thread of this process trains one run after the other."""

from __future__ import annotations

import queue
import threading

from tilewright.runs.engine import Engine
from tilewright.runs.execution import execute_run
from tilewright.runs.processes import process_label
from tilewright.runs.store import RunRow, RunStore


class SyncEngine(Engine):
    """Trains in this process, one run at a time; runs end when the process does.

    Closing it stops the run it is at after a checkpoint; :meth:`resume` goes on with it, in this engine or another.
    """

    def __init__(self, store: RunStore, checkpoint_seconds: float = 20.0) -> None:
        super().__init__(store, owner=process_label())
        store.end_orphans()
        self._checkpoint_seconds = checkpoint_seconds
        self._waiting: queue.Queue[bool] = queue.Queue()  # one True for each run handed over, False to end
        self._current: str | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tilewright-runs", daemon=True)
        self._thread.start()

    def _hand_over(self, row: RunRow) -> None:
        self._waiting.put(True)

    def _work(self) -> None:
        while self._waiting.get():
            # Which run that is decides the store: their order may have changed since.
            run_id = self.store.next_queued(self.owner)
            if run_id is None:
                continue
            if self._closed:
                self.store.request_cancel(run_id)
                continue
            self._current = run_id
            execute_run(self.store, run_id, self.owner, self._checkpoint_seconds)
            self._current = None

    def close(self) -> None:
        """Cancel what waits and what trains, then end the thread."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(False)
        current = self._current
        if current is not None:
            self.store.request_cancel(current)
        self._thread.join(timeout=30)
