"""Timing of single calls. Imports nothing of this package: the reference side runs it in another interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


class Unavailable(Exception):
    """A side cannot run a case; the message says why."""


def _nothing() -> None:
    return None


@dataclass
class Prepared:
    """A case made ready by one side.

    Args:
        call: what is timed.
        reset: brings state back to the common start; runs before every call, untimed.
        fingerprint: digest of the inputs, to be compared with the other side's.
        value: measures something other than time instead, by name, e.g. ``{"bytes": 20.0}``.
    """

    call: Callable[[], object]
    reset: Callable[[], object] = _nothing
    fingerprint: str = ""
    value: Callable[[], dict[str, float]] | None = None


def clock_cost() -> tuple[float, float]:
    """Seconds of CPU and of wall time that timing an empty call shows."""
    cpu, wall = _timed(_nothing, _nothing, 200)
    return median(cpu), median(wall)


def timed_turn(prepared: Prepared, seconds: float, most: int, cost: tuple[float, float]) -> dict[str, list[float]]:
    """Time calls one by one until ``seconds`` have passed, at least one and at most ``most``.

    Where a turn holds several, one more goes before them untimed: whoever had the turn before has emptied the caches.

    Returns:
        seconds of CPU (all threads of this process) and of wall time of each call, less ``cost``.
    """
    end = time.perf_counter() + seconds
    cpu: list[float] = []
    wall: list[float] = []
    first = True
    while not cpu or (len(cpu) < most and time.perf_counter() < end):
        one_cpu, one_wall = _timed(prepared.call, prepared.reset, 1)
        skipped, first = first and one_wall[0] < seconds / 4, False
        if skipped:
            continue
        cpu.append(max(one_cpu[0] - cost[0], 0.0))
        wall.append(max(one_wall[0] - cost[1], 0.0))
    return {"cpu": cpu, "wall": wall}


def _timed(call: Callable[[], object], reset: Callable[[], object], times: int) -> tuple[list[float], list[float]]:
    cpu, wall = [], []
    for _ in range(times):
        reset()
        wall_start = time.perf_counter_ns()
        cpu_start = time.process_time_ns()
        call()
        cpu_end = time.process_time_ns()
        wall_end = time.perf_counter_ns()
        cpu.append((cpu_end - cpu_start) * 1e-9)
        wall.append((wall_end - wall_start) * 1e-9)
    return cpu, wall
