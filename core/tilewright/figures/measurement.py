"""Figures of a measurement and of a model fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tilewright.figures.frame import dress, empty_figure, thinned
from tilewright.figures.palette import DOWN, MEASURED, MIXED, MODEL, SEQUENCE, UP

if TYPE_CHECKING:
    from tilewright.fitting import DeviceFit
    from tilewright.measurement import Measurement, Record

Array = NDArray[Any]

# A run of at least this many equal pulses is a branch; shorter ones belong to an alternating train.
SHORTEST_BRANCH = 5
BRANCH_STYLE = {1: ("Up pulses", UP), -1: ("Down pulses", DOWN), 0: ("Alternating pulses", MIXED)}


def branches(pulses: Array) -> Array:
    """The branch of each pulse: +1 in a train of up pulses, -1 in a train of down pulses, 0 where they alternate."""
    pulses = np.sign(np.asarray(pulses)).astype(np.int8)
    if pulses.size == 0:
        return pulses
    starts = np.flatnonzero(np.diff(pulses, prepend=pulses[0] + 1))
    lengths = np.diff(np.append(starts, pulses.size))
    return np.repeat(np.where(lengths >= SHORTEST_BRANCH, pulses[starts], 0), lengths).astype(np.int8)


def plot_measurement(measurement: Measurement) -> go.Figure:
    """The measured response against the pulse number, each branch in its colour; several records share the axes."""
    if not measurement.records:
        return empty_figure("This measurement holds no record.")
    figure = go.Figure()
    several = len(measurement.records) > 1
    seen: set[int] = set()
    for number, record in enumerate(measurement.records):
        kinds = branches(record.pulses)
        keep = thinned(len(kinds), 4000)
        if several:
            _add_record_line(figure, record, keep, number)
            continue
        for kind in (1, -1, 0):
            chosen = keep[kinds[keep] == kind]
            if chosen.size == 0:
                continue
            name, colour = BRANCH_STYLE[kind]
            figure.add_trace(
                go.Scatter(
                    x=chosen, y=record.response[chosen], mode="markers", name=name, showlegend=kind not in seen,
                    marker={"size": 4, "color": colour},
                    hovertemplate="pulse %{x}<br>%{y:.4g}<extra>" + name + "</extra>",
                )
            )  # fmt: skip
            seen.add(kind)
    dress(figure, height=430, key=f"measurement-{measurement.name}", legend=True)
    figure.update_xaxes(title_text="Pulse number")
    figure.update_yaxes(title_text=response_title(measurement))
    return figure


def _add_record_line(figure: go.Figure, record: Record, keep: Array, number: int) -> None:
    name = record.label or f"Record {number + 1}"
    figure.add_trace(
        go.Scatter(
            x=keep, y=record.response[keep], mode="lines", name=name, opacity=0.85,
            line={"width": 1.4, "color": SEQUENCE[number % len(SEQUENCE)]},
            hovertemplate="pulse %{x}<br>%{y:.4g}<extra>" + name + "</extra>",
        )
    )  # fmt: skip


def response_title(measurement: Measurement) -> str:
    """Axis title of the response, with its unit."""
    unit = (measurement.unit or "").strip()
    if unit.lower() in ("", "normalised", "normalized", "weight", "norm. weight", "1", "-"):
        return "Weight (normalised)"
    return f"Response ({unit})"


def plot_fit(measurement: Measurement, fit: DeviceFit, record: int = 0) -> go.Figure:
    """Measured dots under the model's line, with what is left between them in a panel below."""
    model = np.asarray(fit.model[record], dtype=float)
    return plot_overlay(measurement, model, record=record, model_name=f"Model ({fit.class_name})")


def plot_overlay(
    measurement: Measurement, model: Array | None, record: int = 0, model_name: str = "Model"
) -> go.Figure:
    """Measurement and, when given, a model response of the same length; residuals below."""
    data = measurement.records[record]
    response = np.asarray(data.response, dtype=float)
    keep = thinned(len(response), 3000)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.74, 0.26], vertical_spacing=0.06)
    figure.add_trace(
        go.Scatter(
            x=keep, y=response[keep], mode="markers", name="Measured", marker={"size": 4, "color": MEASURED},
            hovertemplate="pulse %{x}<br>measured %{y:.4g}<extra></extra>",
        ),
        row=1, col=1,
    )  # fmt: skip
    if model is not None:
        figure.add_trace(
            go.Scatter(
                x=keep, y=model[keep], mode="lines", name=model_name, line={"width": 2.5, "color": MODEL},
                hovertemplate="pulse %{x}<br>model %{y:.4g}<extra></extra>",
            ),
            row=1, col=1,
        )  # fmt: skip
        kinds = branches(data.pulses)
        for kind in (1, -1, 0):
            chosen = keep[kinds[keep] == kind]
            if chosen.size:
                name, colour = BRANCH_STYLE[kind]
                figure.add_trace(
                    go.Scatter(
                        x=chosen, y=(response - model)[chosen], mode="markers", name=f"Residual, {name.lower()}",
                        marker={"size": 3, "color": colour}, showlegend=False,
                        hovertemplate="pulse %{x}<br>residual %{y:.3g}<extra></extra>",
                    ),
                    row=2, col=1,
                )  # fmt: skip
    dress(figure, height=470, key=f"fit-{measurement.name}-{record}")
    figure.update_yaxes(title_text=response_title(measurement), row=1, col=1)
    figure.update_yaxes(title_text="Residual", zeroline=True, row=2, col=1)
    figure.update_xaxes(title_text="Pulse number", row=2, col=1)
    return figure
