"""Figures of a pulsed device: its response to pulse trains and its step curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tilewright.devices import number_of_states, step_curves, symmetry_point, trace_pulses
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures.frame import dress, empty_figure, thinned
from tilewright.figures.palette import DOWN, REFERENCE, SEQUENCE, UP, translucent

Array = NDArray[Any]

MOST_STEPS = 20_000
BAND_FROM = 11
WEIGHT = "Weight (normalised)"


def ramp_pulses(n_steps: int, n_loops: int) -> Array:
    """``n_steps`` up pulses, then as many down, ``n_loops`` times; int8."""
    loop = np.repeat(np.array([1, -1], dtype=np.int8), n_steps)
    return np.tile(loop, n_loops)


def plot_device_compact(
    device: PulsedDevice,
    n_steps: int | None = None,
    n_traces: int = 3,
    n_loops: int = 2,
    w_noise: float = 0.0,
    w_init: float | None = None,
    seed: int = 0,
) -> go.Figure:
    """Pulse response of a few devices, with the mean step at each weight beside it.

    Args:
        device: the device; the traces carry its device-to-device spread, cycle noise and write noise.
        n_steps: pulses of one ramp; default is the number of states of the device.
        n_traces: devices drawn; from 11 on, their mean and spread are shown as a line and a band.
        n_loops: up and down ramps.
        w_noise: read noise added to each point, in weight units.
        w_init: visible weight at the start, also the nominal lower bound when not given.
        seed: draws the devices and their noise.

    Returns:
        Figure with three panels: up step against weight, weight against pulse number, down step against weight.
    """
    curves = step_curves(device)
    if n_steps is None:
        n_steps = _default_steps(device)
    if w_init is None:
        w_init = device.w_min - device.nominal_reference
    pulses = ramp_pulses(max(int(n_steps), 1), max(int(n_loops), 1))
    traces = np.asarray(trace_pulses(device, pulses, n_traces=n_traces, seed=seed, w0=w_init), dtype=float)
    if w_noise > 0:
        traces = traces + w_noise * np.random.default_rng(seed).standard_normal(traces.shape)

    figure = make_subplots(
        rows=1, cols=3, column_widths=[0.15, 0.7, 0.15], shared_yaxes=True, horizontal_spacing=0.025
    )
    _add_responses(figure, traces, len(pulses))
    for column, steps, colour, name in ((1, curves.up, UP, "Up step"), (3, np.abs(curves.down), DOWN, "Down step")):
        figure.add_trace(
            go.Scatter(
                x=steps, y=curves.weights, mode="lines", name=name, line={"color": colour, "width": 2.5},
                hovertemplate="weight %{y:.3f}<br>step %{x:.3g}<extra>" + name + "</extra>",
            ),
            row=1, col=column,
        )  # fmt: skip
    point = symmetry_point(device)
    if math.isfinite(point):
        figure.add_hline(y=point, line={"color": REFERENCE, "width": 1, "dash": "dot"})
    dress(figure, height=440, key=f"{type(device).__name__}-response", legend=False)
    reach = 1.12 * max(np.nanmax(np.abs(traces)), np.abs(curves.weights).max())
    widest = 1.15 * float(max(np.max(curves.up), np.max(np.abs(curves.down)), 1e-12))
    figure.update_yaxes(range=[-reach, reach])
    figure.update_yaxes(title_text=WEIGHT, row=1, col=1)
    for column, title in ((1, "Up step"), (3, "Down step")):
        figure.update_xaxes(title_text=title, range=[0, widest], nticks=3, tickformat=".2~g", row=1, col=column)
    figure.update_xaxes(title_text="Pulse number", range=[0, len(pulses)], row=1, col=2)
    figure.update_layout(title={"text": type(device).__name__, "x": 0.5, "xanchor": "center", "font": {"size": 15}})
    return figure


def _default_steps(device: PulsedDevice) -> int:
    states = number_of_states(device)
    return int(min(max(round(states), 1), MOST_STEPS)) if math.isfinite(states) else 1000


def _add_responses(figure: go.Figure, traces: Array, n_pulses: int) -> None:
    keep = thinned(n_pulses + 1)
    if traces.shape[1] < BAND_FROM:
        for number in range(traces.shape[1]):
            figure.add_trace(
                go.Scatter(
                    x=keep, y=traces[keep, number], mode="lines", name=f"Device {number + 1}",
                    line={"width": 1.4, "color": SEQUENCE[number % len(SEQUENCE)]},
                    hovertemplate="pulse %{x}<br>weight %{y:.3f}<extra>%{fullData.name}</extra>",
                ),
                row=1, col=2,
            )  # fmt: skip
        return
    mean, std = traces[keep].mean(axis=1), traces[keep].std(axis=1)
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([keep, keep[::-1]]), y=np.concatenate([mean + std, (mean - std)[::-1]]), fill="toself",
            fillcolor=translucent(SEQUENCE[0], 0.22), line={"width": 0}, name="± 1 standard deviation", hoverinfo="skip",
        ),
        row=1, col=2,
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=keep, y=mean, mode="lines", name=f"Mean of {traces.shape[1]} devices",
            line={"width": 2, "color": SEQUENCE[0]},
            hovertemplate="pulse %{x}<br>mean weight %{y:.3f}<extra></extra>",
        ),
        row=1, col=2,
    )  # fmt: skip


def plot_step_curves(devices: PulsedDevice | dict[str, PulsedDevice], weights: Array | None = None) -> go.Figure:
    """Size of the up and the down step at each weight, with the symmetry point where they cross.

    Args:
        devices: one device, or several by name.
        weights: visible weights to evaluate at; the device's own range when not given.
    """
    named = {"": devices} if isinstance(devices, PulsedDevice) else dict(devices)
    if not named:
        return empty_figure("Choose a device to see its steps.")
    figure = go.Figure()
    for number, (name, device) in enumerate(named.items()):
        curves = step_curves(device, weights)
        dash = ("solid", "dash", "dot", "dashdot")[number % 4]
        for label, steps, colour in (("Up step", curves.up, UP), ("Down step", np.abs(curves.down), DOWN)):
            title = f"{label} {name}".strip()
            figure.add_trace(
                go.Scatter(
                    x=curves.weights, y=steps, mode="lines", name=title,
                    line={"color": colour, "width": 2.5, "dash": dash},
                    hovertemplate="weight %{x:.3f}<br>step %{y:.4g}<extra>" + title + "</extra>",
                )
            )  # fmt: skip
        point = symmetry_point(device)
        if math.isfinite(point):
            height = float(np.interp(point, curves.weights, curves.up))
            figure.add_trace(
                go.Scatter(
                    x=[point], y=[height], mode="markers", name=f"Symmetry point {name}".strip(),
                    marker={"size": 11, "symbol": "circle-open", "color": REFERENCE, "line": {"width": 2.5}},
                    hovertemplate="symmetry point %{x:.3f}<extra></extra>",
                )
            )  # fmt: skip
    dress(figure, height=340, key="step-curves")
    figure.update_xaxes(title_text=WEIGHT)
    figure.update_yaxes(title_text="Step (weight units)", rangemode="tozero")
    return figure
