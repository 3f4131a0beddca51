"""TTv2 and c-TTv2: gradients collect on a fast array A, pass a digital buffer H, and pulse the slow array C."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from pydantic import model_validator
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import VECTORS_AT_ONCE, ArrayAction, Cell, SettingsCache, member_arrays, parts_of
from tilewright.cells.line_reads import LineReader, check_line_reads, single_pulse_update, unmanaged_io
from tilewright.cells.parameters import UnitCell
from tilewright.cells.work import Shape, UpdateWork, buffered_work
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import IOParameters, UpdateParameters


class ChoppedTransferCompound(UnitCell):
    """Two arrays and a digital buffer: Tiki-Taka version 2, with choppers version c-TTv2.

    Each vector is written onto A; every ``transfer_every`` vectors one line of A is read into the buffer H; where H
    passes one step, C is pulsed. Choppers flip the sign of whole lines of A at random, so that its offsets average out.
    Sources: Gokmen, Front. Artif. Intell. 4:699148 (2021); Rasch et al., Nat. Commun. 15:7133 (2024).
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "fast device A, then slow device C", min_length=2, max_length=2, group="Devices"
    )
    gamma: float = parameter(0.0, "share of A in the visible weight", ge=0, group="Devices", typical=(0, 1))

    fast_lr: float = parameter(
        1.0, "learning rate on A; 0 or less uses the optimiser's", group="Fast array", log=True, typical=(1e-3, 10)
    )
    scale_fast_lr: bool = parameter(False, "multiply fast_lr by the optimiser's learning rate", group="Fast array")
    auto_scale: bool = parameter(
        False, "scale fast_lr so that the largest gradient gives fast_lr * desired_bl pulses", group="Fast array"
    )
    auto_momentum: float = parameter(
        0.99, "memory of the running maxima used by auto_scale", ge=0, lt=1, group="Fast array"
    )

    transfer_every: float = parameter(
        1.0,
        "vectors (or mini-batches) between reads of A; negative derives it from the states of A",
        group="Transfer",
        typical=(1, 100),
    )
    units_in_mbatch: bool = parameter(False, "transfer_every counts mini-batches", group="Transfer")
    transfer_columns: bool = parameter(True, "read columns of A (inputs); False reads rows (outputs)", group="Transfer")
    transfer_lr: float = parameter(
        1.0, "learning rate of the transfer", gt=0, group="Transfer", log=True, typical=(1e-3, 10)
    )
    scale_transfer_lr: bool = parameter(True, "multiply transfer_lr by the optimiser's learning rate", group="Transfer")
    transfer_forward: IOParameters = parameter(
        factory=unmanaged_io, meaning="periphery of the reads of A", group="Transfer"
    )
    transfer_update: UpdateParameters = parameter(
        factory=single_pulse_update, meaning="pulses written onto C", group="Transfer"
    )

    buffer_granularity: float = parameter(
        1.0, "buffer threshold in steps of A; 0 or less is 1", group="Buffer", typical=(0.1, 10)
    )
    auto_granularity: float = parameter(
        0.0,
        "if positive, the threshold is also multiplied by this over (lines * transfer_every)",
        ge=0,
        group="Buffer",
        log=True,
        typical=(1, 20000),
    )
    step: float = parameter(
        1.0, "pulses per unit of the buffer, in steps of C", gt=0, group="Buffer", typical=(0.1, 10)
    )
    momentum: float = parameter(0.0, "part of the buffer kept after a pulse", ge=0, le=1, group="Buffer")
    forget_buffer: bool = parameter(
        True, "after a pulse keep only momentum times the buffer; False subtracts what was sent", group="Buffer"
    )
    buffer_cap: float = parameter(
        0.0,
        "limit of the buffer in units of desired_bl, when not forgetting; 0 is none",
        ge=0,
        group="Buffer",
        typical=(0, 10),
    )
    no_buffer: bool = parameter(False, "start the buffer from 0 at every read", group="Buffer")
    correct_gradient_magnitudes: bool = parameter(
        False, "divide the transfer by the fast learning rate", group="Buffer"
    )

    in_chop_prob: float = parameter(
        0.1, "probability that a line's chopper flips after its read", ge=0, le=1, group="Choppers"
    )
    in_chop_random: bool = parameter(True, "flip at random; False flips regularly", group="Choppers")
    out_chop_prob: float = parameter(
        0.0, "probability that an output chopper flips after a full sweep", ge=0, le=1, group="Choppers"
    )

    @model_validator(mode="after")
    def _transfer_can_work(self) -> ChoppedTransferCompound:
        check_line_reads(self.transfer_forward, "transfer_forward")
        if self.transfer_every == 0:
            raise ValueError(
                "transfer_every = 0 never reaches C; give a period from 1, or a negative factor for an automatic one"
            )
        return self

    @property
    def visible_device(self) -> PulsedDevice:
        """The slow device C."""
        return self.unit_cell_devices[-1]

    def period(self, samples: int, lines: int) -> int:
        """Vectors between two reads of A, for mini-batches of ``samples`` vectors."""
        every = self.transfer_every
        if every < 0:
            return max(1, round(self.unit_cell_devices[0].number_of_states / lines * -every))
        return max(1, math.ceil(every * samples) if self.units_in_mbatch else round(every))

    def threshold(self, lines: int) -> float:
        """Change of the visible weight collected in the buffer before C is pulsed."""
        scale = self.buffer_granularity if self.buffer_granularity > 0 else 1.0
        if self.auto_granularity > 0:
            scale *= self.auto_granularity / (lines * abs(self.transfer_every))
        return scale * self.unit_cell_devices[0].granularity

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return ChoppedTransferCell(self, update, shape, draw_seed, noise_seed)


class ChoppedTransferCell(Cell):
    """State: arrays A and C, buffer H (outputs, inputs), choppers, running maxima and counters."""

    fast_weight: Tensor
    slow_weight: Tensor | None
    buffer: Tensor
    counters: Tensor
    maxima: Tensor
    in_chop: Tensor
    out_chop: Tensor

    def __init__(
        self,
        parameters: ChoppedTransferCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__()
        self.parameters_ = parameters
        self.shape = shape
        self.seed = kernels.derive_seed(noise_seed, "transfer")
        fast, slow = parameters.unit_cell_devices
        self.fast, self.slow = member_arrays([fast, slow], shape, draw_seed, noise_seed)
        lines, length = (shape[1], shape[0]) if parameters.transfer_columns else shape
        self.register_buffer("fast_weight", torch.zeros(shape))
        self.register_buffer("slow_weight", torch.zeros(shape) if parameters.gamma > 0 else None)
        self.register_buffer("buffer", torch.zeros(shape))
        self.register_buffer("counters", torch.zeros(4, dtype=torch.int64))
        self.register_buffer("maxima", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("in_chop", torch.ones(lines, dtype=torch.int8))
        self.register_buffer("out_chop", torch.ones(length, dtype=torch.int8))
        self._fast_settings = SettingsCache(update, fast.granularity)
        self._slow_settings = SettingsCache(parameters.transfer_update, slow.granularity)
        self._write_lr = torch.tensor([parameters.step * slow.granularity], dtype=torch.float32)
        self._threshold = parameters.threshold(lines)
        self._reader = LineReader(parameters.transfer_forward, parameters.transfer_columns)
        self._update = update
        self._plan: kernels.TransferPlan | None = None
        self._transfers: kernels.BufferedTransfers | None = None
        self._vectors: int | None = None  # seen so far, where the counters are on a GPU

    def get_extra_state(self) -> Tensor:
        """Key of the reads and choppers."""
        return torch.tensor([self.seed], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed = int(state[0])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_plan": None, "_transfers": None, "_vectors": None}

    @property
    def plan(self) -> kernels.TransferPlan:
        """What decides rates, reads and choppers, as the kernels take it."""
        if self._plan is None:
            p = self.parameters_
            self._plan = kernels.TransferPlan(
                columns=p.transfer_columns,
                auto_scale=p.auto_scale and p.fast_lr > 0,
                auto_momentum=p.auto_momentum,
                largest_step=self._update.desired_bl * p.unit_cell_devices[0].granularity,
                in_chop_prob=p.in_chop_prob,
                out_chop_prob=p.out_chop_prob,
                in_chop_random=p.in_chop_random,
                dynamic=self._switched() is not None,
            )
        return self._plan

    # What reads relative to a reference add (AGAD).

    def _switched(self) -> Tensor | None:
        return None

    def _relative(self) -> kernels.Relative | None:
        return None

    # --- learning ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Write a mini-batch onto A, read the lines that fall due, and pulse C where the buffer is full.

        The result is that of one vector at a time, though many vectors pass A before the first is read.
        """
        if lr == 0:
            return
        p, samples = self.parameters_, x.shape[0]
        if kernels.on_gpu(weight):
            self._update_on_gpu(weight, x, d, lr)
            return
        rate, gain = self._fast_lr(lr), self._gain(lr)
        if samples <= VECTORS_AT_ONCE:
            self._pass(weight, x, d, samples, rate, gain)
        else:
            for part in parts_of(samples):
                self._pass(weight, x[part], d[part], samples, rate, gain)
        self.totals.samples += samples
        if p.gamma > 0:
            self._show(weight)

    def _pass(self, weight: Tensor, x: Tensor, d: Tensor, batch: int, rate: float, gain: kernels.Gain) -> None:
        """Some vectors onto A, their reads into the buffer, and the buffer onto C: one compiled call."""
        own: dict[str, Any] = self.__dict__["_buffers"]
        members = self._modules
        fast: Any = members["fast"]
        slow: Any = members["slow"]
        fast_weight, slow_weight = own["fast_weight"], own["slow_weight"]
        slow_weight = weight if slow_weight is None else slow_weight
        chop = own["in_chop"], own["out_chop"]
        before = fast.before_writes(fast_weight), slow.before_writes(slow_weight)
        taken, written, sent = (self._transfers or self._make_transfers())(
            fast.updated_tensors(fast_weight),
            slow.updated_tensors(slow_weight),
            kernels.TransferState(own["counters"], own["maxima"], *chop, own.get("switched")),
            own["buffer"],
            self._relative(),
            x,
            d,
            batch,
            period=self.parameters_.period(batch, len(chop[0])),
            lr=rate,
            gain=gain,
            seed=self.seed,
            places=(fast.place, slow.place),
        )
        fast.took(taken, x.shape[0], fast_weight, before[0])
        self.totals.add(taken)
        if sent:
            slow.took(written, sent, slow_weight, before[1])
            self.totals.add_pulses(written)

    def _make_transfers(self) -> kernels.BufferedTransfers:
        p, relative = self.parameters_, self._relative()
        self._transfers = kernels.BufferedTransfers(
            self.plan,
            self.chopped,
            self.shape,
            (self.fast.model, self.slow.model),
            (self._fast_settings.get(), self._slow_settings.get()),
            self._reader.settings,
            kernels.BufferSettings(
                read_input=self._reader.input,
                momentum=p.momentum,
                forget=p.forget_buffer,
                restart=p.no_buffer,
                max_pulses=p.transfer_update.desired_bl,
                cap=p.buffer_cap,
                write_lr=float(self._write_lr),
            ),
            mean_rate=0.0 if relative is None else relative.rate,
        )
        return self._transfers

    def _update_on_gpu(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """The same, with schedule and choppers on the device; only how many reads there are is known here."""
        p, samples = self.parameters_, x.shape[0]
        period = p.period(samples, self.in_chop.numel())
        seen = self._seen()
        if gpu.capturing(weight) and samples % period:
            raise RuntimeError(
                f"a step of {type(self).__name__} can be captured in a CUDA graph where every step has as many reads: "
                f"{samples} vectors are no multiple of a read every {period}"
            )
        events = (seen + samples) // period - seen // period
        self._vectors = seen + samples
        transfers, first_read = gpu.plan_transfers(
            self.plan,
            kernels.TransferState(self.counters, self.maxima, self.in_chop, self.out_chop, self._switched()),
            x, d, columns=p.transfer_columns, chopped=self.chopped, period=period, lr=self._fast_lr(lr),
            seed=self.seed, events=events,
        )  # fmt: skip
        lines = torch.empty((events, self.out_chop.numel()), device=x.device)
        copies = kernels.Snapshots(transfers.line, transfers.after, lines, rows=not p.transfer_columns)
        fast = self._fast_settings.get()
        self.fast.update(self.fast_weight, transfers.x, transfers.d, transfers.fast_lr, fast, copies)
        if events:
            sent = gpu.read_into_buffer(
                self._reader.settings, lines, transfers.line, self.buffer, self._gains_on_gpu(transfers, lr),
                columns=p.transfer_columns, read_input=self._reader.input, momentum=p.momentum, forget=p.forget_buffer,
                restart=p.no_buffer, max_pulses=p.transfer_update.desired_bl, cap=p.buffer_cap,
                signs=(transfers.line_sign, transfers.out_sign), relative=self._relative(), transfers=transfers,
                seed=self.seed, first_event=first_read,
            )  # fmt: skip
            line = transfers.line[sent.source.long()]
            written = (line, sent.pulses) if p.transfer_columns else (sent.pulses, line)
            slow = weight if self.slow_weight is None else self.slow_weight
            self.slow.update(slow, *written, self._write_lr, self._slow_settings.get(), live=sent.live)
        if p.gamma > 0:
            self._show(weight)

    def _seen(self) -> int:
        """Vectors seen so far; waits for a GPU once."""
        if not kernels.on_gpu(self.counters):
            return int(self.counters[0])
        if self._vectors is None:
            self._vectors = int(self.counters[0])
        return self._vectors

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._vectors = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *given: Any) -> None:
        self._vectors = None
        super()._load_from_state_dict(*given)

    def _fast_lr(self, lr: float) -> float:
        p = self.parameters_
        if p.fast_lr <= 0:
            return lr
        return p.fast_lr * lr if p.scale_fast_lr else p.fast_lr

    def _gain(self, lr: float) -> kernels.Gain:
        """Buffer units per unit of weight."""
        p = self.parameters_
        value = p.transfer_lr * (lr if p.scale_transfer_lr else 1.0) / self._threshold
        if not p.correct_gradient_magnitudes:
            return kernels.Gain(value)
        return kernels.Gain(value, self._slow_settings.granularity / self._fast_settings.granularity)

    def _gains_on_gpu(self, transfers: kernels.Transfers, lr: float) -> Tensor:
        """The same for each read."""
        gain = self._gain(lr)
        gains = gpu.filled(transfers.line.numel(), gain.value, transfers.line)
        return gains / (transfers.lr * gain.per_rate) if gain.per_rate else gains

    def _show(self, weight: Tensor) -> None:
        """Visible weight for gamma > 0: C plus the unchopped A."""
        by_input, by_output = (
            (self.in_chop, self.out_chop) if self.parameters_.transfer_columns else (self.out_chop, self.in_chop)
        )
        assert self.slow_weight is not None
        signed = self.fast_weight * by_output[:, None] * by_input[None, :]
        weight.copy_(self.parameters_.gamma * signed + self.slow_weight)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """A is emptied, C takes the weight, and buffer, choppers, maxima and schedule start afresh."""
        self._vectors = 0
        self.fast.set_weights(self.fast_weight, torch.zeros_like(self.fast_weight))
        self.slow.set_weights(weight if self.slow_weight is None else self.slow_weight, wanted)
        self.buffer.zero_()
        self.counters[:3] = 0  # the count of reads numbers the random draws and goes on
        self.maxima.zero_()
        self.in_chop.fill_(1)
        self.out_chop.fill_(1)
        if self.parameters_.gamma > 0:
            self._show(weight)

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on both arrays."""
        slow = weight if self.slow_weight is None else self.slow_weight
        moved = action(self.fast, self.fast_weight), action(self.slow, slow)
        if any(moved) and self.slow_weight is not None:
            self._show(weight)

    @property
    def chopped(self) -> bool:
        """Whether signs flip."""
        return self.parameters_.in_chop_prob > 0 or self.parameters_.out_chop_prob > 0

    def digital_buffers(self) -> list[Tensor]:
        """The buffer and, where signs flip, the choppers."""
        return [self.buffer, self.in_chop, self.out_chop] if self.chopped else [self.buffer]

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """The vectors on A, then reads into the buffer."""
        slots = self.fast.sent.slots
        return buffered_work(
            shape, vectors, update, {"A": int(self.counters[3])}, self.out_chop.numel(), slots,
            slots + self.slow.sent.slots, chopped=self.chopped, referenced=self._relative() is not None,
        )  # fmt: skip

    def device_arrays(self) -> dict[str, object]:
        """Fast array A and slow array C."""
        return {"A": self.fast, "C": self.slow}
