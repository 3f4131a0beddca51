"""What a fit gives back: parameters with errors, the fitted device, the model response, and a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.residual_noise import ResidualNoise
from tilewright.fitting.smoothing import Penalty


class FitError(ValueError):
    """The fit cannot be done as asked; the message says why and what to change."""


class FitCancelled(Exception):
    """The fit was stopped by ``cancelled``. Holds the best values so far."""

    def __init__(self, evaluations: int, best_rms: float, best_values: dict[str, float]) -> None:
        self.evaluations, self.best_rms, self.best_values = evaluations, best_rms, best_values
        super().__init__(f"cancelled after {evaluations} evaluations at rms {best_rms:.4g}")

    def __reduce__(self) -> tuple[type[FitCancelled], tuple[int, float, dict[str, float]]]:
        return type(self), (self.evaluations, self.best_rms, self.best_values)


@dataclass(frozen=True)
class FittedParameter:
    """One parameter of a fit.

    Attributes:
        name: field of the device, or ``w0`` (``w0_1``, ``w0_2`` ...) for the start of a record.
        value: best value, in the units of the field.
        stderr: standard error, allowing for correlated residuals; NaN when fixed, at a bound or not determined.
        low, high: the range it was varied in.
        initial: where the fit started.
        vary: False when it was held fixed or tied by an expression.
        at_bound: it ran into ``low`` or ``high``: its value is a limit, not an estimate.
        expr: the expression that ties it; empty when free.
        unit_value: the value in the unit of the measurement, where it has one; NaN otherwise.
        unit: that unit.
        unit_scale: how much of that unit one weight unit is.
        limits: 95 % interval where a profile, a bootstrap or a chain gave one; None otherwise.
    """

    name: str
    value: float
    stderr: float
    low: float
    high: float
    initial: float
    vary: bool = True
    at_bound: bool = False
    expr: str = ""
    unit_value: float = math.nan
    unit: str = ""
    unit_scale: float = 1.0
    limits: tuple[float, float] | None = None

    @property
    def determined(self) -> bool:
        """Whether the data says more about it than the range it was varied in."""
        width = self.high - self.low
        return self.vary and not self.at_bound and math.isfinite(self.stderr) and not self.stderr > 0.5 * width

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval: 1.96 standard errors to either side, or that of a profile, bootstrap or chain."""
        if self.limits is not None:
            return self.limits
        return self.value - 1.96 * self.stderr, self.value + 1.96 * self.stderr

    @property
    def interval_text(self) -> str:
        """The 95 % interval in words; empty where there is none, one bound where the other end is open."""
        low, high = self.interval
        if math.isnan(low) or math.isnan(high):
            return ""
        if math.isinf(low) and math.isinf(high):
            return "open"
        if math.isinf(low):
            return f"below {high:.3g}"
        return f"above {low:.3g}" if math.isinf(high) else f"{low:.3g} … {high:.3g}"

    @property
    def measured_text(self) -> str:
        """Value and error in the unit of the measurement; empty where it has none."""
        if not math.isfinite(self.unit_value):
            return ""
        error = self.stderr * abs(self.unit_scale)
        return f"{value_with_error(self.unit_value, error)} {self.unit}".strip()

    @property
    def text(self) -> str:
        """Value and error with as many digits as the error allows: ``"0.0116 ± 0.0003"``."""
        if self.vary and math.isfinite(self.stderr) and self.stderr > 0.5 * (self.high - self.low):
            return f"{self.value:.3g} (not determined)"
        return value_with_error(self.value, self.stderr)


@dataclass(frozen=True, eq=False)
class DeviceFit:
    """The outcome of :func:`tilewright.fitting.fit_device`.

    Attributes:
        device: the fitted device, with every spread and noise field at 0.
        class_name: its device class.
        parameters: all parameters, fixed ones too.
        rms: root mean square of model minus response, in the units of the (normalised) response.
        r2: 1 - residual / total sum of squares, over all records together.
        bic: Bayesian information criterion; smaller is better.
        n_points, n_varied, n_evaluations, seconds: size and cost of the fit.
        model: model response of each record, sample for sample.
        residuals: response minus model of each record.
        starts: state before the first pulse of each record.
        correlation: correlation matrix of the varied parameters that are at no limit (square, named).
        covariance: their covariance, in the same order; NaN where not determined.
        noise: what the residuals are made of; the standard errors rest on it.
        band: standard error of the model at each sample of each record, from the errors of the parameters.
        weights: factor of the deviations at each sample of each record.
        correlated_samples: how many neighbouring samples are worth one independent sample.
        penalty: what kept tabulated steps smooth; None for other models.
        bend: what noise adds to the nominal response of each record on average, where a second pass took it into
            account; the parameters are fitted to the response without it, ``model`` has it.
        notes: sentences about what to mind.
    """

    device: PulsedDevice
    class_name: str
    parameters: list[FittedParameter]
    rms: float
    r2: float
    bic: float
    n_points: int
    n_varied: int
    n_evaluations: int
    seconds: float
    model: tuple[NDArray[np.float64], ...]
    residuals: tuple[NDArray[np.float64], ...]
    starts: tuple[float, ...]
    correlation: pd.DataFrame
    covariance: NDArray[np.float64]
    noise: ResidualNoise
    band: tuple[NDArray[np.float64], ...] = ()
    weights: tuple[NDArray[np.float64], ...] = ()
    correlated_samples: float = 1.0
    penalty: Penalty | None = None
    bend: tuple[NDArray[np.float64], ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[NDArray[np.bool_]]:
        """Samples of each record that had a weight in the fit; missing ones had none."""
        if not self.weights:
            return [np.ones(len(residual), dtype=bool) for residual in self.residuals]
        return [weight > 0 for weight in self.weights]

    def __getitem__(self, name: str) -> FittedParameter:
        """The parameter of that name."""
        for item in self.parameters:
            if item.name == name:
                return item
        raise KeyError(f"no parameter {name!r}; known: {', '.join(item.name for item in self.parameters)}")

    def table(self) -> pd.DataFrame:
        """One row per parameter: name, value, standard error, range, flags, value in the measured unit."""
        rows: list[dict[str, Any]] = [
            {
                "parameter": item.name,
                "value": item.value,
                "stderr": item.stderr,
                "text": item.text,
                "low": item.low,
                "high": item.high,
                "varied": item.vary,
                "at bound": item.at_bound,
                "measured": item.unit_value,
                "unit": item.unit,
            }
            for item in self.parameters
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """The fit in a few lines of text."""
        lines = [f"{self.class_name}: rms {self.rms:.4g}, R² {self.r2:.4f}, BIC {self.bic:.1f}, {self.n_points} points"]
        lines += [
            f"  {item.name} = {item.text}"
            + ("" if item.vary else f" ({'= ' + item.expr if item.expr else 'fixed'})")
            + (" (at its limit)" if item.at_bound else "")
            for item in self.parameters
        ]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def value_with_error(value: float, error: float) -> str:
    """``value ± error`` with two significant digits of the error at most."""
    if not math.isfinite(value):
        return "not determined"
    if not math.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    magnitude = math.floor(math.log10(error))
    leading = error / 10**magnitude
    decimals = -magnitude + (1 if leading < 2 else 0)
    if decimals > 12 or (value != 0 and abs(value) < 1e-4):
        digits = max(1, min(12, math.floor(math.log10(abs(value) or 1)) + decimals + 1))
        return f"{value:.{digits}g} ± {error:.1g}"
    if decimals <= 0:
        return f"{round(value, decimals):.0f} ± {round(error, decimals):.0f}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
