"""What a device is worth, as distributions over device-to-device spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.devices.analysis import crossing, signal_to_noise_of
from tilewright.devices.array import draw_devices
from tilewright.devices.pulsed import Array, PulsedDevice
from tilewright.devices.tracing import trace_draw_seed

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class DeviceDistribution:
    """Drawn devices and what each is worth; nan where a quantity does not exist for a device.

    Attributes:
        weights: visible weights (points,) of the step curves.
        up: noise-free up steps (points, devices) at ``weights``; nan outside the window of a device.
        down: likewise for the down steps.
        low, high: visible window of each device.
        symmetry_points: visible weight where up and down steps are equal.
        states: range divided by the mean of the two steps at visible weight 0 (scaled as a granularity set by hand).
        asymmetry: G / F at visible weight 0: (down - up) / (down + up).
        noise_to_signal: noise of one pulse divided by its step, at the symmetry point.
        snr: step divided by the noise of one pulse, at visible weight 0; inf without noise.
    """

    weights: Array
    up: Array
    down: Array
    low: Array
    high: Array
    symmetry_points: Array
    states: Array
    asymmetry: Array
    noise_to_signal: Array
    snr: Array

    @property
    def symmetric_part(self) -> Array:
        """F = (down + up) / 2 of each device, (points, devices)."""
        return np.asarray((self.down + self.up) / 2)

    @property
    def asymmetric_part(self) -> Array:
        """G = (down - up) / 2 of each device, (points, devices)."""
        return np.asarray((self.down - self.up) / 2)

    def bands(self, curve: ArrayLike, levels: tuple[float, ...] = LEVELS) -> Array:
        """Quantiles (levels, points) over the devices of a curve (points, devices); nan where under half have one."""
        return quantile_bands(np.asarray(curve, dtype=float), levels)

    def quantiles(self, name: str, levels: tuple[float, ...] = LEVELS) -> Array:
        """Quantiles (levels,) of one of the per-device quantities, over the devices that have it."""
        values = np.asarray(getattr(self, name), dtype=float)
        values = values[~np.isnan(values)]
        return np.quantile(values, levels) if values.size else np.full(len(levels), np.nan)


def quantile_bands(curve: Array, levels: tuple[float, ...]) -> Array:
    """Quantiles (levels, points) of (points, devices), nan where under half of the devices have a value."""
    ordered = np.sort(curve, axis=1)  # nan last
    counts = np.sum(~np.isnan(ordered), axis=1)
    place = np.asarray(levels)[:, None] * np.maximum(counts - 1, 0)[None, :]
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, np.maximum(counts - 1, 0))
    rows = np.arange(len(curve))
    low, high = ordered[rows, below], ordered[rows, above]
    found = low + (place - below) * (high - low)
    return np.asarray(np.where(2 * counts >= curve.shape[1], found, np.nan))


def device_distribution(
    device: PulsedDevice, n_devices: int = 1000, seed: int = 0, weights: ArrayLike | None = None
) -> DeviceDistribution:
    """Draw devices exactly as a tile draws them, and find what each is worth.

    Noise counts as the root of the summed variances of cycle noise and write noise: what one read after one pulse
    carries.

    Args:
        device: its parameters; with the same ``seed``, device k is column k of :func:`trace_pulses`.
        n_devices: how many devices.
        seed: seed of the draws when ``device.construction_seed`` is 0.
        weights: visible weights of the step curves; 101 over the range of most devices when not given.

    Raises:
        ValueError: ``n_devices`` is not positive.
    """
    if n_devices < 1:
        raise ValueError(f"n_devices must be at least 1, found {n_devices}")
    drawn = drawn_arrays(device, n_devices, seed)
    reference, low, high = drawn["reference"], drawn["min_bound"], drawn["max_bound"]
    grid = _grid(low - reference, high - reference) if weights is None else np.asarray(weights, dtype=float)
    raw = grid[:, None] + reference
    outside = (raw < low) | (raw > high) | (low >= high)
    up, down = (np.where(outside, np.nan, steps) for steps in device.drawn_steps(drawn, raw))

    reaches_zero = (reference >= low) & (reference <= high) & (low < high)
    at_zero = np.where(reaches_zero, reference, np.nan)
    up_zero, down_zero = device.drawn_steps(drawn, np.where(reaches_zero, reference, low))
    mean_zero = np.where(reaches_zero, (np.abs(up_zero) + np.abs(down_zero)) / 2, np.nan)
    point = symmetry_points(device, drawn)
    with np.errstate(divide="ignore", invalid="ignore"):
        return DeviceDistribution(
            weights=grid,
            up=up,
            down=down,
            low=low - reference,
            high=high - reference,
            symmetry_points=point - reference,
            states=(high - low) / (mean_zero * _given_granularity(device)),
            asymmetry=np.where(reaches_zero, (down_zero - up_zero) / (down_zero + up_zero), np.nan),
            noise_to_signal=1 / _snr(device, drawn, point),
            snr=_snr(device, drawn, at_zero),
        )


def _given_granularity(device: PulsedDevice) -> float:
    """Granularity over the expected step at weight 0: other than 1 where it was set by hand."""
    up, down = device.nominal_steps(np.zeros(1))
    mean_gain = np.exp(device.dw_min_dtod**2 / 2) if device.dw_min_dtod_log_normal else 1.0
    return float(device.granularity / ((abs(up[0]) + abs(down[0])) / 2 * mean_gain))


def drawn_arrays(device: PulsedDevice, n_devices: int, seed: int = 0) -> dict[str, Array]:
    """What was drawn for each device, as float64 arrays (devices,); always with a ``reference``."""
    tensors = draw_devices(device, (1, n_devices), trace_draw_seed(device, seed))
    drawn = {name: _spread_out(value.numpy(), n_devices) for name, value in tensors.items()}
    drawn.setdefault("reference", np.zeros(n_devices))
    return drawn


def _spread_out(values: NDArray[Any], n_devices: int) -> Array:
    return np.broadcast_to(values.reshape(-1).astype(float), (n_devices,))


def _grid(low: Array, high: Array) -> Array:
    """Visible weights that nine in ten devices reach at either end."""
    wide = high > low
    if not np.any(wide):
        return np.linspace(float(low[0]), float(low[0]), 2)
    return np.linspace(float(np.quantile(low[wide], 0.1)), float(np.quantile(high[wide], 0.9)), 101)


def _snr(device: PulsedDevice, drawn: dict[str, Array], raw: Array) -> Array:
    """Signal to noise of each device at its raw weight; nan where that is nan."""
    known = np.where(np.isnan(raw), drawn["min_bound"], raw)
    steps = device.drawn_steps(drawn, known)
    noise = [device.cycle_noise(step, drawn[way], known) for step, way in zip(steps, ("up", "down"), strict=True)]
    return np.where(np.isnan(raw), np.nan, signal_to_noise_of(steps, noise, device.write_noise))


def symmetry_points(device: PulsedDevice, drawn: dict[str, Array]) -> Array:
    """Raw weight of each drawn device where up and down steps are equal; nan where they nowhere are."""

    def difference(raw: Array) -> Array:
        up, down = device.drawn_steps(drawn, raw)
        return up - down

    return crossing(difference, drawn["min_bound"], drawn["max_bound"])
