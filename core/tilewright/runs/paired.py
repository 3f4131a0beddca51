"""Intervals and tests for few repetitions: what a mean over three seeds is worth, and whether two settings differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.special import stdtrit

Interval = tuple[float, float, float]
LEVEL = 0.05


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean with the confidence interval of Student's t; the interval is nan for fewer than two values."""
    if not values:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    quantile = float(stdtrit(len(values) - 1, (1 + confidence) / 2))
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def two_way_interval(values: Sequence[Sequence[float]], confidence: float = 0.95) -> Interval:
    """Mean with an interval for new rows and new columns, of a full table (rows, columns) of two random effects.

    The variance of the grand mean is estimated by (MS rows + MS columns - MS rest) / n, at least by the larger of the
    first two over n, with degrees of freedom by Satterthwaite's approximation.
    Source: Searle, Casella, McCulloch, Variance Components (1992), chapter 4.
    """
    table = np.asarray(values, dtype=float)
    a, b = table.shape
    mean = float(table.mean())
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    rest = table - rows[:, None] - columns[None, :] + mean
    ms_rows, ms_columns = b * rows.var(ddof=1), a * columns.var(ddof=1)
    ms_rest = float((rest**2).sum()) / ((a - 1) * (b - 1))
    together = ms_rows + ms_columns - ms_rest
    if together > max(ms_rows, ms_columns):
        parts = ms_rows**2 / (a - 1) + ms_columns**2 / (b - 1) + ms_rest**2 / ((a - 1) * (b - 1))
        freedom = together**2 / parts
    else:
        together, freedom = (ms_rows, a - 1) if ms_rows >= ms_columns else (ms_columns, b - 1)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(together / table.size)
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class PairedDifference:
    """Two settings compared over the repetitions that both have.

    Attributes:
        first: name of one setting.
        second: name of the other.
        pairs: repetitions (equal seeds for data, weights and devices) that both have.
        mean: mean of first minus second.
        low: lower end of its 95 % interval (Student's t on the differences).
        high: upper end.
        p: two-sided p value of the paired t test; nan for fewer than two pairs.
        p_adjusted: the same after Holm's correction for all comparisons made together.
        p_wilcoxon: exact signed-rank test, which assumes no normal distribution; it cannot fall below 2 / 2^pairs.
    """

    first: str
    second: str
    pairs: int
    mean: float
    low: float
    high: float
    p: float
    p_adjusted: float
    p_wilcoxon: float

    @property
    def verdict(self) -> str:
        """In words."""
        if self.pairs < 2:
            return "too few common seeds to tell"
        if self.p_adjusted < LEVEL:
            return f"{self.first if self.mean > 0 else self.second} is higher"
        return "no difference shown"


def paired_differences(settings: Mapping[str, Mapping[object, float]]) -> list[PairedDifference]:
    """Every pair of settings.

    Args:
        settings: name to the values of its runs, by what identifies a repetition (its seeds).
    """
    names = list(settings)
    found = [_difference(a, b, settings[a], settings[b]) for i, a in enumerate(names) for b in names[i + 1 :]]
    adjusted = holm([difference.p for difference in found])
    return [replace(difference, p_adjusted=p) for difference, p in zip(found, adjusted, strict=True)]


def _difference(
    first: str, second: str, one: Mapping[object, float], other: Mapping[object, float]
) -> PairedDifference:
    common = [key for key in one if key in other and math.isfinite(one[key]) and math.isfinite(other[key])]
    differences = np.array([one[key] - other[key] for key in common])
    mean, low, high = mean_interval(list(differences))
    p = p_wilcoxon = math.nan
    if len(common) > 1:
        spread = float(np.std(differences, ddof=1))
        if spread > 0:
            t = mean / (spread / math.sqrt(len(common)))
            p = float(2 * stats.t.sf(abs(t), len(common) - 1))
        else:
            p = 1.0 if mean == 0 else 0.0  # the same difference in every pair
        if np.any(differences != 0):
            p_wilcoxon = float(stats.wilcoxon(differences, method="exact" if _no_ties(differences) else "auto").pvalue)
        else:
            p_wilcoxon = 1.0
    return PairedDifference(first, second, len(common), mean, low, high, p, p, p_wilcoxon)


def _no_ties(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    sizes = np.abs(differences)
    return bool(np.all(sizes > 0) and len(np.unique(sizes)) == len(sizes))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for being the results of several tests; nan stays nan.

    Source: Holm, Scand. J. Statist. 6:65 (1979).
    """
    known = sorted((p, k) for k, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    so_far = 0.0
    for rank, (p, k) in enumerate(known):
        so_far = max(so_far, min(1.0, (len(known) - rank) * p))
        adjusted[k] = so_far
    return adjusted
