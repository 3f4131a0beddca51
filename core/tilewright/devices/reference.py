"""Devices read against a static reference device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor

from tilewright.devices.pulsed import Draw, PulsedDevice
from tilewright.parameters import parameter


class ReferenceDevice(PulsedDevice, abstract=True):
    """Visible weight = raw state minus a static reference.

    Pulses, bounds, decay and reset act on the raw state, so the visible window is ``[b_min - r, b_max - r]``.
    """

    reference_mean: float = parameter(
        0.0, "reference subtracted on read", unit="weight", group="Reference", typical=(-1, 1)
    )
    reference_std: float = parameter(
        0.0, "device-to-device spread of the reference", unit="weight", ge=0, group="Reference", typical=(0, 0.5)
    )
    subtract_symmetry_point: bool = parameter(
        False, "the reference holds each device's symmetry point", group="Reference"
    )
    reset_to_reference: bool = parameter(
        True, "a reset goes to the reference (visible 0) instead of a raw level", group="Reset"
    )

    @model_validator(mode="after")
    def _reference_leaves_a_window(self) -> ReferenceDevice:
        if self.subtract_symmetry_point and not (self.w_min < 0 < self.w_max):
            raise ValueError("subtract_symmetry_point needs w_min < 0 < w_max")
        return self

    def _symmetry_points(self, drawn: Mapping[str, Tensor]) -> Tensor:
        """Raw weight at which the steps of each drawn device are equal; not finite where there is none."""
        raise NotImplementedError

    @property
    def nominal_reference(self) -> float:
        """Reference of the nominal device."""
        if not self.subtract_symmetry_point:
            return self.reference_mean
        slopes = self.nominal_slopes()
        values: dict[str, Any] = dict(
            zip(("up", "down", "slope_up", "slope_down"), (*self.steps, *slopes), strict=True)
        )
        values |= {"max_bound": self.w_max, "min_bound": self.w_min}
        drawn = {name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()}
        return self.reference_mean + float(self._symmetry_points(drawn))

    def _draw_reference(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        """Add the reference, once everything the symmetry point depends on is drawn."""
        reference = torch.full((1,), self.reference_mean)
        if self.reference_std > 0:
            reference = reference + self.reference_std * draw("reference")
        if self.subtract_symmetry_point:
            straddles = (drawn["max_bound"] > 0) & (drawn["min_bound"] < 0)
            point = self._symmetry_points(drawn)
            reference = reference + torch.where(straddles & torch.isfinite(point), point, torch.zeros(1))
        if self.reference_std > 0 or self.subtract_symmetry_point or self.reference_mean != 0:
            drawn["reference"] = reference

    def cautions(self) -> list[str]:
        """Settings that are allowed but unlikely to be meant."""
        found = super().cautions()
        reference, span = self.nominal_reference, self.w_max - self.w_min
        if min(self.w_max - reference, reference - self.w_min) < 0.1 * span:
            found.append(
                f"the reference ({reference:.3g}) leaves less than 10 % of the range on one side; "
                "change reference_mean or the bounds"
            )
        return found
