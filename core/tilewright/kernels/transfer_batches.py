"""Mini-batches of cells whose fast array is read line by line and written onto a slow array: one compiled call each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import DeviceModel, ReadSettings, TransferPlan, UpdateSettings, UpdateStats
from tilewright.kernels.arrays import Crosspoints, rows_of
from tilewright.kernels.transfer_state import Relative, TransferState

Place = tuple[int, int, int]


@dataclass(slots=True)
class BufferSettings:
    """How reads fill the buffer, and pulses empty it.

    Attributes:
        read_input: the one of a read, after the DAC.
        momentum: part of the buffer that stays after a pulse.
        forget: keep ``momentum * buffer`` after a pulse; otherwise subtract what was sent.
        restart: the buffer starts from 0 at each read.
        max_pulses: most pulses of one write.
        cap: limit of the buffer in units of ``max_pulses``, when not forgetting; 0 is none.
        write_lr: learning rate of the writes onto the slow array, whose errors are whole pulses.
    """

    read_input: float
    momentum: float
    forget: bool
    restart: bool
    max_pulses: int
    cap: float
    write_lr: float


@dataclass(slots=True)
class Gain:
    """Buffer units per unit of weight of a read.

    Attributes:
        value: before what follows.
        per_rate: divide by the fast learning rate times this; 0 does not.
        most_seen: divide by the vectors seen, at most this; 0 does not.
    """

    value: float
    per_rate: float = 0.0
    most_seen: float = 0.0


class BufferedTransfers:
    """Mini-batches of one cell, each a single compiled call; keeps what does not change between calls.

    Addresses are compared in each call, since tensors may move.

    Args:
        plan: what decides rates, reads and choppers.
        chopped: whether any signs flip.
        shape: (outputs, inputs).
        models: kind of device and its noise, of the fast and of the slow array.
        settings: their pulse schemes.
        io: periphery of the reads.
        buffer: how it fills and empties.
    """

    __slots__ = ("_addresses", "_held", "_run", "_transfers", "io", "plan", "settings", "shape")

    def __init__(
        self,
        plan: TransferPlan,
        chopped: bool,
        shape: tuple[int, int],
        models: tuple[DeviceModel, DeviceModel],
        settings: tuple[UpdateSettings, UpdateSettings],
        io: ReadSettings,
        buffer: BufferSettings,
        mean_rate: float,
    ) -> None:
        self.shape = shape
        self._transfers = _cpu.BufferedTransfers(
            plan=plan, chopped=chopped, rows=shape[0], cols=shape[1], fast=models[0], slow=models[1],
            fast_settings=settings[0], slow_settings=settings[1], slow_lr=buffer.write_lr, io=io,
            read_input=buffer.read_input, momentum=buffer.momentum, forget=buffer.forget, restart=buffer.restart,
            max_pulses=buffer.max_pulses, cap=buffer.cap, mean_rate=mean_rate,
        )  # fmt: skip
        self._run = self._transfers.run
        self._addresses: list[int] = []
        self._held: Sequence[Tensor | None] = ()

    def _bind(self, tensors: Sequence[Tensor | None], addresses: list[int]) -> None:
        arrays = [Crosspoints(*tensors[first : first + 9]).addresses() for first in (0, 10)]  # type: ignore[arg-type]
        self._transfers.bind(arrays[0], addresses[9], arrays[1], addresses[19], addresses[20:])
        self._addresses, self._held = addresses, tensors  # held, so that nothing else comes to lie there

    def __call__(
        self,
        fast: Sequence[Tensor | None],
        slow: Sequence[Tensor | None],
        state: TransferState,
        buffer: Tensor,
        relative: Relative | None,
        x: Tensor,
        d: Tensor,
        batch: int,
        *,
        period: int,
        lr: float,
        gain: Gain,
        seed: int,
        places: tuple[Place, Place],
    ) -> tuple[UpdateStats, UpdateStats, int]:
        """Write vectors onto the fast array, read the lines that fall due, and pulse the slow array, all in place.

        Args:
            fast: tensors of the fast array as :class:`tilewright.kernels.ArrayUpdates` takes them.
            slow: those of the slow array.
            state: counters, maxima and choppers.
            buffer: (outputs, inputs), in units of its threshold.
            relative: reference and running mean of the reads.
            x: inputs (samples, inputs).
            d: errors (samples, outputs).
            batch: vectors of the whole mini-batch, of which these are some.
            period: vectors between reads.
            lr: learning rate on the fast array, before automatic scaling.
            gain: of the reads.
            seed: key of reads and choppers.
            places: of each array the key of its noise, the number of its next vector, and that of this call; the
                slow array's call is made only where something is written.

        Returns:
            what the fast and the slow array took, and the number of vectors written onto the slow one.
        """
        x, d = rows_of(x, self.shape[1], "x"), rows_of(d, self.shape[0], "d")
        relative_to = (None, None) if relative is None else (relative.reference, relative.mean)
        tensors = [
            *fast, *slow, state.counters, state.maxima, state.in_chop, state.out_chop, state.switched, buffer,
            *relative_to,
        ]  # fmt: skip
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        if addresses != self._addresses:
            self._bind(tensors, addresses)
        found: tuple[UpdateStats, UpdateStats, int] = self._run(
            x.data_ptr(), d.data_ptr(), x.shape[0], batch, period, lr, (gain.value, gain.per_rate, gain.most_seen),
            seed, *places, torch.get_num_threads(),
        )  # fmt: skip
        return found


class LineTransfers:
    """Mini-batches of one cell whose fast array is read at their end onto a slow one: one compiled call each.

    Args:
        columns: lines are inputs; otherwise outputs.
        shape: (outputs, inputs).
        models: kind of device and its noise, of the fast and of the slow array.
        settings: their pulse schemes.
        io: periphery of the reads.
        read_input: the one of a read, after the DAC.
    """

    __slots__ = ("_addresses", "_held", "_run", "_transfers", "shape")

    def __init__(
        self,
        columns: bool,
        shape: tuple[int, int],
        models: tuple[DeviceModel, DeviceModel],
        settings: tuple[UpdateSettings, UpdateSettings],
        io: ReadSettings,
        read_input: float,
    ) -> None:
        self.shape = shape
        self._transfers = _cpu.LineTransfers(
            columns=columns, rows=shape[0], cols=shape[1], fast=models[0], slow=models[1], fast_settings=settings[0],
            slow_settings=settings[1], io=io, read_input=read_input,
        )  # fmt: skip
        self._run = self._transfers.run
        self._addresses: list[int] = []
        self._held: Sequence[Tensor | None] = ()

    def _bind(self, tensors: Sequence[Tensor | None], addresses: list[int]) -> None:
        arrays = [Crosspoints(*tensors[first : first + 9]).addresses() for first in (0, 10)]  # type: ignore[arg-type]
        self._transfers.bind(arrays[0], addresses[9], arrays[1], addresses[19])
        self._addresses, self._held = addresses, tensors

    def __call__(
        self,
        tensors: Sequence[Tensor | None],
        x: Tensor,
        d: Tensor,
        lr: float,
        line: Tensor,
        slow_lr: float,
        read_seed: int,
        first_read: int,
        places: tuple[Place, Place],
    ) -> tuple[UpdateStats, UpdateStats]:
        """Write vectors onto the fast array, then read lines of it and write each onto the slow one, all in place.

        Args:
            tensors: of the fast array as :class:`tilewright.kernels.ArrayUpdates` takes them, then of the slow one.
            x: inputs (samples, inputs).
            d: errors (samples, outputs).
            lr: learning rate on the fast array.
            line: int32 (events,) lines to read.
            slow_lr: learning rate on the slow array.
            read_seed: key of the noise of the reads.
            first_read: number of the first read in the life of the cell.
            places: of each array the key of its noise, the number of its next vector, and that of this call.

        Returns:
            what the fast and the slow array took.
        """
        x, d = rows_of(x, self.shape[1], "x"), rows_of(d, self.shape[0], "d")
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        if addresses != self._addresses:
            self._bind(tensors, addresses)
        found: tuple[UpdateStats, UpdateStats] = self._run(
            x.data_ptr(), d.data_ptr(), x.shape[0], lr, line.data_ptr(), line.shape[0], slow_lr, read_seed, first_read,
            *places, torch.get_num_threads(),
        )  # fmt: skip
        return found
