"""What every figure shares: margins, grid, legend, and its data as text."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.figures.palette import AXIS, GRID, GROUND, SEQUENCE

MAX_POINTS = 1500
# Without these settings plotly offers to upload every chart to its own servers.
KEPT_HERE: Final[dict[str, Any]] = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}


def framed(
    traces: Sequence[Mapping[str, Any]],
    axes: Mapping[str, Mapping[str, Any]],
    *,
    key: str,
    height: int = 420,
    legend: bool = True,
    title: str = "",
    **layout: Any,
) -> go.Figure:
    """A figure with the common look, built in one go: plotly's step-by-step updates take a tenth of a second.

    Args:
        traces: plotly traces as plain data; ``type`` is ``scatter`` unless given.
        axes: settings by axis (``xaxis``, ``yaxis2`` ...); ``title`` may be a plain text.
        key: keeps zoom and hidden traces when the figure is drawn again.
        height: in pixels.
        legend: whether one is shown, above the plot.
        title: text above the plot.
        layout: further layout settings.
    """
    settings: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 40 if legend or title else 12, "b": 8},
        "paper_bgcolor": GROUND,
        "plot_bgcolor": GROUND,
        "colorway": list(SEQUENCE),
        "font": {"size": 13},
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "font": {"size": 13}},
        "uirevision": key,
        "modebar": {"bgcolor": GROUND, "color": AXIS, "activecolor": SEQUENCE[0]},
        **layout,
    }
    if title:
        settings["title"] = {"text": title, "x": 0.5, "xanchor": "center", "font": {"size": 15}}
    for name, own in axes.items():
        given = dict(own)
        text = given.pop("title", "")
        settings[name] = {
            **_AXIS,
            **(_LOG_AXIS if given.get("type") == "log" else {}),
            **given,
            "title": {"text": text, "standoff": 8, "font": {"size": 13}},
        }
    return go.Figure(data=[{"type": "scatter", **trace} for trace in traces], layout=settings)


_AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": GRID,
    "linecolor": AXIS,
    "zerolinecolor": GRID,
    "showline": True,
    "ticks": "outside",
    "tickcolor": AXIS,
    "ticklen": 4,
    "tickfont": {"size": 12},
    "exponentformat": "power",
    "separatethousands": True,
}
# Numbers in full between the powers of ten too; plotly's own are small single digits.
_LOG_AXIS: dict[str, Any] = {"exponentformat": "none", "minorloglabels": "complete"}
# An axis that counts pulses or images: whole numbers with separators, never powers of ten.
COUNT_AXIS: Final[dict[str, Any]] = {"exponentformat": "none", "separatethousands": True}


def thinned(length: int, at_most: int = MAX_POINTS) -> NDArray[np.intp]:
    """Indices that keep ``at_most`` points of a curve, first and last among them."""
    if length <= at_most:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, at_most).round().astype(np.intp))


def empty_figure(sentence: str, height: int = 300) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    note = {"text": sentence, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False}
    hidden = {"visible": False}
    return framed(
        [], {"xaxis": hidden, "yaxis": hidden}, key="empty", height=height, legend=False,
        annotations=[{**note, "font": {"size": 15}}],
    )  # fmt: skip


def figure_data(figure: go.Figure) -> str:
    """The numbers a figure shows, as CSV: one block of columns ``panel, trace, x, y`` with a row per point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trace", "x_axis", "x", "y_axis", "y"])
    for number, trace in enumerate(figure.data):
        if trace.x is None or trace.y is None:
            continue
        name = html.unescape(trace.name or f"trace {number + 1}")
        x_axis, y_axis = _axis_title(figure, trace.xaxis, "x"), _axis_title(figure, trace.yaxis, "y")
        for x, y in zip(trace.x, trace.y, strict=False):
            writer.writerow([name, x_axis, _number(x), y_axis, _number(y)])
    return text.getvalue()


def _axis_title(figure: go.Figure, axis: str | None, kind: str) -> str:
    title = getattr(figure.layout, f"{kind}axis{(axis or kind)[1:]}").title.text
    if not title and kind == "y":
        # Strips beside a centre panel share its axis and leave the title to it.
        title = figure.layout.yaxis.title.text
    return str(title or kind)


def _number(value: Any) -> Any:
    return float(f"{value:.7g}") if isinstance(value, (float, np.floating)) else value
