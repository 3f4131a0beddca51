"""Kernels for graphics processors: whether they are compiled in, on which device, and what they keep there.

Nothing here waits for the device. Where an array or a tile stands in its random numbers is kept in a tensor on the
device, a clock, so that a captured CUDA graph draws new numbers with each replay; reading a clock waits, and happens
in checkpoints and reports alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tilewright._cpu import DeviceModel, ReadSettings, TransferPlan, UpdateSettings
from tilewright.kernels.arrays import Crosspoints, address_of
from tilewright.kernels.device_rate import DeviceRate
from tilewright.kernels.products import Clipped
from tilewright.kernels.transfer_state import Relative, Transfers, TransferState
from tilewright.kernels.updates import Snapshots

try:
    from tilewright import _cuda as _compiled
except ImportError:
    _compiled = None  # type: ignore[assignment]

NOT_RUN = "compiled, not yet run on a GPU by its authors"
_NO_TABLES = (0, 0)
_NAN = float("nan")

# Kernels that stand in for those of a GPU, see :func:`run_on_host`.
_stand_in: Any = None


def on_gpu(tensor: Tensor) -> bool:
    """Whether kernels for graphics processors work on this tensor."""
    return tensor.is_cuda or _stand_in is not None


def problem() -> str:
    """Why no tile can move to a GPU; empty where it can."""
    if _compiled is None:
        return "the CUDA kernels are not compiled in: install with nvcc on the path"
    if not torch.cuda.is_available():
        built = torch.version.cuda
        return _compiled.why_no_device() if built else "this PyTorch is built without CUDA: install its CUDA build"
    return ""


def state() -> dict[str, Any]:
    """What is compiled in, which devices are seen, and why not if not."""
    if _compiled is None:
        return {"compiled": False, "problem": problem()}
    return {
        "compiled": True,
        "toolkit": _compiled.toolkit(),
        "architectures": _compiled.architectures(),
        "devices": _compiled.devices(),
        "problem": problem(),
        "status": NOT_RUN,
    }


def describe() -> str:
    """One line on what is compiled in, which device is seen, and why not if not."""
    found = state()
    if not found["compiled"]:
        return f"not available: {found['problem']}"
    line = f"compiled in by {found['toolkit']} for {found['architectures']} ({found['status']})"
    devices = ", ".join(found["devices"]) or "none seen"
    return f"{line}; devices: {devices}" + (f"; not usable: {found['problem']}" if found["problem"] else "")


@contextmanager
def run_on_host(backwards: bool = False) -> Iterator[None]:
    """Within this context tensors on the CPU pass the kernels for GPUs, whose threads the host runs one by one.

    For tests: slow, and there only in an editable installation. Modules are moved by ``to("cpu")``, inside and outside.

    Args:
        backwards: run the threads in descending order.

    Raises:
        RuntimeError: these kernels are not compiled in.
    """
    global _stand_in
    try:
        from tilewright import _cuda_on_host
    except ImportError as error:
        raise RuntimeError("the kernels for GPUs can be run on the host in an editable installation only") from error
    _cuda_on_host.run_backwards(backwards)
    before, _stand_in = _stand_in, _cuda_on_host
    try:
        yield
    finally:
        _stand_in = before


def _module() -> Any:
    if _stand_in is not None:
        return _stand_in
    if _compiled is None:
        raise RuntimeError(problem())
    return _compiled


def _stream(like: Tensor) -> int:
    """Torch's current stream, where kernels are launched that work on a tensor.

    Raises:
        RuntimeError: the tensor is on another GPU than the current one.
    """
    if not like.is_cuda:
        return 0
    if like.device.index != torch.cuda.current_device():
        raise RuntimeError(
            f"the tile is on {like.device}, and the current GPU is cuda:{torch.cuda.current_device()}: work on it "
            f"within 'with torch.cuda.device({like.device.index}):'"
        )
    if torch.cuda.device_count() > 1:
        _module().use_device(like.device.index)  # the module has a CUDA runtime of its own
    return torch.cuda.current_stream().cuda_stream


def rate_of(lr: Tensor) -> float:
    """The learning rate in a tensor; one on a GPU stays there, see :class:`DeviceRate`."""
    return DeviceRate(lr) if on_gpu(lr) else float(lr)


def filled(count: int, value: float, like: Tensor) -> Tensor:
    """As many times the same number, float32 on the device of another tensor."""
    if isinstance(value, DeviceRate):
        return value.tensor().expand(count).contiguous()
    return torch.full((count,), value, dtype=torch.float32, device=like.device)


def _rows(tensor: Tensor, width: int, what: str, like: Tensor) -> Tensor:
    """A contiguous float32 tensor (n, width) on the device of another, or an error that names it."""
    if tensor.dtype is not torch.float32:
        raise TypeError(f"{what} must be float32, found {tensor.dtype}; convert it with .float()")
    if tensor.device != like.device:
        raise RuntimeError(f"{what} is on {tensor.device} and the tile on {like.device}; move one of them")
    if tensor.dim() != 2 or tensor.shape[1] != width:
        raise ValueError(f"{what} must have shape (batch, {width}), found {tuple(tensor.shape)}")
    return tensor.contiguous()


# --- random numbers ---------------------------------------------------------------------------------------------------


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
    _module().field(out.data_ptr(), 1, out.numel(), seed, fixed, uniform, more, _stream(like))
    return out


def rows(rows: int, length: int, seed: int, first: int, like: Tensor, *, uniform: bool = False) -> Tensor:
    """The bits of :func:`tilewright.kernels.normal_rows` or its uniform twin, on the device of ``like``."""
    out = torch.empty((rows, length), dtype=torch.float32, device=like.device)
    _module().field(out.data_ptr(), rows, length, seed, first, uniform, 0, _stream(like))
    return out


def accumulate(accumulator: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
    """``accumulator += lr * sum_b outer(d_b, x_b)``, the bits of :func:`tilewright.kernels.accumulate_outer`."""
    rows, cols = accumulator.shape
    x, d = _rows(x, cols, "x", accumulator), _rows(d, rows, "d", accumulator)
    if x.shape[0] != d.shape[0]:
        raise ValueError(f"x has {x.shape[0]} samples but d has {d.shape[0]}")
    rate = lr.tensor() if isinstance(lr, DeviceRate) else None
    _module().accumulate(
        accumulator.data_ptr(), rows, cols, x.data_ptr(), d.data_ptr(), x.shape[0], _NAN if rate is not None else lr,
        address_of(rate), _stream(accumulator),
    )  # fmt: skip


# --- updates ----------------------------------------------------------------------------------------------------------


class GpuArray:
    """What an array keeps on a GPU beside its state: its clock, what it has sent, and the tables of its step.

    Args:
        samples: samples it has taken so far.
        calls: calls it has taken so far.
        model: kind of device.
        like: a tensor on the device.
    """

    def __init__(self, samples: int, calls: int, model: DeviceModel, like: Tensor) -> None:
        self.clock = torch.tensor([samples, calls], dtype=torch.int64, device=like.device)
        self.sent = torch.zeros(4, dtype=torch.int64, device=like.device)  # pulses, truncated, empty, slots
        nodes, jumps = model.tables()
        self._tables = [
            torch.tensor(values, dtype=torch.float32, device=like.device) if values else None
            for values in (nodes, jumps)
        ]
        self.model = model

    @property
    def tables(self) -> tuple[int, int]:
        """Addresses of the tables of the step on the device."""
        return address_of(self._tables[0]), address_of(self._tables[1])

    @property
    def calls(self) -> Tensor:
        """The number of calls, on the device."""
        return self.clock[1:]

    def advance(self, samples: int, calls: int, live: Tensor | None = None) -> None:
        """Let samples and calls pass; none where ``live``, on the device, is 0, and no more samples than it."""
        _module().advance(self.clock.data_ptr(), samples, calls, address_of(live), _stream(self.clock))

    def where(self) -> tuple[int, int]:
        """Samples and calls so far; waits for the device."""
        samples, calls = self.clock.tolist()
        return int(samples), int(calls)


class GpuUpdates:
    """Updates of one array on a GPU: see :class:`tilewright.kernels.ArrayUpdates`. Nothing is reported but in ``sent``.

    Args:
        array: its clock and counts.
        settings: pulse scheme.
        shape: (outputs, inputs).
    """

    def __init__(self, array: GpuArray, settings: UpdateSettings, shape: tuple[int, int]) -> None:
        self.array, self.settings, self.shape = array, settings, shape
        self._updates = _module().Updates(array.model, settings, *shape)
        self._grows = self._updates.grows()
        self._bound: tuple[int, ...] = ()
        self._memory: tuple[int, float, int] = (-1, 0.0, 0)

    def __call__(
        self,
        crosspoints: Crosspoints,
        pulse_counts: Tensor | None,
        x: Tensor,
        d: Tensor,
        lr: float | Tensor,
        seed: int,
        snapshots: Snapshots | None = None,
        live: Tensor | None = None,
    ) -> None:
        """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place, and move the clock on.

        Args:
            crosspoints: state and parameters, (outputs, inputs).
            pulse_counts: int64 counters (outputs, inputs) to add to, or None.
            x: inputs (samples, inputs), or int32 (samples,): the one line that is 1.
            d: errors (samples, outputs), or int32 (samples,).
            lr: learning rate, one value or one for each sample; tensors that are on the device are read there.
            seed: key of the pulse trains and of the noise.
            snapshots: lines to copy on the way, all on the device.
            live: int64 on the device, how many of the samples count; None is all.
        """
        rows, cols = self.shape
        visible = crosspoints.visible
        x_hot, d_hot = x.dtype is torch.int32, d.dtype is torch.int32
        x = x if x_hot else _rows(x, cols, "x", visible)
        d = d if d_hot else _rows(d, rows, "d", visible)
        samples = x.shape[0]
        rates, lr = _rates(lr, samples, visible, self._grows)
        if d.shape[0] != samples:
            raise ValueError(f"x has {samples} samples but d has {d.shape[0]}")
        addresses = (*crosspoints.addresses(), address_of(pulse_counts))
        if addresses != self._bound:
            array = self.array
            self._updates.bind(addresses[:9], array.tables, addresses[9], array.clock.data_ptr(), array.sent.data_ptr())
            self._bound = addresses
        if self._memory[:2] != (samples, lr):
            self._memory = samples, lr, self._updates.memory(samples, lr)
        copies, events, by_row = (0, 0, 0, 0, 0), 0, False
        if snapshots is not None:
            events, by_row = snapshots.line.numel(), snapshots.rows
            reset = snapshots.reset or (None, None)
            copies = tuple(map(address_of, (snapshots.line, snapshots.after, snapshots.out, *reset)))  # type: ignore[assignment]
        memory = torch.empty(self._memory[2], dtype=torch.uint8, device=visible.device)
        self._updates.run(
            x.data_ptr(), x_hot, d.data_ptr(), d_hot, samples, address_of(rates), rates is not None and len(rates) == 1,
            lr, seed, copies, events, by_row, address_of(live), memory.data_ptr(), _stream(visible),
        )  # fmt: skip


def _rates(lr: float | Tensor, samples: int, like: Tensor, grows: bool) -> tuple[Tensor | None, float]:
    """Rates on the device, one or one for each sample, and the largest of them: nan where only the device knows it.

    Trains that grow with the rate need to know it.
    """
    if isinstance(lr, DeviceRate):
        return lr.tensor(), _NAN
    if not isinstance(lr, Tensor):
        return None, lr
    if lr.numel() != 1 and lr.numel() != samples:
        raise ValueError(f"lr must have one value or one for each of {samples} samples, found {lr.numel()}")
    if lr.numel() == 1 and not on_gpu(lr):
        return None, float(lr)
    largest = float(lr.abs().max()) if grows and samples and not lr.is_cuda else _NAN
    return lr.contiguous().to(like.device, non_blocking=True), largest


def trace(
    model: DeviceModel,
    array: GpuArray,
    crosspoints: Crosspoints,
    pulses: Tensor,
    seed: int,
    *,
    keep: bool = True,
    first: int = 0,
) -> Tensor:
    """Visible weights (n_pulses + 1, devices) of devices that take the same pulses; their state is updated.

    Args:
        model: kind of device and its noise.
        array: the tables of its step.
        crosspoints: state and parameters.
        pulses: int8 on the device, signed pulse counts.
        seed: key of the noise.
        keep: False keeps no weights but the last, in ``crosspoints.visible``, and returns an empty tensor.
        first: number of the first device, when these are a part of a larger set.
    """
    devices, n = crosspoints.visible.numel(), pulses.numel()
    out = torch.empty((n + 1 if keep else 0, devices), dtype=torch.float32, device=pulses.device)
    _module().trace(
        model, crosspoints.addresses(), array.tables, devices, pulses.data_ptr(), n, out.data_ptr() if keep else 0,
        seed, first, _stream(pulses),
    )  # fmt: skip
    return out


# --- lines ------------------------------------------------------------------------------------------------------------


def count(counter: Tensor, more: int) -> None:
    """Add to a count, int64 on the device."""
    _module().advance(counter.data_ptr(), more, 0, 0, _stream(counter))


class NextLines(NamedTuple):
    """Reads of an array whose lines take turns, on the device."""

    line: Tensor  # int32 (reads,)
    after: Tensor  # int32 (reads,): vector of the mini-batch that each comes after
    first: Tensor  # int64 (1,): number of the first one


def next_lines(counters: Tensor, lines: int, transfers: int, reads: int, soonest: int, period: int) -> NextLines:
    """The reads that are due, settled on the device.

    Args:
        counters: int64 (3,): next line, reads and transfers so far; they move on.
        lines: lines there are.
        transfers: how many are due.
        reads: neighbouring lines read by each.
        soonest: vector of the mini-batch after which the first is due.
        period: vectors between two.
    """
    line = torch.empty(transfers * reads, dtype=torch.int32, device=counters.device)
    first = torch.empty(1, dtype=torch.int64, device=counters.device)
    due = NextLines(line, torch.empty_like(line), first)
    _module().next_lines(
        counters.data_ptr(), lines, transfers, reads, soonest, period, due.line.data_ptr(), due.after.data_ptr(),
        due.first.data_ptr(), _stream(counters),
    )  # fmt: skip
    return due


def _number(first_event: int | Tensor) -> tuple[int, int]:
    """The number of an event: known here, or by its address on the device."""
    return (0, first_event.data_ptr()) if isinstance(first_event, Tensor) else (first_event, 0)


def read_lines(
    settings: ReadSettings, lines: Tensor, read_input: float, seed: int, first_event: int | Tensor
) -> Tensor:
    """The bits of :func:`tilewright.kernels.read_lines`; ``first_event`` may be an int64 on the device."""
    lines = lines.contiguous()
    values = torch.empty_like(lines)
    _module().read_lines(
        settings, read_input, *lines.shape, lines.data_ptr(), values.data_ptr(), seed, *_number(first_event),
        _stream(lines),
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
    _module().follow(
        settings, read_input, *lines.shape, lines.data_ptr(), line.data_ptr(), mean.data_ptr(), rate,
        1 if columns else inputs, inputs if columns else 1, address_of(frozen),
        -1.0 if threshold is None else threshold, errors.data_ptr(), seed, *_number(first_event), _stream(lines),
    )  # fmt: skip
    return errors


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
    _module().buffer(
        settings, read_input, events, length, lines.data_ptr(), line.data_ptr(),
        (address_of(line_sign), address_of(out_sign)), buffer.data_ptr(), 1 if columns else inputs,
        inputs if columns else 1, gains.data_ptr(), momentum, forget, restart, max_pulses, cap, planes, rate,
        sent.pulses.data_ptr(), sent.source.data_ptr(), sent.live.data_ptr(), seed, *_number(first_event),
        _stream(lines),
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
    x, d = _rows(x, x.shape[-1], "x", state.counters), _rows(d, d.shape[-1], "d", state.counters)
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
    maxima, first_read = empty(2, samples, dtype=torch.float32), empty(1, dtype=torch.int64)
    rate = lr.tensor(torch.float64) if isinstance(lr, DeviceRate) else None
    _module().plan_transfers(
        plan, x.data_ptr(), d.data_ptr(), samples, inputs, outputs, period, _NAN if rate is not None else lr,
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
        maxima.data_ptr(), first_read.data_ptr(), _stream(x),
    )  # fmt: skip
    return out, first_read


def carry_steps(accumulator: Tensor, rows: Tensor, step: float, most_steps: float) -> Sent:
    """As :func:`tilewright.kernels.carry_steps`, with what was sent packed on the device."""
    count, cols = rows.numel(), accumulator.shape[1]
    sent = Sent(
        torch.empty((count, cols), device=accumulator.device),
        torch.empty(count, dtype=torch.int32, device=accumulator.device),
        torch.empty(1, dtype=torch.int64, device=accumulator.device),
    )
    memory = torch.empty(_module().carry_memory(count, cols), dtype=torch.uint8, device=accumulator.device)
    _module().carry(
        accumulator.data_ptr(), cols, rows.data_ptr(), count, step, most_steps, sent.pulses.data_ptr(),
        sent.source.data_ptr(), sent.live.data_ptr(), memory.data_ptr(), _stream(accumulator),
    )  # fmt: skip
    return sent


def capturing(like: Tensor) -> bool:
    """Whether a graph is being captured on the stream that works on this tensor."""
    return like.is_cuda and torch.cuda.is_current_stream_capturing()


# --- products ---------------------------------------------------------------------------------------------------------


class GpuReads:
    """Analog products in one direction of a tile on a GPU: the bits of :class:`tilewright.kernels.TileReads`.

    Args:
        settings: periphery.
        shape: (outputs, inputs) of the weight.
        transposed: False is ``x W^T``, True is ``d W``.
        seed: key of the noise.
        keep_saturated: remember which outputs hit the bound of the ADC.
        position: samples of this direction so far.
        like: a tensor on the device.
    """

    def __init__(
        self, settings: ReadSettings, shape: tuple[int, int], *, transposed: bool, seed: int, keep_saturated: bool,
        position: int, like: Tensor,
    ) -> None:  # fmt: skip
        rows, cols = shape
        self.shape = shape
        self.inputs, self.outputs = (rows, cols) if transposed else (cols, rows)
        self.clock = torch.full((1,), position, dtype=torch.int64, device=like.device)
        # Passes; outputs and inputs clipped in all passes; outputs at the bound in the last pass; inputs without scale.
        self.counts = torch.zeros(5, dtype=torch.int64, device=like.device)
        self._keep_saturated = keep_saturated
        self._what = "d" if transposed else "x"
        self._reads = _module().Reads(settings, rows, cols, transposed, seed)
        self._reads.bind(self.clock.data_ptr(), self.counts.data_ptr())
        self._frozen: tuple[int, ...] = (0, 0, 0, 0, 0)
        self._memory = (-1, 0)
        self._saturated: Tensor | None = None
        self._lost = 0

    def freeze(self, values: Sequence[Tensor | None]) -> None:
        """Take the per-output noise, nonlinearity and offset, the read asymmetry and the running mean of inputs."""
        addresses = tuple([address_of(value) for value in values])
        if addresses != self._frozen:
            self._reads.freeze(addresses)
            self._frozen = addresses

    def _run(self, weight: Tensor, x: Tensor, learn: bool, per_sample: tuple[int, int, int]) -> Tensor:
        if tuple(weight.shape) != self.shape or not weight.is_contiguous():
            raise ValueError(f"weight must be a contiguous tensor of shape {self.shape}, found {tuple(weight.shape)}")
        x = _rows(x, self.inputs, self._what, weight)
        samples = x.shape[0]
        if self._memory[0] != samples:
            self._memory = samples, self._reads.memory(samples)
        memory = torch.empty(self._memory[1], dtype=torch.uint8, device=weight.device)
        y = torch.empty((samples, self.outputs), dtype=torch.float32, device=weight.device)
        if self._keep_saturated:
            self._saturated = torch.empty((samples, self.outputs), dtype=torch.bool, device=weight.device)
        self._reads.run(
            weight.data_ptr(), x.data_ptr(), y.data_ptr(), address_of(self._saturated), samples, learn, per_sample,
            memory.data_ptr(), _stream(weight),
        )  # fmt: skip
        return y

    def __call__(self, weight: Tensor, x: Tensor, first_sample: int, learn: bool = False) -> tuple[Tensor, int]:
        """Product of a batch; samples are numbered by the clock.

        Returns:
            product (batch, outputs of this direction), 1 where a mask of saturated outputs was kept.
        """
        return self._run(weight, x, learn, (0, 0, 0)), int(self._keep_saturated)

    def saturated(self, samples: int) -> Tensor:
        """Which outputs (samples, outputs) of the last product hit the bound of the ADC."""
        assert self._saturated is not None
        return self._saturated

    @property
    def passes(self) -> int:
        """Passes of the array by all products so far; waits for the device."""
        return int(self.counts[0])

    @property
    def position(self) -> int:
        """Samples of this direction so far; waits for the device."""
        return int(self.clock)

    @property
    def lost_inputs(self) -> int:
        """Inputs of the last product, other than zero, whose scale was 0; waits for the device."""
        lost = int(self.counts[4])
        new, self._lost = lost - self._lost, lost
        return new

    def observe(self, weight: Tensor, x: Tensor, first_sample: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Clipped]:
        """As :meth:`TileReads.observe`; waits for the device."""
        samples, before = x.shape[0], self.counts.clone()
        alpha = torch.empty(samples, device=weight.device)
        rho, passes = torch.empty_like(alpha), torch.empty(samples, dtype=torch.int32, device=weight.device)
        y = self._run(weight, x, False, (alpha.data_ptr(), rho.data_ptr(), passes.data_ptr()))
        done, _, inputs, outputs, _ = (self.counts - before).tolist()
        return y, alpha, rho, passes, Clipped(inputs, outputs, done)


def matrix_product(
    settings: ReadSettings, frozen: Sequence[Tensor | None], weight: Tensor, x: Tensor, *, seed: int, first_sample: int
) -> Tensor:
    """One product ``x W^T`` through a periphery that is not kept: the bits of its twin for the processor."""
    rows, cols = weight.shape
    reads = GpuReads(
        settings, (rows, cols), transposed=False, seed=seed, keep_saturated=False, position=first_sample, like=weight
    )
    reads.freeze((*frozen, None))
    return reads(weight, x, first_sample)[0]
