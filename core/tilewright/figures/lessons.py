"""Figures of the lessons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.figures.device import WEIGHT
from tilewright.figures.frame import COUNT_AXIS, framed, thinned
from tilewright.figures.palette import DOWN, REFERENCE, UP, algorithm_colour, algorithm_label


def plot_coincidences(counts: NDArray[np.int64], probabilities: NDArray[Any]) -> go.Figure:
    """Share of the updates with each number of pulses, beside the probability of that number.

    Args:
        counts: pulses of each update.
        probabilities: of 0, 1, 2 ... pulses.
    """
    numbers = np.arange(len(probabilities))
    shares = np.bincount(counts, minlength=len(probabilities)) / max(len(counts), 1)
    # Far from the mean there is nothing to see.
    seen = np.flatnonzero((probabilities > 1e-4) | (shares > 0))
    low, high = float(seen[0]), float(seen[-1])
    traces: list[dict[str, Any]] = [
        {
            "type": "bar", "x": numbers, "y": shares, "name": "Updates", "marker": {"color": DOWN},
            "hovertemplate": "%{x} pulses: %{y:.1%} of the updates<extra></extra>",
        },
        {
            "x": numbers, "y": probabilities, "mode": "lines+markers", "name": "Binomial",
            "line": {"color": UP, "width": 2}, "hovertemplate": "%{x} pulses: expected %{y:.1%}<extra></extra>",
        },
    ]  # fmt: skip
    axes = {
        "xaxis": {**COUNT_AXIS, "title": "Pulses of an update", "range": [low - 0.7, high + 0.7]},
        "yaxis": {"title": "Share of the updates", "tickformat": ".0%", "rangemode": "tozero"},
    }
    return framed(traces, axes, key="coincidences", height=380)


def plot_one_weight(
    paths: Mapping[str, NDArray[np.float64]], target: float, rest: float | None, w_max: float, w_min: float
) -> go.Figure:
    """Weight against updates for each algorithm.

    Args:
        paths: weight before the first and after each update, by the name of the algorithm.
        target: where it should be.
        rest: where plain SGD comes to rest; None shows no line.
        w_max: upper bound of the device.
        w_min: lower bound.
    """
    updates = max((len(path) - 1 for path in paths.values()), default=1)
    traces: list[dict[str, Any]] = [
        {
            "x": thinned(len(path)), "y": path[thinned(len(path))], "mode": "lines", "name": algorithm_label(name),
            "line": {"color": algorithm_colour(name), "width": 1.6},
            "hovertemplate": "update %{x}: weight %{y:.3f}<extra>%{fullData.name}</extra>",
        }
        for name, path in paths.items()
    ]  # fmt: skip
    levels = [("Target", target, "solid", REFERENCE)]
    if rest is not None:
        levels.append(("Rest of plain SGD", rest, "dash", REFERENCE))
    traces += [
        {
            "x": [0, updates], "y": [level] * 2, "mode": "lines", "name": name,
            "line": {"color": colour, "width": 1.6, "dash": dash}, "hovertemplate": f"{name} %{{y:.3f}}<extra></extra>",
        }
        for name, level, dash, colour in levels
    ]  # fmt: skip
    axes = {
        "xaxis": {**COUNT_AXIS, "title": "Update", "range": [0, updates]},
        "yaxis": {"title": WEIGHT, "range": [min(w_min * 0.25, target), max(w_max, target)]},
    }
    return framed(traces, axes, key="one-weight", height=420)
