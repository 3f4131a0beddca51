"""Figures of many drawn devices: bands of step curves, their split into F and G, histograms of what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.devices import DeviceDistribution
from tilewright.figures.device import WEIGHT
from tilewright.figures.frame import COUNT_AXIS, empty_figure, framed
from tilewright.figures.palette import DOWN, REFERENCE, SEQUENCE, UP, translucent

Array = NDArray[Any]

WIDE, NARROW = (0.05, 0.95), (0.25, 0.75)
BINS = 40
NO_WINDOW = "No device has a window to step in: see the bounds and the faults."


def plot_step_bands(distribution: DeviceDistribution) -> go.Figure:
    """Up and down step at each weight: the median device, and where half and nine in ten of the devices lie."""
    return _bands(
        distribution,
        [("Up step", distribution.up, UP), ("Down step", distribution.down, DOWN)],
        key="step-bands",
        title="Step (weight units)",
    )


def plot_f_and_g(distribution: DeviceDistribution) -> go.Figure:
    """F = (down + up) / 2, which moves the weight as asked, and G = (down - up) / 2, which pulls it to where G is 0."""
    return _bands(
        distribution,
        [
            ("F, symmetric", distribution.symmetric_part, SEQUENCE[2]),
            ("G, asymmetric", distribution.asymmetric_part, SEQUENCE[3]),
        ],
        key="f-and-g",
        title="Part of the step (weight units)",
    )


def _bands(
    distribution: DeviceDistribution, curves: Sequence[tuple[str, Array, str]], key: str, title: str
) -> go.Figure:
    traces: list[dict[str, Any]] = []
    for name, curve, colour in curves:
        low, lower, middle, upper, high = distribution.bands(curve, (WIDE[0], NARROW[0], 0.5, NARROW[1], WIDE[1]))
        known = ~np.isnan(middle)
        if not known.any():
            return empty_figure(NO_WINDOW, height=340)
        w = distribution.weights[known]
        for inner, outer, share, opacity in ((low, high, "9 in 10", 0.14), (lower, upper, "half", 0.26)):
            traces.append(
                {
                    "x": np.concatenate([w, w[::-1]]), "y": np.concatenate([outer[known], inner[known][::-1]]),
                    "mode": "lines", "fill": "toself", "fillcolor": translucent(colour, opacity), "line": {"width": 0},
                    "name": f"{name}, {share} of the devices", "hoverinfo": "skip", "showlegend": False,
                }
            )  # fmt: skip
        traces.append(
            {
                "x": w, "y": middle[known], "mode": "lines", "name": f"{name}, median",
                "line": {"color": colour, "width": 2.5},
                "hovertemplate": f"weight %{{x:.3f}}<br>median %{{y:.3g}}<extra>{name}</extra>",
            }
        )  # fmt: skip
    axes: dict[str, dict[str, Any]] = {"xaxis": {"title": WEIGHT}, "yaxis": {"title": title}}
    return framed(traces, axes, key=key, height=340)


def plot_spread_histograms(distribution: DeviceDistribution) -> go.Figure:
    """How symmetry point, number of states and step over noise are spread over the devices, side by side."""
    panels = (
        ("Symmetry point (weight)", distribution.symmetry_points, SEQUENCE[0], "none in the window"),
        ("States", distribution.states, SEQUENCE[1], "no states"),
        ("Step over noise, one pulse", distribution.snr, SEQUENCE[2], "no noise"),
    )
    width = (1 - 2 * 0.06) / 3
    traces: list[dict[str, Any]] = []
    axes: dict[str, dict[str, Any]] = {}
    notes: list[dict[str, Any]] = []
    for number, (title, values, colour, without) in enumerate(panels):
        suffix = "" if number == 0 else str(number + 1)
        left = number * (width + 0.06)
        axes[f"xaxis{suffix}"] = {"title": title, "domain": [left, left + width], "anchor": f"y{suffix}", "nticks": 6}
        if title == "States":
            axes[f"xaxis{suffix}"] |= COUNT_AXIS
        axes[f"yaxis{suffix}"] = {
            "title": "Share of devices (%)" if number == 0 else "", "anchor": f"x{suffix}", "rangemode": "tozero",
        }  # fmt: skip
        finite = np.asarray(values)[np.isfinite(values)]
        if finite.size == 0:
            notes.append(
                {
                    "text": without, "xref": "paper", "yref": "paper", "x": left + width / 2, "y": 0.5,
                    "showarrow": False, "font": {"size": 14, "color": REFERENCE},
                }
            )  # fmt: skip
            axes[f"xaxis{suffix}"] |= {"showticklabels": False}
            axes[f"yaxis{suffix}"] |= {"showticklabels": False}
            continue
        centres, shares, bin_width = _histogram(finite, len(values))
        traces.append(
            {
                "type": "bar", "x": centres, "y": shares, "width": bin_width, "name": title,
                "xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "marker": {"color": colour, "opacity": 0.85},
                "hovertemplate": f"%{{x:.3g}}<br>%{{y:.1f}} % of the devices<extra>{title}</extra>",
            }
        )  # fmt: skip
    return framed(traces, axes, key="spread", height=300, legend=False, bargap=0, annotations=notes)


def _histogram(values: Array, devices: int) -> tuple[Array, Array, float]:
    """Bin centres, per cent of all devices in each, and bin width; the outermost 2 % are left outside."""
    low, high = (float(v) for v in np.quantile(values, (0.01, 0.99)))
    least = max(abs(low), abs(high), 1e-9) * 1e-3  # equal values make one bar instead of none
    if high - low < least:
        low, high = low - 10 * least, high + 10 * least
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    return (edges[1:] + edges[:-1]) / 2, 100 * counts / devices, float(edges[1] - edges[0])
