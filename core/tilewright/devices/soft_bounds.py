"""Soft-bounds devices: the step vanishes at the bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from tilewright.devices.pulsed import Array, Draw
from tilewright.devices.reference import ReferenceDevice
from tilewright.devices.write_noise import WriteNoiseDevice
from tilewright.parameters import parameter


def soft_bounds_symmetry_point(up: Any, down: Any, max_bound: Any, min_bound: Any) -> Any:
    """Weight where up and down steps of a soft-bounds device are equal (arrays or numbers)."""
    return (up - down) / (up / max_bound - down / min_bound)


def _inverse(bound: Array, valid: Any) -> Array:
    return np.where(valid, 1 / np.where(valid, bound, 1.0), 0.0)


class SoftBoundsDevice(WriteNoiseDevice):
    """Step that vanishes at the device's own bound: ``up: s (1 - w / b_max)``, ``down: s (1 - w / b_min)``.

    Source: Gokmen and Haensch, Front. Neurosci. 14:103 (2020).
    """

    mult_noise: bool = parameter(
        True, "cycle noise in units of the current step instead of the step at weight 0", group="Step"
    )
    reverse_up: bool = parameter(False, "up step grows instead of shrinks", group="Step")
    reverse_down: bool = parameter(False, "down step grows instead of shrinks", group="Step")
    reverse_offset: float = parameter(
        0.01, "keeps a reversed step above zero at the bound", unit="weight", group="Step", typical=(0, 0.1)
    )

    @model_validator(mode="after")
    def _reversed_steps_multiply(self) -> SoftBoundsDevice:
        if self._reversed and not self.mult_noise:
            raise ValueError("reverse_up and reverse_down need mult_noise = True")
        return self

    @property
    def _reversed(self) -> bool:
        return self.reverse_up or self.reverse_down

    @property
    def kernel_kind(self) -> int:
        """Reversed steps need their slopes spelled out, as a linear step has them."""
        return 1 if self._reversed else 2

    def _step_ends(self, max_bound: Any, min_bound: Any) -> tuple[Any, Any]:
        """Raw weights at which the up and the down step vanish."""
        up = min_bound - self.reverse_offset if self.reverse_up else max_bound
        down = max_bound + self.reverse_offset if self.reverse_down else min_bound
        return up, down

    def nominal_slopes(self) -> tuple[float, float]:
        """Relative loss of the nominal up and down step per unit of raw weight."""
        up_end, down_end = self._step_ends(self.w_max, self.w_min)
        return (1 / up_end if up_end else 0.0), (1 / down_end if down_end else 0.0)

    def _draw_model(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        if not self._reversed:
            return
        ends = self._step_ends(drawn["max_bound"], drawn["min_bound"])
        for name, end in zip(("slope_up", "slope_down"), ends, strict=True):
            drawn[name] = torch.where(end == 0, torch.zeros(1), 1 / torch.where(end == 0, torch.ones(1), end))

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        if self._reversed:
            slopes = drawn["slope_up"], drawn["slope_down"]
        else:  # a bound on the wrong side of zero leaves the step constant
            slopes = (
                _inverse(drawn["max_bound"], drawn["max_bound"] > 0),
                _inverse(drawn["min_bound"], drawn["min_bound"] < 0),
            )
        return drawn["up"] * (1 - slopes[0] * raw), drawn["down"] * (1 - slopes[1] * raw)


class SoftBoundsReferenceDevice(ReferenceDevice, SoftBoundsDevice):
    """Soft-bounds device read against a static reference: ``w = raw - r``.

    The stored state is ``raw``; pulses, bounds, decay and reset act on it, so the visible window is
    ``[b_min - r, b_max - r]``. With ``subtract_symmetry_point`` the reference holds each device's own symmetry point.
    Sources: Gong et al., IEDM (2022); Rasch et al., Nat. Commun. 15:7133 (2024).
    """

    mult_noise: bool = parameter(
        False, "cycle noise in units of the current step instead of the step at weight 0", group="Step"
    )
    slope_up_dtod: float = parameter(
        0.0, "spread of the up slope, realised by moving the upper bound", ge=0, group="Variation", typical=(0, 0.5)
    )
    slope_down_dtod: float = parameter(
        0.0, "spread of the down slope, realised by moving the lower bound", ge=0, group="Variation", typical=(0, 0.5)
    )

    @model_validator(mode="after")
    def _steps_shrink(self) -> SoftBoundsReferenceDevice:
        if self.subtract_symmetry_point and self._reversed:
            raise ValueError("subtract_symmetry_point needs steps that shrink: turn reverse_up and reverse_down off")
        return self

    def _symmetry_points(self, drawn: Mapping[str, Tensor]) -> Tensor:
        point: Tensor = soft_bounds_symmetry_point(*(drawn[name] for name in ("up", "down", "max_bound", "min_bound")))
        return point

    def _draw_model(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        super()._draw_model(drawn, draw)
        straddles = (drawn["max_bound"] > 0) & (drawn["min_bound"] < 0)
        for name, bound, dtod in (
            ("slope_up", "max_bound", self.slope_up_dtod),
            ("slope_down", "min_bound", self.slope_down_dtod),
        ):
            if dtod > 0:
                drawn[bound] = torch.where(straddles, drawn[bound] / (1 + dtod * draw(name)).abs(), drawn[bound])
        self._draw_reference(drawn, draw)
