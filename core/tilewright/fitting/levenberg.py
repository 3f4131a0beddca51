"""Least squares between bounds: Levenberg-Marquardt with an active set, for models that are cheap to evaluate.

A general solver spends more on its own algebra than our compiled responses cost, and factors a tall matrix at every
step; here only the small normal equations are solved. Source: Nocedal and Wright, Numerical Optimization, 2nd ed.
(2006), sections 10.3 and 16.7; damping as in Nielsen (1999).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Function = Callable[[Samples], Samples]

RELATIVE_STEP = 1e-6
MOST_DAMPING = 1e14
MANY = 20  # parameters from which on a matrix product pays


def least_squares(
    function: Function,
    start: Samples,
    low: Samples,
    high: Samples,
    evaluations: int,
    tolerance: float,
    own_rows: Mapping[int, slice] | None = None,
) -> tuple[Samples, float]:
    """Where the sum of squares is smallest between the bounds, and that sum; never worse than the start.

    Args:
        function: residual vector at parameters.
        start, low, high: parameters (n,) and what they stay between; infinite where there is no bound.
        evaluations: about how often the function may be called.
        tolerance: relative change of the sum of squares, or of all parameters, at which the search ends.
        own_rows: of parameters, by number, that move no other entries of the residual; they share an evaluation.
    """
    local = dict(own_rows or {})
    x = np.clip(np.asarray(start, dtype=float), low, high)
    residual = function(x)
    error, calls = float(residual @ residual), 1
    damping, growth = 1e-3, 2.0
    while calls < evaluations and error > 0:
        jacobian = forward_differences(function, x, residual, low, high, local)
        calls += len(x) - max(len(local) - 1, 0)
        gradient = jacobian @ residual
        # without threads, which cost more than they bring where parameters are few
        normal = jacobian @ jacobian.T if len(x) > MANY else np.einsum("ik,jk->ij", jacobian, jacobian)
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0)) | (scale <= 1e-140)
        improved = False
        while calls < evaluations and damping < MOST_DAMPING:
            trial = _step(x, low, high, gradient, normal, scale, held, damping)
            attempt = function(trial)
            calls += 1
            trial_error = float(attempt @ attempt)
            if np.isfinite(trial_error) and trial_error < error:
                gain, moved = (error - trial_error) / error, np.abs(trial - x) / np.maximum(np.abs(x), 1e-8)
                x, residual, error, improved = trial, attempt, trial_error, True
                damping, growth = max(damping * 0.2, 1e-12), 2.0
                break
            damping, growth = damping * growth, growth * 2
        if not improved or gain < tolerance or float(np.max(moved)) < tolerance:
            break
    return x, error


def forward_differences(
    function: Function, x: Samples, residual: Samples, low: Samples, high: Samples, own_rows: Mapping[int, slice]
) -> Samples:
    """Derivatives (parameters, samples) of the residual; steps point inward where a bound is near."""
    width = high - low
    size = RELATIVE_STEP * np.maximum(np.abs(x), np.where(np.isfinite(width), 1e-3 * width, 1e-3))
    steps = np.where(x + size > high, -size, size)
    derivatives = np.zeros((len(x), len(residual)))
    for j in range(len(x)):
        if j not in own_rows:
            moved = x.copy()
            moved[j] += steps[j]
            derivatives[j] = (function(moved) - residual) / steps[j]
    if own_rows:
        chosen = list(own_rows)
        moved = x.copy()
        moved[chosen] += steps[chosen]
        change = function(moved) - residual
        for j, rows in own_rows.items():
            derivatives[j, rows] = change[rows] / steps[j]
    return derivatives


def _step(
    x: Samples, low: Samples, high: Samples, gradient: Samples, normal: Samples, scale: Samples,
    held: NDArray[np.bool_], damping: float,
) -> Samples:  # fmt: skip
    """The damped step, taken again without those parameters that it would carry past a bound."""
    held = held.copy()
    trial = x.copy()
    for _ in range(len(x)):
        free = np.flatnonzero(~held)
        if not len(free):
            break
        matrix = normal[np.ix_(free, free)] / np.outer(scale[free], scale[free])
        right = -gradient[free] / scale[free]
        pinned = np.flatnonzero(held & (trial != x))
        if len(pinned):  # what the pinned ones move already
            right -= normal[np.ix_(free, pinned)] @ (trial - x)[pinned] / scale[free]
        solution = np.linalg.solve(matrix + damping * np.eye(len(free)), right) / scale[free]
        wanted = x[free] + solution
        outside = (wanted < low[free]) | (wanted > high[free])
        trial[free] = np.clip(wanted, low[free], high[free])
        if not outside.any():
            break
        held[free[outside]] = True
    return trial
