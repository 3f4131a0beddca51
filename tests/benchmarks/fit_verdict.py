"""What each cause costs an algorithm: the constants of the verdict, from the recorded trainings of ``chosen-by``.

    python tests/benchmarks/fit_verdict.py

Prints the constants, how far predictions are off devices that were left out of the fit (ten parts in turn), and how
far the algorithm that is then chosen lies behind the best.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from evidence import Results, stored
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar, nnls
from scipy.stats import norm
from verdict_against_training import ALGORITHMS, DEVICES, LINES, NAME, PARTS, VECTORS, accuracies

from tilewright.fitting.verdict import causes_of, lost, numbers_of

GUESSING = 0.85  # wrong answers from which on a training has not learned, whatever it lost
NEGLIGIBLE = 0.05  # loss up to which errors of the prediction count as they are, not as a share
FOLDS = 10

Array = NDArray[np.float64]
Costs = dict[str, dict[str, float]]


@functools.cache
def causes(algorithm: str, device: str) -> dict[str, float]:
    """The size of each cause on a device."""
    return causes_of(algorithm, _numbers(device))


@functools.cache
def _numbers(device: str):  # type: ignore[no-untyped-def]
    return numbers_of(DEVICES[device], vectors=VECTORS, lines=LINES)


def seen(results: Results, algorithm: str, devices: Sequence[str]) -> Array:
    """What the recorded trainings lost."""
    wrong = (1 - float(accuracies(results, device)[algorithm].mean()) for device in devices)
    return np.array([lost(min(share, GUESSING)) for share in wrong])


def fitted_costs(results: Results, devices: Sequence[str]) -> Costs:
    """Least squares of what was lost, relative to it, with costs that are not negative."""
    costs = {}
    for algorithm in ALGORITHMS:
        wanted = seen(results, algorithm, devices)
        weight = 1 / (wanted + NEGLIGIBLE)
        names = list(causes(algorithm, devices[0]))
        sizes = np.array([[causes(algorithm, device)[name] for name in names] for device in devices])
        found, _ = nnls(sizes * weight[:, None], wanted * weight)
        costs[algorithm] = {name: float(f"{value:.2g}") for name, value in zip(names, found, strict=True)}
    return costs


def predicted(costs: Costs, algorithm: str, device: str) -> float:
    """What is expected to be lost."""
    return sum(costs[algorithm][name] * size for name, size in causes(algorithm, device).items())


def left_out(results: Results, devices: Sequence[str]) -> dict[str, dict[str, float]]:
    """Predictions for each device by a fit to the other nine parts."""
    found = {}
    for part in range(FOLDS):
        costs = fitted_costs(results, [device for n, device in enumerate(devices) if n % FOLDS != part])
        for device in devices[part::FOLDS]:
            found[device] = {algorithm: predicted(costs, algorithm, device) for algorithm in ALGORITHMS}
    return found


def spread(results: Results, predictions: dict[str, dict[str, float]]) -> float:
    """Spread of differences of two algorithms that tells best how often the better one of a prediction is better."""
    gaps, right = [], []
    for device, values in predictions.items():
        one, other = sorted(values, key=lambda name: values[name])[:2]
        gaps.append((values[other] - values[one]) / math.hypot(values[one], values[other]))
        means = {name: float(accuracies(results, device)[name].mean()) for name in (one, other)}
        right.append(means[one] >= means[other])

    def unlikely(logarithm: float) -> float:
        chance = np.clip(norm.cdf(np.array(gaps) / math.exp(logarithm)), 1e-6, 1 - 1e-6)
        return -float(np.log(np.where(right, chance, 1 - chance)).sum())

    return math.exp(minimize_scalar(unlikely, bounds=(-5, 2), method="bounded").x)


def behind(results: Results, predictions: dict[str, dict[str, float]]) -> Array:
    """How far the choice lies behind the best, device by device."""
    gaps = []
    for device, values in predictions.items():
        means = {name: float(found.mean()) for name, found in accuracies(results, device).items()}
        gaps.append(max(means.values()) - means[min(values, key=lambda name: values[name])])
    return np.array(gaps)


def main() -> None:
    """Print constants and evidence."""
    results = stored(NAME)
    devices = [device for device in PARTS["chosen-by"] if accuracies(results, device)]
    print(len(devices), "devices")
    for algorithm, costs in fitted_costs(results, devices).items():
        print(f'"{algorithm}":', costs)
    predictions = left_out(results, devices)
    print("spread", f"{spread(results, predictions):.2g}")
    for algorithm in ALGORITHMS:
        wanted = seen(results, algorithm, devices)
        off = np.array([predictions[device][algorithm] for device in devices]) - wanted
        print(f"{algorithm}: off by {np.median(np.abs(off) / (wanted + NEGLIGIBLE)):.0%} of what is lost (median)")
    gaps = behind(results, predictions)
    print(f"choice behind the best by {gaps.mean():.4f} on average; by 0.01 at most on {np.mean(gaps <= 0.01):.0%}")


if __name__ == "__main__":
    main()
