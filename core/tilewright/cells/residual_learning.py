"""Residual learning v2: a digital filter between the array for the gradient and the array that holds the weight."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.cells.cell import Cell
from tilewright.cells.line_transfer import Events, Writes
from tilewright.cells.residual import ResidualCell, ResidualCompound
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters


class ResidualLearningCompound(ResidualCompound):
    """Residual learning, version 2: an array P for what W still lacks, and a digital filter H of its reads.

    ``Wbar = W + gamma P`` is the weight the network sees::

        P <- analog(-fast_lr * gradient at Wbar)
        H <- (1 - buffer_rate) H + buffer_rate * (P + read noise)
        W <- analog(transfer_lr * H)          where |H| is above a step of W

    P learns the residual of W where the asymmetric steps of W alone would leave a bias; the filter takes the noise of
    the reads away. The paper has one constant for ``buffer_rate`` and ``transfer_lr``. Source: arXiv 2502.06309.
    """

    buffer_rate: float = parameter(
        0.1, "share of each read of P in the filter H", gt=0, le=1, group="Filter", log=True, typical=(1e-3, 1)
    )
    thres_scale: float = parameter(
        1.0, "W is written where the filter is above this, in steps of W; 0 writes always", ge=0, group="Filter",
        typical=(0, 10),
    )  # fmt: skip

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return ResidualLearningCell(self, update, shape, draw_seed, noise_seed)


class ResidualLearningCell(ResidualCell):
    """As :class:`ResidualCell`, with the filter H (outputs, inputs)."""

    operations_per_value = 4  # scale, scale and add for H; compare with the threshold

    parameters_: ResidualLearningCompound
    filtered: Tensor

    def __init__(
        self,
        parameters: ResidualLearningCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("filtered", torch.zeros(shape))
        self._threshold = parameters.thres_scale * parameters.unit_cell_devices[1].granularity

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        share, threshold = self.parameters_.buffer_rate, self._threshold
        return self._follow(k, events, lines, rate, first_read, self.filtered, share, threshold=threshold)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """P and the filter are emptied, W takes the weight, and the schedule starts afresh."""
        self.filtered.zero_()
        super().set_weights(weight, wanted)

    def digital_buffers(self) -> list[Tensor]:
        """The filter."""
        return [self.filtered]

    def device_arrays(self) -> dict[str, object]:
        """Fast array P and slow array W."""
        return dict(zip(("P", "W"), self.arrays, strict=True))
