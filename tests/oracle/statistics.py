"""Comparisons of samples with expectations at a stated false-alarm rate."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

# Chance that a whole call fails although the code is right, whatever the number of entries compared.
FALSE_ALARM = 1e-7


def limit(entries: int, false_alarm: float = FALSE_ALARM) -> float:
    """Two-sided bound in standard errors that ``entries`` comparisons together exceed with chance ``false_alarm``."""
    return float(norm.isf(false_alarm / (2 * max(entries, 1))))


def standard_error_of_std(samples: np.ndarray) -> np.ndarray:
    """Standard error of the standard deviation along axis 0, for any distribution with four moments."""
    n = len(samples)
    centred = samples - samples.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    fourth = (centred**4).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(fourth - variance**2, 0) / n) / (2 * np.sqrt(variance))
    return np.where(variance > 0, error, 0.0)


def assert_mean(samples: np.ndarray, expected: np.ndarray | float, what: str, rounding: float = 1e-6) -> None:
    """Mean along axis 0 equals ``expected`` by a z test over all entries together."""
    samples = np.asarray(samples, dtype=float)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    _judge(samples.mean(axis=0), expected, error, f"mean of {what}, n = {len(samples)}", rounding)


def assert_std(samples: np.ndarray, expected: np.ndarray | float, what: str, rounding: float = 1e-6) -> None:
    """Standard deviation along axis 0 equals ``expected`` by a z test over all entries together."""
    samples = np.asarray(samples, dtype=float)
    error = standard_error_of_std(samples)
    _judge(samples.std(axis=0, ddof=1), expected, error, f"std of {what}, n = {len(samples)}", rounding)


def assert_same_distribution(left: np.ndarray, right: np.ndarray, what: str, rounding: float = 1e-6) -> None:
    """Means and standard deviations of two independent samples agree along axis 0."""
    left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    mean_error = np.sqrt(left.var(axis=0, ddof=1) / len(left) + right.var(axis=0, ddof=1) / len(right))
    std_error = np.hypot(standard_error_of_std(left), standard_error_of_std(right))
    sizes = f"n = {len(left)} and {len(right)}"
    _judge(left.mean(axis=0), right.mean(axis=0), mean_error, f"mean of {what}, {sizes}", rounding)
    _judge(left.std(axis=0, ddof=1), right.std(axis=0, ddof=1), std_error, f"std of {what}, {sizes}", rounding)


def _judge(found: np.ndarray, expected: np.ndarray | float, error: np.ndarray, what: str, rounding: float) -> None:
    found, expected, error = np.broadcast_arrays(found, np.asarray(expected, dtype=float), error)
    allowed = limit(found.size) * error + rounding
    excess = np.abs(found - expected) - allowed
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape) if excess.shape else ()
    assert np.all(excess <= 0), (
        f"{what}: at {tuple(int(k) for k in worst)} found {found[worst]:.6g}, expected {expected[worst]:.6g}, "
        f"allowed difference {allowed[worst]:.3g} (false-alarm rate {FALSE_ALARM:g} over {found.size} entries)"
    )
