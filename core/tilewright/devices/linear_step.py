"""Devices whose step falls linearly with the weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor

from tilewright.devices.pulsed import Array, Draw
from tilewright.devices.write_noise import WriteNoiseDevice
from tilewright.parameters import parameter


class LinearStepDevice(WriteNoiseDevice):
    """Step that shrinks linearly towards the bounds: ``w += s (1 - gamma w / R)``, then clip.

    ``R`` is the nominal bound (``mean_bound_reference``) or the device's own. Cycle noise multiplies the current step
    (``mult_noise``) or adds in units of the step at weight 0. Source: Rasch et al., AICAS (2021).
    """

    gamma_up: float = parameter(0.0, "relative loss of the up step at the upper bound", group="Step", typical=(0, 1.5))
    gamma_down: float = parameter(
        0.0, "relative loss of the down step at the lower bound", group="Step", typical=(0, 1.5)
    )
    gamma_up_dtod: float = parameter(0.05, "spread of gamma_up, absolute", ge=0, group="Variation", typical=(0, 0.5))
    gamma_down_dtod: float = parameter(
        0.05, "spread of gamma_down, absolute", ge=0, group="Variation", typical=(0, 0.5)
    )
    allow_increasing: bool = parameter(False, "let drawn slopes be negative, so that steps grow", group="Step")
    mean_bound_reference: bool = parameter(
        True, "slope relative to the nominal bound instead of the device's own", group="Step"
    )
    mult_noise: bool = parameter(
        True, "cycle noise in units of the current step instead of the step at weight 0", group="Step"
    )
    reverse_up: bool = parameter(False, "up step grows instead of shrinks", group="Step")
    reverse_down: bool = parameter(False, "down step grows instead of shrinks", group="Step")
    reverse_offset: float = parameter(
        0.01, "keeps a reversed step above zero at the bound", unit="weight", group="Step", typical=(0, 0.1)
    )

    @model_validator(mode="after")
    def _reversed_steps_multiply(self) -> LinearStepDevice:
        if (self.reverse_up or self.reverse_down) and not self.mult_noise:
            raise ValueError("reverse_up and reverse_down need mult_noise = True")
        return self

    def _references(self, max_bound: Any, min_bound: Any) -> tuple[Any, Any]:
        high, low = (self.w_max, self.w_min) if self.mean_bound_reference else (max_bound, min_bound)
        up = low - self.reverse_offset if self.reverse_up else high
        down = high + self.reverse_offset if self.reverse_down else low
        return up, down

    def _draw_model(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        up_ref, down_ref = self._references(drawn["max_bound"], drawn["min_bound"])
        for name, gamma, dtod, reference in (
            ("slope_up", self.gamma_up, self.gamma_up_dtod, up_ref),
            ("slope_down", self.gamma_down, self.gamma_down_dtod, down_ref),
        ):
            value = torch.full((1,), float(gamma))
            if dtod > 0:
                value = value + dtod * draw(name)
            if not self.allow_increasing:
                value = value.abs()
            ref = torch.as_tensor(reference, dtype=torch.float32)
            drawn[name] = torch.where(ref == 0, torch.zeros(1), value / torch.where(ref == 0, torch.ones(1), ref))

    @property
    def kernel_kind(self) -> int:
        """Linear step."""
        return 1

    def nominal_slopes(self) -> tuple[float, float]:
        """Relative loss of the nominal up and down step per unit of weight."""
        up_ref, down_ref = self._references(self.w_max, self.w_min)
        g_up, g_down = (g if self.allow_increasing else abs(g) for g in (self.gamma_up, self.gamma_down))
        return (g_up / up_ref if up_ref else 0.0), (g_down / down_ref if down_ref else 0.0)

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        return drawn["up"] * (1 - drawn["slope_up"] * raw), drawn["down"] * (1 - drawn["slope_down"] * raw)
