"""TTv2 as published: Tiki-Taka with a digital buffer between the arrays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import Cell
from tilewright.cells.line_reads import single_pulse_update
from tilewright.cells.line_transfer import Events, Writes
from tilewright.cells.transfer import TransferCell, TransferCompound
from tilewright.cells.work import Shape, UpdateWork, buffered_work
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters

_NEVER = (1 << 31) - 1  # vectors


class BufferedTransferCompound(TransferCompound):
    """Reads add up in a buffer H; the slower array is pulsed where H passes the threshold.

    The buffer averages the noise of the reads away, and its threshold is a step of the array that is written.
    Source: Gokmen, Front. Artif. Intell. 4:699148 (2021).
    """

    transfer_update: UpdateParameters = parameter(
        factory=single_pulse_update, meaning="pulses written onto the slower array", group="Transfer"
    )
    thres_scale: float = parameter(
        1.0, "threshold of the buffer in steps of the array that is written", gt=0, group="Buffer", typical=(0.1, 100)
    )
    step: float = parameter(
        1.0, "pulses per threshold, in steps of the array that is written", gt=0, group="Buffer", typical=(0.1, 10)
    )
    momentum: float = parameter(0.1, "part of the buffer kept after a pulse", ge=0, le=1, group="Buffer")
    forget_buffer: bool = parameter(
        True, "after a pulse keep only momentum times the buffer; False subtracts what was sent", group="Buffer"
    )
    buffer_cap: float = parameter(
        0.0, "limit of the buffer in units of desired_bl, when not forgetting; 0 is none", ge=0, group="Buffer",
        typical=(0, 10),
    )  # fmt: skip

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return BufferedTransferCell(self, update, shape, draw_seed, noise_seed)


class BufferedTransferCell(TransferCell):
    """As :class:`TransferCell`, with a buffer for each array that is read, in units of its threshold."""

    written_as_read = False

    digital: Tensor

    def __init__(
        self,
        parameters: BufferedTransferCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("digital", torch.zeros(len(self.arrays) - 1, *shape))
        slower = [device.granularity for device in parameters.unit_cell_devices[1:]]
        self._thresholds = [parameters.thres_scale * granularity for granularity in slower]
        self._write_lr = [parameters.step * granularity for granularity in slower]

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        p = self.parameters_
        assert isinstance(p, BufferedTransferCompound)
        given, taken = self.shares[k], self.shares[k + 1]
        if given > 0 and taken > 0:
            rate *= given / taken
        gain = abs(rate) / self._thresholds[k]
        given_to_both: dict[str, Any] = {
            "columns": p.transfer_columns,
            "read_input": self._reader.input,
            "momentum": p.momentum,
            "forget": p.forget_buffer,
            "max_pulses": p.transfer_update.desired_bl,
            "cap": p.buffer_cap,
            "seed": self._read_key(k),
            "first_event": first_read,
        }
        if kernels.on_gpu(lines):
            gains = gpu.filled(lines.shape[0], gain, lines)
            sent = gpu.read_into_buffer(
                self._reader.settings, lines, events.line, self.digital[k], gains, **given_to_both
            )
            source = sent.source.long()
            sends = torch.arange(len(source), device=lines.device) < sent.live
            arrival = torch.where(sends, self._after(events)[source], _NEVER)
            writes = self._writes(events.line[source], sent.pulses, self._write_lr[k], arrival)
            writes.live = sent.live
            return writes
        gains = torch.full((lines.shape[0],), gain)
        pulses, event = kernels.read_into_buffer(
            self._reader.settings, lines, events.line, self.digital[k], gains, **given_to_both
        )
        if event.numel() == 0:
            return None
        after = [events.after[read] for read in event.tolist()]
        return self._writes(events.line[event.long()], pulses, self._write_lr[k], after)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """As without buffers, which are emptied."""
        super().set_weights(weight, wanted)
        self.digital.zero_()

    def digital_buffers(self) -> list[Tensor]:
        """The buffers."""
        return [self.digital]

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """The vectors on the fast array, then reads into the buffers."""
        plain = super().work(shape, vectors, update)
        arrays = list(self.pulsed_arrays().values())
        return buffered_work(shape, vectors, update, plain.line_reads, self.length, arrays[0].sent.slots, plain.slots)
