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

from tilewright.fitting.objective import Cancelled
from tilewright.fitting.problem import problem_of
from tilewright.fitting.residual_noise import record_shape
from tilewright.fitting.result import DeviceFit, FitError
from tilewright.fitting.search import downhill, inside, values_of
from tilewright.fitting.specification import rebuilt
from tilewright.measurement.record import Measurement

Samples = NDArray[np.float64]
Share = Callable[[float], None]

LEVEL = 3.841  # 95 % of chi squared with one degree of freedom
REACH = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])  # of a profile, in standard errors


@dataclass(frozen=True)
class Profile:
    """How much worse the fit gets when a parameter is held elsewhere, all others being fitted again.

    Attributes:
        name: of the parameter.
        values: where it was held, rising.
        drop: twice the log-likelihood lost there; 3.84 ends the 95 % interval.
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

    The scale of the drop is set so that close to the best value it agrees with the standard error, which allows for
    correlated noise; the profile then shows where the model is not linear.

    Args:
        measurement: what was fitted.
        fit: what came of it.
        names: parameters; None takes all that have a standard error.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    known = [p.name for p in fit.parameters if p.vary and not p.at_bound and math.isfinite(p.stderr) and p.stderr > 0]
    wanted = known if names is None else [name for name in names if name in known]
    if not wanted:
        raise FitError("no parameter has a standard error, so there is nothing to profile")
    made = []
    for number, name in enumerate(wanted):
        made.append(_profile(measurement, fit, name, cancelled))
        if share is not None:
            share((number + 1) / len(wanted))
    return made


def _profile(measurement: Measurement, fit: DeviceFit, name: str, cancelled: Cancelled | None) -> Profile:
    objective, parameters = problem_of(measurement, fit, cancelled=cancelled)
    item = fit[name]
    _, lowest = downhill(objective, parameters, precise=True)
    sides: list[tuple[float, float]] = [(item.value, 0.0)]
    for sign in (-1, 1):
        start = parameters.copy()
        start[name].vary = False
        for reach in REACH:
            value = item.value + sign * reach * item.stderr
            if not item.low < value < item.high:
                break
            start[name].value = value
            if any(p.vary for p in start.values()):
                start, error = downhill(objective, start)
            else:
                residual = objective.watched(values_of(start))
                error = float(residual @ residual)
            sides.append((value, max(error - lowest, 0.0)))
    values, rises = (np.array(column) for column in zip(*sorted(sides), strict=True))
    near = np.abs(values - item.value) <= 0.6 * item.stderr
    squares = ((values - item.value) / item.stderr) ** 2
    unit = float(rises[near] @ squares[near]) / max(float(squares[near] @ squares[near]), 1e-300)
    drop = rises / unit if unit > 0 else np.zeros(len(rises))
    return Profile(name, values, drop, (_end(item.value, values, drop, -1), _end(item.value, values, drop, 1)))


def _end(best: float, values: Samples, drop: Samples, sign: int) -> float:
    side = (values - best) * sign >= 0
    x, y = values[side][::sign], np.sqrt(drop[side][::sign])
    beyond = np.flatnonzero(y >= math.sqrt(LEVEL))
    if not len(beyond) or beyond[0] == 0:
        return sign * math.inf
    k = int(beyond[0])
    return float(x[k - 1] + (math.sqrt(LEVEL) - y[k - 1]) / (y[k] - y[k - 1]) * (x[k] - x[k - 1]))


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
    """Fits of responses drawn anew: the model with noise as found in the residuals (parametric bootstrap).

    Args:
        measurement: what was fitted.
        fit: what came of it.
        repeats: how many are drawn and fitted.
        seed: of the noise.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    rng = np.random.default_rng(seed)
    shapes = [record_shape(fit.device, r, m) for r, m in zip(measurement.records, fit.model, strict=True)]
    names = [item.name for item in fit.parameters if item.vary]
    rows = []
    for number in range(repeats):
        drawn = [model + fit.noise.draw(shape, rng) for model, shape in zip(fit.model, shapes, strict=True)]
        records = tuple(replace(r, response=d) for r, d in zip(measurement.records, drawn, strict=True))
        objective, parameters = problem_of(replace(measurement, records=records), fit, cancelled=cancelled)
        best = values_of(downhill(objective, parameters, 200)[0])
        rows.append([best[name] for name in names])
        if share is not None:
            share((number + 1) / repeats)
    table = pd.DataFrame(rows, columns=names)
    ends = {name: tuple(np.quantile(table[name], [0.025, 0.975])) for name in names}
    # the spread of draws round the fit is turned round the estimate, which takes a bias out (basic bootstrap)
    turned = {name: (2 * fit[name].value - high, 2 * fit[name].value - low) for name, (low, high) in ends.items()}
    return Draws(table, with_intervals(fit, {k: (float(a), float(b)) for k, (a, b) in turned.items()}))


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
