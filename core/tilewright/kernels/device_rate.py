"""Learning rates that are kept on a graphics processor."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor


class DeviceRate(float):
    """A learning rate in a tensor of a GPU: kernels read it there, so that a replayed graph follows its changes.

    Products and quotients with numbers, its negative and its magnitude are rates like it. Its value counts as nan in
    comparisons; ``float(rate)`` is the value, and waits for the device.

    Args:
        at: one number on the device.
        factor: what it is multiplied by.
    """

    __slots__ = ("_at", "_factor")

    _at: Tensor
    _factor: float

    def __new__(cls, at: Tensor, factor: float = 1.0) -> Self:
        """A rate of ``factor`` times the number in ``at``."""
        rate = super().__new__(cls, "nan")
        rate._at, rate._factor = at, factor
        return rate

    def tensor(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The rate as it stands, (1,) on the device."""
        at = self._at.detach().reshape(1)
        return at.to(dtype) if self._factor == 1 else (at.to(torch.float64) * self._factor).to(dtype)

    def __mul__(self, factor: float) -> DeviceRate:
        """A rate that many times as high."""
        return DeviceRate(self._at, self._factor * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> DeviceRate:
        """A rate that many times as low."""
        return DeviceRate(self._at, self._factor / divisor)

    def __neg__(self) -> DeviceRate:
        """The opposite rate."""
        return DeviceRate(self._at, -self._factor)

    def __abs__(self) -> DeviceRate:
        """Its magnitude; rates themselves are not negative."""
        return DeviceRate(self._at, abs(self._factor))

    def __float__(self) -> float:
        """The value; waits for the device."""
        return self._factor * self._at.item()
