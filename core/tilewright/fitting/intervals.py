"""Intervals that need more than the curvature at the best values: profiles, bootstrap, Markov chains."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lmfit
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tilewright.fitting.draws import refitted
from tilewright.fitting.objective import Cancelled
from tilewright.fitting.problem import problem_of, straight_responses
from tilewright.fitting.residual_noise import record_shape
from tilewright.fitting.result import DeviceFit, FitError, FittedParameter
from tilewright.fitting.search import downhill, inside, values_of
from tilewright.fitting.smoothing import tables_of
from tilewright.fitting.specification import rebuilt
from tilewright.fitting.uncertainty import error_scale
from tilewright.measurement.record import Measurement

Samples = NDArray[np.float64]
Share = Callable[[float], None]

LEVEL = 3.841  # 95 % of chi squared with one degree of freedom
MOST_TRIES = 8  # on each side of a profile
CLOSE = 0.04  # to the end of an interval, in standard errors
BOUND_DRAWS, FEWEST_DRAWS = 100, 40  # responses drawn for the interval of a bound
MOST_DRAWN = 400_000  # samples in all of them


@dataclass(frozen=True)
class Profile:
    """How much worse the fit gets when a parameter is held elsewhere, all others being fitted again.

    Attributes:
        name: of the parameter.
        values: where it was held, rising.
        drop: what the fit loses there, as twice a log-likelihood; 3.84 ends the 95 % interval.
        interval: those ends; infinite where the drop was not reached.
    """

    name: str
    values: Samples
    drop: Samples
    interval: tuple[float, float]


@dataclass(frozen=True)
class Draws:
    """Parameters drawn by a bootstrap or a Markov chain, (draws, parameters), and the fit with its intervals."""

    table: pd.DataFrame
    fit: DeviceFit


def profile_likelihood(
    measurement: Measurement,
    fit: DeviceFit,
    names: Sequence[str] | None = None,
    cancelled: Cancelled | None = None,
    share: Share | None = None,
) -> list[Profile]:
    """The profile of each parameter that has a standard error.

    The drop is that of the squared error over what it drops by, on average, where the parameter is true
    (:func:`error_scale`). That is found anew at each value: noise that depends on the parameter counts as it would
    there, and a hard bound which the response only just reaches gets the error of one that it hardly reaches.
    Where the error does not rise far enough within the range, the interval is open.

    Args:
        measurement: what was fitted.
        fit: what came of it.
        names: parameters; None takes all that have a standard error.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    known = [p.name for p in fit.parameters if _has_error(p)]
    wanted = known if names is None else [name for name in names if name in known]
    if not wanted:
        raise FitError("no parameter has a standard error, so there is nothing to profile")
    made = []
    walk = _Walk(measurement, fit, cancelled)
    for number, name in enumerate(wanted):
        made.append(_profile(walk, name))
        if share is not None:
            share((number + 1) / len(wanted))
    return made


def with_profiles(
    measurement: Measurement,
    fit: DeviceFit,
    cancelled: Cancelled | None = None,
    share: Share | None = None,
) -> tuple[DeviceFit, list[Profile]]:
    """The fit with the intervals of its profiles, and these.

    Entries of tabulated steps, and the starts of several records, keep 1.96 standard errors to either side: the
    response is as good as linear in them. A hard bound that the response runs into has the interval of a bootstrap
    (:func:`reached_bounds`), which no profile can replace: a noisy trace meets it earlier or later than the nominal
    one and stays there, so the residuals round the corner are no sum of small kicks.

    Args:
        measurement: what was fitted.
        fit: what came of it.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    varied = [p.name for p in fit.parameters if p.vary]
    entries = {name for table in tables_of([n for n in varied if not n.startswith("w0")]) for name in table}
    starts = [name for name in varied if name.startswith("w0_")]  # of many records: nobody asks for each
    bounds = [] if entries else [name for name in reached_bounds(fit) if _has_error(fit[name])]
    repeats = min(BOUND_DRAWS, MOST_DRAWN // max(fit.n_points, 1))
    intervals = {}
    if bounds and repeats >= FEWEST_DRAWS:
        rows = refitted(measurement, fit, repeats, cancelled=cancelled)
        drawn = {name: rows[:, varied.index(name)] for name in bounds}
        intervals = {name: _turned(fit[name].value, values) for name, values in drawn.items()}
    names = [name for name in varied if name not in {*entries, *starts, *intervals}]
    if not any(_has_error(fit[name]) for name in names):
        return with_intervals(fit, intervals), []
    found = profile_likelihood(measurement, fit, names, cancelled, share)
    return with_intervals(fit, intervals | {profile.name: profile.interval for profile in found}), found


def reached_bounds(fit: DeviceFit) -> list[str]:
    """The hard bounds, of those that were varied, which the fitted response runs into under noise of its steps."""
    if not fit.noise.step > 0:
        return []
    raw = np.concatenate(fit.model) + fit.device.nominal_reference
    small = 1e-6 * (fit.device.w_max - fit.device.w_min)
    met = {"w_max": np.any(raw >= fit.device.w_max - small), "w_min": np.any(raw <= fit.device.w_min + small)}
    return [item.name for item in fit.parameters if item.vary and met.get(item.name, False)]


def _turned(value: float, draws: Samples) -> tuple[float, float]:
    """The spread of draws round an estimate, turned round it, which takes a bias out (basic bootstrap)."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(2 * value - high), float(2 * value - low)


def _has_error(item: FittedParameter) -> bool:
    return item.vary and not item.at_bound and math.isfinite(item.stderr) and item.stderr > 0


class _Walk:
    """One parameter held elsewhere, all others fitted again: what that costs, in standard errors made there."""

    def __init__(self, measurement: Measurement, fit: DeviceFit, cancelled: Cancelled | None) -> None:
        self.measurement, self.fit = measurement, fit
        self.objective, start = problem_of(measurement, fit, cancelled=cancelled)
        self.start, self.lowest = downhill(self.objective, start, precise=True)
        self.limits = {p.name: (p.low, p.high) for p in fit.parameters if p.vary and not p.at_bound}
        self.weights = np.concatenate([np.asarray(weight, dtype=float) for weight in fit.weights])
        self.samples = np.concatenate(straight_responses(measurement, fit))

    def at(self, name: str, value: float, start: Any) -> tuple[float, Any]:
        """The signed distance, in standard errors at ``value``, and the parameters fitted there."""
        held = start.copy()
        held[name].value, held[name].vary = value, False
        if any(p.vary for p in held.values()):
            held, error = downhill(self.objective, held, 200)
        else:
            whole = self.objective.watched(values_of(held))
            error = float(whole @ whole)
        rise = max(error - self.lowest, 0.0)
        return math.sqrt(rise / max(self.scale(name, held), 1e-300)), held

    def scale(self, name: str, found: Any) -> float:
        """Error scale of the parameter at parameters; NaN where the model does not move with it."""
        values = values_of(found)
        tied = found.copy() if any(p.expr for p in found.values()) else None

        def residual(trial: Mapping[str, float]) -> Samples:
            if tied is not None:
                for key in self.limits:
                    tied[key].value = trial[key]
                trial = values_of(tied)
            return np.concatenate(self.objective.model(trial)) - self.samples

        models = self.objective.model(values)
        device = self.objective.device
        shapes = [record_shape(device, r, m) for r, m in zip(self.measurement.records, models, strict=True)]
        return error_scale(
            name, residual, values, self.limits, shapes, self.fit.noise, self.objective.penalty, self.weights,
            {} if tied is not None else self.objective.own_rows,
        )  # fmt: skip


def _profile(walk: _Walk, name: str) -> Profile:
    item = walk.fit[name]
    sides: list[tuple[float, float]] = [(item.value, 0.0)]
    ends = []
    for sign in (-1, 1):
        found, end = _side(walk, item, sign)
        sides += found
        ends.append(end)
    values, roots = (np.array(column) for column in zip(*sorted(sides), strict=True))
    return Profile(name, values, roots**2, (ends[0], ends[1]))


def _side(walk: _Walk, item: FittedParameter, sign: int) -> tuple[list[tuple[float, float]], float]:
    """Where the parameter was held to one side with the distances there, and the end of the interval."""
    limit = item.high if sign > 0 else item.low
    wanted, start = math.sqrt(LEVEL), walk.start
    inner, outer = (item.value, 0.0), (sign * math.inf, math.inf)
    value, tried, last = item.value + sign * wanted * item.stderr, [], math.nan
    for _ in range(MOST_TRIES):
        if (value - limit) * sign >= 0:
            value = limit
        root, found = walk.at(item.name, value, start)
        root = last if math.isnan(root) else root
        if math.isnan(root):
            break
        tried.append((value, root))
        last = root
        if root >= wanted:
            outer = (value, root)
        else:
            inner, start = (value, root), found
            if value == limit:
                break
        if abs(root - wanted) < CLOSE:
            break
        value = _next(inner, outer, item, wanted, sign)
    if not math.isfinite(outer[0]):
        return tried, inner[0] if abs(inner[1] - wanted) < CLOSE else sign * math.inf
    if outer[1] == inner[1]:
        return tried, outer[0]
    return tried, inner[0] + (wanted - inner[1]) / (outer[1] - inner[1]) * (outer[0] - inner[0])


def _next(
    inner: tuple[float, float], outer: tuple[float, float], item: FittedParameter, wanted: float, sign: int
) -> float:
    """Where to look next for the end: between two sides of it, or as far out as the distances so far ask for."""
    if math.isfinite(outer[0]):
        share = (wanted - inner[1]) / max(outer[1] - inner[1], 1e-300)
        return inner[0] + min(max(share, 0.1), 0.9) * (outer[0] - inner[0])
    way = abs(inner[0] - item.value)
    return item.value + sign * way * min(max(1.05 * wanted / max(inner[1], 1e-9), 1.2), 3.0)


def with_intervals(fit: DeviceFit, intervals: Mapping[str, tuple[float, float]]) -> DeviceFit:
    """The fit with 95 % intervals of parameters replaced."""
    parameters = [replace(p, limits=intervals[p.name]) if p.name in intervals else p for p in fit.parameters]
    return replace(fit, parameters=parameters)


def bootstrap(
    measurement: Measurement,
    fit: DeviceFit,
    repeats: int = 200,
    seed: int = 1,
    cancelled: Cancelled | None = None,
    share: Share | None = None,
) -> Draws:
    """Fits of responses drawn anew: the device with the noise found in the residuals (parametric bootstrap).

    Args:
        measurement: what was fitted.
        fit: what came of it.
        repeats: how many are drawn and fitted.
        seed: of the noise.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    names = [item.name for item in fit.parameters if item.vary]
    table = pd.DataFrame(refitted(measurement, fit, repeats, seed, cancelled, share), columns=names)
    turned = {name: _turned(fit[name].value, table[name].to_numpy()) for name in names}
    return Draws(table, with_intervals(fit, turned))


def markov_chain(
    measurement: Measurement,
    fit: DeviceFit,
    steps: int = 400,
    walkers: int = 0,
    seed: int = 1,
    cancelled: Cancelled | None = None,
    share: Share | None = None,
) -> Draws:
    """Parameters drawn from their posterior, flat within the ranges, by emcee through lmfit.

    The likelihood whitens the residuals with the noise that was found in them, so it weighs samples by what they tell;
    the fit that comes back has the medians of the draws for values.

    Args:
        measurement: what was fitted.
        fit: what came of it; the walkers start round its best values.
        steps: of each walker; the first third is left out.
        walkers: 0 takes three for each parameter, 16 at least.
        seed: of the chain.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    objective, parameters = problem_of(measurement, fit, cancelled=cancelled)
    names = [name for name, item in parameters.items() if item.vary]
    walkers = walkers or max(3 * len(names) + (3 * len(names)) % 2, 16)
    if walkers < 2 * len(names):
        raise FitError(f"{len(names)} parameters need at least {2 * len(names)} walkers, found {walkers}")
    shapes = [
        record_shape(fit.device, record, model).at(mark)
        for record, model, mark in zip(measurement.records, fit.model, fit.kept, strict=True)
    ]
    edges = np.cumsum([len(model) for model in fit.model])[:-1]
    total, done = walkers * steps, 0

    def whitened(current: Any) -> Samples:
        nonlocal done
        residual = objective.residual(values_of(current))
        objective.watch.see(residual, {})
        done += 1
        if share is not None and done % 200 == 0:
            share(min(done / total, 1.0))
        parts = zip(shapes, fit.kept, np.split(residual, edges), strict=True)
        return np.concatenate([fit.noise.whiten(shape, part[mark, None])[0][:, 0] for shape, mark, part in parts])

    with contextlib.redirect_stdout(io.StringIO()):  # lmfit prints what the note below says
        chain = lmfit.Minimizer(whitened, inside(parameters)).emcee(
            steps=steps, nwalkers=walkers, burn=steps // 3, thin=1, is_weighted=True, progress=False, seed=seed,
            pos=_around(fit, names, walkers, seed),
        )  # fmt: skip
    table = chain.flatchain[names].reset_index(drop=True)
    quantiles = {name: np.quantile(table[name], [0.025, 0.975]) for name in names}
    ends = {name: (float(q[0]), float(q[1])) for name, q in quantiles.items()}
    found = _at_medians(measurement, with_intervals(fit, ends), table)
    if not hasattr(chain, "acor"):
        short = "The Markov chain is short against its memory: its intervals are rough; take more steps."
        found = replace(found, notes=[short, *found.notes])
    return Draws(table, found)


def _at_medians(measurement: Measurement, fit: DeviceFit, table: pd.DataFrame) -> DeviceFit:
    """The fit with the medians and standard deviations of draws for values and errors."""
    objective, parameters = problem_of(measurement, fit)
    for name in table:
        parameters[name].value = float(table[name].median())
    values = values_of(parameters)
    models = tuple(objective.model(values))
    if fit.bend:
        models = tuple(model + bend for model, bend in zip(models, fit.bend, strict=True))
    errors = {name: float(table[name].std()) for name in table}
    return replace(
        fit,
        device=rebuilt(objective.device),
        parameters=[replace(p, value=values[p.name], stderr=errors.get(p.name, p.stderr)) for p in fit.parameters],
        model=models,
        residuals=tuple(record.response - model for record, model in zip(measurement.records, models, strict=True)),
        starts=tuple(float(values[s]) if isinstance(s, str) else float(s) for s in objective.starts),
    )


def _around(fit: DeviceFit, names: list[str], walkers: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    columns = []
    for name in names:
        item = fit[name]
        width = item.high - item.low
        spread = item.stderr if math.isfinite(item.stderr) and item.stderr > 0 else 0.02 * width
        margin = 1e-6 * width
        drawn = item.value + 0.5 * min(spread, 0.2 * width) * rng.standard_normal(walkers)
        inner = np.clip(drawn, item.low + margin, item.high - margin)
        apart = inner + margin * rng.random(walkers) * np.sign(item.value - inner)  # emcee wants walkers that differ
        columns.append(np.where(inner == drawn, drawn, apart))
    return np.stack(columns, axis=1)
