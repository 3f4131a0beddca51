"""Random numbers on a graphics processor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilewright.kernels.gpu.launching import kernels_in_use, stream_of


def field(shape: Sequence[int], seed: int, counter: int | Tensor, like: Tensor, *, uniform: bool = False) -> Tensor:
    """Random numbers of (seed, counter, position), the bits of :func:`tilewright.kernels.normal_field`.

    Args:
        shape: of the result.
        seed: key.
        counter: a number, or one int64 on the device.
        like: a tensor on the device.
        uniform: numbers in [0, 1) instead of normal ones.
    """
    out = torch.empty(tuple(shape), dtype=torch.float32, device=like.device)
    fixed, more = (0, counter.data_ptr()) if isinstance(counter, Tensor) else (counter, 0)
    kernels_in_use().field(out.data_ptr(), 1, out.numel(), seed, fixed, uniform, more, stream_of(like))
    return out


def rows(rows: int, length: int, seed: int, first: int, like: Tensor, *, uniform: bool = False) -> Tensor:
    """The bits of :func:`tilewright.kernels.normal_rows` or its uniform twin, on the device of ``like``."""
    out = torch.empty((rows, length), dtype=torch.float32, device=like.device)
    kernels_in_use().field(out.data_ptr(), rows, length, seed, first, uniform, 0, stream_of(like))
    return out
