"""Figures of training runs: loss and accuracy while they learn, and side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.figures.frame import COUNT_AXIS, empty_figure, framed, thinned
from tilewright.figures.names import literal, shortened, told_apart
from tilewright.figures.palette import DASHES, algorithm_colour, algorithm_key, algorithm_label

Array = NDArray[Any]


@dataclass(frozen=True)
class Curve:
    """One metric of one run.

    Attributes:
        label: name of the run.
        algorithm: decides the colour.
        x: step or epoch of each value.
        y: the values.
    """

    label: str
    algorithm: str
    x: Sequence[float] | Array
    y: Sequence[float] | Array


def plot_losses(
    curves: Sequence[Curve],
    *,
    y_title: str = "Training loss",
    x_title: str = "Samples seen",
    log_y: bool = False,
    smooth: int = 1,
    key: str = "losses",
) -> go.Figure:
    """Curves of one metric, a run each, coloured by algorithm; runs of one algorithm differ by their dash.

    Args:
        curves: what to draw; empty ones are left out.
        y_title: name of the metric.
        x_title: name of the horizontal axis.
        log_y: logarithmic vertical axis.
        smooth: length of a running mean drawn over the pale raw curve; 1 draws the curve as it is.
        key: keeps zoom and hidden curves when the figure is drawn again.
    """
    drawn = [curve for curve in curves if len(curve.x)]
    if not drawn:
        return empty_figure("Nothing to draw yet: the first values arrive in a few seconds.", height=380)
    traces: list[dict[str, Any]] = []
    count: dict[str, int] = {}
    for curve, label in zip(drawn, told_apart([curve.label for curve in drawn]), strict=True):
        kind = algorithm_key(curve.algorithm)
        turn = count.get(kind, 0)
        count[kind] = turn + 1
        traces += _curve(curve, literal(shortened(label)), DASHES[turn % len(DASHES)], smooth)
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {**COUNT_AXIS, "title": x_title, "rangemode": "tozero"},
        "yaxis": {**COUNT_AXIS, "title": y_title, "type": "log" if log_y else "linear"},
    }
    # The legend stands above the plot, about two names a line.
    return framed(traces, axes, key=key, height=400 + 20 * max(0, -(-len(drawn) // 2) - 2))


def _curve(curve: Curve, label: str, dash: str, smooth: int) -> list[dict[str, Any]]:
    colour = algorithm_colour(curve.algorithm)
    x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
    traces: list[dict[str, Any]] = []
    if smooth > 1 and len(y) > smooth:
        keep = thinned(len(x), 600)
        traces.append(
            {
                "x": x[keep], "y": y[keep], "mode": "lines", "line": {"color": colour, "width": 1}, "opacity": 0.25,
                "showlegend": False, "name": f"{label}, each value", "hoverinfo": "skip",
            }
        )  # fmt: skip
        y = running_mean(y, smooth)
    keep = thinned(len(x), 800)
    traces.append(
        {
            "x": x[keep], "y": y[keep], "name": label, "mode": "lines+markers" if len(x) <= 30 else "lines",
            "line": {"color": colour, "width": 2.5, "dash": dash}, "marker": {"size": 7},
            "hovertemplate": f"%{{x:,.0f}}<br>%{{y:.4g}}<extra>{literal(curve.label)}</extra>",
        }
    )  # fmt: skip
    return traces


def running_mean(values: Array, length: int) -> Array:
    """Mean of up to ``length`` values ending at each place; same length as ``values``."""
    total = np.cumsum(np.concatenate([[0.0], np.asarray(values, dtype=float)]))
    ends = np.arange(1, len(total))
    starts = np.maximum(ends - length, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))


def plot_comparison(values: Mapping[str, Sequence[float]], *, y_title: str = "Test accuracy (%)") -> go.Figure:
    """One bar an algorithm at the mean over its runs, with a dot for each run.

    Args:
        values: algorithm to the values of its runs; not-a-number values are left out.
        y_title: name of the metric.
    """
    kept = {name: [v for v in numbers if np.isfinite(v)] for name, numbers in values.items()}
    kept = {name: numbers for name, numbers in kept.items() if numbers}
    if not kept:
        return empty_figure("No finished run among those chosen yet.", height=300)
    traces: list[dict[str, Any]] = []
    for name, numbers in kept.items():
        label, colour = algorithm_label(name), algorithm_colour(name)
        traces.append(
            {
                "type": "bar", "x": [label], "y": [float(np.mean(numbers))], "name": label, "width": 0.55,
                "marker": {"color": colour, "opacity": 0.85}, "text": [f"{np.mean(numbers):.1f}"],
                "textposition": "outside", "cliponaxis": False,
                "hovertemplate": "%{x}<br>mean %{y:.2f}<extra></extra>",
            }
        )  # fmt: skip
        if len(numbers) > 1:
            traces.append(
                {
                    "x": [label] * len(numbers), "y": numbers, "mode": "markers", "name": f"{label}, each run",
                    "marker": {"size": 8, "color": colour, "line": {"width": 1.5, "color": "white"}},
                    "hovertemplate": "%{x}<br>%{y:.2f}<extra></extra>",
                }
            )  # fmt: skip
    top = max(max(numbers) for numbers in kept.values())
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"ticks": ""},
        "yaxis": {"title": y_title, "range": [0, top * 1.15 if top > 0 else 1]},
    }
    return framed(traces, axes, key="comparison", height=400, legend=False)
