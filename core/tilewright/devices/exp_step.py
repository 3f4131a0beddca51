"""Devices whose step depends exponentially on the weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tilewright import kernels
from tilewright.devices.pulsed import Array
from tilewright.devices.write_noise import WriteNoiseDevice
from tilewright.parameters import parameter


def relative_range(drawn: Mapping[str, Any]) -> Array:
    """One over the range of each device; 0 for devices without one."""
    span = np.asarray(drawn["max_bound"] - drawn["min_bound"], dtype=float)
    return np.where(span > 0, 1 / np.where(span > 0, span, 1.0), 0.0)


class ExpStepDevice(WriteNoiseDevice):
    """Exponential step: ``up: s max(0, 1 - A_up exp(gamma_up z))``, ``down: s max(0, 1 - A_down exp(-gamma_down z))``.

    ``z = 2 a w / (b_max - b_min) + b``. Cycle noise is ``dw_min_std`` times (the current step, plus
    ``dw_min_std_add``, plus ``dw_min_std_slope`` times the size of the weight). Amplitudes may be negative: the step
    is then larger than ``dw_min``. Source: Gong et al., Nat. Commun. 9:2102 (2018).
    """

    A_up: float = parameter(0.00081, "amplitude of the up step", group="Step", typical=(-30, 1))
    A_down: float = parameter(0.36833, "amplitude of the down step", group="Step", typical=(-30, 1))
    gamma_up: float = parameter(12.44625, "exponent of the up step", group="Step", typical=(0, 20))
    gamma_down: float = parameter(12.78785, "exponent of the down step", group="Step", typical=(0, 20))
    a: float = parameter(0.244, "slope of the argument", group="Step", typical=(-1, 1))
    b: float = parameter(0.2425, "offset of the argument", group="Step", typical=(-1, 1))
    dw_min_std_add: float = parameter(
        0.0, "cycle noise that does not depend on the step", unit="weight / dw_min_std", group="Step", typical=(0, 0.2)
    )
    dw_min_std_slope: float = parameter(
        0.0,
        "cycle noise in proportion to the size of the weight",
        unit="1 / dw_min_std",
        group="Step",
        typical=(0, 0.5),
    )
    weight_granularity: float = parameter(
        0.0,
        "step that turns a learning rate into pulses; 0 takes the mean step at weight 0",
        unit="weight",
        ge=0,
        group="Step",
        typical=(0, 0.1),
    )

    @property
    def kernel_kind(self) -> int:
        """Exponential step."""
        return 3

    def step_shape(self) -> kernels.StepShape:
        """Amplitudes, exponents and the argument."""
        return kernels.StepShape(
            slope=2 * self.a,
            offset=self.b,
            amplitude_up=self.A_up,
            amplitude_down=self.A_down,
            rate_up=self.gamma_up,
            rate_down=self.gamma_down,
            noise_add=self.dw_min_std_add,
            noise_slope=self.dw_min_std_slope,
        )

    @property
    def granularity(self) -> float:
        """``weight_granularity``, or the expected step at weight 0 averaged over both directions."""
        return self.weight_granularity or super().granularity

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        z = 2 * self.a * raw * relative_range(drawn) + self.b
        up = np.maximum(0, 1 - self.A_up * np.exp(np.clip(self.gamma_up * z, -87, 88)))
        down = np.maximum(0, 1 - self.A_down * np.exp(np.clip(-self.gamma_down * z, -87, 88)))
        return drawn["up"] * up, drawn["down"] * down

    def cycle_noise(self, step: Array, scale: Any, raw: Array) -> Array:
        """Standard deviation of one pulse."""
        free = self.dw_min_std_add + self.dw_min_std_slope * np.abs(raw)
        return np.asarray(self.dw_min_std * np.abs(np.abs(step) + free))
