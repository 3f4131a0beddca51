"""Tiki-Taka: gradients collect on a fast array, whose lines are read and written onto the next, slower array."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import model_validator
from torch import Tensor, nn

from tilewright import kernels
from tilewright.cells.cell import ArrayAction, Cell, PulseTotals, SettingsCache, member_arrays
from tilewright.cells.line_reads import LineReader, check_line_reads, coarse_read_cautions, unmanaged_io
from tilewright.cells.parameters import UnitCell
from tilewright.cells.work import Shape, UpdateWork, per_vector, per_vector_all
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import parameter
from tilewright.periphery import IOParameters, UpdateParameters


class TransferCompound(UnitCell):
    """Two or more arrays, fast to slow: Tiki-Taka version 1.

    Each vector is written onto the first array; every ``transfer_every`` mini-batches one line of it is read and
    added to the same line of the next. The weight is ``sum_k g_k D_k``, by default the last array alone.
    Source: Gokmen and Haensch, Front. Neurosci. 14:103 (2020).
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "fast device first, then the slower ones", min_length=2, group="Devices"
    )
    gamma: float = parameter(
        0.0, "array k of n counts gamma^(n-1-k) in the visible weight", ge=0, group="Devices", typical=(0, 1)
    )
    gamma_vec: list[float] = parameter(
        factory=list, meaning="share of each array in the visible weight, instead of gamma", group="Devices"
    )

    fast_lr: float = parameter(
        1.0, "learning rate on the fast array; 0 or less uses the optimiser's", group="Fast array", log=True,
        typical=(1e-3, 10),
    )  # fmt: skip
    scale_fast_lr: bool = parameter(True, "multiply fast_lr by the optimiser's learning rate", group="Fast array")

    transfer_every: float = parameter(
        1.0, "mini-batches (or vectors) between reads of the fast array; 0 is never", ge=0, group="Transfer",
        typical=(0, 100),
    )  # fmt: skip
    transfer_every_vec: list[float] = parameter(
        factory=list,
        meaning="the same for each array; empty: each reads the next once its own lines have all been written",
        group="Transfer",
    )
    units_in_mbatch: bool = parameter(True, "transfer_every counts mini-batches", group="Transfer")
    n_reads_per_transfer: int = parameter(
        1, "neighbouring lines read at a time, at most all of them", ge=1, group="Transfer", typical=(1, 64)
    )
    transfer_columns: bool = parameter(True, "read columns (inputs); False reads rows (outputs)", group="Transfer")
    random_selection: bool = parameter(False, "start each read at a random line", group="Transfer")
    with_reset_prob: float = parameter(
        0.0, "probability that a device of a column is reset after its read", ge=0, le=1, group="Transfer"
    )
    no_self_transfer: bool = parameter(True, "the last array is never read", group="Transfer")
    transfer_lr: float = parameter(1.0, "learning rate of the transfer", group="Transfer", log=True, typical=(1e-3, 10))
    transfer_lr_vec: list[float] = parameter(
        factory=list, meaning="the same for each array that is read, instead of transfer_lr", group="Transfer"
    )
    scale_transfer_lr: bool = parameter(True, "multiply transfer_lr by the optimiser's learning rate", group="Transfer")
    transfer_forward: IOParameters = parameter(factory=unmanaged_io, meaning="periphery of the reads", group="Transfer")
    transfer_update: UpdateParameters = parameter(
        factory=UpdateParameters, meaning="pulses written onto the slower array", group="Transfer"
    )

    @model_validator(mode="after")
    def _fields_fit_the_arrays(self) -> TransferCompound:
        check_line_reads(self.transfer_forward, "transfer_forward")
        n = len(self.unit_cell_devices)
        for name in ("gamma_vec", "transfer_every_vec"):
            values = getattr(self, name)
            if values and len(values) != n:
                raise ValueError(f"{name} must have one entry for each of the {n} arrays, found {len(values)}")
        if len(self.transfer_lr_vec) not in (0, n - 1, n):
            raise ValueError(f"transfer_lr_vec must have {n - 1} or {n} entries, found {len(self.transfer_lr_vec)}")
        if self.gamma_vec and self.gamma_vec[-1] == 0:
            raise ValueError("gamma_vec must not end in 0: the last array holds the weight")
        if any(every < 0 for every in self.transfer_every_vec):
            raise ValueError("transfer_every_vec must not have negative entries; 0 is never")
        if self.with_reset_prob > 0 and not self.transfer_columns:
            raise ValueError("with_reset_prob needs transfer_columns: only columns are reset")
        return self

    @property
    def visible_device(self) -> PulsedDevice:
        """The slowest device."""
        return self.unit_cell_devices[-1]

    @property
    def visible_granularity(self) -> float:
        """Expected step of the visible weight."""
        return abs(self.shares[-1]) * self.visible_device.granularity

    @property
    def shares(self) -> list[float]:
        """Share of each array in the visible weight."""
        n = len(self.unit_cell_devices)
        return list(self.gamma_vec) or [float(self.gamma ** (n - 1 - k)) for k in range(n)]

    def periods(self, lines: int) -> list[float]:
        """``transfer_every`` of each array; 0 is never."""
        n = len(self.unit_cell_devices)
        sweep = lines / min(self.n_reads_per_transfer, lines)
        periods = list(self.transfer_every_vec) or [self.transfer_every * sweep**k for k in range(n)]
        return [*periods[:-1], 0.0]  # writing the last array onto itself changes nothing

    def transfer_rates(self, lr: float) -> list[float]:
        """Learning rate of the write from each array onto the next."""
        n = len(self.unit_cell_devices)
        rates = (self.transfer_lr_vec or [self.transfer_lr] * (n - 1))[: n - 1]
        return [rate * lr if self.scale_transfer_lr else rate for rate in rates]

    def rate_of_fast_array(self, lr: float) -> float:
        """Learning rate on the fast array."""
        if self.fast_lr <= 0:
            return lr
        return self.fast_lr * lr if self.scale_fast_lr else self.fast_lr

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return TransferCell(self, update, shape, draw_seed, noise_seed)

    def cautions(self) -> list[str]:
        """Settings that are allowed but unlikely to be meant."""
        found = super().cautions() + self._coarse_reads()
        if not self.transfer_every and not self.transfer_every_vec and self.shares[0] == 0:
            found.append("transfer_every = 0 never reaches the visible weight; give a period from 1")
        return found

    def _coarse_reads(self) -> list[str]:
        granularity = self.unit_cell_devices[0].granularity
        return coarse_read_cautions(self.transfer_forward, "transfer_forward", granularity)


@dataclass
class Events:
    """Reads of one array in a mini-batch, in time order."""

    line: Tensor  # int32
    after: Tensor  # int64: vector of the mini-batch after which the line is read


@dataclass
class Writes:
    """Vectors for one array in a mini-batch, in time order; ``after`` says when each arrives."""

    x: Tensor
    d: Tensor
    lr: Tensor
    after: Tensor | None = None  # None: vector by vector


class TransferCell(Cell):
    """State: the arrays and their weights, and the counters.

    A mini-batch passes one array after the other, since no array depends on a slower one: the whole mini-batch goes
    onto the first with copies of the lines at the time of their reads, what was read goes onto the second, and so on.
    The result is that of one vector at a time.
    """

    inner: Tensor  # weights of the arrays but the last; all of them when the visible weight is not the last alone
    counters: Tensor  # vectors, then for each array: next line, reads, transfers

    def __init__(
        self,
        parameters: TransferCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__()
        self.parameters_ = parameters
        self.shape = shape
        devices = parameters.unit_cell_devices
        self.shares = parameters.shares
        self.hidden = not any(self.shares[:-1]) and self.shares[-1] == 1
        self.lines, self.length = (shape[1], shape[0]) if parameters.transfer_columns else shape
        self.seed = kernels.derive_seed(noise_seed, "transfer")
        self.arrays = nn.ModuleList(member_arrays(devices, shape, draw_seed, noise_seed))
        self.register_buffer("inner", torch.zeros(len(devices) - self.hidden, *shape))
        self.register_buffer("counters", torch.zeros(1 + 3 * len(devices), dtype=torch.int64))
        schemes = [update, *[parameters.transfer_update] * (len(devices) - 1)]
        self._settings = [
            SettingsCache(scheme, device.granularity) for scheme, device in zip(schemes, devices, strict=True)
        ]
        self._reader = LineReader(parameters.transfer_forward, parameters.transfer_columns)

    def get_extra_state(self) -> Tensor:
        """Key of the reads and selections."""
        return torch.tensor([self.seed], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed = int(state[0])

    def _array(self, index: int) -> DeviceArray:
        array = self.arrays[index]
        assert isinstance(array, DeviceArray)
        return array

    def _weights(self, index: int, weight: Tensor) -> Tensor:
        return weight if self.hidden and index == len(self.arrays) - 1 else self.inner[index]

    # --- learning ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Write a mini-batch onto the first array and pass on what falls due."""
        if lr == 0:
            return
        p, samples = self.parameters_, x.shape[0]
        periods = [_period(every, samples, p.units_in_mbatch) for every in p.periods(self.lines)]
        totals = PulseTotals()
        for first, last in self._segments(samples, periods):
            self._pass(weight, x[first:last], d[first:last], lr, periods, totals)
        self.last_update = totals.reading(samples)
        self._show(weight)

    def _segments(self, samples: int, periods: list[int]) -> list[tuple[int, int]]:
        """Parts of a mini-batch that pass at once: all of it, or up to each read when reads reset what they read."""
        if self.parameters_.with_reset_prob == 0:
            return [(0, samples)]
        start = int(self.counters[0])
        cuts = {samples} | {
            s + 1 for s in range(samples) for every in periods if every and (start + s + 1) % every == 0
        }
        ends = sorted(cuts)
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def _pass(self, weight: Tensor, x: Tensor, d: Tensor, lr: float, periods: list[int], totals: PulseTotals) -> None:
        p = self.parameters_
        start, samples = int(self.counters[0]), x.shape[0]
        self.counters[0] += samples
        rates = p.transfer_rates(lr)
        writes: Writes | None = Writes(x, d, torch.tensor([p.rate_of_fast_array(lr)], dtype=torch.float32))
        for k in range(len(self.arrays)):
            events = self._due(k, start, samples, periods[k])
            lines = self._write(k, self._weights(k, weight), writes, events, totals)
            writes = None
            if events is None:
                continue
            first_read = int(self.counters[2 + 3 * k])
            self.counters[2 + 3 * k] += lines.shape[0]
            writes = self._transfer(k, events, lines, rates[k], first_read)
            if p.with_reset_prob > 0:
                self._reset(k, self._weights(k, weight), events.line)

    def _due(self, k: int, start: int, samples: int, period: int) -> Events | None:
        """Reads of array ``k`` in the next ``samples`` vectors."""
        n = (start + samples) // period - start // period if period else 0
        if n == 0:
            return None
        after = period - 1 - start % period + period * torch.arange(n)
        p = self.parameters_
        reads = min(p.n_reads_per_transfer, self.lines)
        done = int(self.counters[3 + 3 * k])
        if p.random_selection:
            key = kernels.derive_seed(self.seed, "line", k)
            draws = torch.cat([kernels.uniform_field((1,), key, done + event) for event in range(n)])
            starts = (draws * self.lines).long().clamp(max=self.lines - 1)
        else:
            starts = (int(self.counters[1 + 3 * k]) + reads * torch.arange(n)) % self.lines
        line = ((starts[:, None] + torch.arange(reads)) % self.lines).flatten()
        self.counters[1 + 3 * k] = (int(starts[-1]) + reads) % self.lines
        self.counters[3 + 3 * k] = done + n
        return Events(line.to(torch.int32), after.repeat_interleave(reads))

    def _write(
        self, k: int, weights: Tensor, writes: Writes | None, events: Events | None, totals: PulseTotals
    ) -> Tensor:
        """Pulse array ``k``; returns copies of the lines to read, each as it stands after its vector."""
        columns = self.parameters_.transfer_columns
        n = 0 if events is None else events.line.numel()
        lines = torch.empty((n, self.length))
        early = n
        snapshots = None
        if events is not None and writes is not None:
            # Number of the last write that each read sees; reads before the first see the array as it is.
            seen = (
                events.after if writes.after is None else torch.searchsorted(writes.after, events.after, right=True) - 1
            )
            early = int((seen < 0).sum())
            snapshots = kernels.Snapshots(
                events.line[early:], seen[early:].to(torch.int32), lines[early:], rows=not columns
            )
        if events is not None and early:
            index = events.line[:early].long()
            lines[:early] = weights[:, index].t() if columns else weights[index]
        if writes is not None:
            stats = self._array(k).update(weights, writes.x, writes.d, writes.lr, self._settings[k].get(), snapshots)
            if k == 0:
                totals.add(stats)
            else:
                totals.pulses += stats.pulses
        return lines

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int) -> Writes | None:
        """What the reads of array ``k`` write onto the next."""
        if rate == 0:
            return None
        read = self._reader.read(lines, kernels.derive_seed(self.seed, "read", k), first_read)
        return self._writes(events.line, -read, torch.tensor([rate], dtype=torch.float32), events.after)

    def _writes(self, line: Tensor, errors: Tensor, lr: Tensor, after: Tensor) -> Writes:
        x, d = (line, errors) if self.parameters_.transfer_columns else (errors, line)
        return Writes(x, d, lr, after)

    def _reset(self, k: int, weights: Tensor, line: Tensor) -> None:
        """Reset devices of the columns that were read, those alone."""
        array = self._array(k)
        key = kernels.derive_seed(self.seed, "reset", k)
        chosen = (
            kernels.uniform_field(self.shape, key, int(self.counters[3 + 3 * k])) < self.parameters_.with_reset_prob
        )
        read = torch.zeros(self.shape[1], dtype=torch.bool)
        read[line.long()] = True
        array.reset_where(weights, chosen & read)

    def _show(self, weight: Tensor) -> None:
        if self.hidden:
            return
        torch.mul(self.inner[0], self.shares[0], out=weight)
        for k in range(1, len(self.shares)):
            weight.add_(self.inner[k], alpha=self.shares[k])

    # --- setting ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Fast arrays are emptied, the last takes the weight, and the schedule starts afresh."""
        last = len(self.arrays) - 1
        for k in range(last):
            self._array(k).set_weights(self.inner[k], torch.zeros(self.shape))
        self._array(last).set_weights(self._weights(last, weight), wanted / self.shares[-1])
        self.counters[0] = 0
        self.counters[1::3] = 0  # the other counters number random draws and go on
        self._show(weight)

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on every array."""
        if any([action(self._array(k), self._weights(k, weight)) for k in range(len(self.arrays))]):
            self._show(weight)

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """The vectors on the fast array, then reads and the writes of what was read.

        The published table has no line for unbuffered transfers: each value that is read counts once, where it
        becomes a pulse train, and writes take the slots they took.
        """
        arrays = self.pulsed_arrays()
        reads = {name: int(self.counters[2 + 3 * k]) for k, name in enumerate(arrays)}
        values = sum(reads.values()) * self.length
        slots = sum(array.sent.slots for array in arrays.values())
        each = per_vector_all((self.length, 0), self.parameters_.transfer_update)
        return UpdateWork(
            slots=slots,
            published_slots=slots,
            digital=vectors * per_vector(shape) + values,
            digital_all=vectors * per_vector_all(shape, update) + sum(reads.values()) * each,
            line_reads=reads,
        )

    def device_arrays(self) -> dict[str, object]:
        """The arrays, A the fastest and C the slowest."""
        names = ["A", *(f"B{k}" for k in range(1, len(self.arrays) - 1)), "C"]
        return dict(zip(names, self.arrays, strict=True))


def _period(every: float, samples: int, units_in_mbatch: bool) -> int:
    """Vectors between reads; 0 is never."""
    if every <= 0:
        return 0
    return max(1, math.ceil(every * samples) if units_in_mbatch else round(every))
