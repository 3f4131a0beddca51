"""What every figure shares: margins, grid, legend, and its data as text."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.figures.palette import AXIS, GRID, GROUND, SEQUENCE

MAX_POINTS = 1500


def dress(figure: go.Figure, *, height: int = 420, key: str = "figure", legend: bool = True) -> go.Figure:
    """Give a figure the common look. ``key`` keeps zoom and hidden traces when the figure is drawn again."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 40, "b": 8},
        paper_bgcolor=GROUND,
        plot_bgcolor=GROUND,
        colorway=list(SEQUENCE),
        font={"size": 13},
        hoverlabel={"font": {"size": 12}},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "font": {"size": 13}},
        uirevision=key,
    )
    figure.update_xaxes(**_axis())
    figure.update_yaxes(**_axis())
    return figure


def _axis() -> dict[str, Any]:
    return {
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": AXIS,
        "zerolinecolor": GRID,
        "showline": True,
        "ticks": "outside",
        "tickcolor": AXIS,
        "ticklen": 4,
        "title": {"standoff": 8},
        "exponentformat": "power",
    }


def thinned(length: int, at_most: int = MAX_POINTS) -> NDArray[np.intp]:
    """Indices that keep ``at_most`` points of a curve, first and last among them."""
    if length <= at_most:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, at_most).round().astype(np.intp))


def empty_figure(sentence: str, height: int = 300) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    figure = dress(go.Figure(), height=height, legend=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=sentence, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 15})
    return figure


def figure_data(figure: go.Figure) -> str:
    """The numbers a figure shows, as CSV: one block of columns ``panel, trace, x, y`` with a row per point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trace", "x_axis", "x", "y_axis", "y"])
    for number, trace in enumerate(figure.data):
        if trace.x is None or trace.y is None:
            continue
        name = trace.name or f"trace {number + 1}"
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
