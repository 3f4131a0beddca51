"""One device at each crosspoint, trained in place by stochastic gradient descent; and the exact cell beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import ArrayAction, Cell, PulsedCell, PulseTotals, SettingsCache
from tilewright.cells.work import Shape, UpdateWork
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.periphery import UpdateParameters


class SingleDeviceCell(PulsedCell):
    """In-memory SGD: forward, backward and update on the same array. Source: Gokmen and Vlasov (2016)."""

    def __init__(
        self, device: PulsedDevice, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int
    ) -> None:
        super().__init__()
        self.array = DeviceArray(device, shape, draw_seed, noise_seed)
        self._settings = SettingsCache(update, device.granularity)

    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Pulse the mini-batch: no more than one compiled call, since small tiles are updated many times a second."""
        if lr != 0:
            array: Any = self._modules["array"]
            array.step(weight, x, d, lr, self._settings.get())

    def quick_step(self) -> kernels.QuickStep | None:
        """That of the array."""
        return self.array.quick_step(self._settings.get())

    @property
    def totals(self) -> PulseTotals:
        """What the array has counted; nothing on a GPU, where the counts are too."""
        now = self.array.progress
        if kernels.on_gpu(self.array.up):
            return PulseTotals()
        return PulseTotals(now.pulses, now.truncated, now.empty, now.samples)

    def pulse(self, weight: Tensor, x: Tensor, d: Tensor, lr: Tensor, live: Tensor | None = None) -> PulseTotals:
        """Pulse the array."""
        totals = PulseTotals()
        totals.add(self.array.update(weight, x, d, lr, self._settings.get(), live=live))
        return totals

    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Set the devices."""
        self.array.set_weights(weight, wanted)

    def pass_time(self, weight: Tensor) -> None:
        """Diffusion and decay of the array."""
        array: Any = self._modules["array"]
        array.pass_time(weight)

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on the array."""
        action(self.array, weight)

    def device_arrays(self) -> dict[str, object]:
        """The one array."""
        return {"W": self.array}


class ExactCell(Cell):
    """Floating-point weights and an exact update: ideal devices, or ``pulse_type`` None."""

    @torch.no_grad()
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """``weight -= lr * sum_b outer(d_b, x_b)``."""
        if lr != 0:
            kernels.accumulate_outer(weight, x, d, -lr)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Copy."""
        weight.copy_(wanted)

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """Multiplications and additions of the outer products."""
        digital = 2 * shape[0] * shape[1] * vectors
        return UpdateWork(0, 0, digital, digital)
