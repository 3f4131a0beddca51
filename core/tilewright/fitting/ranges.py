"""First guesses and ranges from the data: local slopes of the ramps tell steps and where they vanish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.devices.exp_step import ExpStepDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.piecewise_step import PiecewiseStepDevice
from tilewright.devices.pow_step import PowerLawDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice
from tilewright.devices.soft_bounds_pmax import SoftBoundsPmaxDevice
from tilewright.devices.table_step import TableStepDevice
from tilewright.fitting.result import FitError
from tilewright.measurement.quality import long_ramps
from tilewright.measurement.record import Measurement

Range = tuple[float, float, float]
Specification = dict[str, Range]
Samples = NDArray[np.float64]

NODES = 6
TABLE_POINTS = 9
LARGEST_NODE = 30.0


@dataclass(frozen=True)
class Slopes:
    """Local step sizes of one direction, and the straight line ``step(w) = at_zero + slope * w`` through them."""

    at_zero: float
    slope: float
    mean: float
    weights: Samples
    steps: Samples

    def at(self, weights: Samples) -> Samples:
        """Step sizes at weights: local means where there is data, the nearest one beyond."""
        order = np.argsort(self.weights)
        w, s = self.weights[order], self.steps[order]
        groups = [g for g in np.array_split(np.arange(len(w)), max(min(len(w) // 2, 12), 1)) if len(g)]
        centres, means = np.array([w[g].mean() for g in groups]), np.array([s[g].mean() for g in groups])
        return np.asarray(np.interp(weights, centres, np.maximum(means, 0.02 * self.mean)))


@dataclass(frozen=True)
class _Data:
    """What the first guesses are made from."""

    low: float
    high: float
    up: Slopes | None
    down: Slopes | None

    @property
    def size(self) -> float:
        return max(self.high, -self.low)

    @property
    def mean_step(self) -> float:
        return max((s.mean for s in (self.up, self.down) if s is not None), default=1e-6)


def started_device(device_class: type[PulsedDevice], measurement: Measurement) -> PulsedDevice:
    """A device of the class whose settings that are not fitted suit the measurement.

    That is the number of pulses of a ramp for :class:`SoftBoundsPmaxDevice`, the nodes of the tabulated steps, and for
    :class:`ExpStepDevice` an argument ``z = w / (w_max - w_min)``, whose sign and size ``gamma`` takes over.
    """
    samples = measurement.all_samples()
    low, high = (float(q) for q in np.quantile(samples, [0.01, 0.99]))
    if issubclass(device_class, SoftBoundsPmaxDevice):
        ramps = [stop - start for r in measurement.records for start, stop, _ in long_ramps(r)]
        return device_class(p_max=max(ramps, default=len(measurement.records[0])))
    if issubclass(device_class, ExpStepDevice):
        return device_class(a=0.5, b=0.0)
    if issubclass(device_class, PiecewiseStepDevice):
        return device_class(piecewise_up=[1.0] * NODES, piecewise_down=[1.0] * NODES)
    if issubclass(device_class, TableStepDevice):
        points = np.linspace(min(low, -1e-3), max(high, 1e-3), TABLE_POINTS)
        ones = [1.0] * TABLE_POINTS
        return device_class(points_weight=points.tolist(), points_up=ones, points_down=list(ones))
    return device_class()


def default_ranges(device: type[PulsedDevice] | PulsedDevice, measurement: Measurement) -> Specification:
    """Parameters for a fit of a device or its class: name to ``(init, min, max)``; all three equal where it is held.

    Entries of lists are named by their index: ``piecewise_up_0``. Data of one direction holds ``up_down`` at 0 and
    the bound of the other direction beyond the data.

    Raises:
        FitError: the measurement is not in normalised weight units.
    """
    check_normalised(measurement)
    sample = started_device(device, measurement) if isinstance(device, type) else device
    low, high = (float(q) for q in np.quantile(measurement.all_samples(), [0.01, 0.99]))
    up, down = (local_steps(measurement, direction) for direction in (1, -1))
    if up is None and down is None:
        step = max(float(np.mean(np.abs(np.diff(measurement.records[0].response)))), 1e-6)
        flat = np.array([(low + high) / 2]), np.array([step])
        up = down = Slopes(step, 0.0, step, *flat)
    data = _Data(low, high, up, down)
    for kind, make in _MAKERS:
        if isinstance(sample, kind):
            return make(sample, data)
    return _common(data, at_zero=False)


# --- one function a family of devices ---------------------------------------------------------------------------------


def _common(data: _Data, at_zero: bool, vanishing: bool = False, gain: float = 1.0) -> Specification:
    """Step, imbalance and bounds; ``vanishing`` starts the bounds where the line through the steps reaches 0."""
    step_up, step_down = _step(data.up, at_zero), _step(data.down, at_zero)
    largest = max(step_up or 0.0, step_down or 0.0) * gain
    made: Specification = {"dw_min": (largest, largest / 50, min(50 * largest, 10.0))}
    if step_up is None or step_down is None:
        made["up_down"] = _held(0.0)
    else:
        ratio = (step_up - step_down) / max(step_up, step_down)
        made["up_down"] = (float(np.clip(ratio, -0.95, 0.95)), -0.99, 0.99)
    return made | _bounds(data, vanishing)


def _bounds(data: _Data, vanishing: bool) -> Specification:
    made: Specification = {}
    top, bottom = max(data.high, 0.05 * data.size), min(data.low, -0.05 * data.size)
    for name, end, vanish, known in (
        ("w_max", top, _vanishing(data.up, 1.0), data.up),
        ("w_min", bottom, _vanishing(data.down, -1.0), data.down),
    ):
        if known is None:
            made[name] = _held(float(1.5 * end))
            continue
        first = vanish if vanishing and vanish is not None else 1.05 * end
        made[name] = _ordered(first, 0.3 * end, float(4 * data.size * np.sign(end)))
    return made


def _soft_bounds(device: PulsedDevice, data: _Data) -> Specification:
    return _common(data, at_zero=True, vanishing=True)


def _pmax(device: PulsedDevice, data: _Data) -> Specification:
    rates = [-s.slope for s in (data.up, data.down) if s is not None and s.slope < 0]
    rate = float(np.clip(np.mean(rates) if rates else data.mean_step / data.size, 1e-5, 0.5))
    made: Specification = {"alpha": (rate, rate / 100, min(rate * 30, 5.0))}
    low, high = min(data.low, -0.05 * data.size), max(data.high, 0.05 * data.size)
    return made | {"range_min": _ordered(low, 0.1 * low, 4 * low), "range_max": _ordered(high, 0.1 * high, 4 * high)}


def _linear(device: PulsedDevice, data: _Data) -> Specification:
    made = _common(data, at_zero=True)
    lowest = -1.5 if getattr(device, "allow_increasing", False) else 0.0
    for name, slopes, end in (("gamma_up", data.up, made["w_max"][0]), ("gamma_down", data.down, made["w_min"][0])):
        if slopes is None:
            made[name] = _held(0.0)
            continue
        gamma = -slopes.slope * end / slopes.at_zero if slopes.at_zero > 0 else 0.5
        made[name] = (float(np.clip(gamma, lowest + 0.05, 1.4)), lowest, 1.5)
    return made


def _exponential(device: PulsedDevice, data: _Data) -> Specification:
    """Bounds are held beyond the data: the range only scales the exponents, unless the response is clipped."""
    made = _common(data, at_zero=False, gain=1.5)
    span = max(data.high - data.low, 1e-6)
    made["w_max"] = _held(float(max(data.high, 0.0) + 0.1 * span))
    made["w_min"] = _held(float(min(data.low, 0.0) - 0.1 * span))
    for name, slopes in (("up", data.up), ("down", data.down)):
        made[f"A_{name}"] = _held(0.0) if slopes is None else (0.3, -20.0, 1.0)
        made[f"gamma_{name}"] = _held(0.0) if slopes is None else (2.0, -15.0, 15.0)
    return made


def _power(device: PulsedDevice, data: _Data) -> Specification:
    made = _common(data, at_zero=False, vanishing=True, gain=2.0)
    made["pow_gamma"] = (1.0, 0.02, 8.0)
    both = data.up is not None and data.down is not None
    made["pow_up_down"] = (0.0, -0.98, 0.98) if both else _held(0.0)
    return made


def _piecewise(device: PulsedDevice, data: _Data) -> Specification:
    assert isinstance(device, PiecewiseStepDevice)
    bounds = _bounds(data, vanishing=False)
    nodes = max(len(device.piecewise_up), len(device.piecewise_down))
    places = np.linspace(bounds["w_min"][0], bounds["w_max"][0], nodes)
    made: Specification = {"dw_min": _held(data.mean_step), "up_down": _held(0.0), **bounds}
    return made | _nodes(data, "piecewise_up", "piecewise_down", (device.piecewise_up, device.piecewise_down), places)


def _table(device: PulsedDevice, data: _Data) -> Specification:
    assert isinstance(device, TableStepDevice)
    bounds = _bounds(data, vanishing=False)
    if device.formula_up or device.quantiles_up:
        return _common(data, at_zero=False)
    count = max(len(device.points_up), len(device.points_down))
    places = np.asarray(device.points_weight or np.linspace(bounds["w_min"][0], bounds["w_max"][0], count))
    made: Specification = {"dw_min": _held(data.mean_step), "up_down": _held(0.0), **bounds}
    return made | _nodes(data, "points_up", "points_down", (device.points_up, device.points_down), places)


def _nodes(data: _Data, up: str, down: str, given: tuple[list[float], list[float]], places: Samples) -> Specification:
    made: Specification = {}
    for name, slopes, values in ((up, data.up, given[0]), (down, data.down, given[1])):
        first = np.ones(len(values)) if slopes is None else slopes.at(places[: len(values)]) / data.mean_step
        for index, value in enumerate(first):
            held = slopes is None
            made[f"{name}_{index}"] = _held(1.0) if held else (float(min(value, 0.9 * LARGEST_NODE)), 0.0, LARGEST_NODE)
    return made


_MAKERS: tuple[tuple[type[PulsedDevice], Callable[[PulsedDevice, _Data], Specification]], ...] = (
    (SoftBoundsPmaxDevice, _pmax),
    (SoftBoundsDevice, _soft_bounds),
    (LinearStepDevice, _linear),
    (ExpStepDevice, _exponential),
    (PowerLawDevice, _power),
    (PiecewiseStepDevice, _piecewise),
    (TableStepDevice, _table),
)


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


# --- local steps ------------------------------------------------------------------------------------------------------


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
        return Slopes(mean, 0.0, mean, w, s)
    slope, at_zero = np.polyfit(w, s, 1)
    return Slopes(float(at_zero), float(slope), mean, w, s)


def _windows(part: Samples, direction: int, weights: list[float], steps: list[float]) -> None:
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


def growth_along_ramp(measurement: Measurement, direction: int) -> float:
    """Local step at the end of the ramps of a direction divided by that at their start; 1 where it is unknown."""
    slopes = local_steps(measurement, direction)
    if slopes is None or slopes.slope == 0 or len(slopes.weights) < 4:
        return 1.0
    off = slopes.steps - slopes.at_zero - slopes.slope * slopes.weights
    freedom, spread = len(off) - 2, float(np.sum((slopes.weights - slopes.weights.mean()) ** 2))
    if abs(slopes.slope) < 3 * np.sqrt(float(off @ off) / freedom / max(spread, 1e-300)):
        return 1.0  # noise could as well have made it
    low, high = (float(q) for q in np.quantile(measurement.all_samples(), [0.05, 0.95]))
    first, last = (low, high) if direction > 0 else (high, low)
    floor = 0.1 * slopes.mean
    return max(slopes.at_zero + slopes.slope * last, floor) / max(slopes.at_zero + slopes.slope * first, floor)


def _ordered(first: float, inner: float, outer: float) -> Range:
    low, high = min(inner, outer), max(inner, outer)
    margin = 0.02 * (high - low)
    return float(np.clip(first, low + margin, high - margin)), low, high
