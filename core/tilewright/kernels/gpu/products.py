"""Products of an array with vectors on a graphics processor, through a periphery."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilewright._cpu import ReadSettings
from tilewright.kernels.arrays import address_of
from tilewright.kernels.gpu.launching import kernels_in_use, rows_on, stream_of
from tilewright.kernels.products import Clipped


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
        self._reads = kernels_in_use().Reads(settings, rows, cols, transposed, seed)
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
        x = rows_on(x, self.inputs, self._what, weight)
        samples = x.shape[0]
        if self._memory[0] != samples:
            self._memory = samples, self._reads.memory(samples)
        memory = torch.empty(self._memory[1], dtype=torch.uint8, device=weight.device)
        y = torch.empty((samples, self.outputs), dtype=torch.float32, device=weight.device)
        if self._keep_saturated:
            self._saturated = torch.empty((samples, self.outputs), dtype=torch.bool, device=weight.device)
        self._reads.run(
            weight.data_ptr(), x.data_ptr(), y.data_ptr(), address_of(self._saturated), samples, learn, per_sample,
            memory.data_ptr(), stream_of(weight),
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
