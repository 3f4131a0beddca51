"""Mini-batches of transfer cells on a graphics processor: their schedule, and the buffer that reads fill."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tilewright._cpu import ReadSettings, TransferPlan
from tilewright.kernels.arrays import address_of
from tilewright.kernels.device_rate import DeviceRate
from tilewright.kernels.gpu.launching import kernels_in_use, rows_on, stream_of
from tilewright.kernels.gpu.lines import number_of
from tilewright.kernels.gpu.rates import NAN
from tilewright.kernels.transfer_state import Relative, Transfers, TransferState


class Sent(NamedTuple):
    """Writes that a kernel has packed: how many there are stays on the device."""

    pulses: Tensor  # (most, length)
    source: Tensor  # int32 (most,): event or row they come from
    live: Tensor  # int64 (1,): how many count


def read_into_buffer(
    settings: ReadSettings,
    lines: Tensor,
    line: Tensor,
    buffer: Tensor,
    gains: Tensor,
    *,
    columns: bool,
    read_input: float,
    momentum: float,
    forget: bool,
    max_pulses: int,
    cap: float,
    seed: int,
    first_event: int | Tensor,
    restart: bool = False,
    signs: tuple[Tensor, Tensor] | None = None,
    relative: Relative | None = None,
    transfers: Transfers | None = None,
) -> Sent:
    """As :func:`tilewright.kernels.read_into_buffer`, with what was sent packed on the device.

    ``first_event`` may be an int64 on the device.
    """
    lines = lines.contiguous()
    events, length = lines.shape
    sent = Sent(
        torch.empty_like(lines),
        torch.empty(events, dtype=torch.int32, device=lines.device),
        torch.empty(1, dtype=torch.int64, device=lines.device),
    )
    inputs = buffer.shape[1]
    line_sign, out_sign = signs or (None, None)
    planes, rate = (0, 0, 0, 0), 0.0
    if relative is not None and transfers is not None:
        rate = relative.rate
        planes = (
            relative.reference.data_ptr(), relative.mean.data_ptr(),
            address_of(transfers.fresh), address_of(transfers.writes),
        )  # fmt: skip
    module = kernels_in_use()
    memory = torch.empty(module.buffer_memory(events, length), dtype=torch.uint8, device=lines.device)
    module.buffer(
        settings, read_input, events, length, lines.data_ptr(), line.data_ptr(),
        (address_of(line_sign), address_of(out_sign)), buffer.data_ptr(), 1 if columns else inputs,
        inputs if columns else 1, gains.data_ptr(), momentum, forget, restart, max_pulses, cap, planes, rate,
        sent.pulses.data_ptr(), sent.source.data_ptr(), sent.live.data_ptr(), seed, *number_of(first_event),
        memory.data_ptr(), stream_of(lines),
    )  # fmt: skip
    return sent


def plan_transfers(
    plan: TransferPlan,
    state: TransferState,
    x: Tensor,
    d: Tensor,
    *,
    columns: bool,
    chopped: bool,
    period: int,
    lr: float,
    seed: int,
    events: int,
) -> tuple[Transfers, Tensor]:
    """As :func:`tilewright.kernels.plan_transfers`, where the number of reads is known beforehand.

    Returns:
        the plan, and the number of its first read, int64 on the device.
    """
    x, d = rows_on(x, x.shape[-1], "x", state.counters), rows_on(d, d.shape[-1], "d", state.counters)
    samples, inputs, outputs = x.shape[0], x.shape[1], d.shape[1]

    def empty(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=x.device)

    flags = [empty(events, dtype=torch.int8) if state.switched is not None else None for _ in range(2)]
    out = Transfers(
        x=torch.empty_like(x) if chopped else x,
        d=torch.empty_like(d) if chopped else d,
        fast_lr=empty(samples, dtype=torch.float32),
        after=empty(events, dtype=torch.int32),
        line=empty(events, dtype=torch.int32),
        lr=empty(events, dtype=torch.float32),
        line_sign=empty(events, dtype=torch.int8),
        out_sign=empty(events, outputs if columns else inputs, dtype=torch.int8),
        fresh=flags[0],
        writes=flags[1],
    )
    maxima, before = empty(2, samples, dtype=torch.float32), empty(4, dtype=torch.int64)  # counters as they were
    rate = lr.tensor(torch.float64) if isinstance(lr, DeviceRate) else None
    kernels_in_use().plan_transfers(
        plan, x.data_ptr(), d.data_ptr(), samples, inputs, outputs, period, NAN if rate is not None else lr,
        address_of(rate), seed,
        (
            state.counters.data_ptr(), state.maxima.data_ptr(), state.in_chop.data_ptr(), state.out_chop.data_ptr(),
            address_of(state.switched),
        ),
        (
            out.fast_lr.data_ptr(), out.x.data_ptr() if chopped else 0, out.d.data_ptr() if chopped else 0,
            out.after.data_ptr(), out.line.data_ptr(), out.lr.data_ptr(), out.line_sign.data_ptr(),
            out.out_sign.data_ptr(), address_of(out.fresh), address_of(out.writes),
        ),
        events, maxima.data_ptr(), before.data_ptr(), stream_of(x),
    )  # fmt: skip
    return out, before[3:]
