"""Products of an array with vectors, through a periphery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import ProductStats, ReadSettings
from tilewright.kernels.arrays import rows_of


class Clipped(NamedTuple):
    """What the converters clipped in one product."""

    inputs: int  # in all passes
    outputs: int  # in the last pass of each sample
    passes: int


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

    __slots__ = ("_frozen", "_like", "_product", "_reads", "_what", "inputs", "outputs", "shape")

    def __init__(
        self, settings: ReadSettings, shape: tuple[int, int], *, transposed: bool, seed: int, keep_saturated: bool
    ) -> None:
        rows, cols = shape
        self.shape = shape
        self.inputs, self.outputs = (rows, cols) if transposed else (cols, rows)
        self._reads = _cpu.Reads(settings, rows, cols, transposed, seed, keep_saturated)
        self._product = self._reads.product
        self._what = "d" if transposed else "x"
        self._frozen: tuple[int, ...] = (0, 0, 0, 0, 0)
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
        checked = rows_of(weight, self.shape[1], "weight")
        if checked is not weight or weight.shape[0] != self.shape[0]:
            raise ValueError(f"weight must be a contiguous tensor of shape {self.shape}, found {tuple(weight.shape)}")
        return weight.data_ptr()

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
        y = torch.empty_like(self._like)  # half the cost of an allocation by size
        hits = self._product(weight, x, y, first_sample, torch.get_num_threads(), learn)
        return (y, hits) if hits >= 0 else self._after_checks(weight, x, first_sample, learn)

    def _after_checks(self, weight: Tensor, x: Tensor, first_sample: int, learn: bool) -> tuple[Tensor, int]:
        """The same for another number of samples than last time, and for tensors of any form; or an error."""
        x, address = rows_of(x, self.inputs, self._what), self._check_weight(weight)
        samples = x.shape[0]
        self._like = torch.empty(samples, self.outputs, dtype=torch.float32)
        y = torch.empty_like(self._like)
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

    @property
    def lost_inputs(self) -> int:
        """Inputs of the last product, other than zero, whose scale was 0."""
        return self._reads.stats.lost_inputs

    def observe(self, weight: Tensor, x: Tensor, first_sample: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Clipped]:
        """A product that keeps what happened: result, scale, reduction and passes of each sample, and what clipped."""
        x = rows_of(x, self.inputs, self._what)
        samples = x.shape[0]
        y, alpha, rho = torch.empty(samples, self.outputs), torch.empty(samples), torch.empty(samples)
        passes = torch.empty(samples, dtype=torch.int32)
        stats = self._reads.observe(
            self._check_weight(weight), x.data_ptr(), y.data_ptr(), samples, first_sample, torch.get_num_threads(),
            (alpha.data_ptr(), rho.data_ptr(), passes.data_ptr()),
        )  # fmt: skip
        return y, alpha, rho, passes, Clipped(stats.clipped_inputs, stats.saturated_outputs, stats.passes)


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
