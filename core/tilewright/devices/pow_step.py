"""Devices whose step is a power of the distance to the bound ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tilewright.devices.exp_step import relative_range
from tilewright.devices.pulsed import Array, Draw, PulsedDevice
from tilewright.devices.reference import ReferenceDevice
from tilewright.devices.write_noise import WriteNoiseDevice
from tilewright.parameters import parameter

BISECTIONS = 40


class PowerLawDevice(PulsedDevice, abstract=True):
    """The power law that :class:`PowStepDevice` and :class:`PowStepReferenceDevice` share."""

    pow_gamma: float = parameter(1.0, "exponent of the step", ge=0, group="Step", typical=(0, 5))
    pow_gamma_dtod: float = parameter(
        0.1, "device-to-device spread of the exponent", unit="pow_gamma", ge=0, group="Variation", typical=(0, 1)
    )
    pow_up_down: float = parameter(
        0.0,
        "imbalance of the exponents; positive shrinks that of the down step",
        unit="pow_gamma",
        gt=-1,
        lt=1,
        group="Step",
    )
    pow_up_down_dtod: float = parameter(
        0.0, "device-to-device spread of that imbalance", unit="pow_gamma", ge=0, group="Variation", typical=(0, 0.5)
    )

    @property
    def kernel_kind(self) -> int:
        """Power step."""
        return 4

    def nominal_slopes(self) -> tuple[float, float]:
        """Exponents of the nominal device."""
        return self.pow_gamma * (1 + min(self.pow_up_down, 0)), self.pow_gamma * (1 - max(self.pow_up_down, 0))

    def _draw_model(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        gain, imbalance = torch.ones(1), torch.zeros(1)
        if self.pow_gamma_dtod > 0:
            gain = gain + self.pow_gamma_dtod * draw("pow_gamma")
        if self.pow_up_down_dtod > 0:
            imbalance = self.pow_up_down_dtod * draw("pow_up_down")
        up = self.pow_gamma * (gain + min(self.pow_up_down, 0) + imbalance)
        down = self.pow_gamma * (gain - max(self.pow_up_down, 0) - imbalance)
        drawn["slope_up"], drawn["slope_down"] = (up.abs(), down.abs()) if self.enforce_consistency else (up, down)

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        inverse = relative_range(drawn)
        ahead_up = np.maximum((drawn["max_bound"] - raw) * inverse, 0)
        ahead_down = np.maximum((raw - drawn["min_bound"]) * inverse, 0)
        with np.errstate(divide="ignore"):
            return drawn["up"] * ahead_up ** drawn["slope_up"], drawn["down"] * ahead_down ** drawn["slope_down"]


class PowStepDevice(PowerLawDevice, WriteNoiseDevice):
    """Power step: ``up: s ((b_max - w) / R)^g_up``, ``down: s ((w - b_min) / R)^g_down``, ``R = b_max - b_min``.

    The step at mid range is ``dw_min / 2^gamma``. Source: Fusi and Abbott, Nat. Neurosci. 10:485 (2007), shifted to
    the bounds; Rasch et al., AICAS (2021).
    """

    supports_write_noise: ClassVar[bool] = True


class PowStepReferenceDevice(PowerLawDevice, ReferenceDevice):
    """Power step read against a static reference; it has no write noise.

    With ``subtract_symmetry_point`` the reference holds the point where the steps of each device are equal, found by
    bisection. Source: see :class:`PowStepDevice`.
    """

    def _symmetry_points(self, drawn: Mapping[str, Tensor]) -> Tensor:
        """Steps fall (up) and rise (down) with the weight, so halving the range always finds the one crossing."""
        up, down, gamma_up, gamma_down = (drawn[name] for name in ("up", "down", "slope_up", "slope_down"))
        low, high = torch.zeros_like(up), torch.ones_like(up)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = up * (1 - middle) ** gamma_up > down * middle**gamma_down
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        point = (low + high) / 2
        found = drawn["min_bound"] + point * (drawn["max_bound"] - drawn["min_bound"])
        return torch.where((up > 0) & (down > 0), found, torch.full_like(found, torch.nan))

    def _draw_model(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        super()._draw_model(drawn, draw)
        self._draw_reference(drawn, draw)
