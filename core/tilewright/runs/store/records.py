"""What the index of runs says, as plain objects, and the errors it raises."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path

from tilewright.runs.spec import RunSpec

RUN_STATES = ("queued", "running", "paused", "finished", "failed", "cancelled")
ACTIVE_STATES = ("queued", "running")
RESUMABLE_STATES = ("paused", "failed", "cancelled")


class StoreError(RuntimeError):
    """The index cannot be used, or what is asked of a run is not possible. The message says what to do."""


class RunLost(StoreError):
    """Another worker has claimed the run, or it is no longer running: stop working on it."""


@functools.lru_cache(maxsize=2048)
def _parsed(text: str) -> RunSpec:
    """Reading YAML takes ten milliseconds and more, and a page asks for the same runs again and again."""
    return RunSpec.from_yaml(text)


@dataclass(frozen=True)
class RunRow:
    """One run as the index knows it. Times are seconds since 1970; ``seconds`` is the time spent training.

    ``batch`` names the sweep a run belongs to; waiting runs are begun by their ``position``, lowest first. ``results``
    holds figures of the run as a whole under any name, such as ``test_accuracy``, ``pulses`` or ``cpu_seconds``.
    """

    id: str
    name: str
    algorithm: str
    digest: str
    setting_digest: str
    spec_yaml: str
    state: str
    message: str
    created: float
    started: float | None
    ended: float | None
    heartbeat: float | None
    cancel_requested: bool
    owner: str
    submission: int
    submitted: float | None
    attempt: int
    worker: str
    versions: dict[str, str]
    step: int
    total_steps: int
    epoch: int
    seconds: float
    loss: float | None
    train_accuracy: float | None
    test_accuracy: float | None
    checkpoint: str
    checkpoint_step: int
    pause_requested: bool
    position: float
    batch: str
    tags: list[str]
    notes: str
    results: dict[str, float]

    @property
    def spec(self) -> RunSpec:
        """The specification the run was submitted with; raises ``ParameterError`` when this release cannot read it."""
        return copy.deepcopy(_parsed(self.spec_yaml))

    @property
    def active(self) -> bool:
        """Whether the run waits or trains."""
        return self.state in ACTIVE_STATES

    @property
    def progress(self) -> float:
        """Share of the steps done, 0 to 1."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated training time that remains, from the time per step so far; None while nothing is known."""
        if not self.step or not self.total_steps:
            return None
        return self.seconds / self.step * (self.total_steps - self.step)

    @property
    def resumable(self) -> bool:
        """Whether :meth:`Engine.resume` has something to do."""
        return self.state in RESUMABLE_STATES


@dataclass(frozen=True)
class MetricRow:
    """One value of one metric. ``seq`` grows with arrival: ask for what came after it. ``t`` is the wall time."""

    seq: int
    name: str
    step: int
    value: float
    t: float


@dataclass(frozen=True)
class ArtifactRow:
    """A file that belongs to a run; ``path`` is relative to the run's folder."""

    name: str
    path: str
    sha256: str
    size: int
    t: float


@dataclass(frozen=True)
class Claim:
    """The right to work on a run, and where to go on from: ``checkpoint`` is None for a fresh start."""

    run_id: str
    attempt: int
    spec_yaml: str
    checkpoint: Path | None

    @property
    def spec(self) -> RunSpec:
        """What to train; raises ``ParameterError`` when this release cannot read it."""
        return RunSpec.from_yaml(self.spec_yaml)
