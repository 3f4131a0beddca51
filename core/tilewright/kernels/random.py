"""Random numbers that depend on seed, counter and position alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright.kernels import gpu


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from numbers and words; different parts give unrelated seeds."""
    seed = 0x7469_6C65
    for part in parts:
        if isinstance(part, str):
            words = [int.from_bytes(part.encode()[i : i + 8], "little") for i in range(0, len(part.encode()), 8)]
            words.append(len(part))
        else:
            words = [part & 0xFFFF_FFFF_FFFF_FFFF]
        for word in words:
            seed = _cpu.mix(seed, word)
    return seed >> 1


def normal_field(shape: Sequence[int], seed: int, counter: int = 0) -> Tensor:
    """Standard normal numbers that depend on (seed, counter, position) alone."""
    return _field(shape, seed, counter, uniform=False)


def uniform_field(shape: Sequence[int], seed: int, counter: int = 0, like: Tensor | None = None) -> Tensor:
    """Uniform numbers in [0, 1) that depend on (seed, counter, position) alone, where the tensor ``like`` lies."""
    if like is not None and gpu.on_gpu(like):
        return gpu.field(shape, seed, counter, like, uniform=True)
    return _field(shape, seed, counter, uniform=True)


def normal_rows(rows: int, length: int, seed: int, first: int, like: Tensor | None = None) -> Tensor:
    """Standard normal numbers (rows, length), where ``like`` lies: row ``r`` is the field of counter ``first + r``."""
    return _rows(rows, length, seed, first, like, uniform=False)


def uniform_rows(rows: int, length: int, seed: int, first: int, like: Tensor | None = None) -> Tensor:
    """Uniform numbers in [0, 1) (rows, length), where ``like`` lies; rows as for :func:`normal_rows`."""
    return _rows(rows, length, seed, first, like, uniform=True)


def _rows(rows: int, length: int, seed: int, first: int, like: Tensor | None, uniform: bool) -> Tensor:
    if like is not None and gpu.on_gpu(like):
        return gpu.rows(rows, length, seed, first, like, uniform=uniform)
    out = torch.empty((rows, length), dtype=torch.float32)
    _cpu.normals(out.data_ptr(), rows, length, seed, first, uniform)
    return out


def _field(shape: Sequence[int], seed: int, counter: int, uniform: bool) -> Tensor:
    out = torch.empty(tuple(shape), dtype=torch.float32)
    _cpu.normals(out.data_ptr(), 1, out.numel(), seed, counter, uniform)
    return out
