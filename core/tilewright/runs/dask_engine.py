"""The studio's engine: workers of a Dask cluster train the runs, whether or not anybody watches.

A thread of this process compares the store with what the scheduler knows and hands over what it does not: new runs,
and runs that a scheduler took with it when it died. Everything else is in the store, so the studio, the scheduler and
any worker may end at any moment. The Dask package is loaded with the first hand-over, since it takes half a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from tilewright.runs.cluster import DetachedCluster
from tilewright.runs.engine import Engine, EngineError
from tilewright.runs.store import ACTIVE_STATES, CLUSTER, RunRow, RunStore
from tilewright.worker_task import train_in_worker

SCHEDULER_VARIABLE = "TILEWRIGHT_SCHEDULER"
LOOK_SECONDS = 2.0  # between comparisons of store and scheduler
ARRIVAL_SECONDS = 5.0  # a hand-over may take this long until the scheduler knows of it
CONNECT_SECONDS = 10
CLOSE_SECONDS = 90.0
HANDED_OVER = ("waiting", "no-worker", "queued", "processing")


class DaskEngine(Engine):
    """Hands runs to the workspace's own detached cluster, or to the one that ``TILEWRIGHT_SCHEDULER`` points to.

    Workers of another cluster need this package and the workspace folder under the same path.

    Args:
        store: the runs.
        n_workers: worker processes of the workspace's own cluster; default one per core.
        checkpoint_seconds: time between checkpoints.
    """

    def __init__(self, store: RunStore, n_workers: int | None = None, checkpoint_seconds: float = 20.0) -> None:
        super().__init__(store, owner=CLUSTER)
        address = os.environ.get(SCHEDULER_VARIABLE, "")
        self.address = address or None
        self.cluster = None if address else DetachedCluster(store.folder, n_workers)
        self._checkpoint_seconds = checkpoint_seconds
        self._client: Any = None
        self._futures: dict[str, Any] = {}
        self._errors: dict[str, str] = {}
        self._to_move: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="tilewright-hand-over", daemon=True)
        self._thread.start()

    def _hand_over(self, row: RunRow) -> None:
        self._wake.set()

    def _moved(self, row: RunRow) -> None:
        with self._lock:
            self._to_move.add(row.id)
        self._wake.set()

    def close(self) -> None:
        """End this connection; the workers go on."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=CLOSE_SECONDS)
        self._disconnect()

    def stop_cluster(self) -> None:
        """Close, and end the workspace's own scheduler and workers; their runs go on when an engine is next opened."""
        self.close()
        if self.cluster is not None:
            self.cluster.stop()

    # --- handing over -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._closed:
            try:
                self._compare()
                self.problem = ""
            except Exception as error:
                # Whatever it is, runs wait and the next look tries again; pages and `wait` show the reason.
                self.problem = _reason(error)
                self._disconnect()
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _compare(self) -> None:
        self.store.end_orphans()
        rows = [row for row in self.store.list(ACTIVE_STATES) if row.owner == CLUSTER]
        if not rows:
            return
        client = self._connected()
        keys = [_key(row.id, row.submission) for row in rows]
        known = client.sync(client.scheduler.get_task_status, keys=keys, callback_timeout=10)
        with self._lock:
            to_move, self._to_move = self._to_move, set()
        for row, key in sorted(zip(rows, keys, strict=True), key=lambda pair: pair[0].position):
            state = known.get(key)
            if state == "erred":
                self._note_error(row.id)
            elif row.id in to_move and state in HANDED_OVER:
                self._give(client, row, again=True)
                continue
            elif state in HANDED_OVER or (row.submitted or 0) > time.time() - ARRIVAL_SECONDS:
                continue
            self._give(client, row)

    def _give(self, client: Any, row: RunRow, again: bool = False) -> None:
        """Hand a run over; ``again`` while it waits, for another place in the queue."""
        if row.cancel_requested or row.pause_requested:
            state = "cancelled" if row.cancel_requested else "paused"
            self.store.end_unclaimed(row.id, row.attempt, state, state)
            return
        submission = self.store.next_submission(row.id, row.submission, self._errors.get(row.id, ""), again)
        if submission is None:
            return
        from distributed import fire_and_forget

        future = client.submit(
            train_in_worker,
            str(self.store.folder),
            row.id,
            self._checkpoint_seconds,
            submission,
            key=_key(row.id, submission),
            pure=False,
            priority=-row.position,
        )
        fire_and_forget(future)  # type: ignore[no-untyped-call]
        self._futures = {run_id: kept for run_id, kept in self._futures.items() if not kept.done()} | {row.id: future}

    def _note_error(self, run_id: str) -> None:
        future = self._futures.pop(run_id, None)
        if future is not None:
            self._errors[run_id] = _reason(future.exception(timeout=5))

    def _connected(self) -> Any:
        if self.cluster is not None and not self.cluster.alive():
            self._disconnect()
            self.cluster.ensure_running()
        if self._client is not None and self._client.status != "running":
            self._disconnect()
        if self._client is None:
            where: dict[str, Any] = (
                {"address": self.address}
                if self.cluster is None
                else {"scheduler_file": str(self.cluster.scheduler_file), "security": self.cluster.security()}
            )
            from distributed import Client

            # A scheduler that ends is no news to whoever reads the studio's terminal: the next look starts another.
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
            try:
                self._client = Client(**where, set_as_default=False, timeout=CONNECT_SECONDS, name="tilewright")  # type: ignore[no-untyped-call]
            except (OSError, TimeoutError, ValueError) as error:
                name = self.address or "the local scheduler"
                raise EngineError(f"{name} cannot be reached: {_reason(error)}") from None
        return self._client

    def _disconnect(self) -> None:
        client, self._client, self._futures = self._client, None, {}
        if client is not None:
            client.close(timeout=2)


def _key(run_id: str, submission: int) -> str:
    return f"tilewright-{run_id}-{submission}"


def _reason(error: BaseException | None) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
