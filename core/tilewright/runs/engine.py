"""What a page or a script can ask of whatever trains the runs: five functions."""

from __future__ import annotations

import builtins
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from tilewright.data import DatasetSummary
from tilewright.runs.spec import RunSpec
from tilewright.runs.store import MetricRows, RunRow, RunStore


class EngineError(RuntimeError):
    """The engine cannot be started or reached. The message says why and what to do."""


class Engine(ABC):
    """Trains the runs of a store. What it knows is in the store; an engine can be closed and opened at any time.

    Use as a context manager or call :meth:`close`: that ends this connection, and with a :class:`DaskEngine` nothing
    else, since its workers go on by themselves.
    """

    def __init__(self, store: RunStore, owner: str) -> None:
        self.store = store
        self.owner = owner  # noted with the runs this engine takes care of
        self.problem = ""  # why waiting runs cannot be handed to anybody at the moment; empty when all is well

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the five ----------------------------------------------------------------------------------------------------

    def submit(self, spec: RunSpec, batch: str = "", tags: Sequence[str] = ()) -> str:
        """Queue a run and return its id; comes back before training starts.

        Args:
            spec: what to train.
            batch: name of the sweep it belongs to.
            tags: words to find it by.

        Raises:
            ParameterError: the specification contradicts itself or its data.
            DataError: the data cannot be read.
            EngineError: nothing can train it.
        """
        row = self.store.add(spec.completed(), self.owner, batch, tags)
        self._hand_over(row)
        return row.id

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop; it writes a checkpoint first, so that :meth:`resume` goes on from there."""
        self.store.request_cancel(run_id)

    def resume(self, run_id: str) -> None:
        """Go on with a paused, failed or cancelled run from its last checkpoint, or from the start when it has none.

        Raises:
            StoreError: no such run, or it is none of these.
        """
        self._hand_over(self.store.requeue(run_id, self.owner))

    def list(self) -> list[RunRow]:
        """All runs of the workspace, newest first. Never waits for training."""
        return self.store.list()

    def follow(self, run_id: str, since: int = 0) -> MetricRows:
        """Metrics that arrived after ``since`` (a ``MetricRow.seq``). Names: ``loss``, ``throughput`` (images per
        second), ``learning_rate``, per epoch ``train_accuracy``, ``test_accuracy``, ``test_loss``, and health readings.
        """
        return self.store.metrics(run_id, since=since)

    # --- beside the five ---------------------------------------------------------------------------------------------

    def submit_all(self, specs: Sequence[RunSpec], batch: str = "", tags: Sequence[str] = ()) -> builtins.list[str]:
        """Queue many runs; all are checked before the first is queued, and each data set is read once.

        Raises:
            ParameterError, DataError: as :meth:`submit`; nothing is queued then.
        """
        summaries: dict[str, DatasetSummary] = {}
        complete = []
        for spec in specs:
            key = spec.data.to_json()
            if key not in summaries:
                summaries[key] = spec.data.summary()
            complete.append(spec.completed(summaries[key]))
        rows = [self.store.add(spec, self.owner, batch, tags) for spec in complete]
        for row in rows:
            self._hand_over(row)
        return [row.id for row in rows]

    def pause(self, run_id: str) -> None:
        """Ask a run to pause: it writes a checkpoint and frees its worker; :meth:`resume` goes on from there."""
        self.store.request_pause(run_id)

    def extend(self, run_id: str, epochs: int) -> None:
        """Let a finished run go on for ``epochs`` more; it ends as a run of that length would have ended.

        Raises:
            StoreError: no such run, or it is not finished.
        """
        self._hand_over(self.store.extend(run_id, epochs, self.owner))

    def move(self, run_id: str, first: bool = True) -> None:
        """Make a waiting run the next to begin, or the last.

        Raises:
            StoreError: no such run, or it does not wait.
        """
        self._moved(self.store.move(run_id, first))

    def wait(self, run_id: str, timeout: float | None = None) -> RunRow:
        """Wait until a run is over; for scripts, not for pages.

        Raises:
            TimeoutError: it takes longer than ``timeout`` seconds.
            EngineError: nothing can train it.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            row = self.store.get(run_id)
            if not row.active:
                return row
            if self.problem:
                raise EngineError(self.problem)
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"run {run_id} is still {row.state} after {timeout:g} s")
            time.sleep(0.05)

    @abstractmethod
    def close(self) -> None:
        """End this connection."""

    def _moved(self, row: RunRow) -> None:
        """Tell what trains of a waiting run's new place."""
        self._hand_over(row)

    @abstractmethod
    def _hand_over(self, row: RunRow) -> None:
        """Bring a queued run to what trains it."""
