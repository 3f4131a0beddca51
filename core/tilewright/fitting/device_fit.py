"""``fit_device``: a device model fitted to a measurement, with errors one can believe."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.devices.constant_step import ConstantStepDevice
from tilewright.devices.exp_step import ExpStepDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.piecewise_step import PiecewiseStepDevice
from tilewright.devices.pow_step import PowStepDevice, PowStepReferenceDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice, SoftBoundsReferenceDevice
from tilewright.devices.soft_bounds_pmax import SoftBoundsPmaxDevice
from tilewright.devices.table_step import TableStepDevice
from tilewright.fitting.measurements import METHODS
from tilewright.fitting.objective import Cancelled, Objective, Progress, Samples, Trace, Watch, minimise
from tilewright.fitting.ranges import check_normalised, default_ranges, started_device
from tilewright.fitting.remarks import remarks
from tilewright.fitting.residual_noise import record_shape
from tilewright.fitting.restarts import with_bounds_inside
from tilewright.fitting.result import DeviceFit, FitError, FittedParameter
from tilewright.fitting.search import downhill, from_many_starts, values_of
from tilewright.fitting.smoothing import Penalty, chosen_strength, tables_of
from tilewright.fitting.specification import assign, build_parameters, rebuilt, set_fields, silenced
from tilewright.fitting.uncertainty import Uncertainty, estimate_uncertainty, jacobian_of
from tilewright.measurement.quality import mean_step, read_noise
from tilewright.measurement.record import AffineMap, Measurement

FITTABLE_CLASSES: tuple[type[PulsedDevice], ...] = (
    SoftBoundsReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    LinearStepDevice,
    ConstantStepDevice,
    ExpStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PiecewiseStepDevice,
    TableStepDevice,
)

_IN_WEIGHT = {
    "dw_min": False, "w_max": True, "w_min": True, "reference_mean": False, "reset": True, "range_min": True,
    "range_max": True,
}  # fmt: skip


def fit_device(
    measurement: Measurement,
    device_class_or_instance: type[PulsedDevice] | PulsedDevice,
    parameters: Any = None,
    method: str = "auto",
    free_start: bool | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    seed: int = 0,
    weights: Sequence[float | Samples] | None = None,
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
        seed: of the starts that ``auto`` tries.
        weights: factor of the deviations of each record, a number or one for each sample; missing samples have none.

    Raises:
        FitError: the measurement is not normalised, or parameters or method cannot be used.
        FitCancelled: stopped by ``cancelled``.
    """
    began = time.perf_counter()
    if method not in ("auto", *METHODS):
        raise FitError(f"unknown method {method!r}; known: auto, {', '.join(METHODS)}")
    check_normalised(measurement)
    device = _working_device(device_class_or_instance, measurement)
    ranges = default_ranges(device, measurement) if parameters is None else parameters
    fields, settings = build_parameters(ranges, device)
    set_fields(device, settings)
    free = start_is_free(measurement) if free_start is None else free_start
    watch = Watch(progress, cancelled)
    traces = _traces(measurement, weights)
    starts = [_first_state(trace, free) for trace in traces]
    if method == "auto":
        found = fields
    else:
        found = minimise(Objective(device, traces, starts, watch), fields, method=method, calc_covar=False).params
    names = _start_names(traces) if free else []
    objective = Objective(device, traces, names or starts, watch)
    found = _with_starts(found, names, traces, starts)
    if method == "auto":
        found = from_many_starts(objective, found, seed)
    best = _polish(device, objective, found)
    return outcome(measurement, objective, fields, best, time.perf_counter() - began)


def _traces(measurement: Measurement, weights: Sequence[float | Samples] | None) -> list[Trace]:
    factors = [1.0] * len(measurement.records) if weights is None else list(weights)
    if len(factors) != len(measurement.records):
        raise FitError(f"{len(factors)} weights for {len(measurement.records)} records")
    traces = []
    for record, factor in zip(measurement.records, factors, strict=True):
        full = np.asarray(factor, dtype=float)
        if full.shape not in ((), record.response.shape) or not np.all(np.isfinite(full)) or np.any(full < 0):
            raise FitError(f"a weight is a number of at least 0, or one for each of the {len(record)} samples")
        traces.append(Trace(record.pulses, record.response, np.asarray(full * record.weights)))
    if not any(np.any(trace.weight) for trace in traces):
        raise FitError("all weights are 0; nothing is left to fit")
    return traces


def start_is_free(measurement: Measurement) -> bool:
    """Whether one reading is noisier than one step, so that the first sample is a poor start."""
    return read_noise(measurement) > mean_step(measurement)


def _working_device(source: type[PulsedDevice] | PulsedDevice, measurement: Measurement) -> PulsedDevice:
    device = started_device(source, measurement) if isinstance(source, type) else source
    if not isinstance(device, PulsedDevice):
        raise FitError(f"expected a pulsed device or its class, found {type(device).__name__}")
    return silenced(device)


def _first_state(trace: Trace, free: bool) -> float:
    """The first sample, or the mean of the first five where a single one is too noisy."""
    return float(np.mean(trace.response[:5])) if free else float(trace.response[0])


def _start_names(traces: list[Trace]) -> list[str]:
    return ["w0"] if len(traces) == 1 else [f"w0_{number}" for number in range(1, len(traces) + 1)]


def _with_starts(parameters: Any, names: list[str], traces: list[Trace], starts: list[float]) -> Any:
    """The parameters, and the free start of each record."""
    made = parameters.copy()
    for name, trace, start in zip(names, traces, starts, strict=False):
        margin = 0.2 * float(np.ptp(trace.response))
        low, high = float(trace.response.min()) - margin, float(trace.response.max()) + margin
        made.add(name, value=float(np.clip(start, low, high)), min=low, max=high)
    return made


def _polish(device: PulsedDevice, objective: Objective, parameters: Any) -> Any:
    """Least squares from the found values, with second chances for hard bounds and rough tables."""

    def polish(start: Any) -> tuple[Any, float]:
        return downhill(objective, start)

    best, error = downhill(objective, parameters, 400, precise=True)
    trimmed, clipped = with_bounds_inside(device, objective, best, polish, error)
    if clipped < error:
        best, _ = downhill(objective, trimmed, 400, precise=True)
    tables = tables_of([name for name, item in best.items() if item.vary and name not in objective.start_names])
    if tables:
        best = _smoothed(objective, best, tables)
    return best


def _smoothed(objective: Objective, best: Any, tables: tuple[tuple[str, ...], ...]) -> Any:
    """The fit with as much of a penalty on rough tables as left-out samples ask for."""
    limits = {name: (item.min, item.max) for name, item in best.items() if item.vary}
    values, names = values_of(best), list(limits)
    residual = objective.residual(values)
    strength = chosen_strength(
        jacobian_of(objective.residual, values, limits),
        residual,
        np.array([values[name] for name in names]),
        Penalty(tables, 1.0).matrix(names),
        [len(trace.response) for trace in objective.traces],
    )
    if strength == 0:
        return best
    objective.penalty = Penalty(tables, strength)
    return downhill(objective, best, precise=True)[0]


def is_at_bound(value: float, low: float, high: float) -> bool:
    """Whether a value sits at an end of its range, within a thousandth."""
    width = high - low
    for bound in (low, high):
        if np.isfinite(bound):
            reach = 1e-3 * abs(bound) if bound else 1e-4 * (width if np.isfinite(width) else 1.0)
            if abs(value - bound) <= reach:
                return True
    return False


def outcome(measurement: Measurement, objective: Objective, initial: Any, best: Any, seconds: float) -> DeviceFit:
    """What a fit gives back, from where its search ended.

    Args:
        measurement: as it was fitted.
        objective: at whose smallest value the search ended.
        initial: parameters it began with.
        best: parameters it ended with.
        seconds: it took.
    """
    values = values_of(best)
    models = tuple(objective.model(values))
    residuals = tuple(record.response - model for record, model in zip(measurement.records, models, strict=True))
    weight = np.concatenate([np.broadcast_to(trace.weight, trace.response.shape) for trace in objective.traces])
    joined = np.concatenate(residuals) * weight
    samples = measurement.all_samples()
    at_bound = {name: item.vary and is_at_bound(item.value, item.min, item.max) for name, item in best.items()}
    limits = {name: (item.min, item.max) for name, item in best.items() if item.vary and not at_bound[name]}
    tied = best.copy()

    def residual(trial: Mapping[str, float]) -> Samples:
        for name in limits:
            tied[name].value = trial[name]
        return np.concatenate(objective.model(values_of(tied))) - samples

    assign(objective.device, {name: value for name, value in values.items() if name not in objective.start_names})
    device = rebuilt(objective.device)
    shapes = [record_shape(device, record, model) for record, model in zip(measurement.records, models, strict=True)]
    own = {} if any(item.expr for item in best.values()) else objective.own_rows
    uncertainty = estimate_uncertainty(residual, values, limits, shapes, objective.penalty, weight, own)
    rows = _rows(best, initial, at_bound, uncertainty, measurement.affine)
    error = float(joined @ joined)
    varied = sum(item.vary for item in best.values())
    starts = tuple(float(values[s]) if isinstance(s, str) else float(s) for s in objective.starts)
    count = int(np.count_nonzero(weight))
    ends = np.cumsum([np.count_nonzero(part) for part in np.split(weight, np.cumsum([len(r) for r in residuals])[:-1])])
    worth = float(np.sum(weight**2))
    return DeviceFit(
        device=device,
        class_name=type(device).__name__,
        parameters=rows,
        rms=math.sqrt(error / worth),
        r2=1 - error / float(np.sum((weight * (samples - samples.mean())) ** 2)),
        bic=count * math.log(max(error / worth, 1e-300)) + varied * math.log(count),
        n_points=count,
        n_varied=varied,
        n_evaluations=objective.watch.evaluations,
        seconds=seconds,
        model=models,
        residuals=residuals,
        starts=starts,
        correlation=uncertainty.correlation,
        covariance=uncertainty.covariance,
        noise=uncertainty.noise,
        band=tuple(np.split(uncertainty.model_std, np.cumsum([len(r) for r in residuals])[:-1])),
        weights=tuple(np.broadcast_to(trace.weight, trace.response.shape) for trace in objective.traces),
        correlated_samples=max(uncertainty.inflation**2, 1.0),
        penalty=objective.penalty,
        notes=remarks(measurement, rows, uncertainty, np.split(joined[weight > 0], ends)),
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
                unit_scale=affine.scale,
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
    measured = affine.to_measured(value) if shifted else affine.change_to_measured(value)
    return float(measured), affine.unit
