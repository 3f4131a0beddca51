"""What a device is worth: step curves, symmetry point, number of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from tilewright.devices.pulsed import PulsedDevice


@dataclass(frozen=True)
class StepCurves:
    """Noise-free step sizes of the nominal device: ``up`` and ``down`` (both positive) at visible ``weights``."""

    weights: NDArray[Any]
    up: NDArray[Any]
    down: NDArray[Any]

    @property
    def symmetric_part(self) -> NDArray[Any]:
        """F = (down + up) / 2: what moves the weight as asked."""
        return np.asarray((self.down + self.up) / 2)

    @property
    def asymmetric_part(self) -> NDArray[Any]:
        """G = (down - up) / 2: what pulls the weight to the symmetry point."""
        return np.asarray((self.down - self.up) / 2)


def visible_window(device: PulsedDevice) -> tuple[float, float]:
    """Smallest and largest visible weight of the nominal device."""
    return device.w_min - device.nominal_reference, device.w_max - device.nominal_reference


def step_curves(device: PulsedDevice, weights: ArrayLike | None = None) -> StepCurves:
    """Step size against weight, over the whole window unless ``weights`` are given."""
    w = np.linspace(*visible_window(device), 201) if weights is None else np.asarray(weights, dtype=float)
    up, down = device.nominal_steps(w)
    return StepCurves(w, up, down)


def symmetry_point(device: PulsedDevice) -> float:
    """Visible weight where nominal up and down steps are equal; nan if the curves do not cross in the window."""

    def difference(w: float) -> float:
        up, down = device.nominal_steps(np.array([w]))
        return float(up[0] - down[0])

    low, high = visible_window(device)
    if low >= high:
        return float("nan")
    at_low, at_high = difference(low), difference(high)
    if at_low == 0 or at_high == 0 or (at_low > 0) == (at_high > 0):
        return float("nan")
    return float(brentq(difference, low, high, xtol=1e-12))


def number_of_states(device: PulsedDevice) -> float:
    """Range divided by the mean step at weight 0."""
    return device.number_of_states
