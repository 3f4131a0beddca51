"""AGAD: c-TTv2 whose reads are taken relative to a reference that is learned on the fly."""

from __future__ import annotations

import math

import torch
from pydantic import model_validator
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import Cell
from tilewright.cells.chopped_transfer import ChoppedTransferCell, ChoppedTransferCompound
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters


class DynamicTransferCompound(ChoppedTransferCompound):
    """Analog gradient accumulation with dynamic reference (AGAD).

    A running mean of the reads of each line is frozen as its reference whenever the line's chopper flips, and reads
    count relative to it: neither offsets of the fast array nor errors of its symmetry point reach the weight. Pulses
    are sent once the first references have settled, after one more sweep than a chopper period has.
    Source: Rasch et al., Nat. Commun. 15:7133 (2024).
    """

    in_chop_prob: float = parameter(
        0.1, "inverse of the regular chopper period, in sweeps over all lines", gt=0, le=1, group="Choppers"
    )
    in_chop_random: bool = parameter(False, "also flip at random, with this probability", group="Choppers")
    auto_momentum: float = parameter(
        0.99, "memory of the running maxima used by auto_scale", gt=0, lt=1, group="Fast array"
    )
    tail_weightening: float = parameter(
        5.0, "share of the end of a chopper period in the reference: its mean follows at this over the period",
        gt=0, group="Reference", typical=(1, 100),
    )  # fmt: skip
    experimental_correct_accumulation: bool = parameter(
        False, "divide the transfer by the vectors seen, at most the inverse step of A", group="Reference"
    )
    experimental_fast_lr_feedback: bool = parameter(
        False, "adapt fast_lr so that reads move by feedback_target from their reference", group="Reference"
    )
    feedback_target: float = parameter(
        0.1, "largest distance of the running mean from the reference that is aimed at", unit="weight", gt=0,
        group="Reference", typical=(0.01, 1),
    )  # fmt: skip
    feedback_mod: int = parameter(
        1, "chopper periods of the whole array between adaptations", ge=1, group="Reference", typical=(1, 10)
    )

    @model_validator(mode="after")
    def _feedback_scales_the_fast_rate(self) -> DynamicTransferCompound:
        if self.experimental_fast_lr_feedback and self.fast_lr <= 0:
            raise ValueError("experimental_fast_lr_feedback needs fast_lr above 0: it adapts that rate")
        return self

    @property
    def chopper_period(self) -> int:
        """Sweeps between regular flips of a chopper."""
        return max(math.ceil(1 / self.in_chop_prob), 2)

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return DynamicTransferCell(self, update, shape, draw_seed, noise_seed)


class DynamicTransferCell(ChoppedTransferCell):
    """As :class:`ChoppedTransferCell`, with running mean and reference of the reads (outputs, inputs)."""

    on_cpu = ("feedback",)

    mean: Tensor
    reference: Tensor
    switched: Tensor
    feedback: Tensor  # factor on the fast learning rate

    def __init__(
        self,
        parameters: DynamicTransferCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("reference", torch.zeros(shape))
        self.register_buffer("switched", torch.zeros(self.in_chop.shape, dtype=torch.int8))
        self.register_buffer("feedback", torch.ones(1, dtype=torch.float64))
        self._rate = min(parameters.tail_weightening / parameters.chopper_period, 1.0)

    @property
    def dynamic(self) -> DynamicTransferCompound:
        """The parameters, by their own type."""
        assert isinstance(self.parameters_, DynamicTransferCompound)
        return self.parameters_

    def _switched(self) -> Tensor | None:
        return self.switched

    def _relative(self) -> kernels.Relative | None:
        own = self._buffers
        return kernels.Relative(own["reference"], own["mean"], self._rate)  # type: ignore[arg-type]

    def _fast_lr(self, lr: float) -> float:
        rate = super()._fast_lr(lr)
        return rate * float(self.feedback) if self.dynamic.experimental_fast_lr_feedback else rate

    def _gain(self, lr: float) -> kernels.Gain:
        gain = super()._gain(lr)
        if self.dynamic.experimental_correct_accumulation:
            gain.most_seen = 1 / self._fast_settings.granularity
        return gain

    def _gains_on_gpu(self, transfers: kernels.Transfers, lr: float) -> Tensor:
        gains, most_seen = super()._gains_on_gpu(transfers, lr), self._gain(lr).most_seen
        if most_seen == 0:
            return gains
        return gains / (self._first_vector + transfers.after + 1).clamp(max=most_seen)

    @torch.no_grad()
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """As c-TTv2, then adapt the fast learning rate where that is asked for and due."""
        p = self.dynamic
        if p.experimental_fast_lr_feedback or p.experimental_correct_accumulation:
            if gpu.capturing(weight):
                raise RuntimeError(
                    f"a step of {type(self).__name__} with experimental options cannot be captured in a CUDA graph: "
                    "they look at what has happened so far"
                )
            self._first_vector = self._seen()
        super().update(weight, x, d, lr)
        if not p.experimental_fast_lr_feedback or lr == 0:
            return
        lines = self.in_chop.numel()
        cycle = lines * p.period(x.shape[0], lines) * p.chopper_period * p.feedback_mod
        if self._seen() // cycle == self._first_vector // cycle:
            return
        largest = float((self.reference - self.mean).abs().max())  # waits for a GPU
        if largest > 0:
            self.feedback *= p.feedback_target / largest

    def digital_buffers(self) -> list[Tensor]:
        """As c-TTv2, with mean, reference and the marks of the lines that have flipped."""
        return [*super().digital_buffers(), self.mean, self.reference, self.switched]

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """As c-TTv2; mean, reference and feedback start afresh."""
        super().set_weights(weight, wanted)
        self.mean.zero_()
        self.reference.zero_()
        self.switched.zero_()
        self.feedback.fill_(1.0)
