"""Standard errors that allow for residuals which depend on each other, and what the data cannot tell apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tilewright.fitting.residual_noise import RecordShape, ResidualNoise, fit_noise
from tilewright.fitting.smoothing import Penalty

Samples = NDArray[np.float64]
Residual = Callable[[Mapping[str, float]], Samples]

STRONG_CORRELATION = 0.98


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors by name (NaN where not determined), correlations, and what the data does not determine.

    ``silent`` parameters do not move the model at all; ``entangled`` ones can be traded against each other. ``noise``
    is what the errors rest on, ``inflation`` the typical factor against errors for independent residuals, ``model_std``
    the standard error of the model at each sample.
    """

    stderr: dict[str, float]
    covariance: NDArray[np.float64]
    correlation: pd.DataFrame
    silent: list[str]
    entangled: list[str]
    inflation: float
    noise: ResidualNoise
    model_std: Samples


def estimate_uncertainty(
    residual: Residual,
    values: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
    shapes: Sequence[RecordShape],
    penalty: Penalty | None = None,
    weights: Samples | None = None,
    own_rows: Mapping[str, slice] | None = None,
) -> Uncertainty:
    """Standard errors of the parameters named in ``limits``.

    The covariance C of the residuals is found by restricted maximum likelihood (:mod:`residual_noise`), which knows how
    far the fit bent towards its own noise; the errors are those of least squares under it,
    ``(J'WJ)^-1 J'WCWJ (J'WJ)^-1`` with W the squares of the weights.

    Args:
        residual: the residual vector at given values.
        values: best values of all parameters.
        limits: free parameters and the range they may move in.
        shapes: how step noise spreads along each record, in the order of the residual.
        penalty: what else the fit kept small.
        weights: factor of each sample in the fit; the residual comes without them. Samples of weight 0 say nothing
            about the noise either.
        own_rows: as for :func:`jacobian_of`.
    """
    names = list(limits)
    rest = residual(values)
    weight = np.ones(len(rest)) if weights is None else weights
    kept = weight > 0
    marks = np.split(kept, np.cumsum([len(shape.damping) for shape in shapes])[:-1])
    shapes = [shape.at(mark) for shape, mark in zip(shapes, marks, strict=True)]
    edges = np.cumsum([np.count_nonzero(mark) for mark in marks])[:-1]
    jacobian = jacobian_of(residual, values, limits, own_rows)
    size = np.linalg.norm(jacobian * weight[:, None], axis=0) if names else np.zeros(0)
    known = size > 1e-9 * max(float(size.max(initial=0.0)), 1e-300)
    scaled = jacobian[:, known] / size[known] if known.any() else np.zeros((len(rest), 0))
    noise = fit_noise(shapes, np.split(rest[kept], edges), np.split(scaled[kept], edges), averaged=True)
    stderr = dict.fromkeys(names, float("nan"))
    correlation = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    full = np.full((len(names), len(names)), np.nan)
    silent = [name for name, ok in zip(names, known, strict=True) if not ok]
    if not known.any() or np.count_nonzero(kept) <= known.sum():
        return Uncertainty(stderr, full, correlation, silent, [], 1.0, noise, np.zeros(len(rest)))
    kept_names = [name for name, ok in zip(names, known, strict=True) if ok]
    pulled = scaled * weight[:, None]
    if penalty is not None:
        pulled = np.vstack([pulled, penalty.strength * penalty.matrix(kept_names) / size[known]])
    inverse, rank, loose = _pseudo_inverse(pulled)
    entangled = [kept_names[j] for j in sorted(loose)]
    freedom = max(int(np.count_nonzero(kept)) - rank, 1)
    plain = np.diag(inverse) * float((weight * rest) @ (weight * rest)) / freedom
    parts = np.split((scaled * weight[:, None] ** 2)[kept], edges)
    middle = sum(noise.covariance_of(shape, part) for shape, part in zip(shapes, parts, strict=True))
    covariance = np.asarray(inverse @ middle @ inverse)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    for j, name in enumerate(kept_names):
        if j not in loose:
            stderr[name] = float(errors[j] / size[known][j])
    if np.all(errors > 0):
        correlation.loc[kept_names, kept_names] = np.clip(covariance / np.outer(errors, errors), -1.0, 1.0)
    index = np.flatnonzero(known)
    full[np.ix_(index, index)] = covariance / np.outer(size[known], size[known])
    ratio = np.sqrt(np.diag(covariance) / np.where(plain > 0, plain, 1.0))
    model_std = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", scaled, covariance, scaled), 0.0))
    return Uncertainty(stderr, full, correlation, silent, entangled, float(np.median(ratio)), noise, model_std)


def _pseudo_inverse(pulled: Samples) -> tuple[Samples, int, set[int]]:
    """Inverse of ``pulled' pulled`` where it has one, its rank, and the columns that can be traded for others."""
    _, singular, vt = np.linalg.svd(pulled, full_matrices=False)
    weak = singular < 1e-6 * singular[0]
    loose: set[int] = set()
    for row in vt[weak]:
        loose |= {int(j) for j in np.flatnonzero(np.abs(row) > 0.1)}
    return (vt[~weak].T / singular[~weak] ** 2) @ vt[~weak], int((~weak).sum()), loose


def error_scale(
    name: str,
    residual: Residual,
    values: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
    shapes: Sequence[RecordShape],
    noise: ResidualNoise,
    penalty: Penalty | None,
    weights: Samples,
    own_rows: Mapping[str, slice] | None = None,
) -> float:
    """What the squared error rises by, on average, when a true parameter is replaced by its estimate.

    It is the variance of least squares over that for independent residuals of variance one; the rise is chi squared
    with one degree of freedom times this (Kent, Biometrika 69:19, 1982). NaN where the model does not move with the
    parameter.

    Args:
        name: of the parameter, one of ``limits``.
        residual, values, limits, penalty, weights, own_rows: as for :func:`estimate_uncertainty`.
        shapes: how step noise spreads at these values.
        noise: of the residuals.
    """
    jacobian = jacobian_of(residual, values, limits, own_rows)
    size = np.linalg.norm(jacobian * weights[:, None], axis=0)
    known = size > 1e-9 * max(float(size.max(initial=0.0)), 1e-300)
    names = [n for n, ok in zip(limits, known, strict=True) if ok]
    if name not in names:
        return float("nan")
    scaled = jacobian[:, known] / size[known]
    pulled = scaled * weights[:, None]
    if penalty is not None:
        pulled = np.vstack([pulled, penalty.strength * penalty.matrix(names) / size[known]])
    inverse, _, loose = _pseudo_inverse(pulled)
    here = names.index(name)
    if here in loose:
        return float("nan")
    row = scaled @ inverse[:, here] * weights**2  # what the estimate makes of each residual
    edges = np.cumsum([len(shape.damping) for shape in shapes])[:-1]
    variance = 0.0
    for shape, part, mark in zip(shapes, np.split(row, edges), np.split(weights > 0, edges), strict=True):
        variance += float(noise.covariance_of(shape.at(mark), part[mark, None])[0, 0])
    return variance / float(inverse[here, here])


def jacobian_of(
    residual: Residual,
    values: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
    own_rows: Mapping[str, slice] | None = None,
) -> NDArray[np.float64]:
    """Derivatives (samples, parameters), by central differences within the limits.

    Args:
        residual: vector at values.
        values: of all parameters.
        limits: parameters and the range they may move in.
        own_rows: of parameters that move no other samples; they share two evaluations.
    """
    ends = {}
    for name, (low, high) in limits.items():
        here = values[name]
        width = high - low if np.isfinite(high - low) else max(abs(here), 1.0)
        step = 1e-4 * max(abs(here), 1e-2 * width)
        ends[name] = max(here - step, low), min(here + step, high)
    local = {name: rows for name, rows in (own_rows or {}).items() if name in limits}
    columns = {}
    for name, (below, above) in ends.items():
        if name not in local:
            columns[name] = (residual({**values, name: above}) - residual({**values, name: below})) / (above - below)
    if local:
        upper, lower = ({**values, **{name: ends[name][side] for name in local}} for side in (1, 0))
        change = residual(upper) - residual(lower)
        for name, rows in local.items():
            columns[name] = np.zeros(len(change))
            columns[name][rows] = change[rows] / (ends[name][1] - ends[name][0])
    ordered = [columns[name] for name in limits]
    return np.stack(ordered, axis=1) if ordered else np.zeros((len(residual(values)), 0))


def strongly_correlated(correlation: pd.DataFrame, above: float = STRONG_CORRELATION) -> list[tuple[str, str, float]]:
    """Pairs of parameters whose correlation exceeds ``above``."""
    names = list(correlation.columns)
    matrix = correlation.to_numpy()
    return [
        (names[i], names[j], float(matrix[i, j]))
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if abs(matrix[i, j]) > above
    ]


def autocorrelation(residuals: Sequence[Samples], lag: int = 1) -> float:
    """Autocorrelation of residuals at a lag, over all records together."""
    top = sum(float(np.sum(r[lag:] * r[:-lag])) for r in residuals if len(r) > lag)
    bottom = sum(float(np.sum(r * r)) for r in residuals)
    return top / bottom if bottom > 0 else 0.0
