"""Reads of single lines, and what the transfer cells do with them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import ReadSettings, TransferPlan
from tilewright.kernels import gpu
from tilewright.kernels.arrays import address_of, rows_of


def scaled_rates(plan: TransferPlan, maxima: Tensor, x: Tensor, d: Tensor, lr: float) -> Tensor:
    """Learning rate of each vector (samples,) after automatic scaling; ``maxima`` follows the vectors in place."""
    x, d = rows_of(x, x.shape[-1], "x"), rows_of(d, d.shape[-1], "d")
    rates = torch.empty(x.shape[0], dtype=torch.float32)
    _cpu.scaled_rates(
        plan, x.data_ptr(), d.data_ptr(), x.shape[0], x.shape[1], d.shape[1], lr, maxima.data_ptr(), rates.data_ptr()
    )
    return rates


def read_into_buffer(
    settings: ReadSettings,
    lines: Tensor,
    line: Tensor,
    buffer: Tensor,
    gain: Tensor,
    *,
    columns: bool,
    read_input: float,
    momentum: float,
    forget: bool,
    max_pulses: int,
    seed: int,
    first_event: int,
    cap: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Read the copied lines, add them to the buffer (outputs, inputs) in place, and return minus the pulses to send.

    Args:
        settings: periphery of the reads.
        lines: (events, length) the lines as they stood at their reads.
        line: int32 (events,) which lines.
        buffer: in units of its threshold.
        gain: (events,) buffer units per unit of weight.
        columns: lines are inputs; otherwise outputs.
        read_input: the one of a read, after the DAC.
        momentum: part of the buffer that stays after a pulse.
        forget: keep ``momentum * buffer`` after a pulse; otherwise subtract what was sent.
        max_pulses: most pulses of one write.
        seed: key of the noise.
        first_event: number of the first read in the life of the cell.
        cap: limit of the buffer in units of ``max_pulses``, when not forgetting; 0 is none.

    Returns:
        pulses (sent, length) float32: whole numbers, the error vectors of the writes onto the slow array;
        event (sent,) int32 that each write comes from. Reads that fill no step send nothing.
    """
    events, length = lines.shape
    pulses = torch.empty((events, length), dtype=torch.float32)
    sent_event = torch.empty(events, dtype=torch.int32)
    inputs = buffer.shape[1]
    sent = _cpu.buffer(
        settings, read_input, events, length, lines.data_ptr(), line.data_ptr(), buffer.data_ptr(),
        1 if columns else inputs, inputs if columns else 1, gain.data_ptr(), momentum, forget, max_pulses, cap,
        pulses.data_ptr(), sent_event.data_ptr(), seed, first_event,
    )  # fmt: skip
    return (pulses, sent_event) if sent == events else (pulses[:sent], sent_event[:sent])


def read_lines(
    settings: ReadSettings, lines: Tensor, *, read_input: float, seed: int, first_event: int | Tensor
) -> Tensor:
    """What reads of single lines deliver: weights (events, length) through the periphery, with fresh noise.

    One on the line and zero elsewhere: the distribution of a full product at the cost of the line.
    """
    if gpu.on_gpu(lines):
        return gpu.read_lines(settings, lines, read_input, seed, first_event)
    lines = rows_of(lines, lines.shape[1], "lines")
    values = torch.empty_like(lines)
    _cpu.read_lines(
        settings, read_input, lines.shape[0], lines.shape[1], lines.data_ptr(), values.data_ptr(), seed,
        int(first_event),
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
    frozen: Tensor | None = None,
    threshold: float | None = None,
) -> Tensor:
    """Read the copied lines, let a running mean follow the reads in place, and return minus what the reads deliver.

    Args:
        settings: periphery of the reads.
        lines: (events, length) the lines as they stood at their reads.
        line: int32 (events,) which lines.
        mean: (outputs, inputs) running mean of the reads.
        rate: share of each read in the mean.
        columns: lines are inputs; otherwise outputs.
        read_input: the one of a read, after the DAC.
        seed: key of the noise.
        first_event: number of the first read in the life of the cell.
        frozen: (outputs, inputs) what is taken from the reads; None takes the mean, this read included.
        threshold: deliver the mean instead, where it is larger than this.

    Returns:
        minus ``read - reference``, or minus the mean, (events, length): the error vectors of the writes.
    """
    if gpu.on_gpu(lines):
        return gpu.follow_reads(
            settings, lines, line, mean, rate, columns=columns, read_input=read_input, seed=seed,
            first_event=first_event, frozen=frozen, threshold=threshold,
        )  # fmt: skip
    lines = rows_of(lines, lines.shape[1], "lines")
    errors = torch.empty_like(lines)
    inputs = mean.shape[1]
    _cpu.follow(
        settings, read_input, lines.shape[0], lines.shape[1], lines.data_ptr(), line.data_ptr(), mean.data_ptr(), rate,
        1 if columns else inputs, inputs if columns else 1, address_of(frozen),
        -1.0 if threshold is None else threshold, errors.data_ptr(), seed, int(first_event),
    )  # fmt: skip
    return errors
