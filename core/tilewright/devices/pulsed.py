"""The fields every pulsed device has, and how the parameters of each crosspoint are drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewright import kernels
from tilewright.devices.drift import DriftParameters
from tilewright.parameters import Parameters, parameter

Draw = Callable[[str], Tensor]
Array = NDArray[np.float64]


class PulsedDevice(Parameters, abstract=True):
    """A resistive device whose weight moves by one step per pulse.

    Fields ending in ``_dtod`` spread from device to device and are drawn once at construction; fields ending in
    ``_std`` are fresh at every use. Weights are in normalised units. ``up_down > 0`` shrinks the down step only,
    ``up_down < 0`` the up step only.
    """

    supports_write_noise: ClassVar[bool] = False

    construction_seed: int = parameter(
        0,
        "seed of the device-to-device draws; 0 takes one from torch's generator",
        ge=0,
        group="Variation",
        typical=(0, 1000),
    )

    dw_min: float = parameter(
        0.001, "mean step of one pulse at weight 0", unit="weight", gt=0, log=True, group="Step", typical=(1e-4, 0.5)
    )
    dw_min_std: float = parameter(
        0.3, "cycle-to-cycle noise of one pulse", unit="dw_min", ge=0, group="Step", typical=(0, 10)
    )
    dw_min_dtod: float = parameter(
        0.3, "device-to-device spread of the step", unit="dw_min", ge=0, group="Variation", typical=(0, 1)
    )
    dw_min_dtod_log_normal: bool = parameter(
        False, "log-normal instead of normal spread of the step", group="Variation"
    )
    up_down: float = parameter(
        0.0, "imbalance of up and down steps; positive shrinks the down step", unit="dw_min", gt=-1, lt=1, group="Step"
    )
    up_down_dtod: float = parameter(
        0.01, "device-to-device spread of the imbalance", unit="dw_min", ge=0, group="Variation", typical=(0, 0.5)
    )

    w_max: float = parameter(0.6, "upper bound", unit="weight", ge=0, group="Bounds", typical=(0, 2))
    w_min: float = parameter(-0.6, "lower bound", unit="weight", le=0, group="Bounds", typical=(-2, 0))
    w_max_dtod: float = parameter(
        0.3, "device-to-device spread of the upper bound", unit="w_max", ge=0, group="Variation", typical=(0, 1)
    )
    w_min_dtod: float = parameter(
        0.3, "device-to-device spread of the lower bound", unit="w_min", ge=0, group="Variation", typical=(0, 1)
    )
    enforce_consistency: bool = parameter(
        True, "repair drawn steps with the wrong sign and bounds in the wrong order", group="Variation"
    )

    corrupt_devices_prob: float = parameter(0.0, "probability that a device is stuck", ge=0, le=1, group="Faults")
    corrupt_devices_range: float = parameter(
        0.1, "stuck devices sit within plus or minus this", unit="weight", ge=0, group="Faults", typical=(0, 1)
    )
    perfect_bias: bool = parameter(False, "the last input column has ideal devices", group="Faults")

    lifetime: float = parameter(
        0.0,
        "decay time towards the reset level; 0 is no decay",
        unit="optimiser steps",
        ge=0,
        group="Retention",
        typical=(0, 1e6),
    )
    lifetime_dtod: float = parameter(
        0.0, "device-to-device spread of the lifetime", unit="lifetime", ge=0, group="Retention", typical=(0, 1)
    )
    diffusion: float = parameter(
        0.0, "random walk per optimiser step", unit="weight", ge=0, group="Retention", typical=(0, 0.1)
    )
    diffusion_dtod: float = parameter(
        0.0, "device-to-device spread of the diffusion", unit="diffusion", ge=0, group="Retention", typical=(0, 1)
    )
    reset: float = parameter(0.0, "level after a reset", unit="weight", group="Reset", typical=(-1, 1))
    reset_std: float = parameter(0.01, "noise of a reset", unit="weight", ge=0, group="Reset", typical=(0, 0.2))
    reset_dtod: float = parameter(
        0.0, "device-to-device spread of the reset level", unit="weight", ge=0, group="Reset", typical=(0, 0.5)
    )

    drift: DriftParameters = parameter(factory=DriftParameters, meaning="power-law drift")
    count_pulses: bool = parameter(False, "count the up and down pulses of each crosspoint", group="Endurance")

    @property
    def kernel_kind(self) -> int:
        """Number of the step model in the kernels."""
        raise NotImplementedError

    @property
    def kernel_cycle_noise(self) -> float:
        """Cycle noise as the kernels take it."""
        return self.dw_min_std

    def step_shape(self) -> kernels.StepShape:
        """What the kernels need of the step model beyond the values drawn for each crosspoint."""
        return kernels.StepShape()

    def nominal_slopes(self) -> tuple[float, float]:
        """What the nominal device has for the drawn ``slope_up`` and ``slope_down``."""
        return 0.0, 0.0

    # --- the nominal device -----------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[float, float]:
        """Nominal ``(up, down)`` step scale, both positive."""
        return self.dw_min * (1 + min(self.up_down, 0)), self.dw_min * (1 - max(self.up_down, 0))

    @property
    def write_noise(self) -> float:
        """Standard deviation of the visible weight after a write, in weight units."""
        return float(getattr(self, "write_noise_std", 0.0)) * self.dw_min

    @property
    def nominal_reference(self) -> float:
        """Weight subtracted on read for the nominal device."""
        return 0.0

    def nominal_steps(self, weights: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Noise-free ``(up, down)`` step sizes of the nominal device at visible weights."""
        up, down = self.steps
        slope_up, slope_down = self.nominal_slopes()
        nominal = {"up": up, "down": down, "max_bound": self.w_max, "min_bound": self.w_min}
        nominal |= {"slope_up": slope_up, "slope_down": slope_down}
        raw = np.asarray(weights, dtype=float) + self.nominal_reference
        return self.drawn_steps({name: np.asarray(value) for name, value in nominal.items()}, raw)

    @property
    def granularity(self) -> float:
        """Expected step at weight 0, averaged over both directions: what turns a learning rate into pulses."""
        up, down = self.nominal_steps(np.zeros(1))
        mean_gain = float(np.exp(self.dw_min_dtod**2 / 2)) if self.dw_min_dtod_log_normal else 1.0
        return float(abs(up[0]) + abs(down[0])) / 2 * mean_gain

    @property
    def number_of_states(self) -> float:
        """Range divided by granularity."""
        return (self.w_max - self.w_min) / self.granularity

    # --- crosspoints ------------------------------------------------------------------------------------------------

    def draw_crosspoints(self, shape: tuple[int, int], draw: Draw, uniform: Draw) -> dict[str, Tensor]:
        """Draw the parameters of every crosspoint.

        Args:
            shape: (outputs, inputs).
            draw: ``draw(name)`` gives standard normal numbers of that shape, always the same for a name.
            uniform: likewise, uniform in [0, 1).

        Returns:
            name to tensor; shape (outputs, inputs) where devices differ, (1,) where they do not.
        """

        def spread(name: str, std: float) -> Tensor:
            return std * draw(name) if std > 0 else torch.zeros(1)

        max_bound = self.w_max * (1 + spread("w_max", self.w_max_dtod))
        min_bound = self.w_min * (1 + spread("w_min", self.w_min_dtod))
        gain_noise = spread("dw_min", self.dw_min_dtod)
        gain = torch.exp(gain_noise) if self.dw_min_dtod_log_normal else 1 + gain_noise
        imbalance = spread("up_down", self.up_down_dtod)
        up = self.dw_min * (gain + min(self.up_down, 0.0) + imbalance)
        down = self.dw_min * (gain - max(self.up_down, 0.0) - imbalance)
        if self.enforce_consistency:
            up, down = up.abs(), down.abs()
            low, high = torch.minimum(max_bound, min_bound), torch.maximum(max_bound, min_bound)
            max_bound, min_bound = high.abs(), -low.abs()
        else:
            middle = (max_bound + min_bound) / 2
            crossed = min_bound > max_bound
            max_bound, min_bound = torch.where(crossed, middle, max_bound), torch.where(crossed, middle, min_bound)
        drawn = {"up": up, "down": down, "max_bound": max_bound, "min_bound": min_bound}
        self._draw_model(drawn, draw)
        self._apply_faults(drawn, shape, uniform)
        if self.diffusion > 0:
            drawn["diffusion_rate"] = (self.diffusion * (1 + spread("diffusion", self.diffusion_dtod))).abs()
        if self.lifetime > 0:
            time = self.lifetime * (1 + spread("lifetime", self.lifetime_dtod))
            drawn["decay_factor"] = torch.where(time > 1, 1 - 1 / time.clamp(min=1.0), torch.zeros_like(time))
        if self.drift.nu > 0:
            drawn["drift_nu"] = self.drift.nu * (1 + spread("drift_nu", self.drift.nu_dtod))
        drawn["reset_level"] = self.reset + spread("reset", self.reset_dtod)
        return {name: value.to(torch.float32).contiguous() for name, value in drawn.items()}

    def _draw_model(self, drawn: dict[str, Tensor], draw: Draw) -> None:
        """Add what the step model needs, and adjust what it redefines."""

    def _apply_faults(self, drawn: dict[str, Tensor], shape: tuple[int, int], uniform: Draw) -> None:
        if self.corrupt_devices_prob > 0:
            stuck = uniform("corrupt") < self.corrupt_devices_prob
            low = torch.clamp(drawn["min_bound"], min=-self.corrupt_devices_range)
            high = torch.clamp(drawn["max_bound"], max=self.corrupt_devices_range)
            level = low + (high - low) * uniform("corrupt_level")
            zero = torch.zeros(1)
            for name, value in (("max_bound", level), ("min_bound", level), ("up", zero), ("down", zero)):
                drawn[name] = torch.where(stuck, value, drawn[name])
        if self.perfect_bias:
            last = torch.zeros(shape, dtype=torch.bool)
            last[:, -1] = True
            perfect = {
                "up": self.dw_min,
                "down": self.dw_min,
                "max_bound": 100 * self.w_max,
                "min_bound": 100 * self.w_min,
            }
            for name, number in perfect.items():
                drawn[name] = torch.where(last, torch.tensor(float(number)), drawn[name])

    # --- steps of drawn devices -------------------------------------------------------------------------------------

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices, before the clip at the bounds.

        Args:
            drawn: what :meth:`draw_crosspoints` drew, as arrays that broadcast with ``raw``.
            raw: raw weights (..., devices), within the bounds of each device.
        """
        raise NotImplementedError

    def cycle_noise(self, step: Array, scale: Any, raw: Array) -> Array:
        """Standard deviation of one pulse.

        Args:
            step: its noise-free size at ``raw``.
            scale: step scale of the device in that direction, the size at weight 0.
            raw: raw weights.
        """
        return np.asarray(self.dw_min_std * np.abs(step if getattr(self, "mult_noise", True) else scale + 0 * raw))

    # --- advice -----------------------------------------------------------------------------------------------------

    def cautions(self) -> list[str]:
        """Settings that are allowed but unlikely to be meant."""
        found = super().cautions()
        if self.dw_min_dtod > 0.5 and not self.dw_min_dtod_log_normal:
            found.append(
                f"dw_min_dtod = {self.dw_min_dtod:g} with a normal spread draws many steps of the wrong sign; "
                "set dw_min_dtod_log_normal"
            )
        if 0 < self.lifetime <= 1:
            found.append(f"lifetime = {self.lifetime:g} wipes the weight at every step; use 0 for no decay")
        if self.number_of_states < 2:
            found.append(
                f"the range holds under two steps (dw_min = {self.dw_min:g}); reduce dw_min or widen w_min and w_max"
            )
        return found
