"""The only door to the compiled kernels: checks tensors once, passes addresses, gives clear errors.

Kernels own nothing. They read and write the tensors they are given, use no hidden random state (each call names its
seed and counter) and give the same bits for any number of threads and on any instruction set.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch  # before the compiled module, so that both share one OpenMP runtime
from numpy.typing import NDArray
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import (
    DeviceModel,
    ProductStats,
    ReadSettings,
    StepShape,
    TransferPlan,
    UpdateSettings,
    UpdateStats,
)

__all__ = [
    "ArrayUpdates",
    "Crosspoints",
    "DeviceModel",
    "ProductStats",
    "ReadSettings",
    "Relative",
    "Snapshots",
    "StepShape",
    "TileReads",
    "TransferPlan",
    "TransferState",
    "UpdateSettings",
    "UpdateStats",
    "accumulate_outer",
    "capabilities",
    "carry_steps",
    "derive_seed",
    "exercise",
    "follow_reads",
    "matrix_product",
    "nominal_response",
    "normal_field",
    "normal_rows",
    "plan_transfers",
    "pulse_trace",
    "pulsed_update",
    "read_into_buffer",
    "read_lines",
    "split_counts",
    "uniform_field",
    "uniform_rows",
    "whiten",
]


def capabilities() -> dict[str, Any]:
    """What this installation can run: backends, instruction sets (plainest first), the one in use, threads."""
    return {
        "backends": ["cpu"],
        "instruction_sets": list(_cpu.instruction_sets()),
        "instruction_set": _cpu.instruction_set(),
        "openmp": _cpu.openmp(),
        "compiler": _cpu.compiler(),
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "cuda": "not compiled in",
    }


# --- checks -----------------------------------------------------------------------------------------------------------


def _rows_of(tensor: Tensor, width: int, what: str) -> Tensor:
    """A contiguous float32 CPU tensor of shape (n, width), or an error that names it."""
    if tensor.dtype is not torch.float32:
        raise TypeError(f"{what} must be float32, found {tensor.dtype}; convert it with .float()")
    if tensor.device.type != "cpu":
        raise RuntimeError(
            f"{what} is on {tensor.device}, but only CPU kernels are compiled in; move the model and data to the CPU"
        )
    if tensor.dim() != 2 or tensor.shape[1] != width:
        raise ValueError(f"{what} must have shape (batch, {width}), found {tuple(tensor.shape)}")
    return tensor.contiguous()


@dataclass(slots=True)
class Crosspoints:
    """The tensors of an array of devices, each (outputs, inputs) float32; parameters may hold a single value.

    ``persistent`` is None when the visible weight is the state itself.
    """

    visible: Tensor
    persistent: Tensor | None
    up: Tensor
    down: Tensor
    max_bound: Tensor
    min_bound: Tensor
    slope_up: Tensor | None = None
    slope_down: Tensor | None = None
    reference: Tensor | None = None

    def addresses(self) -> tuple[int, ...]:
        """Addresses for the kernels; negative for a parameter with a single value."""
        return (
            self.visible.data_ptr(),
            0 if self.persistent is None else self.persistent.data_ptr(),
            _plane(self.up),
            _plane(self.down),
            _plane(self.max_bound),
            _plane(self.min_bound),
            _plane(self.slope_up),
            _plane(self.slope_down),
            _plane(self.reference),
        )

    def part(self, first: int, last: int) -> Crosspoints:
        """The devices ``first`` to ``last`` of an array of one row, sharing its memory."""
        taken = (getattr(self, field.name) for field in fields(self))
        return Crosspoints(*(t if t is None or t.numel() == 1 else t[:, first:last] for t in taken))


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _plane(tensor: Tensor | None) -> int:
    if tensor is None:
        return 0
    return -tensor.data_ptr() if tensor.numel() == 1 else tensor.data_ptr()


# --- random numbers ---------------------------------------------------------------------------------------------------


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from numbers and words; different parts give unrelated seeds."""
    seed = 0x7469_6C65
    for part in parts:
        if isinstance(part, str):
            words = [int.from_bytes(part.encode()[i : i + 8], "little") for i in range(0, len(part.encode()), 8)]
            words.append(len(part))
        else:
            words = [part & 0xFFFF_FFFF_FFFF_FFFF]
        for word in words:
            seed = _cpu.mix(seed, word)
    return seed >> 1


def normal_field(shape: Sequence[int], seed: int, counter: int = 0) -> Tensor:
    """Standard normal numbers that depend on (seed, counter, position) alone."""
    return _field(shape, seed, counter, uniform=False)


def uniform_field(shape: Sequence[int], seed: int, counter: int = 0) -> Tensor:
    """Uniform numbers in [0, 1) that depend on (seed, counter, position) alone."""
    return _field(shape, seed, counter, uniform=True)


def normal_rows(rows: int, length: int, seed: int, first: int) -> Tensor:
    """Standard normal numbers (rows, length): row ``r`` is the field of counter ``first + r``."""
    out = torch.empty((rows, length), dtype=torch.float32)
    _cpu.normals(out.data_ptr(), rows, length, seed, first, False)
    return out


def uniform_rows(rows: int, length: int, seed: int, first: int) -> Tensor:
    """Uniform numbers in [0, 1) (rows, length): row ``r`` is the field of counter ``first + r``."""
    out = torch.empty((rows, length), dtype=torch.float32)
    _cpu.normals(out.data_ptr(), rows, length, seed, first, True)
    return out


def _field(shape: Sequence[int], seed: int, counter: int, uniform: bool) -> Tensor:
    out = torch.empty(tuple(shape), dtype=torch.float32)
    _cpu.normals(out.data_ptr(), 1, out.numel(), seed, counter, uniform)
    return out


# --- limits of the machine --------------------------------------------------------------------------------------------

RATE_KINDS = ("multiply_add", "read", "change", "write", "normals", "words")


def exercise(kind: str, buffer: Tensor, n: int) -> float:
    """Do ``n`` units of one kind of work and nothing else, to be timed by the caller.

    Args:
        kind: ``multiply_add`` (operations in registers), ``read``, ``change`` or ``write`` (elements of the buffer),
            ``normals`` (noise of pulses) or ``words`` (32-bit words of the pulse trains).
        buffer: float32, at least ``n`` elements where it is used.
        n: how much.
    """
    if kind in ("read", "change", "write") and buffer.numel() < n:
        raise ValueError(f"buffer holds {buffer.numel()} elements, {n} asked for")
    return _cpu.rate(RATE_KINDS.index(kind), buffer.data_ptr(), n)


# --- update -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Snapshots:
    """Lines of an array to copy while an update passes: line ``line[e]`` after sample ``after[e]``, in time order.

    Sample -1 stands for before the first. With ``reset``, devices of each copied column are reset right after the copy.
    """

    line: Tensor  # int32 (events)
    after: Tensor  # int32 (events)
    out: Tensor  # float32 (events, length)
    rows: bool
    reset: tuple[Tensor, Tensor] | None = None  # (events, outputs): new states, nan to stay; visible weights


_NO_SNAPSHOTS = _cpu.Snapshots()
_NO_LINES = torch.empty(0, dtype=torch.int32)


def pulsed_update(
    model: DeviceModel,
    crosspoints: Crosspoints,
    x: Tensor,
    d: Tensor,
    lr: Tensor,
    settings: UpdateSettings,
    *,
    seed: int,
    first_sample: int,
    call: int,
    snapshots: Snapshots | None = None,
    counts: Tensor | None = None,
) -> UpdateStats:
    """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place.

    Args:
        model: kind of device and its cycle and write noise.
        crosspoints: state and parameters, (outputs, inputs).
        x: inputs (samples, inputs), or int32 (samples,): the one line that is 1.
        d: errors (samples, outputs), or int32 (samples,).
        lr: learning rate, one value or one for each sample.
        settings: pulse scheme.
        seed: key of the pulse trains and of the noise.
        first_sample: number of the first sample in the life of the array; trains depend on it alone.
        call: number of this call; cycle noise depends on it.
        snapshots: lines to copy on the way.
        counts: int64 counters (outputs, inputs) to add to; see :func:`split_counts`.
    """
    rows, cols = crosspoints.visible.shape
    x_hot, d_hot = x.dtype is torch.int32, d.dtype is torch.int32
    x = x if x_hot else _rows_of(x, cols, "x")
    d = d if d_hot else _rows_of(d, rows, "d")
    samples = x.shape[0]
    if d.shape[0] != samples:
        raise ValueError(f"x has {samples} samples but d has {d.shape[0]}")
    if lr.numel() not in (1, samples):
        raise ValueError(f"lr must hold 1 or {samples} values, found {lr.numel()}")
    taken = _NO_SNAPSHOTS
    if snapshots is not None and snapshots.line.numel():
        taken = _cpu.Snapshots(
            snapshots.line.numel(),
            snapshots.line.data_ptr(),
            snapshots.after.data_ptr(),
            snapshots.out.data_ptr(),
            snapshots.rows,
            *((0, 0) if snapshots.reset is None else (t.data_ptr() for t in snapshots.reset)),
        )
    return _cpu.update(
        model, crosspoints.addresses(), rows, cols, settings, x.data_ptr(), x_hot, d.data_ptr(), d_hot, samples,
        lr.data_ptr(), lr.numel() == 1, seed, first_sample, call, torch.get_num_threads(), taken,
        _address(counts),
    )  # fmt: skip


def split_counts(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Up and down pulses from the words that count them: halves of 32 bits, up to two thousand million each."""
    return counts & 0xFFFF_FFFF, counts >> 32


class ArrayUpdates:
    """Updates of one array with dense vectors and one learning rate: the light way to do :func:`pulsed_update`.

    Keeps what does not change between calls; addresses are compared in each call, since tensors may move.

    Args:
        model: kind of device and its cycle and write noise.
        settings: pulse scheme.
        shape: (outputs, inputs).
    """

    __slots__ = ("_addresses", "_held", "_updates", "cols", "rows", "settings")

    def __init__(self, model: DeviceModel, settings: UpdateSettings, shape: tuple[int, int]) -> None:
        self.rows, self.cols = shape
        self.settings = settings
        self._updates = _cpu.Updates(model, settings, self.rows, self.cols)
        self._addresses: list[int] = []
        self._held: Sequence[Tensor | None] = ()

    def _bind(self, tensors: Sequence[Tensor | None], addresses: list[int]) -> None:
        crosspoints = Crosspoints(*tensors[:-1])  # type: ignore[arg-type]
        self._updates.bind(crosspoints.addresses(), addresses[-1])
        self._addresses, self._held = addresses, tensors  # held, so that nothing else comes to lie there

    def __call__(
        self, tensors: Sequence[Tensor | None], x: Tensor, d: Tensor, lr: float, seed: int, first_sample: int, call: int
    ) -> UpdateStats:
        """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place.

        Args:
            tensors: of the array, in the order of :class:`Crosspoints`, then the counters or None.
            x: inputs (samples, inputs).
            d: errors (samples, outputs).
            lr: learning rate.
            seed: key of the pulse trains and of the noise.
            first_sample: number of the first sample in the life of the array.
            call: number of this call.
        """
        if x.dtype is not torch.float32 or x.dim() != 2 or not x.is_cpu or not x.is_contiguous():
            x = _rows_of(x, self.cols, "x")
        if d.dtype is not torch.float32 or d.dim() != 2 or not d.is_cpu or not d.is_contiguous():
            d = _rows_of(d, self.rows, "d")
        samples, cols = x.shape
        others, rows = d.shape
        if cols != self.cols or rows != self.rows or others != samples:
            _rows_of(x, self.cols, "x"), _rows_of(d, self.rows, "d")
            raise ValueError(f"x has {samples} samples but d has {others}")
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        if addresses != self._addresses:
            self._bind(tensors, addresses)
        return self._updates.run(
            x.data_ptr(), d.data_ptr(), samples, lr, seed, first_sample, call, torch.get_num_threads()
        )


# --- traces -----------------------------------------------------------------------------------------------------------


def pulse_trace(
    model: DeviceModel,
    crosspoints: Crosspoints,
    pulses: NDArray[np.int8],
    seed: int,
    *,
    keep: bool = True,
    first: int = 0,
) -> NDArray[np.float32]:
    """Visible weights (n_pulses + 1, devices) of devices that take the same pulses; their state is updated.

    Args:
        model: kind of device and its noise.
        crosspoints: state and parameters.
        pulses: signed pulse counts.
        seed: key of the noise.
        keep: False keeps no weights but the last, in ``crosspoints.visible``, and returns an empty array.
        first: number of the first device, a multiple of 8, when these are a part of a larger set: noise goes by number.
    """
    devices = crosspoints.visible.numel()
    out = np.empty((len(pulses) + 1 if keep else 0, devices), dtype=np.float32)
    _cpu.trace(
        model, crosspoints.addresses(), devices, pulses.ctypes.data, len(pulses), out.ctypes.data if keep else 0,
        seed, first, torch.get_num_threads(),
    )  # fmt: skip
    return out


def nominal_response(
    kind: int,
    shape: StepShape,
    up: float,
    down: float,
    max_bound: float,
    min_bound: float,
    slope_up: float,
    slope_down: float,
    pulses: NDArray[np.int8],
    start: float,
) -> NDArray[np.float64]:
    """State (n_pulses + 1,) of one noise-free device in double precision."""
    out = np.empty(len(pulses) + 1, dtype=np.float64)
    _cpu.nominal_response(
        kind,
        shape,
        up,
        down,
        max_bound,
        min_bound,
        slope_up,
        slope_down,
        pulses.ctypes.data,
        len(pulses),
        start,
        out.ctypes.data,
    )
    return out


def whiten(
    damping: NDArray[np.float64],
    kick_variance: NDArray[np.float64],
    slow_memory: float,
    slow_variance: float,
    white_variance: float,
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Columns divided by a root of the covariance of the noise of one record, and the logarithm of its determinant.

    Args:
        damping: (n,) part of the walk that outlives each pulse; the walk starts at 0.
        kick_variance: (n,) variance each pulse adds to the walk.
        slow_memory: part of the slow read noise that outlives a pulse, below 1.
        slow_variance: of that noise.
        white_variance: of what each sample adds; above 0.
        values: (n, columns) float64.
    """
    damping, kick_variance, values = (
        np.ascontiguousarray(a, dtype=np.float64) for a in (damping, kick_variance, values)
    )
    if values.ndim != 2 or damping.shape != kick_variance.shape or damping.shape != values.shape[:1]:
        raise ValueError(
            f"whiten: shapes {damping.shape}, {kick_variance.shape} and {values.shape} do not belong together"
        )
    out = np.empty_like(values)
    log_determinant = _cpu.whiten(
        damping.ctypes.data, kick_variance.ctypes.data, slow_memory, slow_variance, white_variance,
        len(values), values.ctypes.data, out.ctypes.data, values.shape[1],
    )  # fmt: skip
    return out, log_determinant


# --- products ---------------------------------------------------------------------------------------------------------


class TileReads:
    """Analog products in one direction of a tile, through its periphery.

    Keeps what does not change between calls; addresses are taken anew in each call, since tensors may move.

    Args:
        settings: periphery.
        shape: (outputs, inputs) of the weight.
        transposed: False is ``x W^T``, True is ``d W``.
        seed: key of the noise; noise depends on it, on the number of the sample and on the position.
        keep_saturated: remember which outputs hit the bound of the ADC.
    """

    __slots__ = ("_checked", "_frozen", "_like", "_reads", "_what", "inputs", "outputs", "shape")

    def __init__(
        self, settings: ReadSettings, shape: tuple[int, int], *, transposed: bool, seed: int, keep_saturated: bool
    ) -> None:
        rows, cols = shape
        self.shape = shape
        self.inputs, self.outputs = (rows, cols) if transposed else (cols, rows)
        self._reads = _cpu.Reads(settings, rows, cols, transposed, seed, keep_saturated)
        self._what = "d" if transposed else "x"
        self._frozen: tuple[int, ...] = (0, 0, 0, 0, 0)
        self._checked = 0
        self._like = torch.empty(0, self.outputs, dtype=torch.float32)

    def freeze(self, values: Sequence[Tensor | None]) -> None:
        """Take the per-output noise, nonlinearity and offset, the read asymmetry and the running mean of inputs."""
        addresses = tuple([0 if value is None else value.data_ptr() for value in values])
        if addresses != self._frozen:
            for value in values:
                if value is not None and (value.dtype is not torch.float32 or not value.is_contiguous()):
                    raise TypeError("the frozen values of a tile must be contiguous float32 tensors; use .float()")
            self._reads.freeze(addresses)
            self._frozen = addresses

    def _check_weight(self, weight: Tensor) -> int:
        checked = _rows_of(weight, self.shape[1], "weight")
        if checked is not weight or weight.shape[0] != self.shape[0]:
            raise ValueError(f"weight must be a contiguous tensor of shape {self.shape}, found {tuple(weight.shape)}")
        self._checked = weight.data_ptr()
        return self._checked

    def __call__(self, weight: Tensor, x: Tensor, first_sample: int, learn: bool = False) -> tuple[Tensor, int]:
        """Product of a batch.

        Args:
            weight: (outputs, inputs).
            x: (batch, inputs of this direction).
            first_sample: number of the first sample in the life of the tile.
            learn: let the running mean of inputs follow this batch.

        Returns:
            product (batch, outputs of this direction), number of its entries at the bound of the ADC.
        """
        if x.dtype is not torch.float32 or x.dim() != 2 or not x.is_cpu or not x.is_contiguous():
            x = _rows_of(x, self.inputs, self._what)
        samples, width = x.shape
        if width != self.inputs:
            _rows_of(x, self.inputs, self._what)
        address = weight.data_ptr()
        if address != self._checked:
            address = self._check_weight(weight)
        if samples != self._like.shape[0]:
            self._like = torch.empty(samples, self.outputs, dtype=torch.float32)
        y = torch.empty_like(self._like)  # half the cost of an allocation by size
        return y, self._reads.run(
            address, x.data_ptr(), y.data_ptr(), samples, first_sample, torch.get_num_threads(), learn
        )

    def saturated(self, samples: int) -> Tensor:
        """Which outputs (samples, outputs) of the last product hit the bound of the ADC."""
        mask = torch.empty(samples, self.outputs, dtype=torch.bool)
        self._reads.copy_saturated(mask.data_ptr())
        return mask

    @property
    def passes(self) -> int:
        """Passes of the array by all products so far."""
        return self._reads.passes

    @property
    def stats(self) -> ProductStats:
        """Counts of the last product: passes, clipped inputs and outputs, inputs without a scale."""
        return self._reads.stats

    def observe(
        self, weight: Tensor, x: Tensor, first_sample: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, ProductStats]:
        """A product that keeps what happened: result, scale, reduction and passes of each sample, and the counts."""
        x = _rows_of(x, self.inputs, self._what)
        samples = x.shape[0]
        y, alpha, rho = torch.empty(samples, self.outputs), torch.empty(samples), torch.empty(samples)
        passes = torch.empty(samples, dtype=torch.int32)
        stats = self._reads.observe(
            self._check_weight(weight), x.data_ptr(), y.data_ptr(), samples, first_sample, torch.get_num_threads(),
            (alpha.data_ptr(), rho.data_ptr(), passes.data_ptr()),
        )  # fmt: skip
        return y, alpha, rho, passes, stats


def matrix_product(
    settings: ReadSettings,
    frozen: Sequence[Tensor | None],
    weight: Tensor,
    x: Tensor,
    *,
    transposed: bool,
    seed: int,
    first_sample: int,
) -> Tensor:
    """One product through a periphery that is not kept; arguments as for :class:`TileReads`."""
    shape = (int(weight.shape[0]), int(weight.shape[1]))
    reads = TileReads(settings, shape, transposed=transposed, seed=seed, keep_saturated=False)
    reads.freeze((*frozen, None))
    return reads(weight, x, first_sample)[0]


# --- transfer cells ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class TransferState:
    """State of a transfer schedule, updated in place."""

    counters: Tensor  # int64 (4): vectors seen, next line, sweeps done, reads done
    maxima: Tensor  # float64 (2): running maxima of |x| and |d|
    in_chop: Tensor  # int8 (lines)
    out_chop: Tensor  # int8 (length of a line)
    switched: Tensor | None = None  # int8 (lines): chopper flipped since the last read; dynamic plans only


@dataclass(slots=True)
class Relative:
    """Reads taken relative to a reference (AGAD): the running mean of the reads, frozen at each flip of a chopper."""

    reference: Tensor  # (outputs, inputs)
    mean: Tensor  # (outputs, inputs)
    rate: float  # of the running mean


@dataclass(slots=True)
class Transfers:
    """What a mini-batch of a transfer cell does: inputs for the fast array and the reads on the way."""

    x: Tensor
    d: Tensor
    fast_lr: Tensor
    after: Tensor
    line: Tensor
    lr: Tensor
    line_sign: Tensor
    out_sign: Tensor
    fresh: Tensor | None = None
    writes: Tensor | None = None


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
) -> Transfers:
    """Settle the learning rate of each vector, the reads and the choppers of a mini-batch; advances ``state``."""
    x, d = _rows_of(x, x.shape[-1], "x"), _rows_of(d, d.shape[-1], "d")
    samples, inputs, outputs = x.shape[0], x.shape[1], d.shape[1]
    length = outputs if columns else inputs
    out = Transfers(
        x=torch.empty_like(x) if chopped else x,
        d=torch.empty_like(d) if chopped else d,
        fast_lr=torch.empty(samples, dtype=torch.float32),
        after=torch.empty(samples, dtype=torch.int32),
        line=torch.empty(samples, dtype=torch.int32),
        lr=torch.empty(samples, dtype=torch.float32),
        line_sign=torch.empty(samples, dtype=torch.int8),
        out_sign=torch.empty((samples, length), dtype=torch.int8),
    )
    if state.switched is not None:
        out.fresh, out.writes = torch.empty(samples, dtype=torch.int8), torch.empty(samples, dtype=torch.int8)
    events = _cpu.plan_transfers(
        plan, x.data_ptr(), d.data_ptr(), samples, inputs, outputs, period, lr, seed,
        (
            state.counters.data_ptr(), state.maxima.data_ptr(), state.in_chop.data_ptr(), state.out_chop.data_ptr(),
            _address(state.switched),
        ),
        (
            out.fast_lr.data_ptr(), out.x.data_ptr() if chopped else 0, out.d.data_ptr() if chopped else 0,
            out.after.data_ptr(), out.line.data_ptr(), out.lr.data_ptr(), out.line_sign.data_ptr(),
            out.out_sign.data_ptr(), _address(out.fresh), _address(out.writes),
        ),
    )  # fmt: skip
    out.after, out.line, out.lr = out.after[:events], out.line[:events], out.lr[:events]
    out.line_sign, out.out_sign = out.line_sign[:events], out.out_sign[:events]
    return out


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
    restart: bool = False,
    cap: float = 0.0,
    signs: tuple[Tensor, Tensor] | None = None,
    relative: Relative | None = None,
    transfers: Transfers | None = None,
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
        restart: the buffer starts from 0 at each read.
        cap: limit of the buffer in units of ``max_pulses``, when not forgetting; 0 is none.
        signs: int8 choppers of the lines (events,) and of their elements (events, length).
        relative: reference and running mean of the reads; needs ``transfers``.
        transfers: tells which reads follow a flip and which may write.

    Returns:
        pulses (sent, length) float32: whole numbers, the error vectors of the writes onto the slow array;
        event (sent,) int32 that each write comes from. Reads that fill no step send nothing.
    """
    events, length = lines.shape
    pulses = torch.empty((events, length), dtype=torch.float32)
    sent_event = torch.empty(events, dtype=torch.int32)
    inputs = buffer.shape[1]
    line_sign, out_sign = (0, 0) if signs is None else (signs[0].data_ptr(), signs[1].data_ptr())
    planes, rate = (0, 0, 0, 0), 0.0
    if relative is not None and transfers is not None:
        rate = relative.rate
        planes = (
            relative.reference.data_ptr(),
            relative.mean.data_ptr(),
            _address(transfers.fresh),
            _address(transfers.writes),
        )
    sent = _cpu.buffer(
        settings, read_input, events, length, lines.data_ptr(), line.data_ptr(), line_sign, out_sign,
        buffer.data_ptr(), 1 if columns else inputs, inputs if columns else 1, gain.data_ptr(), momentum, forget,
        restart, max_pulses, cap, planes, rate, pulses.data_ptr(), sent_event.data_ptr(), seed, first_event,
    )  # fmt: skip
    return pulses[:sent], sent_event[:sent]


def read_lines(settings: ReadSettings, lines: Tensor, *, read_input: float, seed: int, first_event: int) -> Tensor:
    """What reads of single lines deliver: weights (events, length) through the periphery, with fresh noise.

    One on the line and zero elsewhere: the distribution of a full product at the cost of the line.
    """
    lines = _rows_of(lines, lines.shape[1], "lines")
    values = torch.empty_like(lines)
    _cpu.read_lines(
        settings, read_input, lines.shape[0], lines.shape[1], lines.data_ptr(), values.data_ptr(), seed, first_event
    )
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
    first_event: int,
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
    lines = _rows_of(lines, lines.shape[1], "lines")
    errors = torch.empty_like(lines)
    inputs = mean.shape[1]
    _cpu.follow(
        settings, read_input, lines.shape[0], lines.shape[1], lines.data_ptr(), line.data_ptr(), mean.data_ptr(), rate,
        1 if columns else inputs, inputs if columns else 1, _address(frozen), -1.0 if threshold is None else threshold,
        errors.data_ptr(), seed, first_event,
    )  # fmt: skip
    return errors


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
    x, d = _rows_of(x, cols, "x"), _rows_of(d, rows, "d")
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
