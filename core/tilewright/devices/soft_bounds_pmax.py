"""Soft-bounds devices described by their pulse response instead of by bounds and steps."""

from __future__ import annotations

import math

from pydantic import model_validator

from tilewright.devices.soft_bounds import SoftBoundsDevice
from tilewright.parameters import derive_fields, parameter


def _amplitude(device: SoftBoundsPmaxDevice) -> float:
    """Distance from the start of the response to where it would saturate."""
    return (device.range_max - device.range_min) / -math.expm1(-device.p_max * device.alpha)


def _up_step(device: SoftBoundsPmaxDevice) -> float:
    """Step at weight 0: the response closes 1 - exp(-alpha) of the distance to its end with each pulse."""
    return -math.expm1(-device.alpha) * (device.range_min + _amplitude(device))


def _down_step(device: SoftBoundsPmaxDevice) -> float:
    return math.expm1(-device.alpha) * (device.range_max - _amplitude(device))


def _imbalance(device: SoftBoundsPmaxDevice) -> float:
    up, down = _up_step(device), _down_step(device)
    return up / down - 1 if up < down else 1 - down / up


@derive_fields(
    w_max=lambda device: device.range_min + _amplitude(device),
    w_min=lambda device: device.range_max - _amplitude(device),
    dw_min=lambda device: max(_up_step(device), _down_step(device)),
    up_down=_imbalance,
)
class SoftBoundsPmaxDevice(SoftBoundsDevice):
    """Soft bounds given by the response ``w(p) = B (1 - exp(-alpha p)) + range_min`` to ``p`` up pulses.

    ``p_max`` up pulses lead from ``range_min`` to ``range_max``, and as many down pulses back along the mirrored
    curve. Bounds (where either curve would saturate) and steps follow: ``w_max = range_min + B``,
    ``w_min = range_max - B`` with ``B = (range_max - range_min) / (1 - exp(-alpha p_max))``. Source: Rasch et al.,
    AICAS (2021); the mapping is our own.
    """

    p_max: int = parameter(1000, "pulses from range_min to range_max", gt=0, group="Step", typical=(10, 2000))
    alpha: float = parameter(
        0.0005, "saturation per pulse", unit="1 / pulse", gt=0, log=True, group="Step", typical=(1e-5, 0.1)
    )
    range_min: float = parameter(-1.0, "weight before the up pulses", unit="weight", group="Bounds", typical=(-2, 0))
    range_max: float = parameter(1.0, "weight after the up pulses", unit="weight", group="Bounds", typical=(0, 2))

    @model_validator(mode="after")
    def _range_holds_zero(self) -> SoftBoundsPmaxDevice:
        if self.range_max <= self.range_min:
            raise ValueError(f"range_max = {self.range_max:g} must lie above range_min = {self.range_min:g}")
        if self.w_max <= 0 or self.w_min >= 0:
            raise ValueError(
                f"the response saturates at {self.w_min:.3g} and {self.w_max:.3g}, which must lie on either side of 0: "
                "change range_min, range_max, p_max or alpha"
            )
        return self
