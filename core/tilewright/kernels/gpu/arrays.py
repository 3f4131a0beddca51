"""What an array of devices keeps on a graphics processor beside its state."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright._cpu import DeviceModel
from tilewright.kernels.arrays import address_of
from tilewright.kernels.gpu.launching import kernels_in_use, stream_of


class GpuArray:
    """What an array keeps on a GPU beside its state: its clock, what it has sent, and the tables of its step.

    Args:
        samples: samples it has taken so far.
        calls: calls it has taken so far.
        model: kind of device.
        like: a tensor on the device.
    """

    def __init__(self, samples: int, calls: int, model: DeviceModel, like: Tensor) -> None:
        self.clock = torch.tensor([samples, calls], dtype=torch.int64, device=like.device)
        self.sent = torch.zeros(4, dtype=torch.int64, device=like.device)  # pulses, truncated, empty, slots
        nodes, jumps = model.tables()
        self._tables = [
            torch.tensor(values, dtype=torch.float32, device=like.device) if values else None
            for values in (nodes, jumps)
        ]
        self.model = model

    @property
    def tables(self) -> tuple[int, int]:
        """Addresses of the tables of the step on the device."""
        return address_of(self._tables[0]), address_of(self._tables[1])

    @property
    def calls(self) -> Tensor:
        """The number of calls, on the device."""
        return self.clock[1:]

    def advance(self, samples: int, calls: int, live: Tensor | None = None) -> None:
        """Let samples and calls pass; none where ``live``, on the device, is 0, and no more samples than it."""
        kernels_in_use().advance(self.clock.data_ptr(), samples, calls, address_of(live), stream_of(self.clock))

    def where(self) -> tuple[int, int]:
        """Samples and calls so far; waits for the device."""
        samples, calls = self.clock.tolist()
        return int(samples), int(calls)
