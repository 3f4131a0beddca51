"""Digital sums of outer products, and the whole steps in them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright.kernels import gpu
from tilewright.kernels.arrays import rows_of


def accumulate_outer(accumulator: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
    """``accumulator += lr * sum_b outer(d_b, x_b)`` in place, in one fixed order of summation.

    Args:
        accumulator: (outputs, inputs) float32.
        x: (samples, inputs).
        d: (samples, outputs).
        lr: factor.
    """
    rows, cols = accumulator.shape
    if not accumulator.is_contiguous() or accumulator.dtype is not torch.float32:
        raise TypeError("a sum of outer products needs a contiguous float32 tensor to add to")
    if gpu.on_gpu(accumulator):
        return gpu.accumulate(accumulator, x, d, lr)
    x, d = rows_of(x, cols, "x"), rows_of(d, rows, "d")
    if x.shape[0] != d.shape[0]:
        raise ValueError(f"x has {x.shape[0]} samples but d has {d.shape[0]}")
    _cpu.accumulate(
        accumulator.data_ptr(), rows, cols, x.data_ptr(), d.data_ptr(), x.shape[0], lr, torch.get_num_threads()
    )


def carry_steps(accumulator: Tensor, rows: Tensor, step: float, most_steps: float) -> tuple[Tensor, Tensor]:
    """Take the whole steps out of rows of an accumulator (outputs, inputs), in place.

    Args:
        accumulator: float32.
        rows: int32, the rows to look at.
        step: size of one step.
        most_steps: steps of a row's largest entry that one pulse train can hold; beyond it the whole row gives up
            proportionally less, and the rest stays.

    Returns:
        steps (sent, inputs) float32, whole numbers; rows (sent,) int32 that hold at least one.
    """
    cols = accumulator.shape[1]
    steps = torch.empty((rows.numel(), cols), dtype=torch.float32)
    sent_row = torch.empty(rows.numel(), dtype=torch.int32)
    sent = _cpu.carry(
        accumulator.data_ptr(),
        cols,
        rows.data_ptr(),
        rows.numel(),
        step,
        most_steps,
        steps.data_ptr(),
        sent_row.data_ptr(),
    )
    return steps[:sent], sent_row[:sent]
