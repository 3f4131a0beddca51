"""Figures of a tile: what its products and updates deliver against what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.error_sources import ConverterCurve, SourceError
from tilewright.figures.frame import empty_figure, framed, thinned
from tilewright.figures.palette import DOWN, REFERENCE, UP

Array = NDArray[Any]


def plot_mvm_scatter(
    wanted: Array, delivered: Array, *, wanted_backward: Array | None = None, delivered_backward: Array | None = None
) -> go.Figure:
    """Each output of an analog matrix-vector product against the exact product; on the line there is no error.

    Args:
        wanted: exact forward products, any shape.
        delivered: forward products of the tile, same shape.
        wanted_backward: exact backward products, when they are shown too.
        delivered_backward: backward products of the tile.
    """
    pairs = [("Forward", DOWN, wanted, delivered)]
    if wanted_backward is not None and delivered_backward is not None:
        pairs.append(("Backward", UP, wanted_backward, delivered_backward))
    axes: dict[str, dict[str, Any]] = {"xaxis": {"title": "Exact product"}, "yaxis": {"title": "Product of the tile"}}
    return framed(_pairs(pairs), axes, key="mvm", height=380)


def plot_update_scatter(wanted: Array, delivered: Array) -> go.Figure:
    """Weight change a tile made against the change that was asked, one dot a crosspoint."""
    wanted, delivered = np.ravel(wanted), np.ravel(delivered)
    if wanted.size == 0:
        return empty_figure("No crosspoint was updated.")
    centres, mean, std = _binned(wanted, delivered)
    traces = _pairs([("Weights", DOWN, wanted, delivered)])
    traces.append(
        {
            "x": centres, "y": mean, "error_y": {"array": std, "thickness": 1.2, "width": 3}, "mode": "markers",
            "name": "Mean", "marker": {"size": 9, "color": UP, "symbol": "diamond"},
            "hovertemplate": "asked %{x:.3g}<br>made %{y:.3g} on average<extra></extra>",
        }
    )  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "Weight change asked"},
        "yaxis": {"title": "Weight change made"},
    }
    return framed(traces, axes, key="update", height=380)


def plot_error_sources(errors: Sequence[SourceError]) -> go.Figure:
    """Error of the products from each part of the periphery alone, in percent of the exact product, largest on top."""
    if not errors:
        return empty_figure("Every part of the periphery is exact.")
    sources = [one.source for one in errors]
    traces = [
        {
            "type": "bar", "orientation": "h", "x": [100 * value for value in values], "y": sources, "name": name,
            "marker": {"color": colour}, "hovertemplate": f"%{{y}}: %{{x:.3g}} %<extra>{name}</extra>",
        }
        for name, colour, values in (
            ("Forward", DOWN, [one.forward for one in errors]),
            ("Backward", UP, [one.backward for one in errors]),
        )
    ]  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "Error alone (% of the exact product)"},
        "yaxis": {"autorange": "reversed"},
    }
    return framed(traces, axes, key="error-sources", height=380, barmode="group")


def plot_converters(dac: ConverterCurve, adc: ConverterCurve) -> go.Figure:
    """What the converters make of a value: the DAC on the left, the ADC on the right; dashed is no conversion."""
    traces: list[dict[str, Any]] = []
    for curve, name, colour, place in ((dac, "DAC", UP, ""), (adc, "ADC", DOWN, "2")):
        ends = [float(curve.given[0]), float(curve.given[-1])]
        axes_of = {"xaxis": f"x{place}", "yaxis": f"y{place}"}
        traces += [
            {
                "x": ends, "y": ends, "mode": "lines", "hoverinfo": "skip", "showlegend": False,
                "line": {"color": REFERENCE, "width": 1, "dash": "dash"}, **axes_of,
            },
            {
                "x": curve.given, "y": curve.delivered, "mode": "lines", "name": name,
                "line": {"color": colour, "width": 2},
                "hovertemplate": f"%{{x:.3g}} becomes %{{y:.3g}}<extra>{name}</extra>", **axes_of,
            },
        ]  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "DAC: scaled input", "domain": [0, 0.44]},
        "yaxis": {"title": "Delivered"},
        "xaxis2": {"title": "ADC: product of the array", "domain": [0.56, 1], "anchor": "y2"},
        "yaxis2": {"anchor": "x2"},
    }
    return framed(traces, axes, key="converters", height=380, legend=False)


def relative_error(wanted: Array, delivered: Array) -> float:
    """Root-mean-square difference over the root-mean-square of what was wanted; nan when nothing was."""
    wanted, delivered = np.ravel(wanted), np.ravel(delivered)
    size = float(np.sqrt(np.mean(wanted**2)))
    return float(np.sqrt(np.mean((delivered - wanted) ** 2)) / size) if size > 0 else float("nan")


def agreement(wanted: Array, delivered: Array) -> float:
    """Correlation of what was wanted and what was delivered, whatever its size; nan when either is constant."""
    wanted, delivered = np.ravel(wanted), np.ravel(delivered)
    if np.ptp(wanted) == 0 or np.ptp(delivered) == 0:
        return float("nan")
    return float(np.corrcoef(wanted, delivered)[0, 1])


def _pairs(pairs: list[tuple[str, str, Array, Array]]) -> list[dict[str, Any]]:
    low = min(float(np.min(wanted)) for _, _, wanted, _ in pairs)
    high = max(float(np.max(wanted)) for _, _, wanted, _ in pairs)
    traces: list[dict[str, Any]] = []
    for name, colour, wanted, delivered in pairs:
        x, y = np.ravel(wanted), np.ravel(delivered)
        keep = thinned(x.size)
        traces.append(
            {
                "x": x[keep], "y": y[keep], "mode": "markers", "name": name,
                "marker": {"size": 5, "color": colour, "opacity": 0.6},
                "hovertemplate": f"asked %{{x:.3g}}<br>got %{{y:.3g}}<extra>{name}</extra>",
            }
        )  # fmt: skip
    exact = {
        "x": [low, high], "y": [low, high], "mode": "lines", "name": "Exact", "hoverinfo": "skip",
        "line": {"color": REFERENCE, "width": 1.5, "dash": "dash"},
    }  # fmt: skip
    return [*traces, exact]


def _binned(x: Array, y: Array, bins: int = 9) -> tuple[Array, Array, Array]:
    edges = np.linspace(x.min(), x.max(), bins + 1)
    place = np.clip(np.digitize(x, edges) - 1, 0, bins - 1)
    used = [number for number in range(bins) if np.count_nonzero(place == number) > 2]
    centres = np.array([x[place == number].mean() for number in used])
    mean = np.array([y[place == number].mean() for number in used])
    std = np.array([y[place == number].std() for number in used])
    return centres, mean, std
