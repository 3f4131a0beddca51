"""Figures that put settings side by side: curves with bands, intervals, maps over two fields, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.figures.frame import COUNT_AXIS, empty_figure, framed, thinned
from tilewright.figures.names import in_lines, literal, shortened, told_apart
from tilewright.figures.palette import DASHES, GROUND, SCALE, SEQUENCE, algorithm_colour, translucent
from tilewright.figures.training import Curve, running_mean

Array = NDArray[Any]
POINTS = 400


def setting_colours(algorithms: Mapping[str, str]) -> dict[str, str]:
    """A colour for each setting: that of its algorithm while that tells them apart, else one after the other."""
    own = {name: algorithm_colour(algorithm) for name, algorithm in algorithms.items()}
    if len(set(own.values())) == len(own):
        return own
    return {name: SEQUENCE[k % len(SEQUENCE)] for k, name in enumerate(own)}


def plot_bands(
    settings: Mapping[str, Sequence[Curve]],
    *,
    y_title: str,
    x_title: str = "Samples seen",
    log_y: bool = False,
    smooth: int = 1,
    key: str = "bands",
) -> go.Figure:
    """The mean curve of each setting over its runs, within a band from its lowest to its highest run.

    Args:
        settings: name to the curves of its runs; runs of other lengths are drawn as far as all of them go.
        y_title: name of the metric.
        x_title: name of the horizontal axis.
        log_y: logarithmic vertical axis.
        smooth: length of a running mean over each curve; 1 takes it as it is.
        key: keeps zoom and hidden curves when the figure is drawn again.
    """
    drawn = {name: [c for c in curves if len(c.x)] for name, curves in settings.items()}
    drawn = {name: curves for name, curves in drawn.items() if curves}
    if not drawn:
        return empty_figure("Nothing to draw yet: the first values arrive in a few seconds.", height=400)
    colours = setting_colours({name: curves[0].algorithm for name, curves in drawn.items()})
    traces: list[dict[str, Any]] = []
    short = dict(zip(drawn, told_apart(list(drawn)), strict=True))
    for number, (name, curves) in enumerate(drawn.items()):
        x, values = _aligned(curves, smooth)
        colour, group = colours[name], f"{number}"
        if len(curves) > 1:
            edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            edge |= {"legendgroup": group}
            traces.append({**edge, "y": values.max(axis=0), "name": literal(f"{name}, highest")})
            band = {"fill": "tonexty", "fillcolor": translucent(colour, 0.18), "name": literal(f"{name}, lowest")}
            traces.append({**edge, "y": values.min(axis=0), **band})
        traces.append(
            {
                "x": x, "y": values.mean(axis=0), "name": literal(shortened(short[name])), "legendgroup": group,
                "mode": "lines+markers" if len(x) <= 30 else "lines", "marker": {"size": 6},
                "line": {"color": colour, "width": 2.5, "dash": DASHES[(number // len(SEQUENCE)) % len(DASHES)]},
                "hovertemplate": f"%{{x:,.0f}}<br>%{{y:.4g}}<extra>{literal(name)}</extra>",
            }
        )  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {**COUNT_AXIS, "title": x_title, "rangemode": "tozero"},
        "yaxis": {"title": y_title, "type": "log" if log_y else "linear"},
    }
    return framed(traces, axes, key=key, height=420)


def _aligned(curves: Sequence[Curve], smooth: int) -> tuple[Array, Array]:
    """Values of all runs at common places: those of the run with the fewest, as far as every run goes."""
    arrays = [(np.asarray(c.x, dtype=float), np.asarray(c.y, dtype=float)) for c in curves]
    end = min(x[-1] for x, _ in arrays)
    grid = min((x for x, _ in arrays), key=len)
    grid = grid[grid <= end]
    grid = grid if len(grid) else np.array([end])
    grid = grid[thinned(len(grid), POINTS)]
    rows = [np.interp(grid, x, running_mean(y, smooth) if smooth > 1 else y) for x, y in arrays]
    return grid, np.array(rows)


def plot_intervals(
    settings: Sequence[tuple[str, str, float, float, float]], values: Mapping[str, Sequence[float]], *, x_title: str
) -> go.Figure:
    """The mean of each setting with its interval, and a small dot for each run; best at the top.

    Args:
        settings: ``(name, algorithm, mean, low, high)``, best first; an interval of nan is left out.
        values: name to the values of its runs.
        x_title: name of the figure.
    """
    kept = [entry for entry in settings if math.isfinite(entry[2])]
    if not kept:
        return empty_figure("No run among those chosen has this figure yet.", height=240)
    colours = setting_colours({name: algorithm for name, algorithm, *_ in kept})
    traces: list[dict[str, Any]] = []
    for place, (name, _, mean, low, high) in enumerate(reversed(kept)):
        colour = colours[name]
        single = [value for value in values.get(name, ()) if math.isfinite(value)]
        traces.append(
            {
                "x": single, "y": [place] * len(single), "mode": "markers", "name": literal(f"{name}, each run"),
                "marker": {"size": 6, "color": colour, "opacity": 0.45}, "hovertemplate": "%{x:.4g}<extra></extra>",
            }
        )  # fmt: skip
        known = math.isfinite(low)
        traces.append(
            {
                "x": [mean], "y": [place], "mode": "markers", "name": literal(name),
                "marker": {"size": 12, "color": colour, "symbol": "diamond"},
                "error_x": {
                    "type": "data", "symmetric": False, "array": [high - mean if known else 0],
                    "arrayminus": [mean - low if known else 0], "color": colour, "thickness": 2, "width": 6,
                },
                "hovertemplate": f"{literal(name)}<br>mean %{{x:.4g}}<extra></extra>",
            }
        )  # fmt: skip
    labels = [in_lines(name) for name in told_apart([name for name, *_ in reversed(kept)])]
    places: dict[str, Any] = {"tickvals": list(range(len(kept))), "ticktext": labels, "range": [-0.6, len(kept) - 0.4]}
    axes: dict[str, dict[str, Any]] = {"xaxis": {"title": x_title}, "yaxis": {"ticks": "", **places}}
    return framed(traces, axes, key="intervals", height=max(200, 70 + 40 * len(kept)), legend=False)


def plot_heat_map(
    x: Sequence[Any], y: Sequence[Any], z: Sequence[float], *, x_title: str, y_title: str, z_title: str
) -> go.Figure:
    """A figure over two fields of a sweep; runs that share both are averaged.

    Args:
        x: value of one field in each run.
        y: value of the other.
        z: the figure.
        x_title: name of one field.
        y_title: name of the other.
        z_title: name of the figure.
    """
    columns, rows = _levels(x), _levels(y)
    if len(columns) < 2 or len(rows) < 2:
        return empty_figure("A map needs two fields that take two values or more each.", height=300)
    total, count = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)))
    for a, b, value in zip(x, y, z, strict=True):
        if math.isfinite(value):
            place = rows.index(_word(b)), columns.index(_word(a))
            total[place] += value
            count[place] += 1
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    trace = {
        "type": "heatmap", "x": columns, "y": rows, "z": mean, "colorscale": SCALE,
        "colorbar": {"title": {"text": z_title, "side": "right"}}, "texttemplate": "%{z:.3g}", "hoverongaps": False,
        "hovertemplate": f"{x_title} %{{x}}<br>{y_title} %{{y}}<br>{z_title} %{{z:.4g}}<extra></extra>",
    }  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": x_title, "type": "category"}, "yaxis": {"title": y_title, "type": "category"},
    }  # fmt: skip
    return framed([trace], axes, key="heat", height=420, legend=False)


def plot_parallel(columns: Mapping[str, Sequence[Any]], colour: Sequence[float], *, colour_title: str) -> go.Figure:
    """One line a run through the fields in which runs differ, coloured by a figure.

    Args:
        columns: name of a field to its value in each run; words get a place each.
        colour: the figure of each run.
        colour_title: its name.
    """
    kept = np.array([math.isfinite(value) for value in colour], dtype=bool)
    if not columns or not kept.any():
        return empty_figure("Choose finished runs that differ in at least one field.", height=300)
    dimensions = [
        _dimension(name, [v for v, k in zip(values, kept, strict=True) if k]) for name, values in columns.items()
    ]
    shown = np.asarray(colour, dtype=float)[kept]
    dimensions.append({"label": colour_title, "values": shown})
    bar = {"title": {"text": colour_title, "side": "right"}}
    trace = {
        "type": "parcoords", "dimensions": dimensions, "labelangle": 0,
        "line": {"color": shown, "colorscale": SCALE, "showscale": True, "colorbar": bar},
        "labelfont": {"size": 13}, "tickfont": {"size": 12}, "rangefont": {"size": 11, "color": GROUND},
    }  # fmt: skip
    margin = {"l": 130, "r": 40, "t": 60, "b": 20}
    return framed([trace], {}, key="parallel", height=420, legend=False, margin=margin)


def _dimension(name: str, values: Sequence[Any]) -> dict[str, Any]:
    label = shortened(name, 24)
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return {"label": label, "values": [float(v) for v in values]}
    words = _levels(values)
    return {
        "label": label, "values": [words.index(_word(v)) for v in values], "tickvals": list(range(len(words))),
        "ticktext": [shortened(word, 18) for word in words],
    }  # fmt: skip


def plot_against(
    points: Sequence[tuple[str, str, float, float]], *, x_title: str, y_title: str, log_x: bool = True
) -> go.Figure:
    """One figure against another, a dot a run: what accuracy costs.

    Args:
        points: ``(setting, algorithm, x, y)`` of each run.
        x_title: name of the cost.
        y_title: name of the other figure.
        log_x: logarithmic cost axis.
    """
    settings: dict[str, list[tuple[str, float, float]]] = {}
    for name, algorithm, x, y in points:
        if math.isfinite(x) and math.isfinite(y) and (x > 0 or not log_x):
            settings.setdefault(name, []).append((algorithm, x, y))
    if not settings:
        return empty_figure("No run among those chosen has counted this.", height=300)
    colours = setting_colours({name: found[0][0] for name, found in settings.items()})
    short = dict(zip(settings, told_apart(list(settings)), strict=True))
    traces = [
        {
            "x": [x for _, x, _ in found], "y": [y for _, _, y in found], "mode": "markers",
            "name": literal(shortened(short[name])),
            "marker": {"size": 10, "color": colours[name], "line": {"width": 1, "color": "white"}},
            "hovertemplate": f"{literal(name)}<br>%{{x:.4g}}<br>%{{y:.4g}}<extra></extra>",
        }
        for name, found in settings.items()
    ]  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": x_title, "exponentformat": "SI", "minexponent": 2, **({"type": "log"} if log_x else {})},
        "yaxis": {"title": y_title},
    }  # fmt: skip
    return framed(traces, axes, key="against", height=420)


def plot_snapshot(picture: Array, counts: Array, low: float, high: float) -> go.Figure:
    """An array of weights: its picture (rows are outputs) beside the histogram of its values."""
    edge = max(abs(low), abs(high)) or 1.0
    width = (high - low) / len(counts) if high > low else 1.0
    centres = low + width * (np.arange(len(counts)) + 0.5)
    traces: list[dict[str, Any]] = [
        {
            "type": "heatmap", "z": picture, "colorscale": "RdBu", "zmin": -edge, "zmax": edge, "reversescale": True,
            "colorbar": {"x": 0.47, "thickness": 12}, "hovertemplate": "%{z:.4g}<extra></extra>",
        },
        {
            "type": "bar", "x": centres, "y": counts, "xaxis": "x2", "yaxis": "y2", "width": width,
            "marker": {"color": SEQUENCE[0]}, "hovertemplate": "%{x:.4g}<br>%{y:,.0f}<extra></extra>",
        },
    ]  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"domain": [0, 0.44], "title": "Input", "showticklabels": False, "ticks": ""},
        "yaxis": {"title": "Output", "showticklabels": False, "ticks": "", "autorange": "reversed"},
        "xaxis2": {"domain": [0.62, 1.0], "title": "Weight", "anchor": "y2"},
        "yaxis2": {"title": "Crosspoints", "anchor": "x2", **COUNT_AXIS},
    }
    return framed(traces, axes, key="snapshot", height=300, legend=False)


def _levels(values: Sequence[Any]) -> list[str]:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return list(dict.fromkeys(_word(value) for value in (sorted(values) if numbers else values)))


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
