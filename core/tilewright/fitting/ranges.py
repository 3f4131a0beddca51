"""First guesses and ranges from the data: local slopes of the ramps tell steps and where they vanish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice
from tilewright.fitting.result import FitError
from tilewright.measurement.quality import long_ramps
from tilewright.measurement.record import Measurement

Range = tuple[float, float, float]
Specification = dict[str, Range]


@dataclass(frozen=True)
class Slopes:
    """Straight line through the local step sizes of one direction: ``step(w) = at_zero + slope * w``."""

    at_zero: float
    slope: float
    mean: float


def default_ranges(device_class: type[PulsedDevice] | PulsedDevice, measurement: Measurement) -> Specification:
    """Parameters for a fit of ``device_class``: name to ``(init, min, max)``; all three equal where it is held fixed.

    Data of one direction holds ``up_down`` at 0 and the bound of the other direction beyond the data.

    Raises:
        FitError: the measurement is not in normalised weight units.
    """
    cls = device_class if isinstance(device_class, type) else type(device_class)
    check_normalised(measurement)
    samples = measurement.all_samples()
    low, high = (float(q) for q in np.quantile(samples, [0.01, 0.99]))
    size = max(high, -low)
    up, down = (local_steps(measurement, direction) for direction in (1, -1))
    if up is None and down is None:
        step = max(float(np.mean(np.abs(np.diff(measurement.records[0].response)))), 1e-6)
        up = down = Slopes(step, 0.0, step)
    soft = issubclass(cls, SoftBoundsDevice)
    step_up = _step(up, soft or issubclass(cls, LinearStepDevice))
    step_down = _step(down, soft or issubclass(cls, LinearStepDevice))
    largest = max(step_up or 0.0, step_down or 0.0)
    made: Specification = {"dw_min": (largest, largest / 50, min(50 * largest, 10.0))}
    if step_up is None or step_down is None:
        made["up_down"] = _held(0.0)
    else:
        ratio = step_up / largest - 1 if step_up < step_down else 1 - step_down / largest
        made["up_down"] = (float(np.clip(ratio, -0.95, 0.95)), -0.99, 0.99)
    top, bottom = max(high, 0.05 * size), min(low, -0.05 * size)
    vanish_up, vanish_down = _vanishing(up, 1.0), _vanishing(down, -1.0)
    for name, end, vanish, known in (("w_max", top, vanish_up, up), ("w_min", bottom, vanish_down, down)):
        inner, outer = 0.3 * end, 4 * size * np.sign(end)
        if known is None:
            made[name] = _held(float(1.5 * end))
            continue
        first = vanish if soft and vanish is not None else 1.05 * end
        made[name] = _ordered(first, inner, float(outer))
    if issubclass(cls, LinearStepDevice):
        grows = bool(getattr(device_class, "allow_increasing", False)) if not isinstance(device_class, type) else False
        for name, slopes, end in (("gamma_up", up, top), ("gamma_down", down, bottom)):
            made[name] = _held(0.0) if slopes is None else _gamma(slopes, end, -1.5 if grows else 0.0)
    return made


def _held(value: float) -> Range:
    return value, value, value


def check_normalised(measurement: Measurement) -> None:
    """Raise unless the responses lie around zero with a size near one, as device bounds need them."""
    samples = measurement.all_samples()
    low, high = (float(q) for q in np.quantile(samples, [0.005, 0.995]))
    if not low < 0 < high or not 0.02 < (high - low) / 2 < 50:
        unit = f" {measurement.unit}" if measurement.unit else ""
        raise FitError(
            f"the response runs from {low:.4g} to {high:.4g}{unit}: a device needs weights around 0 of a size near 1; "
            "normalise it first, e.g. measurement.normalised('tutorial') or measurement.normalised('min-max')"
        )


def local_steps(measurement: Measurement, direction: int) -> Slopes | None:
    """Line through the local steps of all long ramps of a direction; None where there is none."""
    weights: list[float] = []
    steps: list[float] = []
    for record in measurement.records:
        for start, stop, found in long_ramps(record, 8):
            if found == direction:
                _windows(record.response[start:stop], direction, weights, steps)
    if not steps:
        return None
    w, s = np.array(weights), np.array(steps)
    mean = max(float(np.mean(s)), 1e-9)
    if len(s) < 3 or np.ptp(w) == 0:
        return Slopes(mean, 0.0, mean)
    slope, at_zero = np.polyfit(w, s, 1)
    return Slopes(float(at_zero), float(slope), mean)


def _windows(part: NDArray[np.float64], direction: int, weights: list[float], steps: list[float]) -> None:
    pieces = np.array_split(part, int(np.clip(len(part) // 8, 1, 12)))
    for piece in pieces:
        if len(piece) >= 4:
            k = np.arange(len(piece)) - (len(piece) - 1) / 2
            steps.append(direction * float(np.sum(k * piece) / np.sum(k * k)))
            weights.append(float(np.mean(piece)))


def _step(slopes: Slopes | None, at_zero: bool) -> float | None:
    if slopes is None:
        return None
    return slopes.at_zero if at_zero and slopes.at_zero > 0.1 * slopes.mean else slopes.mean


def _vanishing(slopes: Slopes | None, sign: float) -> float | None:
    """Weight at which the step vanishes, if it shrinks towards the bound of this direction."""
    if slopes is None or slopes.at_zero <= 0 or slopes.slope * sign >= -1e-12:
        return None
    return -slopes.at_zero / slopes.slope


def _gamma(slopes: Slopes, end: float, low: float) -> Range:
    gamma = -slopes.slope * end / slopes.at_zero if slopes.at_zero > 0 else 0.5
    return float(np.clip(gamma, low + 0.05, 1.4)), low, 1.5


def growth_along_ramp(measurement: Measurement, direction: int) -> float:
    """Local step at the end of the ramps of a direction divided by that at their start; 1 where it is unknown."""
    slopes = local_steps(measurement, direction)
    if slopes is None or slopes.slope == 0:
        return 1.0
    low, high = (float(q) for q in np.quantile(measurement.all_samples(), [0.05, 0.95]))
    first, last = (low, high) if direction > 0 else (high, low)
    floor = 0.1 * slopes.mean
    return max(slopes.at_zero + slopes.slope * last, floor) / max(slopes.at_zero + slopes.slope * first, floor)


def _ordered(first: float, inner: float, outer: float) -> Range:
    low, high = min(inner, outer), max(inner, outer)
    margin = 0.02 * (high - low)
    return float(np.clip(first, low + margin, high - margin)), low, high
