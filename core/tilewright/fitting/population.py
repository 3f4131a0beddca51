"""Many devices: a fit of each, and how their parameters spread, in the fields that draw devices from a distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.device_fit import fit_device
from tilewright.fitting.noise import NoiseEstimate, estimate_noise
from tilewright.fitting.objective import Cancelled
from tilewright.fitting.residual_noise import record_shape
from tilewright.fitting.result import DeviceFit, FitError, FittedParameter, value_with_error
from tilewright.fitting.specification import rebuilt
from tilewright.measurement.record import Measurement

Samples = NDArray[np.float64]

FEW = 5
DRAWS = 400
# Fields whose spread is in units of the value; all others spread by an absolute amount.
RELATIVE = ("dw_min", "w_max", "w_min", "pow_gamma")


@dataclass(frozen=True)
class Spread:
    """How one parameter spreads from device to device.

    Attributes:
        name: of the parameter.
        field: of the device that holds the spread; empty where the class has none for it.
        mean: over the devices (the median where the spread is log-normal).
        value: the spread, in the units of the field, freed of the errors of the single fits.
        error: its standard error, from drawing the devices anew.
        log_normal: the data is more likely log-normal than normal, by a log-likelihood of ``gain``.
        gain: of the chosen distribution over the other.
        values: of each device.
    """

    name: str
    field: str
    mean: float
    value: float
    error: float
    log_normal: bool
    gain: float
    values: Samples

    @property
    def lost(self) -> bool:
        """Whether devices differ in it and the class has no field that says so."""
        return not self.field and self.value > 2 * self.error > 0

    @property
    def text(self) -> str:
        """The spread with its error."""
        return value_with_error(self.value, self.error)


@dataclass(frozen=True)
class PopulationFit:
    """Fits of single devices and the distribution they come from.

    Attributes:
        fits: by name of the device.
        spreads: of each fitted parameter.
        device: mean device with the spreads in its ``_dtod`` fields.
        failed: devices that could not be fitted, with the reason.
        notes: sentences about what to mind.
    """

    fits: dict[str, DeviceFit]
    spreads: list[Spread]
    device: PulsedDevice
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """One row per parameter."""
        return pd.DataFrame(
            [
                {
                    "parameter": s.name,
                    "mean": float(f"{s.mean:.4g}"),
                    "spread": s.text,
                    "field": s.field or "none in this class",
                    "distribution": "log-normal" if s.log_normal else "normal",
                    "devices": len(s.values),
                }
                for s in self.spreads
            ]
        )


def fit_population(
    measurement: Measurement,
    device: type[PulsedDevice] | PulsedDevice,
    parameters: Mapping[str, object] | None = None,
    cancelled: Cancelled | None = None,
    share: Callable[[float], None] | None = None,
    seed: int = 1,
    weights: Sequence[float | Samples] | None = None,
    method: str = "auto",
    free_start: bool | None = None,
) -> PopulationFit:
    """Fit every device of a measurement alone and find how they spread.

    Args:
        measurement: in normalised weight units, records named by their devices; cycles of a device are fitted jointly.
        device: class or instance to fit.
        parameters: as for :func:`fit_device`; None takes default ranges for each device.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
        seed: of the draws behind the errors of the spreads.
        weights: factor of the deviations of each record, as for :func:`fit_device`.
        method, free_start: as for :func:`fit_device`.

    Raises:
        FitError: fewer than two devices, or fewer than two that can be fitted.
    """
    names = measurement.devices
    if len(names) < 2:
        raise FitError("spread from device to device needs at least two devices in the measurement")
    fits: dict[str, DeviceFit] = {}
    failed: dict[str, str] = {}
    for number, name in enumerate(names):
        own = [k for k, record in enumerate(measurement.records) if record.device == name]
        part = replace(measurement, records=tuple(measurement.records[k] for k in own))
        factors = None if weights is None else [weights[k] for k in own]
        try:
            fits[name] = fit_device(part, device, parameters, method, free_start, cancelled=cancelled, weights=factors)
        except FitError as error:
            failed[name] = str(error)
        if share is not None:
            share((number + 1) / len(names))
    if len(fits) < 2:
        raise FitError(f"only {len(fits)} of {len(names)} devices could be fitted: {next(iter(failed.values()), '')}")
    return _summary(fits, failed, np.random.default_rng(seed))


def typical_fit(measurement: Measurement, population: PopulationFit) -> DeviceFit:
    """The fits of all devices as one: each record beside the model of its own device, parameters as means over devices.

    Errors are those of the means, 95 % intervals 1.96 of them to either side; residuals are those of the single fits.

    Args:
        measurement: what was fitted; records of devices that could not be fitted are left out.
        population: what came of it.
    """
    parts = {name: iter(range(len(fit.model))) for name, fit in population.fits.items()}
    order = [(record.device, next(parts[record.device])) for record in measurement.records if record.device in parts]
    fits = list(population.fits.values())
    first = fits[0]

    def gathered(field_name: str) -> tuple[Samples, ...]:
        return tuple(getattr(population.fits[name], field_name)[k] for name, k in order)

    residuals, weights = gathered("residuals"), gathered("weights")
    joined = np.concatenate([r * w for r, w in zip(residuals, weights, strict=True)])
    samples = np.concatenate([m + r for m, r in zip(gathered("model"), residuals, strict=True)])
    weight = np.concatenate(weights)
    error, worth = float(joined @ joined), float(np.sum(weight**2))
    rows = [_mean_row([fit[item.name] for fit in fits], item) for item in first.parameters if item.name[:2] != "w0"]
    names = [row.name for row in rows if row.vary]
    table = pd.DataFrame({name: [fit[name].value for fit in fits] for name in names})
    varied, count = len(names) * len(fits), int(np.count_nonzero(weight))
    note = f"Each of {len(fits)} devices was fitted alone; values are means over them with the error of the mean."
    return replace(
        first,
        device=population.device.model_copy(
            update={name: 0.0 for name in type(first.device).model_fields if name.endswith("dtod")}
        ),
        parameters=rows,
        rms=math.sqrt(error / worth),
        r2=1 - error / float(np.sum((weight * (samples - samples.mean())) ** 2)),
        bic=count * math.log(max(error / worth, 1e-300)) + varied * math.log(count),
        n_points=count,
        n_varied=varied,
        n_evaluations=sum(fit.n_evaluations for fit in fits),
        seconds=sum(fit.seconds for fit in fits),
        model=gathered("model"),
        residuals=residuals,
        starts=tuple(population.fits[name].starts[k] for name, k in order),
        correlation=table.corr().fillna(0.0),
        covariance=np.atleast_2d(table.cov().to_numpy() / len(fits)),
        band=gathered("band"),
        weights=weights,
        notes=[note, *population.notes],
    )


def population_noise(measurement: Measurement, population: PopulationFit) -> NoiseEstimate:
    """Step and write noise of the devices, from the residuals of their single fits."""
    kept = replace(measurement, records=tuple(r for r in measurement.records if r.device in population.fits))
    fit = typical_fit(measurement, population)
    shapes = [
        record_shape(population.fits[record.device].device, record, model)
        for record, model in zip(kept.records, fit.model, strict=True)
    ]
    return estimate_noise(kept, fit, shapes)


def _mean_row(items: Sequence[FittedParameter], first: FittedParameter) -> FittedParameter:
    values = np.array([item.value for item in items])
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) / math.sqrt(len(values)) if first.vary else math.nan
    unit_value = float(np.mean([item.unit_value for item in items]))
    low, high = min(item.low for item in items), max(item.high for item in items)
    return replace(
        first, value=mean, stderr=spread, low=low, high=high, at_bound=False, unit_value=unit_value, limits=None
    )


def _on_lost(spread: Spread, class_name: str) -> str:
    text = (
        f"{spread.name} spreads by {spread.text}, but {class_name} has no field for it: drawn devices are alike in it."
    )
    if spread.name.startswith("range_"):
        text += " SoftBoundsDevice, the same steps in other terms, has w_max_dtod and w_min_dtod: fit that."
    return text


def _summary(fits: dict[str, DeviceFit], failed: dict[str, str], rng: np.random.Generator) -> PopulationFit:
    first = next(iter(fits.values()))
    fields = type(first.device).model_fields
    columns, errors = _columns(list(fits.values()))
    spreads = [
        _spread(name, f"{name}_dtod" if f"{name}_dtod" in fields else "", values, errors[name], rng)
        for name, values in columns.items()
    ]
    made: dict[str, object] = {}
    for spread in spreads:
        if spread.name in fields:
            made[spread.name] = spread.mean
        if spread.field:
            made[spread.field] = spread.value
        if spread.name == "dw_min" and "dw_min_dtod_log_normal" in fields:
            made["dw_min_dtod_log_normal"] = spread.log_normal
    made = {name: value for name, value in made.items() if name in fields}
    device = rebuilt(first.device.model_copy(update=made, deep=True))
    notes = []
    if len(fits) < FEW:
        notes.append(f"Only {len(fits)} devices: the spreads are rough.")
    for spread in spreads:
        if spread.lost:
            notes.append(_on_lost(spread, type(device).__name__))
        if spread.field and spread.log_normal and spread.name != "dw_min":
            notes.append(f"{spread.name} looks log-normal; its field draws it from a normal distribution.")
    if failed:
        notes.append(f"Not fitted: {', '.join(failed)}.")
    return PopulationFit(fits, spreads, device, failed, notes)


def _columns(fits: list[DeviceFit]) -> tuple[dict[str, Samples], dict[str, Samples]]:
    """Values and standard errors of each parameter over devices; steps in the form in which devices are drawn."""
    names = [p.name for p in fits[0].parameters if p.vary and p.name in type(fits[0].device).model_fields]
    values = {name: np.array([fit[name].value for fit in fits]) for name in names}
    errors = {name: np.array([fit[name].stderr for fit in fits]) for name in names}
    if "dw_min" in values and "up_down" in values:
        # a device is drawn as up = dw (gain + min(u, 0) + d), down = dw (gain - max(u, 0) - d)
        up, down = (np.array([fit.device.steps[way] for fit in fits]) for way in (0, 1))
        size = max(float(up.mean()), float(down.mean()))
        imbalance = float((up.mean() - down.mean()) / size)
        gain = (up + down) / (2 * size) + abs(imbalance) / 2
        scale = values["dw_min"]
        values["dw_min"], values["up_down"] = size * gain, (up - down) / (2 * size) + imbalance / 2
        errors["dw_min"] = errors["dw_min"] * (1 - np.abs(imbalance) / 2)
        errors["up_down"] = errors["up_down"] * scale / (2 * size)
    if getattr(fits[0].device, "mean_bound_reference", False):
        # slopes of all devices count from the nominal bounds
        for name, bound in (("gamma_up", "w_max"), ("gamma_down", "w_min")):
            if name in values:
                own = np.array([getattr(fit.device, bound) for fit in fits])
                values[name] = values[name] / own * own.mean()
    return values, errors


def _spread(name: str, field_name: str, values: Samples, errors: Samples, rng: np.random.Generator) -> Spread:
    normal = _log_likelihood(values)
    positive = bool(np.all(values > 0) or np.all(values < 0))
    log = _log_likelihood(np.log(np.abs(values))) - float(np.sum(np.log(np.abs(values)))) if positive else -math.inf
    noise = float(np.nanmean(errors**2)) if np.any(np.isfinite(errors)) else 0.0
    clear = noise < 0.25 * float(np.var(values))  # errors of single fits have a skew of their own
    log_normal = positive and clear and name in RELATIVE and log > normal + 1.0  # a tie is called normal

    def size(sample: Samples) -> float:
        middle = float(np.mean(sample))
        if log_normal:
            own = float(np.var(np.log(np.abs(sample)), ddof=1)) - noise / max(middle**2, 1e-300)
            return math.sqrt(max(own, 0.0))
        own = math.sqrt(max(float(np.var(sample, ddof=1)) - noise, 0.0))
        return own / abs(middle) if name in RELATIVE and middle else own

    drawn = [size(rng.choice(values, len(values))) for _ in range(DRAWS)]
    middle = float(np.mean(values))
    if log_normal:
        middle = float(np.exp(np.mean(np.log(np.abs(values)))) * np.sign(values[0]))
    gain = abs(log - normal) if positive else math.inf
    return Spread(name, field_name, middle, size(values), float(np.std(drawn)), log_normal, gain, values)


def _log_likelihood(values: Samples) -> float:
    variance = max(float(np.var(values)), 1e-300)
    return -0.5 * len(values) * (math.log(2 * math.pi * variance) + 1)
