"""Digital sums of outer products on a graphics processor, and the whole steps in them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.kernels.arrays import address_of
from tilewright.kernels.device_rate import DeviceRate
from tilewright.kernels.gpu.launching import kernels_in_use, rows_on, stream_of
from tilewright.kernels.gpu.rates import NAN
from tilewright.kernels.gpu.transfers import Sent


def accumulate(accumulator: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
    """``accumulator += lr * sum_b outer(d_b, x_b)``, the bits of :func:`tilewright.kernels.accumulate_outer`."""
    rows, cols = accumulator.shape
    x, d = rows_on(x, cols, "x", accumulator), rows_on(d, rows, "d", accumulator)
    if x.shape[0] != d.shape[0]:
        raise ValueError(f"x has {x.shape[0]} samples but d has {d.shape[0]}")
    rate = lr.tensor() if isinstance(lr, DeviceRate) else None
    kernels_in_use().accumulate(
        accumulator.data_ptr(), rows, cols, x.data_ptr(), d.data_ptr(), x.shape[0], NAN if rate is not None else lr,
        address_of(rate), stream_of(accumulator),
    )  # fmt: skip


def carry_steps(accumulator: Tensor, rows: Tensor, step: float, most_steps: float) -> Sent:
    """As :func:`tilewright.kernels.carry_steps`, with what was sent packed on the device."""
    count, cols = rows.numel(), accumulator.shape[1]
    sent = Sent(
        torch.empty((count, cols), device=accumulator.device),
        torch.empty(count, dtype=torch.int32, device=accumulator.device),
        torch.empty(1, dtype=torch.int64, device=accumulator.device),
    )
    memory = torch.empty(kernels_in_use().carry_memory(count, cols), dtype=torch.uint8, device=accumulator.device)
    kernels_in_use().carry(
        accumulator.data_ptr(), cols, rows.data_ptr(), count, step, most_steps, sent.pulses.data_ptr(),
        sent.source.data_ptr(), sent.live.data_ptr(), memory.data_ptr(), stream_of(accumulator),
    )  # fmt: skip
    return sent
