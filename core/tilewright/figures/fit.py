"""Figures about a fit beside the overlay: correlations, residual noise, profiles, predicted errors of algorithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from tilewright.figures.frame import empty_figure, framed
from tilewright.figures.palette import MEASURED, MODEL, REFERENCE, SEQUENCE, algorithm_label

if TYPE_CHECKING:
    from tilewright.fitting import DeviceFit, DeviceVerdict, NoiseEstimate, PopulationFit, Profile

UNAVOIDED = "rgba(128,136,148,0.55)"  # what no device is to blame for
BLUE_RED = [[0.0, "#2f7fc1"], [0.5, "rgba(128,136,148,0.15)"], [1.0, "#d9662b"]]


def plot_correlation(fit: DeviceFit) -> go.Figure:
    """How the errors of parameters hang together: +1 and -1 cannot be told apart, 0 are independent."""
    names = list(fit.correlation.columns)
    if len(names) < 2:
        return empty_figure("Fewer than two parameters have a standard error.")
    matrix = fit.correlation.to_numpy()
    heat = {
        "type": "heatmap", "x": names, "y": names, "z": matrix, "zmin": -1, "zmax": 1, "colorscale": BLUE_RED,
        "text": np.round(matrix, 2), "texttemplate": "%{text:.2f}" if len(names) <= 10 else "", "showscale": False,
        "hovertemplate": "%{x}, %{y}<br>correlation %{z:.3f}<extra></extra>", "name": "correlation",
    }  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"showgrid": False},
        "yaxis": {"showgrid": False, "autorange": "reversed"},
    }
    return framed([heat], axes, key="correlation", height=360, legend=False)


def plot_variogram(noise: NoiseEstimate) -> go.Figure:
    """Mean squared difference of residuals against the pulses between them, measured and as the noise found has it."""
    if not len(noise.lags):
        return empty_figure("There is no noise estimate.")
    traces = [
        {
            "x": noise.lags, "y": noise.measured, "mode": "markers", "name": "Residuals",
            "marker": {"size": 8, "color": MEASURED},
            "hovertemplate": "%{x} pulses apart<br>%{y:.3g}<extra></extra>",
        },
        {
            "x": noise.lags, "y": noise.modelled, "mode": "lines", "name": "Noise found",
            "line": {"width": 2.5, "color": MODEL}, "hovertemplate": "%{x} pulses apart<br>%{y:.3g}<extra></extra>",
        },
    ]  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "Pulses between two samples", "type": "log"},
        "yaxis": {"title": "Mean squared difference", "rangemode": "tozero"},
    }
    return framed(traces, axes, key="variogram", height=320)


def plot_profiles(profiles: Sequence[Profile], fit: DeviceFit) -> go.Figure:
    """Profiles of parameters, each in its own standard errors; where a line crosses 3.84 the 95 % interval ends."""
    if not profiles:
        return empty_figure("No parameter was profiled.")
    traces: list[dict[str, Any]] = []
    for number, profile in enumerate(profiles):
        item = fit[profile.name]
        traces.append(
            {
                "x": (profile.values - item.value) / item.stderr, "y": profile.drop, "mode": "lines+markers",
                "name": profile.name, "line": {"width": 2, "color": SEQUENCE[number % len(SEQUENCE)]},
                "customdata": profile.values,
                "hovertemplate": f"{profile.name} = %{{customdata:.4g}}<br>%{{y:.2f}}<extra></extra>",
            }
        )  # fmt: skip
    limit = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": 3.841, "y1": 3.841}
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "Distance from the best value (standard errors)"},
        "yaxis": {"title": "Twice the log-likelihood lost", "range": [0, 10]},
    }
    shapes = [{**limit, "line": {"color": REFERENCE, "width": 1, "dash": "dot"}}]
    return framed(traces, axes, key="profiles", height=340, shapes=shapes)


def plot_population(population: PopulationFit) -> go.Figure:
    """Fitted parameters of every device, each relative to the mean over devices."""
    traces: list[dict[str, Any]] = []
    for number, spread in enumerate(population.spreads):
        values = spread.values - spread.mean
        if spread.mean and spread.name != "up_down":
            values = values / abs(spread.mean)
        traces.append(
            {
                "type": "box", "y": values, "name": spread.name, "boxpoints": "all", "jitter": 0.5, "pointpos": 0,
                "marker": {"size": 4, "color": SEQUENCE[number % len(SEQUENCE)]}, "line": {"width": 1.5},
                "customdata": spread.values, "hovertemplate": "%{customdata:.4g}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {},
        "yaxis": {"title": "Relative to the mean (up_down: difference)", "zeroline": True},
    }
    return framed(traces, axes, key="population", height=340, legend=False)


def plot_predicted_errors(verdict: DeviceVerdict) -> go.Figure:
    """Answers that each algorithm is expected to get wrong on the task of reference, and what causes them."""
    advice = list(reversed(verdict.advice))
    traces: list[dict[str, Any]] = []
    for colour, cause in zip((UNAVOIDED, *SEQUENCE), verdict.causes, strict=False):
        shares = [100 * item.parts.get(cause, 0.0) for item in advice]
        traces.append(
            {
                "type": "bar", "orientation": "h", "x": shares, "y": [algorithm_label(i.algorithm) for i in advice],
                "name": cause.capitalize(), "marker": {"color": colour},
                "hovertemplate": "%{x:.1f} %<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "Predicted error on digits, %", "rangemode": "tozero"},
        "yaxis": {},
    }
    below = {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.22, "yanchor": "top", "font": {"size": 12}}
    figure = framed(traces, axes, key="predicted-errors", height=380, barmode="stack")
    return figure.update_layout(legend=below, margin={"t": 12})
