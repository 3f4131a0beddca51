"""The pulsed rank-one update of an array on a graphics processor, and its pulse responses."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright._cpu import DeviceModel, UpdateSettings
from tilewright.kernels.arrays import Crosspoints, address_of
from tilewright.kernels.gpu.arrays import GpuArray
from tilewright.kernels.gpu.launching import kernels_in_use, rows_on, stream_of
from tilewright.kernels.gpu.rates import rates_on_device
from tilewright.kernels.updates import Snapshots


class GpuUpdates:
    """Updates of one array on a GPU: see :class:`tilewright.kernels.ArrayUpdates`. Nothing is reported but in ``sent``.

    Args:
        array: its clock and counts.
        settings: pulse scheme.
        shape: (outputs, inputs).
    """

    def __init__(self, array: GpuArray, settings: UpdateSettings, shape: tuple[int, int]) -> None:
        self.array, self.settings, self.shape = array, settings, shape
        self._updates = kernels_in_use().Updates(array.model, settings, *shape)
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
        x = x if x_hot else rows_on(x, cols, "x", visible)
        d = d if d_hot else rows_on(d, rows, "d", visible)
        samples = x.shape[0]
        rates, lr = rates_on_device(lr, samples, visible, self._grows)
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
            lr, seed, copies, events, by_row, address_of(live), memory.data_ptr(), stream_of(visible),
        )  # fmt: skip


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
    kernels_in_use().trace(
        model, crosspoints.addresses(), array.tables, devices, pulses.data_ptr(), n, out.data_ptr() if keep else 0,
        seed, first, stream_of(pulses),
    )  # fmt: skip
    return out
