"""What a device is worth: step curves, symmetry point, number of states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.devices.pulsed import Array, PulsedDevice

SCAN_POINTS = 33
HALVINGS = 45
FEW_DEVICES = 32


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

    def difference(w: Array) -> Array:
        up, down = device.nominal_steps(w)
        return np.asarray(up - down)

    low, high = visible_window(device)
    return float(crossing(difference, np.array([low]), np.array([high]))[0])


def crossing(difference: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where ``difference(w) = up - down`` changes sign between ``low`` and ``high``, for each device; else nan.

    Where it does so more than once, the first crossing that alternating pulses settle at (the up step is larger
    below it) is taken, and the first of any kind when there is none.

    Args:
        difference: of weights (points, devices).
        low: lower bounds (devices,).
        high: upper bounds (devices,).
    """
    scan = low + np.linspace(0, 1, SCAN_POINTS)[:, None] * (high - low)
    sign = np.sign(difference(scan))
    for end, inner in ((0, 1), (-1, -2)):  # steps that are equal at a bound alone make no symmetry point
        sign[end] = np.where(sign[end] == 0, sign[inner], sign[end])
    positive = sign >= 0
    crossed = positive[:-1] != positive[1:]
    settling = crossed & positive[:-1]
    place = np.where(settling.any(axis=0), settling.argmax(axis=0), crossed.argmax(axis=0))
    device = np.arange(scan.shape[1])
    left, right, side = scan[place, device], scan[place + 1, device], positive[place, device]
    # For few devices the calls cost more than what they compute: cut into 32 parts instead of 2.
    parts = 32 if scan.shape[1] <= FEW_DEVICES else 2
    cuts = np.arange(1, parts)[:, None] / parts
    for _ in range(HALVINGS // (parts.bit_length() - 1)):
        before = (difference(left + cuts * (right - left)) >= 0) == side
        part = np.where(before.all(axis=0), parts - 1, before.argmin(axis=0))
        width = (right - left) / parts
        left = left + part * width
        right = left + width
    return np.where(crossed.any(axis=0) & (low < high), (left + right) / 2, np.nan)


def number_of_states(device: PulsedDevice) -> float:
    """Range divided by the mean step at weight 0."""
    return device.number_of_states


def asymmetry(device: PulsedDevice, weight: float = 0.0) -> float:
    """G / F = (down - up) / (down + up) of the nominal device at a visible weight."""
    curves = step_curves(device, [weight])
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((curves.asymmetric_part / curves.symmetric_part)[0])


def signal_to_noise(device: PulsedDevice, weight: float = 0.0) -> float:
    """Step of the nominal device at a visible weight over the noise of a read after one pulse; inf without noise."""
    at = np.array([float(weight)])
    steps, raw = device.nominal_steps(at), at + device.nominal_reference
    noise = [device.cycle_noise(step, scale, raw) for step, scale in zip(steps, device.steps, strict=True)]
    return float(signal_to_noise_of(steps, noise, device.write_noise)[0])


def noise_to_signal(device: PulsedDevice) -> float:
    """Noise of a read after one pulse over the step, at the symmetry point; nan if there is none."""
    point = symmetry_point(device)
    if np.isnan(point):
        return point
    found = signal_to_noise(device, point)
    return 1 / found if found else float("inf")


def signal_to_noise_of(steps: Sequence[Array], cycle_noise: Sequence[Array], write_noise: float) -> Array:
    """Mean step of both directions over the root of the summed variances of cycle noise and write noise.

    Args:
        steps: sizes of the up and the down step.
        cycle_noise: standard deviation of either.
        write_noise: standard deviation of the visible weight after a write.
    """
    variance = (cycle_noise[0] ** 2 + cycle_noise[1] ** 2) / 2 + write_noise**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((np.abs(steps[0]) + np.abs(steps[1])) / 2 / np.sqrt(variance))
