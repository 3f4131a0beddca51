"""``fit_device``: a device model fitted to a measurement, with errors one can believe."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.devices.constant_step import ConstantStepDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice, SoftBoundsReferenceDevice
from tilewright.fitting.measurements import METHODS
from tilewright.fitting.objective import Cancelled, Objective, Progress, Samples, Trace, Watch, minimise
from tilewright.fitting.ranges import check_normalised, default_ranges
from tilewright.fitting.remarks import remarks
from tilewright.fitting.restarts import with_bounds_inside
from tilewright.fitting.result import DeviceFit, FitError, FittedParameter
from tilewright.fitting.specification import build_parameters, set_fields, silenced
from tilewright.fitting.uncertainty import Uncertainty, estimate_uncertainty
from tilewright.measurement.quality import mean_step, read_noise
from tilewright.measurement.record import AffineMap, Measurement

FITTABLE_CLASSES: tuple[type[PulsedDevice], ...] = (
    SoftBoundsReferenceDevice,
    SoftBoundsDevice,
    LinearStepDevice,
    ConstantStepDevice,
)

_IN_WEIGHT = {"dw_min": False, "w_max": True, "w_min": True, "reference_mean": False, "reset": True}


def fit_device(
    measurement: Measurement,
    device_class_or_instance: type[PulsedDevice] | PulsedDevice,
    parameters: Any = None,
    method: str = "powell",
    free_start: bool | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> DeviceFit:
    """Fit a device to all records of a measurement together.

    The asked method searches first; a least-squares polish then sharpens the result and gives the Jacobian for the
    standard errors.

    Args:
        measurement: in normalised weight units (see :meth:`Measurement.normalised`).
        device_class_or_instance: the device; fields that are not fitted keep their value, spread and noise are 0.
        parameters: as for :func:`fit_measurements`; None takes :func:`default_ranges`.
        method: an lmfit method.
        free_start: fit the state before the first pulse of each record. None does so when the noise of one reading
            exceeds one step, as the first sample is then a poor start.
        progress: told (evaluation, best rms, best values) while the fit runs.
        cancelled: asked at every evaluation; True stops the fit with :class:`FitCancelled`.

    Raises:
        FitError: the measurement is not normalised, or parameters or method cannot be used.
        FitCancelled: stopped by ``cancelled``.
    """
    began = time.perf_counter()
    if method not in METHODS:
        raise FitError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    check_normalised(measurement)
    device = _working_device(device_class_or_instance)
    ranges = default_ranges(device, measurement) if parameters is None else parameters
    fields, settings = build_parameters(ranges, device)
    set_fields(device, settings)
    free = start_is_free(measurement) if free_start is None else free_start
    watch = Watch(progress, cancelled)
    traces = [Trace(record.pulses, record.response) for record in measurement.records]
    search = Objective(device, traces, [_first_state(trace, free) for trace in traces], watch)
    found = minimise(search, fields, method=method, calc_covar=False)
    objective, best, success = _polish(device, traces, found.params, search, free, watch)
    if not success:
        success = bool(getattr(found, "success", True))
    return _outcome(measurement, objective, fields, best, success, time.perf_counter() - began)


def start_is_free(measurement: Measurement) -> bool:
    """Whether one reading is noisier than one step, so that the first sample is a poor start."""
    return read_noise(measurement) > mean_step(measurement)


def _working_device(source: type[PulsedDevice] | PulsedDevice) -> PulsedDevice:
    device = source() if isinstance(source, type) else source
    if not isinstance(device, PulsedDevice):
        raise FitError(f"expected a pulsed device or its class, found {type(device).__name__}")
    return silenced(device)


def _first_state(trace: Trace, free: bool) -> float:
    """The first sample, or the mean of the first five where a single one is too noisy."""
    return float(np.mean(trace.response[:5])) if free else float(trace.response[0])


def _start_names(traces: list[Trace]) -> list[str]:
    return ["w0"] if len(traces) == 1 else [f"w0_{number}" for number in range(1, len(traces) + 1)]


def _polish(
    device: PulsedDevice, traces: list[Trace], found: Any, search: Objective, free: bool, watch: Watch
) -> tuple[Objective, Any, bool]:
    """Least squares from the found values, starts included when they are free; keeps the better of before and after."""
    objective, parameters = search, found.copy()
    if free:
        names = _start_names(traces)
        for name, trace, start in zip(names, traces, search.starts, strict=True):
            margin = 0.2 * float(np.ptp(trace.response))
            low, high = float(trace.response.min()) - margin, float(trace.response.max()) + margin
            parameters.add(name, value=float(np.clip(float(start), low, high)), min=low, max=high)
        objective = Objective(device, traces, list(names), watch)

    def polish(start: Any, evaluations: int = 60) -> tuple[Any, float]:
        result = minimise(
            objective, _inside(start), method="least_squares", x_scale="jac", max_nfev=evaluations, calc_covar=False
        )
        return result.params, _squared_error(objective, result.params)

    best, error = parameters, _squared_error(objective, parameters)
    sharper, smaller = polish(parameters, 400)
    success = smaller <= error
    if success:
        best, error = sharper, smaller
    trimmed, clipped = with_bounds_inside(device, objective, best, polish, error)
    if clipped < error:
        best, _ = polish(trimmed, 400)
    return objective, best, success


def _squared_error(objective: Objective, parameters: Any) -> float:
    return float(np.sum(objective.residual(_values(parameters)) ** 2))


def _inside(parameters: Any) -> Any:
    """A copy with every varied value strictly inside its range, as the trust-region method wants it."""
    moved = parameters.copy()
    for item in moved.values():
        if item.vary and np.isfinite(item.min) and np.isfinite(item.max):
            margin = 1e-7 * (item.max - item.min)
            item.value = float(np.clip(item.value, item.min + margin, item.max - margin))
    return moved


def _values(parameters: Any) -> dict[str, float]:
    return {name: float(item.value) for name, item in parameters.items()}


def is_at_bound(value: float, low: float, high: float) -> bool:
    """Whether a value sits at an end of its range, within a thousandth."""
    width = high - low
    for bound in (low, high):
        if np.isfinite(bound):
            reach = 1e-3 * abs(bound) if bound else 1e-4 * (width if np.isfinite(width) else 1.0)
            if abs(value - bound) <= reach:
                return True
    return False


def _outcome(
    measurement: Measurement, objective: Objective, initial: Any, best: Any, success: bool, seconds: float
) -> DeviceFit:
    values = _values(best)
    models = tuple(objective.model(values))
    residuals = tuple(record.response - model for record, model in zip(measurement.records, models, strict=True))
    joined = np.concatenate(residuals)
    at_bound = {name: item.vary and is_at_bound(item.value, item.min, item.max) for name, item in best.items()}
    limits = {name: (item.min, item.max) for name, item in best.items() if item.vary and not at_bound[name]}
    tied = best.copy()

    def residual(trial: Mapping[str, float]) -> Samples:
        for name in limits:
            tied[name].value = trial[name]
        return objective.residual(_values(tied))

    uncertainty = estimate_uncertainty(residual, values, limits, [len(r) for r in measurement.records])
    rows = _rows(best, initial, at_bound, uncertainty, measurement.affine)
    error = float(joined @ joined)
    samples = measurement.all_samples()
    varied = sum(item.vary for item in best.values())
    starts = tuple(float(values[s]) if isinstance(s, str) else float(s) for s in objective.starts)
    device = objective.device.model_copy(deep=True)
    set_fields(device, {name: value for name, value in values.items() if name not in objective.start_names})
    count = len(joined)
    return DeviceFit(
        device=device,
        class_name=type(device).__name__,
        parameters=rows,
        rms=math.sqrt(error / count),
        r2=1 - error / float(np.sum((samples - samples.mean()) ** 2)),
        bic=count * math.log(max(error / count, 1e-300)) + varied * math.log(count),
        n_points=count,
        n_varied=varied,
        n_evaluations=objective.watch.evaluations,
        seconds=seconds,
        model=models,
        residuals=residuals,
        starts=starts,
        correlation=uncertainty.correlation,
        notes=remarks(measurement, rows, uncertainty, residuals),
        success=success,
    )


def _rows(
    best: Any, initial: Any, at_bound: Mapping[str, bool], uncertainty: Uncertainty, affine: AffineMap
) -> list[FittedParameter]:
    names = list(uncertainty.stderr)
    rows = []
    for name, item in best.items():
        stderr = uncertainty.stderr.get(name, math.nan)
        if item.expr:
            stderr = _tied_error(best, name, names, uncertainty.covariance)
        unit_value, unit = _in_measured_unit(name, float(item.value), affine)
        rows.append(
            FittedParameter(
                name=name, value=float(item.value), stderr=stderr, low=float(item.min), high=float(item.max),
                initial=float(initial[name].value if name in initial else item.init_value), vary=bool(item.vary),
                at_bound=bool(at_bound[name]), expr=item.expr or "", unit_value=unit_value, unit=unit,
            )
        )  # fmt: skip
    return rows


def _tied_error(best: Any, name: str, names: list[str], covariance: NDArray[np.float64]) -> float:
    """Error of a parameter that an expression ties to others, by linear propagation."""
    trial = best.copy()
    gradient = np.zeros(len(names))
    for j, free in enumerate(names):
        here = float(best[free].value)
        step = 1e-5 * max(abs(here), 1e-3)
        trial[free].value = here + step
        gradient[j] = (float(trial[name].value) - float(best[name].value)) / step
        trial[free].value = here
    used = gradient != 0
    if not used.any():
        return math.nan
    variance = float(gradient[used] @ covariance[np.ix_(used, used)] @ gradient[used])
    return math.sqrt(variance) if variance >= 0 else math.nan


def _in_measured_unit(name: str, value: float, affine: AffineMap) -> tuple[float, str]:
    """The value in the unit of the measurement: levels are shifted and scaled, steps are scaled."""
    shifted = True if name.startswith("w0") else _IN_WEIGHT.get(name)
    if shifted is None or affine == AffineMap():
        return math.nan, ""
    return value * affine.scale + (affine.offset if shifted else 0.0), affine.unit
