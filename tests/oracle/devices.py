"""One crosspoint, one pulse at a time. State is the raw weight; the visible weight is ``raw - reference``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass
class Crosspoint:
    """What one device is made of once its spread has been drawn; every field may be an array."""

    up: float  # step scale upwards at weight 0
    down: float
    b_max: float
    b_min: float
    slope_up: float = 0.0  # change of the up step per unit of raw weight
    slope_down: float = 0.0
    sigma: float = 0.0  # cycle noise of one pulse
    multiplicative: bool = True  # cycle noise relative to the current step, else to the step at weight 0
    reference: float = 0.0
    write_noise: float = 0.0  # absolute: write_noise_std * dw_min


def nominal_crosspoint(device: object) -> Crosspoint:
    """The crosspoint of ``device`` when every device-to-device spread is zero."""
    name = type(device).__mro__
    names = [cls.__name__ for cls in name]
    up = device.dw_min * (1 + min(device.up_down, 0.0))
    down = device.dw_min * (1 - max(device.up_down, 0.0))
    point = Crosspoint(up, down, device.w_max, device.w_min, sigma=device.dw_min_std)
    if "LinearStepDevice" in names:
        make_linear(point, device)
    elif "SoftBoundsDevice" in names:
        point.slope_up = -up / device.w_max if device.w_max > 0 else 0.0
        point.slope_down = -down / device.w_min if device.w_min < 0 else 0.0
        point.multiplicative = device.mult_noise
    elif "ConstantStepDevice" not in names:
        raise NotImplementedError(names[0])
    if "SoftBoundsReferenceDevice" in names:
        point.reference = device.reference_mean
        if device.subtract_symmetry_point:
            point.reference += (up - down) / (up / device.w_max - down / device.w_min)
    point.write_noise = getattr(device, "write_noise_std", 0.0) * device.dw_min
    return point


def make_linear(point: Crosspoint, device: object) -> None:
    """Slopes of a linear-step device without spread."""
    gamma_up, gamma_down = device.gamma_up, device.gamma_down
    if not device.allow_increasing:
        gamma_up, gamma_down = abs(gamma_up), abs(gamma_down)
    # Without spread the device's own bounds are the nominal ones, so mean_bound_reference makes no difference.
    end_up = device.w_min - device.reverse_offset if device.reverse_up else device.w_max
    end_down = device.w_max + device.reverse_offset if device.reverse_down else device.w_min
    point.slope_up = -gamma_up * point.up / end_up if end_up != 0 else 0.0
    point.slope_down = -gamma_down * point.down / end_down if end_down != 0 else 0.0
    point.multiplicative = device.mult_noise


def clip(point: Crosspoint, raw: float) -> float:
    """Hard bounds, in raw coordinates."""
    return np.minimum(np.maximum(raw, point.b_min), point.b_max)


def pulse(point: Crosspoint, raw: float, direction: int, xi: float = 0.0) -> float:
    """Raw weight after one pulse; ``xi`` is the standard normal number of this pulse."""
    step, slope = (point.up, point.slope_up) if direction > 0 else (point.down, point.slope_down)
    here = step + slope * raw
    moved = here * (1 + point.sigma * xi) if point.multiplicative else here + step * point.sigma * xi
    return clip(point, raw + moved if direction > 0 else raw - moved)


def trace(point: Crosspoint, pulses: Iterable[int], w0: float) -> np.ndarray:
    """Noise-free visible weights, shape (n_pulses + 1,); row 0 is the start."""
    raw = float(clip(point, w0 + point.reference))
    weights = [raw]
    for direction in pulses:
        raw = float(pulse(point, raw, int(direction)))
        weights.append(raw)
    return np.array(weights) - point.reference


def noisy_traces(point: Crosspoint, pulses: Iterable[int], w0: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` visible traces with cycle and write noise, shape (n_pulses + 1, n)."""
    raw = np.full(n, clip(point, w0 + point.reference), dtype=float)
    seen = [raw + point.write_noise * rng.standard_normal(n)]
    for direction in pulses:
        raw = pulse(point, raw, int(direction), rng.standard_normal(n))
        seen.append(raw + point.write_noise * rng.standard_normal(n))
    return np.array(seen) - point.reference


def symmetry_point(point: Crosspoint) -> float:
    """Visible weight where one pulse up and one pulse down cancel; nan if there is none."""
    if point.slope_up == point.slope_down:
        return float("nan")
    raw = (point.up - point.down) / (point.slope_down - point.slope_up)
    return raw - point.reference
