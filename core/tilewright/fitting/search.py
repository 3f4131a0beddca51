"""Finding the least squares of a fit: many starts looked at, the best few followed downhill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from tilewright.fitting.levenberg import least_squares
from tilewright.fitting.objective import Objective

CANDIDATES = 256
FOLLOWED = 5
MOST_SCREENED = 10  # parameters; in more dimensions a few hundred points tell nothing
WIDE = 20.0  # ratio of the ends of a range from which on it is searched on a logarithmic scale


def squared_error(objective: Objective, parameters: Any) -> float:
    """Sum of squares at the values of the parameters."""
    residual = objective.residual(values_of(parameters))
    return float(residual @ residual)


def values_of(parameters: Any) -> dict[str, float]:
    """Plain numbers by name."""
    return {name: float(item.value) for name, item in parameters.items()}


def inside(parameters: Any) -> Any:
    """A copy with every varied value strictly inside its range."""
    moved = parameters.copy()
    for item in moved.values():
        if item.vary and np.isfinite(item.min) and np.isfinite(item.max):
            margin = 1e-7 * (item.max - item.min)
            item.value = float(np.clip(item.value, item.min + margin, item.max - margin))
    return moved


def downhill(objective: Objective, start: Any, evaluations: int = 400, precise: bool = False) -> tuple[Any, float]:
    """Least squares from a start: best parameters and their squared error, never worse than the start."""
    names = [name for name, item in start.items() if item.vary]
    moved = start.copy()
    tied = any(item.expr for item in moved.values())
    held = {name: value for name, value in values_of(moved).items() if name not in names}

    def residual(x: NDArray[np.float64]) -> NDArray[np.float64]:
        values = dict(zip(names, x.tolist(), strict=True))
        if tied:
            for name, value in values.items():
                moved[name].value = value
            return objective.watched(values_of(moved))
        return objective.watched(held | values)

    first, low, high = (
        np.array([float(getattr(start[name], kind)) for name in names]) for kind in ("value", "min", "max")
    )
    own = {} if tied else {names.index(n): rows for n, rows in objective.own_rows.items() if n in names}
    x, error = least_squares(residual, first, low, high, evaluations, 1e-12 if precise else 1e-5, own)
    for name, value in zip(names, x.tolist(), strict=True):
        moved[name].value = value
    return moved, error


def from_many_starts(objective: Objective, start: Any, seed: int = 0) -> Any:
    """Best parameters found from the given start and from the most promising of many others.

    Args:
        objective: what is minimised.
        start: parameters with their ranges.
        seed: of the other starts, a low-discrepancy sequence over the ranges.
    """
    starts = objective.start_names  # of the records: the data tells them well enough
    names = [n for n, item in start.items() if item.vary and np.isfinite(item.max - item.min) and n not in starts]
    trials = [start]
    if 0 < len(names) <= MOST_SCREENED and not any(item.expr for item in start.values()):
        ranked = sorted(_candidates(start, names, seed), key=lambda trial: _error_of(objective, trial))
        trials += [_with_values(start, values) for values in ranked[:FOLLOWED]]
    found = [downhill(objective, trial) for trial in trials]
    return min(found, key=lambda pair: pair[1])[0]


def _error_of(objective: Objective, values: Mapping[str, float]) -> float:
    """The squared error, infinite where the model has none."""
    residual = objective.watched(values)
    error = float(residual @ residual)
    return error if math.isfinite(error) else math.inf


def _candidates(start: Any, names: list[str], seed: int) -> list[dict[str, float]]:
    points = qmc.Sobol(len(names), seed=seed).random(CANDIDATES)
    columns = np.stack([_spread(start[name], points[:, j]) for j, name in enumerate(names)], axis=1)
    first = values_of(start)
    return [first | dict(zip(names, row, strict=True)) for row in columns.tolist()]


def _with_values(parameters: Any, values: Mapping[str, float]) -> Any:
    made = parameters.copy()
    for name, value in values.items():
        if made[name].vary:
            made[name].value = value
    return made


def _spread(item: Any, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values over a range; half of them within the tenth of the range around the first guess."""
    low, high, guess = float(item.min), float(item.max), float(item.value)
    logarithmic = low > 0 and high / low > WIDE
    if logarithmic:
        low, high, guess = math.log(low), math.log(high), math.log(max(guess, float(item.min)))
    near = share < 0.5
    around = np.clip(guess + (4 * share - 1) * 0.1 * (high - low), low, high)
    anywhere = low + (2 * share - 1) * (high - low)
    found = np.where(near, around, anywhere)
    return np.exp(found) if logarithmic else found
