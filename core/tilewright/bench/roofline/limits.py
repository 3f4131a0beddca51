"""What this machine can do at most, measured on one core in the session that uses it."""

from __future__ import annotations

import math
import time

import torch

from tilewright import kernels
from tilewright.bench.machine import caches
from tilewright.bench.roofline.work import FLOAT, Work

TRIES = 5
WORTH = 0.01  # seconds of one try
_EMPTY = torch.empty(0)


class Limits:
    """Bandwidth by access and working set, and rates of operations, normal numbers and random words, on one core."""

    def __init__(self) -> None:
        self.operations = self._rate("multiply_add", 1 << 24)
        self.normals = self._rate("normals", 1 << 20)
        self.words = self._rate("words", 1 << 20)
        self._bandwidths: dict[tuple[str, int], float] = {}

    def bandwidth(self, access: str, working_set: float) -> float:
        """Bytes a second, read and written, of a working set of the nearest power of two, 256 KiB at least."""
        elements = 1 << max(round(math.log2(max(working_set / FLOAT, 1))), 16)
        key = (access, elements)
        if key not in self._bandwidths:
            passes = 2 if access == "change" else 1
            self._bandwidths[key] = passes * FLOAT * self._rate(access, elements, torch.ones(elements))
        return self._bandwidths[key]

    def times(self, work: Work) -> dict[str, float]:
        """Seconds that each resource needs by itself."""
        return {
            "memory": work.moved / self.bandwidth(work.access, work.working_set),
            "arithmetic": work.operations / (self.operations if work.fused else self.operations / 2),
            "random": work.normals / self.normals + work.words / self.words,
        }

    def describe(self) -> dict[str, float]:
        """The rates, per second."""
        named = {f"{access} {elements * FLOAT} B": rate for (access, elements), rate in self._bandwidths.items()}
        return {"operations": self.operations, "normals": self.normals, "words": self.words, **named}

    @staticmethod
    def _rate(kind: str, n: int, buffer: torch.Tensor = _EMPTY) -> float:
        """Units a second: the best of some tries of process time, others being disturbed."""
        kernels.exercise(kind, buffer, n)
        start = time.process_time()
        kernels.exercise(kind, buffer, n)
        times = max(round(WORTH / max(time.process_time() - start, 1e-6)), 1)
        best = float("inf")
        for _ in range(TRIES):
            start = time.process_time()
            for _ in range(times):
                kernels.exercise(kind, buffer, n)
            best = min(best, time.process_time() - start)
        return n * times / best


def cache_of(working_set: float) -> str:
    """Smallest cache that holds so many bytes, or memory."""
    for name, size in sorted(caches().items()):
        if working_set <= size:
            return name
    return "memory"
