"""RIDER: residual learning that tracks the symmetry point of its fast array on the way."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.cells.cell import Cell
from tilewright.cells.line_transfer import Events, Writes
from tilewright.cells.residual import ResidualCell, ResidualCompound
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters


class RiderCompound(ResidualCompound):
    """A fast array P, a digital estimate Q of where P settles by itself, and a slow array W.

    ``Wbar = W + gamma (P - Q)`` is the weight the network sees::

        P <- analog(-fast_lr * gradient at Wbar)
        Q <- (1 - eta) Q + eta P              digital, from the reads of P
        W <- analog(transfer_lr * (P - Q))

    Pulses pull P to its symmetry point, and Q follows. What reaches W and what moves Q are the same ``P - Q``: W has
    taken ``transfer_lr (1 - eta) / eta`` times what Q has moved. So Q can follow an offset only as far as W moves with
    it, and a weight that needs a lasting pull, such as one held off the symmetry point of W, drags Q along. ``eta``
    has to be small against the rate of the transfer, a hundredth or less. :class:`EnhancedRiderCompound` breaks the
    tie with its sign. Source: arXiv 2602.21321 (RIDER).
    """

    eta: float = parameter(
        3e-4, "share of each read of P in Q, its tracked symmetry point", gt=0, le=1, group="Symmetry point", log=True,
        typical=(1e-5, 1),
    )  # fmt: skip

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return RiderCell(self, update, shape, draw_seed, noise_seed)


class RiderCell(ResidualCell):
    """As :class:`ResidualCell`, with the tracked symmetry point Q (outputs, inputs)."""

    operations_per_value = 4  # scale, scale and add for Q; subtract it

    parameters_: RiderCompound
    tracked: Tensor

    def __init__(
        self,
        parameters: RiderCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("tracked", torch.zeros(shape))

    def _reference(self) -> Tensor | None:
        """What reads of P are taken from; None is Q, the read included."""
        return None

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        eta, frozen = self.parameters_.eta, self._reference()
        return self._follow(k, events, lines, rate, first_read, self.tracked, eta, frozen=frozen)

    def _show(self, weight: Tensor) -> None:
        self._show_residual(weight, self.tracked, self.parameters_.gamma)

    def _show_residual(self, weight: Tensor, reference: Tensor, gamma: float) -> None:
        """``W + gamma (P - reference)``."""
        if self.hidden:
            return
        torch.sub(self.inner[0], reference, out=weight)
        weight.mul_(gamma).add_(self.inner[1])

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """P and Q are emptied, W takes the weight, and the schedule starts afresh."""
        self.tracked.zero_()
        super().set_weights(weight, wanted)

    def digital_buffers(self) -> list[Tensor]:
        """Q."""
        return [self.tracked]

    def device_arrays(self) -> dict[str, object]:
        """Fast array P and slow array W."""
        return dict(zip(("P", "W"), self.arrays, strict=True))
