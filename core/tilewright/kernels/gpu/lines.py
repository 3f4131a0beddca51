"""Reads of single lines on a graphics processor: which come next, and what they deliver."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tilewright._cpu import ReadSettings
from tilewright.kernels.arrays import address_of
from tilewright.kernels.gpu.launching import kernels_in_use, stream_of


def count(counter: Tensor, more: int) -> None:
    """Add to a count, int64 on the device."""
    kernels_in_use().advance(counter.data_ptr(), more, 0, 0, stream_of(counter))


class NextLines(NamedTuple):
    """Reads of an array whose lines take turns, on the device."""

    line: Tensor  # int32 (reads,)
    after: Tensor  # int32 (reads,): vector of the mini-batch that each comes after
    first: Tensor  # int64 (1,): number of the first one


def next_lines(
    counters: Tensor, array: int, vectors: int, lines: int, transfers: int, reads: int, soonest: int, period: int
) -> NextLines:
    """The reads of an array that are due, settled on the device.

    Args:
        counters: int64: vectors so far, then of each array the next line, reads and transfers so far; they move on.
        array: which one.
        vectors: added to those so far.
        lines: lines there are.
        transfers: how many are due.
        reads: neighbouring lines read by each.
        soonest: vector of the mini-batch after which the first is due.
        period: vectors between two.
    """
    line = torch.empty(transfers * reads, dtype=torch.int32, device=counters.device)
    first = torch.empty(1, dtype=torch.int64, device=counters.device)
    due = NextLines(line, torch.empty_like(line), first)
    kernels_in_use().next_lines(
        counters.data_ptr(), array, vectors, lines, transfers, reads, soonest, period, due.line.data_ptr(),
        due.after.data_ptr(), due.first.data_ptr(), stream_of(counters),
    )  # fmt: skip
    return due


def number_of(first_event: int | Tensor) -> tuple[int, int]:
    """The number of an event: known here, or by its address on the device."""
    return (0, first_event.data_ptr()) if isinstance(first_event, Tensor) else (first_event, 0)


def read_lines(
    settings: ReadSettings, lines: Tensor, read_input: float, seed: int, first_event: int | Tensor
) -> Tensor:
    """The bits of :func:`tilewright.kernels.read_lines`; ``first_event`` may be an int64 on the device."""
    lines = lines.contiguous()
    values = torch.empty_like(lines)
    kernels_in_use().read_lines(
        settings, read_input, *lines.shape, lines.data_ptr(), values.data_ptr(), seed, *number_of(first_event),
        stream_of(lines),
    )  # fmt: skip
    return values


def follow_reads(
    settings: ReadSettings,
    lines: Tensor,
    line: Tensor,
    mean: Tensor,
    rate: float,
    *,
    columns: bool,
    read_input: float,
    seed: int,
    first_event: int | Tensor,
    frozen: Tensor | None,
    threshold: float | None,
) -> Tensor:
    """The bits of :func:`tilewright.kernels.follow_reads`; ``first_event`` may be an int64 on the device."""
    lines = lines.contiguous()
    errors = torch.empty_like(lines)
    inputs = mean.shape[1]
    kernels_in_use().follow(
        settings, read_input, *lines.shape, lines.data_ptr(), line.data_ptr(), mean.data_ptr(), rate,
        1 if columns else inputs, inputs if columns else 1, address_of(frozen),
        -1.0 if threshold is None else threshold, errors.data_ptr(), seed, *number_of(first_event), stream_of(lines),
    )  # fmt: skip
    return errors
