"""What this installation can run, and how fast its parts are at most."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright.kernels import gpu


def capabilities() -> dict[str, Any]:
    """What this installation can run: backends, instruction sets (plainest first), the one in use, threads, GPUs."""
    return {
        "backends": ["cpu"] if gpu.problem() else ["cpu", "cuda"],
        "instruction_sets": list(_cpu.instruction_sets()),
        "instruction_set": _cpu.instruction_set(),
        "openmp": _cpu.openmp(),
        "compiler": _cpu.compiler(),
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "cuda": gpu.describe(),
    }


RATE_KINDS = ("multiply_add", "read", "change", "write", "normals", "words")


def exercise(kind: str, buffer: Tensor, n: int) -> float:
    """Do ``n`` units of one kind of work and nothing else, to be timed by the caller.

    Args:
        kind: ``multiply_add`` (operations in registers), ``read``, ``change`` or ``write`` (elements of the buffer),
            ``normals`` (noise of pulses) or ``words`` (32-bit words of the pulse trains).
        buffer: float32, at least ``n`` elements where it is used.
        n: how much.
    """
    if kind in ("read", "change", "write") and buffer.numel() < n:
        raise ValueError(f"buffer holds {buffer.numel()} elements, {n} asked for")
    return _cpu.rate(RATE_KINDS.index(kind), buffer.data_ptr(), n)
