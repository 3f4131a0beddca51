"""E-RIDER: RIDER with a chopper, so that the reference changes only when the chopper flips."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import Cell
from tilewright.cells.line_transfer import Events, Writes
from tilewright.cells.rider import RiderCell, RiderCompound
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters


class EnhancedRiderCompound(RiderCompound):
    """RIDER whose fast array sees the gradient with a sign c that flips at random, after a sweep over its lines.

    ``Wbar = W + gamma c (P - R)`` is the weight the network sees::

        P <- analog(-fast_lr * c * gradient at Wbar)
        Q <- (1 - eta) Q + eta P              digital, from the reads of P
        W <- analog(transfer_lr * c * (P - R))
        c <- -c and R <- Q                    with probability chop_prob

    The flips move what P holds of the gradient to other frequencies than its offset, which Q alone keeps; the
    reference R stands still between flips. Source: arXiv 2602.21321 (E-RIDER).
    """

    eta: float = parameter(
        0.05, "share of each read of P in Q, its tracked symmetry point", gt=0, le=1, group="Symmetry point", log=True,
        typical=(1e-3, 1),
    )  # fmt: skip
    chop_prob: float = parameter(
        0.1, "probability that the sign flips after a sweep over the lines of P", ge=0, le=1, group="Symmetry point"
    )

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return EnhancedRiderCell(self, update, shape, draw_seed, noise_seed)


class EnhancedRiderCell(RiderCell):
    """As :class:`RiderCell`, with the reference R (outputs, inputs) and the sign c."""

    on_cpu = ("counters", "sign")
    parameters_: EnhancedRiderCompound
    reference: Tensor
    sign: Tensor

    def __init__(
        self,
        parameters: EnhancedRiderCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("reference", torch.zeros(shape))
        self.register_buffer("sign", torch.ones(1))
        self._swept = False

    def _takes_turns(self) -> bool:
        return False  # a sweep that ends may flip the sign, which is settled on the CPU

    def _reference(self) -> Tensor | None:
        return self.reference

    def _gradient(self, x: Tensor, d: Tensor, lr: float) -> Writes:
        writes = super()._gradient(x, d, lr)
        writes.lr = writes.lr * float(self.sign)
        return writes

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        self._swept |= events.swept
        return super()._transfer(k, events, lines, rate * float(self.sign), first_read)

    def _end_batch(self) -> None:
        swept, self._swept = self._swept, False
        if not swept:
            return
        transfers = int(self.counters[3])
        draw = kernels.uniform_field((1,), kernels.derive_seed(self.seed, "chopper"), transfers)
        if float(draw) < self.parameters_.chop_prob:
            self.sign.neg_()
            self.reference.copy_(self.tracked)

    def _show(self, weight: Tensor) -> None:
        self._show_residual(weight, self.reference, self.parameters_.gamma * float(self.sign))

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """As RIDER; reference and sign start afresh."""
        self.reference.zero_()
        self.sign.fill_(1.0)
        super().set_weights(weight, wanted)

    def digital_buffers(self) -> list[Tensor]:
        """Q and the reference."""
        return [*super().digital_buffers(), self.reference]
