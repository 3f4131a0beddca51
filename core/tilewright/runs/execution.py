"""Training one run of a store from its last checkpoint to its end: what every engine's workers do."""

from __future__ import annotations

import os
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from tilewright.data import DataError
from tilewright.parameters import ParameterError
from tilewright.runs.checkpoints import load_checkpoint, save_checkpoint, save_ledger
from tilewright.runs.environment import sources_replaced, versions
from tilewright.runs.snapshots import save_snapshot
from tilewright.runs.spec import build_network
from tilewright.runs.store import Claim, RunLost, RunStore, StoreError
from tilewright.runs.trainer import CheckpointError, Event, train

FLUSH_SECONDS = 0.5  # metrics reach the store at least this often
HEARTBEAT_SECONDS = 1.0
WRITE_ATTEMPTS, WRITE_PAUSE = 600, 1.0  # while the index cannot be written, e.g. on a full disk
LIVE_RESULTS = ("throughput",)  # of the last window, for lists of runs
RUN_COLUMNS = ("loss", "train_accuracy", "test_accuracy")


def execute_run(
    store: RunStore, run_id: str, worker: str, checkpoint_seconds: float = 20.0, submission: int | None = None
) -> str:
    """Train a run to its end and return its state; ``"lost"`` when another worker took it over.

    A run that is already over is left alone. What goes wrong ends up in the run's state and message, not in an
    exception, so that an engine can go on with the next run.
    """
    claim = store.claim(run_id, worker, versions(), submission)
    if claim is None:
        return store.get(run_id).state
    recorder = _Recorder(store, claim)
    try:
        resume = load_checkpoint(claim.checkpoint, _checksum(store, claim)) if claim.checkpoint else None
        for event in train(claim.spec, None, resume, recorder.stop_requested, checkpoint_seconds, snapshots=True):
            recorder.take(event)
    except RunLost:
        return "lost"
    except (DataError, ParameterError, CheckpointError, StoreError) as error:
        return recorder.fail(str(error))
    except Exception as error:
        return recorder.fail(_unexpected(store.run_folder(run_id), error))
    return store.get(run_id).state


def trained_network(store: RunStore, run_id: str) -> nn.Module:
    """The network of a run as its last checkpoint has it.

    Raises:
        StoreError: the run has no checkpoint yet.
        CheckpointError: the checkpoint is damaged.
    """
    row = store.get(run_id)
    if not row.checkpoint:
        raise StoreError(f"run {run_id} has no checkpoint yet")
    state = load_checkpoint(store.run_folder(run_id) / row.checkpoint)
    model = build_network(row.spec)
    model.load_state_dict(state["model"])
    return model.eval()


def _checksum(store: RunStore, claim: Claim) -> str:
    return next((found.sha256 for found in store.artifacts(claim.run_id) if found.name == "checkpoint"), "")


def _unexpected(folder: Path, error: Exception) -> str:
    """What to tell of an error that nobody worded: that training stopped, what may be behind it, where it is kept."""
    text = "".join(traceback.format_exception(error))
    try:
        (folder / "error.txt").write_text(text)
        where = f"; details are in {folder / 'error.txt'}"
    except OSError:
        where = ""
    if sources_replaced():
        return (
            f"Tilewright was updated on disk while process {os.getpid()} ran, which cannot train any longer; end it "
            f"(a worker is replaced at once, a studio or script has to be started again), then resume{where}"
        )
    reason = (str(error).strip().splitlines() or ["no further information"])[0]
    return f"training met an error that it does not expect ({type(error).__name__}: {reason}){where}"


@dataclass
class _Recorder:
    """Writes the events of a run into the store: metrics gathered for a while, checkpoints with all before them."""

    store: RunStore
    claim: Claim
    metrics: list[tuple[str, int, float]] = field(default_factory=list)
    fields: dict[str, object] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)
    flushed: float = 0.0
    wanted_end: str = ""

    def take(self, event: Event) -> None:
        self.fields |= {"step": event.step, "epoch": event.epoch, "seconds": event.seconds}
        self.fields |= {name: event.values[name] for name in RUN_COLUMNS if name in event.values}
        self.results |= event.results
        if event.kind == "started":
            self._flush(total_steps=int(event.values["total_steps"]))
        elif event.kind in ("step", "epoch"):
            self.results |= {name: event.values[name] for name in LIVE_RESULTS if name in event.values}
            self.metrics += [(name, event.step, value) for name, value in event.values.items()]
            # A checkpoint follows the end of an epoch at once: both are written together.
            if event.kind == "step" and time.monotonic() - self.flushed > FLUSH_SECONDS:
                self._flush()
        elif event.kind == "checkpoint":
            self._checkpoint(event)
        elif event.kind == "snapshot":
            # A picture that cannot be kept is no reason to end a run; a checkpoint that cannot be says what is wrong.
            with suppress(OSError):
                save_snapshot(self.store.run_folder(self.claim.run_id), event.epoch if event.step else 0, event.arrays)
        elif event.kind == "cancelled":
            end = self.wanted_end or "cancelled"
            self._flush(state=end, message="" if end == "paused" else end)
        else:
            self._flush(state=event.kind, message=event.message)

    def stop_requested(self) -> bool:
        if time.monotonic() - self.flushed > HEARTBEAT_SECONDS:
            self._flush_heartbeat()
        self.wanted_end = self.store.stop_requested(self.claim)
        return bool(self.wanted_end)

    def fail(self, message: str) -> str:
        """Note why a run failed.

        When the index itself cannot be written, this waits for somebody to make room: no other run could be noted
        either. What was gathered and not yet written is given up; a resume trains it again.
        """
        for _ in range(WRITE_ATTEMPTS):
            try:
                self._flush(state="failed", message=message)
            except RunLost:
                return "lost"
            except StoreError:
                self.metrics, self.results = [], {}
                time.sleep(WRITE_PAUSE)
                continue
            return "failed"
        return "lost"

    def _checkpoint(self, event: Event) -> None:
        assert event.state is not None
        folder = self.store.run_folder(self.claim.run_id)
        stem = f"{self.claim.attempt}-{event.step}-{event.epoch}"
        path, written = folder / f"checkpoint-{stem}.pt", folder / f"ledger-{stem}.json"
        saved = save_checkpoint(path, event.state)
        book = None if event.ledger is None else save_ledger(written, event.ledger)
        try:
            self._flush(checkpoint=saved, ledger=book)
        except RunLost:
            path.unlink(missing_ok=True)
            written.unlink(missing_ok=True)
            raise
        for older in (*folder.glob("checkpoint-*.pt"), *folder.glob("ledger-*.json")):
            if older not in (path, written):
                older.unlink(missing_ok=True)

    def _flush(self, **more: object) -> None:
        self.store.record(self.claim, self.metrics, results=self.results, **{**self.fields, **more})  # type: ignore[arg-type]
        self.metrics, self.fields, self.results, self.flushed = [], {}, {}, time.monotonic()

    def _flush_heartbeat(self) -> None:
        self.store.record(self.claim)
        self.flushed = time.monotonic()
