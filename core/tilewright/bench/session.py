"""The protocol: both sides take turns on every case, and medians are compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tilewright.bench.case import Case
from tilewright.bench.goals import GOALS
from tilewright.bench.process import WorkerProcess
from tilewright.bench.timing import Unavailable


@dataclass(frozen=True)
class Pace:
    """How long a case is measured.

    Args:
        seconds: aimed at per case, all sides together.
        fewest: turns a side takes at least, however long they are.
        most: turns a side takes at most.
        turn: seconds of one turn; a call that takes longer is a turn of its own.
        calls: calls a turn holds at most.
    """

    seconds: float = 1.5
    fewest: int = 3
    most: int = 15
    turn: float = 0.01
    calls: int = 50


@dataclass
class Times:
    """Times of the calls of one side, in seconds."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def add(self, turn: dict[str, list[float]]) -> None:
        """Add the calls of a turn."""
        self.cpu += turn["cpu"]
        self.wall += turn["wall"]

    def summary(self) -> dict[str, float]:
        """Medians in microseconds and the number of calls."""
        return {"cpu_us": 1e6 * median(self.cpu), "wall_us": 1e6 * median(self.wall), "calls": len(self.cpu)}


@dataclass
class Row:
    """What came out of one case. A side that could not run it says why in ``remarks``."""

    case: Case
    ours: dict[str, float] | None = None
    ours_two_threads: dict[str, float] | None = None
    reference: dict[str, float] | None = None
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """CPU time of the reference over ours, one thread; None where a side is missing or no time was taken."""
        if self.ours is None or self.reference is None or "cpu_us" not in self.ours:
            return None
        return self.reference["cpu_us"] / self.ours["cpu_us"] if self.ours["cpu_us"] > 0 else None

    @property
    def thread_gain(self) -> float | None:
        """Wall time on one thread over that on two."""
        if self.ours is None or self.ours_two_threads is None:
            return None
        return self.ours["wall_us"] / self.ours_two_threads["wall_us"]

    @property
    def value(self) -> float | None:
        """What is held against the goal, in its unit."""
        unit = GOALS[self.case.goal].unit
        if unit == "x":
            return self.ratio
        if self.ours is None:
            return None
        return self.ours["cpu_us"] / 1e3 if unit == "ms" else self.ours[unit]

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        goal = GOALS[self.case.goal]
        return {
            "name": self.case.name, "kind": self.case.kind, "goal_key": self.case.goal, "settings": self.case.settings,
            "ours": self.ours, "ours_two_threads": self.ours_two_threads, "reference": self.reference,
            "ratio": self.ratio, "thread_gain": self.thread_gain, "value": self.value, "unit": goal.unit,
            "goal": goal.goal, "stretch": goal.stretch, "reached": goal.verdict(self.value), "remarks": self.remarks,
        }  # fmt: skip


def measure(
    cases: Iterable[Case],
    ours: WorkerProcess,
    reference: WorkerProcess | None,
    pace: Pace,
    two_threads: bool,
    tell: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Time every case on the sides that can run it.

    Args:
        cases: what to time.
        ours: worker of our side.
        reference: worker of the reference, if there is one.
        pace: how long.
        two_threads: whether cases that ask for it are timed on two threads as well.
        tell: is given each row as it comes.
    """
    rows = []
    for case in cases:
        row = _measured(case, ours, reference, pace, two_threads and case.two_threads)
        rows.append(row)
        tell(row)
    return rows


def _measured(case: Case, ours: WorkerProcess, reference: WorkerProcess | None, pace: Pace, two_threads: bool) -> Row:
    row = Row(case)
    ready: dict[str, dict[str, Any]] = {}
    sides = {"ours": ours} if reference is None else {"ours": ours, "reference": reference}
    for name, side in sides.items():
        try:
            ready[name] = side.prepare(case)
        except Unavailable as why:
            row.remarks[name] = str(why)
    if len({answer["fingerprint"] for answer in ready.values()} - {""}) > 1:
        raise RuntimeError(f"{case.name}: the two sides hold different inputs, their times cannot be compared")
    sides = {name: side for name, side in sides.items() if name in ready}
    if any(answer["measures"] for answer in ready.values()):
        for name, side in sides.items():
            _take_value(row, name, side)
    elif sides:
        _take_turns(row, sides, pace, two_threads)
    return row


def _take_value(row: Row, name: str, side: WorkerProcess) -> None:
    try:
        setattr(row, name, side.ask("value"))
    except Unavailable as why:
        row.remarks[name] = str(why)


def _take_turns(row: Row, sides: dict[str, WorkerProcess], pace: Pace, two_threads: bool) -> None:
    """Alternate: ours on one thread, ours on two, the reference; again, until the time is used up."""
    order = [(name, side, 1) for name, side in sides.items()]
    if two_threads and "ours" in sides:
        order.insert(1, ("ours_two_threads", sides["ours"], 2))
    times = {name: Times() for name, _, _ in order}
    end = time.perf_counter() + pace.seconds
    for turn in range(pace.most):
        if turn >= pace.fewest and time.perf_counter() > end:
            break
        for name, side, threads in order:
            times[name].add(side.ask("turn", seconds=pace.turn, most=pace.calls, threads=threads))
    for name, taken in times.items():
        setattr(row, name, taken.summary())
