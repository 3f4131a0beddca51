"""Arrays from fast to slow whose lines are read and written onto the next: what all such algorithms share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor, nn

from tilewright import kernels
from tilewright.cells.cell import VECTORS_AT_ONCE, ArrayAction, Cell, SettingsCache, member_arrays, parts_of
from tilewright.cells.line_reads import LineReader, check_line_reads, unmanaged_io
from tilewright.cells.parameters import UnitCell
from tilewright.cells.work import Shape, UpdateWork, per_vector, per_vector_all
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import IOParameters, UpdateParameters


class LineTransferCompound(UnitCell, abstract=True):
    """Two or more arrays, fast to slow. The weight is ``sum_k g_k D_k`` unless the algorithm says otherwise."""

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "fast device first, then the slower ones", min_length=2, group="Devices"
    )
    gamma: float = parameter(
        0.0, "array k of n counts gamma^(n-1-k) in the visible weight", ge=0, group="Devices", typical=(0, 1)
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
    units_in_mbatch: bool = parameter(True, "transfer_every counts mini-batches", group="Transfer")
    n_reads_per_transfer: int = parameter(
        1, "neighbouring lines read at a time, at most all of them", ge=1, group="Transfer", typical=(1, 64)
    )
    transfer_columns: bool = parameter(True, "read columns (inputs); False reads rows (outputs)", group="Transfer")
    transfer_lr: float = parameter(1.0, "learning rate of the transfer", group="Transfer", log=True, typical=(1e-3, 10))
    scale_transfer_lr: bool = parameter(True, "multiply transfer_lr by the optimiser's learning rate", group="Transfer")
    transfer_forward: IOParameters = parameter(factory=unmanaged_io, meaning="periphery of the reads", group="Transfer")
    transfer_update: UpdateParameters = parameter(
        factory=UpdateParameters, meaning="pulses written onto the slower array", group="Transfer"
    )

    @model_validator(mode="after")
    def _lines_can_be_read(self) -> LineTransferCompound:
        check_line_reads(self.transfer_forward, "transfer_forward")
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
        return [float(self.gamma ** (n - 1 - k)) for k in range(n)]

    def periods(self, lines: int) -> list[float]:
        """``transfer_every`` of each array; 0 is never. Each reads the next once its own lines are written."""
        sweep = lines / min(self.n_reads_per_transfer, lines)
        periods = [self.transfer_every * sweep**k for k in range(len(self.unit_cell_devices))]
        return [*periods[:-1], 0.0]  # writing the last array onto itself changes nothing

    def transfer_rates(self, lr: float) -> list[float]:
        """Learning rate of the write from each array onto the next."""
        rate = self.transfer_lr * lr if self.scale_transfer_lr else self.transfer_lr
        return [rate] * (len(self.unit_cell_devices) - 1)

    def rate_of_fast_array(self, lr: float) -> float:
        """Learning rate on the fast array."""
        if self.fast_lr <= 0:
            return lr
        return self.fast_lr * lr if self.scale_fast_lr else self.fast_lr


@dataclass
class Events:
    """Reads of one array in a mini-batch, in time order."""

    line: Tensor  # int32
    after: list[int]  # vector of the mini-batch after which each line is read
    at_end: bool = False  # all of them after the last vector
    swept: bool = False  # the last line is among them
    on_gpu: gpu.NextLines | None = None  # the same, where it is settled on a GPU


@dataclass
class Writes:
    """Vectors for one array in a mini-batch, in time order; ``after`` says when each arrives."""

    x: Tensor
    d: Tensor
    lr: Tensor | float
    after: list[int] | Tensor | None = None  # None: vector by vector; on a GPU in the order of time, like `live`
    live: Tensor | None = None  # on a GPU: how many of the vectors there are

    def part(self, vectors: slice) -> Writes:
        """Some vectors of a mini-batch."""
        lr = self.lr if isinstance(self.lr, float) or self.lr.numel() == 1 else self.lr[vectors]
        return Writes(self.x[vectors], self.d[vectors], lr)


class LineTransferCell(Cell):
    """State: the arrays and their weights, and the counters.

    A mini-batch passes one array after the other, since no array depends on a slower one: the whole mini-batch goes
    onto the first with copies of the lines at the time of their reads, what was read goes onto the second, and so on.
    The result is that of one vector at a time.
    """

    written_as_read: ClassVar[bool] = False  # whether what is read is written as it is, and nothing else happens
    operations_per_value = 0  # digital operations on each value that is read, before it is written
    on_cpu: ClassVar[tuple[str, ...]] = ("counters",)

    inner: Tensor  # weights of the arrays but the last; all of them when the visible weight is not the last alone
    counters: Tensor  # vectors, then for each array: next line, reads, transfers

    def __init__(
        self,
        parameters: LineTransferCompound,
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
        self._read_keys: dict[int, int] = {}
        self._at_once: kernels.LineTransfers | None = None
        self._numbers = torch.arange(self.lines, dtype=torch.int32)
        self._counted: Tensor | None = None  # the counters as they stand on a GPU, where lines take turns

    def get_extra_state(self) -> Tensor:
        """Key of the reads and selections."""
        return torch.tensor([self.seed], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed = int(state[0])
        self._read_keys = {}

    def _array(self, index: int) -> DeviceArray:
        # Past the list's own index, which takes several times longer.
        array = self._modules["arrays"]._modules[str(index)]  # type: ignore[union-attr]
        assert type(array) is DeviceArray
        return array

    def _weights(self, index: int, weight: Tensor) -> Tensor:
        return weight if self.hidden and index == len(self.shares) - 1 else self.inner[index]

    # --- learning ---------------------------------------------------------------------------------------------------

    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Write a mini-batch onto the first array and pass on what falls due."""
        if lr == 0:
            return
        p, samples = self.parameters_, x.shape[0]
        rates, periods = p.transfer_rates(lr), p.periods(self.lines)
        every = [_period(period, samples, p.units_in_mbatch) for period in periods]
        if gpu.capturing(weight):
            self._check_capture(every[self._first_array() :], samples)
        writes = self._gradient(x, d, lr)
        if samples > VECTORS_AT_ONCE and any(0 < period < samples for period in every):
            for part in parts_of(samples):
                self._pass(weight, writes.part(part), every, rates)
        else:
            self._pass(weight, writes, every, rates)
        self.totals.samples += samples
        self._end_batch()
        if not self.hidden:
            with torch.no_grad():
                self._show(weight)

    def _takes_turns(self) -> bool:
        """Whether the lines of each array are read one after the other, whatever happens: then a GPU can count them."""
        return True

    def _check_capture(self, every: list[int], samples: int) -> None:
        """Raise RuntimeError unless a graph of this step, replayed, does what the next steps would do."""
        if self._counted is None:
            raise RuntimeError(
                f"a step of {type(self).__name__} as it is set cannot be captured in a CUDA graph: what is done next "
                "is settled on the CPU, and every replay would do the same"
            )
        start = int(self._counters()[0])
        if any(period and (samples % period or start % period) for period in every):
            raise RuntimeError(
                f"a step of {type(self).__name__} can be captured in a CUDA graph where every step has as many reads: "
                f"{samples} vectors after {start} do not go evenly into reads every {max(every)}"
            )

    def _pass(self, weight: Tensor, writes: Writes | None, every: list[int], rates: list[float]) -> None:
        """Some vectors of a mini-batch; array k is read after every ``every[k]`` of them, 0 is never."""
        assert writes is not None
        samples, counters = writes.x.shape[0], self._counters()
        start = int(counters[0])
        counters[0] += samples
        uncounted = samples if self._counted is not None else 0  # on the GPU, by the first kernel that counts there
        first = self._first_array()
        for k, period in enumerate(every):
            if k < first:
                continue
            events = self._due(k, start, samples, period, counters, uncounted) if period else None
            uncounted = uncounted if events is None else 0
            if writes is None and events is None:
                continue
            if writes is not None and events is not None and rates[k] != 0 and self._goes_at_once(k, writes, events):
                self._transfer_at_once(k, weight, writes, events, rates[k], counters)
                return  # the last array is never read
            lines = self._write(k, self._weights(k, weight), writes, events)
            writes = None
            if events is None or lines is None:
                continue
            first_read = int(counters[2 + 3 * k])
            counters[2 + 3 * k] += lines.shape[0]
            number = first_read if events.on_gpu is None else events.on_gpu.first
            writes = self._transfer(k, events, lines, rates[k], number)
        if self._counted is not None and uncounted:
            gpu.count(self._counted, uncounted)

    def _goes_at_once(self, k: int, writes: Writes, events: Events) -> bool:
        """Whether one compiled call does what array ``k`` is given, its reads, and their writes onto the last array."""
        return (
            self.written_as_read and events.at_end and k == len(self.shares) - 2 and type(writes.lr) is float
            and not kernels.on_gpu(writes.x) and writes.x.dtype is torch.float32 and writes.d.dtype is torch.float32
        )  # fmt: skip

    def _transfer_at_once(
        self, k: int, weight: Tensor, writes: Writes, events: Events, rate: float, counters: NDArray[np.int64]
    ) -> None:
        fast, slow = self._array(k), self._array(k + 1)
        if self._at_once is None:
            self._at_once = kernels.LineTransfers(
                self.parameters_.transfer_columns,
                self.shape,
                (fast.model, slow.model),
                (self._settings[k].get(), self._settings[k + 1].get()),
                self._reader.settings,
                self._reader.input,
            )
        fast_weight, slow_weight = self._weights(k, weight), self._weights(k + 1, weight)
        before = fast.before_writes(fast_weight), slow.before_writes(slow_weight)
        assert isinstance(writes.lr, float)
        given, written = self._at_once(
            [*fast.updated_tensors(fast_weight), *slow.updated_tensors(slow_weight)], writes.x, writes.d, writes.lr,
            events.line, rate, self._read_key(k), int(counters[2 + 3 * k]), (fast.place, slow.place),
        )  # fmt: skip
        reads = events.line.shape[0]
        counters[2 + 3 * k] += reads
        fast.took(given, writes.x.shape[0], fast_weight, before[0])
        slow.took(written, reads, slow_weight, before[1])
        if k == self._first_array():
            self.totals.add(given)
        else:
            self.totals.add_pulses(given)
        self.totals.add_pulses(written)

    def _counters(self) -> NDArray[np.int64]:
        """The counters, sharing their memory: single numbers of a tensor take many times longer to read."""
        counters: Any = self._buffers["counters"]
        shared: NDArray[np.int64] = counters.numpy()
        return shared

    def _first_array(self) -> int:
        """The array that takes the gradient."""
        return 0

    def _gradient(self, x: Tensor, d: Tensor, lr: float) -> Writes:
        """What the first array is given."""
        return Writes(x, d, self.parameters_.rate_of_fast_array(lr))

    def _end_batch(self) -> None:
        """What is due after a mini-batch, before the weight is shown."""

    def _due(
        self, k: int, start: int, samples: int, period: int, counters: NDArray[np.int64], uncounted: int
    ) -> Events | None:
        """Reads of array ``k`` in the next ``samples`` vectors; with them a GPU counts ``uncounted`` vectors."""
        n = (start + samples) // period - start // period
        if n == 0:
            return None
        soonest = period - 1 - start % period
        reads = min(self.parameters_.n_reads_per_transfer, self.lines)
        starts = self._starts(k, n, reads, counters)
        counters[1 + 3 * k] = (starts[-1] + reads) % self.lines
        counters[3 + 3 * k] += n
        swept = any(first + reads >= self.lines for first in starts)
        if self._counted is not None:
            due = gpu.next_lines(self._counted, k, uncounted, self.lines, n, reads, soonest, period)
            after = [soonest + period * event for event in range(n) for _ in range(reads)]
            return Events(due.line, after, n == 1 and soonest == samples - 1, swept, due)
        if n == 1 and starts[0] + reads <= self.lines:
            line = self._numbers[starts[0] : starts[0] + reads]  # quicker than a new tensor
            return Events(line, [soonest] * reads, soonest == samples - 1, swept)
        lines = [(first + step) % self.lines for first in starts for step in range(reads)]
        after = [soonest + period * event for event in range(n) for _ in range(reads)]
        line = self._placed(torch.tensor(lines, dtype=torch.int32))
        return Events(line, after, n == 1 and soonest == samples - 1, swept)

    def _placed(self, values: Tensor) -> Tensor:
        """Values where the arrays are."""
        return values.to(self.inner.device, non_blocking=True)

    def _after(self, events: Events) -> Tensor:
        """Vector of the mini-batch after which each line is read, int32 where the arrays are."""
        if events.on_gpu is not None:
            return events.on_gpu.after
        return self._placed(torch.tensor(events.after, dtype=torch.int32))

    def _take_counters(self) -> None:
        """Take over the counters of a GPU, which replays of graphs move on; waits for it."""
        if self._counted is not None:
            self.counters.copy_(self._counted)

    def _give_counters(self) -> None:
        if self._counted is not None:
            self._counted.copy_(self.counters)

    def __getstate__(self) -> dict[str, object]:
        self._take_counters()
        return {**self.__dict__, "_at_once": None}

    def _save_to_state_dict(self, *given: Any) -> None:
        self._take_counters()
        super()._save_to_state_dict(*given)

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        self._give_counters()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._take_counters()
        super()._apply(fn, recurse)
        self._numbers = self._placed(self._numbers)
        counted = kernels.on_gpu(self.inner) and self._takes_turns()
        self._counted = self.counters.to(self.inner.device, copy=True) if counted else None
        return self

    def _starts(self, k: int, n: int, reads: int, counters: NDArray[np.int64]) -> list[int]:
        """First line of each of the next ``n`` transfers from array ``k``."""
        line = int(counters[1 + 3 * k])
        return [(line + reads * event) % self.lines for event in range(n)]

    def _write(self, k: int, weights: Tensor, writes: Writes | None, events: Events | None) -> Tensor | None:
        """Pulse array ``k``; returns copies of the lines to read, if any, each as it stands after its vector."""
        reset = None if events is None else self._resets(k, events)
        if events is None or ((events.at_end or writes is None) and reset is None):
            # Nothing is read on the way: the update needs no copies, and the lines are there to be looked at.
            if writes is not None:
                self._pulse(k, weights, writes, None)
            return None if events is None else self._lines(weights, events.line)
        if writes is None:  # one vector of zeros, so that there is an update to reset in
            none = weights.new_zeros(1, self.shape[1]), weights.new_zeros(1, self.shape[0])
            writes = Writes(*none, 0.0, [(1 << 31) - 1])
        # Number of the last write that each read sees; -1 where it sees the array as it is.
        seen = self._after(events)
        if writes.after is not None:
            given = writes.after
            arrived = given if isinstance(given, Tensor) else self._placed(torch.tensor(given, dtype=torch.int32))
            seen = (torch.searchsorted(arrived, seen, right=True) - 1).to(torch.int32)
        lines = torch.empty((events.line.numel(), self.length), device=weights.device)
        rows = not self.parameters_.transfer_columns
        copies = kernels.Snapshots(events.line, seen, lines, rows=rows, reset=reset)
        self._pulse(k, weights, writes, copies)
        return lines

    def _pulse(self, k: int, weights: Tensor, writes: Writes, copies: kernels.Snapshots | None) -> None:
        settings = self._settings[k].get()
        stats = self._array(k).update(weights, writes.x, writes.d, writes.lr, settings, copies, writes.live)
        if k == self._first_array():
            self.totals.add(stats)
        else:
            self.totals.add_pulses(stats)

    def _lines(self, weights: Tensor, line: Tensor) -> Tensor:
        """Lines (events, length) of an array as it stands."""
        if not self.parameters_.transfer_columns:
            return weights.index_select(0, line)
        return weights.index_select(1, line).t().contiguous()

    def _resets(self, k: int, events: Events) -> tuple[Tensor, Tensor] | None:
        """New states and visible weights (events, length) of devices that are reset after their read."""
        return None

    @abstractmethod
    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        """What the reads of array ``k`` write onto the next.

        Args:
            k: array that is read.
            events: its reads.
            lines: (events, length) the lines as they stood.
            rate: learning rate of the write.
            first_read: number of the first read in the life of the array; on a GPU it may be there.
        """

    def _read_key(self, k: int) -> int:
        """Key of the noise in the reads of array ``k``."""
        if k not in self._read_keys:
            self._read_keys[k] = kernels.derive_seed(self.seed, "read", k)
        return self._read_keys[k]

    def _writes(self, line: Tensor, errors: Tensor, lr: Tensor | float, after: list[int] | Tensor) -> Writes:
        x, d = (line, errors) if self.parameters_.transfer_columns else (errors, line)
        return Writes(x, d, lr, after)

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
            self._array(k).set_weights(self.inner[k], torch.zeros_like(self.inner[k]))
        self._array(last).set_weights(self._weights(last, weight), wanted / self.shares[-1])
        self._take_counters()
        self.counters[0] = 0
        self.counters[1::3] = 0  # the other counters number random draws and go on
        self._give_counters()
        self._show(weight)

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on every array."""
        if any([action(self._array(k), self._weights(k, weight)) for k in range(len(self.arrays))]):
            self._show(weight)

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """The vectors on the fast array, then reads and the writes of what was read.

        The published table has no line for unbuffered transfers: each value that is read counts once, where it
        becomes a pulse train, plus what the algorithm does with it in digital; writes take the slots they took.
        """
        self._take_counters()
        arrays = self.pulsed_arrays()
        reads = {name: int(self.counters[2 + 3 * k]) for k, name in enumerate(arrays)}
        lines = sum(reads.values())
        slots = sum(array.sent.slots for array in arrays.values())
        each = per_vector_all((self.length, 0), self.parameters_.transfer_update)
        filtered = lines * self.length * self.operations_per_value
        return UpdateWork(
            slots=slots,
            published_slots=slots,
            digital=vectors * per_vector(shape) + lines * self.length + filtered,
            digital_all=vectors * per_vector_all(shape, update) + lines * each + filtered,
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
