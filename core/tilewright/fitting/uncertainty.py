"""Standard errors that allow for residuals which depend on each other, and what the data cannot tell apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Residual = Callable[[Mapping[str, float]], Samples]

BLOCK = 50
STRONG_CORRELATION = 0.98


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors by name (NaN where not determined), correlations, and what the data does not determine.

    ``silent`` parameters do not move the model at all; ``entangled`` ones can be traded against each other.
    """

    stderr: dict[str, float]
    covariance: NDArray[np.float64]
    correlation: pd.DataFrame
    silent: list[str]
    entangled: list[str]
    inflation: float


def estimate_uncertainty(
    residual: Residual,
    values: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
    lengths: Sequence[int],
) -> Uncertainty:
    """Standard errors of the parameters named in ``limits``.

    Two estimates are made and the larger one is kept. One is the usual one from the Jacobian, times the number of
    neighbouring samples that are worth one independent sample. The other takes sums of the score over blocks of up to
    50 samples (White's sandwich over blocks, as in a block bootstrap); it also sees where along the record the
    correlation matters, but is noisy when there are few blocks.

    Args:
        residual: the residual vector at given values.
        values: best values of all parameters.
        limits: free parameters and the range they may move in.
        lengths: samples of each record, in the order of the residual.
    """
    names = list(limits)
    rest = residual(values)
    jacobian = _jacobian(residual, values, limits)
    scale = np.linalg.norm(jacobian, axis=0)
    known = scale > 1e-9 * max(float(scale.max(initial=0.0)), 1e-300)
    stderr = dict.fromkeys(names, float("nan"))
    correlation = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    full = np.full((len(names), len(names)), np.nan)
    silent = [name for name, ok in zip(names, known, strict=True) if not ok]
    if not known.any() or len(rest) <= known.sum():
        return Uncertainty(stderr, full, correlation, silent, [], 1.0)
    scaled = jacobian[:, known] / scale[known]
    _, singular, vt = np.linalg.svd(scaled, full_matrices=False)
    kept_names = [name for name, ok in zip(names, known, strict=True) if ok]
    weak = singular < 1e-6 * singular[0]
    loose: set[int] = set()
    for row in vt[weak]:
        loose |= {int(j) for j in np.flatnonzero(np.abs(row) > 0.1)}
    entangled = [kept_names[j] for j in sorted(loose)]
    inverse = (vt[~weak].T / singular[~weak] ** 2) @ vt[~weak]
    freedom = max(len(rest) - int((~weak).sum()), 1)
    plain = inverse * float(rest @ rest) / freedom
    sandwich = inverse @ _block_scores(scaled, rest, lengths) @ inverse
    dependent = np.diag(plain) * correlated_samples(np.split(rest, np.cumsum(lengths)[:-1]))
    variance = np.maximum(dependent, np.diag(sandwich))
    ratio = np.sqrt(variance / np.where(np.diag(plain) > 0, np.diag(plain), 1.0))
    errors = np.sqrt(variance) / scale[known]
    for j, name in enumerate(kept_names):
        if j not in loose:
            stderr[name] = float(errors[j])
    deviations = np.sqrt(np.diag(plain))
    if np.all(deviations > 0):
        matrix = np.clip(plain / np.outer(deviations, deviations), -1.0, 1.0)
        correlation.loc[kept_names, kept_names] = matrix
        index = np.flatnonzero(known)
        full[np.ix_(index, index)] = matrix * np.outer(errors, errors)
    return Uncertainty(stderr, full, correlation, silent, entangled, float(np.median(ratio)))


def _jacobian(
    residual: Residual, values: Mapping[str, float], limits: Mapping[str, tuple[float, float]]
) -> NDArray[np.float64]:
    columns = []
    for name, (low, high) in limits.items():
        here = values[name]
        width = high - low if np.isfinite(high - low) else max(abs(here), 1.0)
        step = 1e-4 * max(abs(here), 1e-2 * width)
        above, below = min(here + step, high), max(here - step, low)
        span = above - below
        columns.append((residual({**values, name: above}) - residual({**values, name: below})) / span)
    return np.stack(columns, axis=1)


def _block_scores(jacobian: NDArray[np.float64], rest: Samples, lengths: Sequence[int]) -> NDArray[np.float64]:
    """Sum over blocks of the outer product of each block's score, with the small-sample factor."""
    count = jacobian.shape[1]
    total = np.zeros((count, count))
    blocks = 0
    start = 0
    for length in lengths:
        size = int(np.clip(length // 8, 1, BLOCK))
        for at in range(start, start + length, size):
            stop = min(at + size, start + length)
            score = jacobian[at:stop].T @ rest[at:stop]
            total += np.outer(score, score)
            blocks += 1
        start += length
    return np.asarray(total * blocks / max(blocks - count, 1))


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


def correlated_samples(residuals: Sequence[Samples]) -> float:
    """How many neighbouring samples are worth one: 1 + 2 × the sum of autocorrelations until they fade; at least 1."""
    total = 1.0
    for lag in range(1, BLOCK + 1):
        value = autocorrelation(residuals, lag)
        if value < 0.05:
            break
        total += 2 * value
    return total


def autocorrelation(residuals: Sequence[Samples], lag: int = 1) -> float:
    """Autocorrelation of residuals at a lag, over all records together."""
    top = sum(float(np.sum(r[lag:] * r[:-lag])) for r in residuals if len(r) > lag)
    bottom = sum(float(np.sum(r * r)) for r in residuals)
    return top / bottom if bottom > 0 else 0.0
