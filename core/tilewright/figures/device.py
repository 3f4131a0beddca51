"""Figures of a pulsed device: its response to pulse trains and its step curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.devices import number_of_states, step_curves, symmetry_point, trace_pulses
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures.frame import COUNT_AXIS, empty_figure, framed, thinned
from tilewright.figures.palette import DASHES, DOWN, REFERENCE, SEQUENCE, UP, translucent

Array = NDArray[Any]

MOST_STEPS = 20_000
BAND_FROM = 11
WEIGHT = "Weight (normalised)"
LEFT, CENTRE, RIGHT = [0, 0.135], [0.165, 0.835], [0.865, 1]


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
        w_init: visible weight at the start; each device's own lower bound when not given.
        seed: draws the devices and their noise.

    Returns:
        Figure with three panels: up step against weight, weight against pulse number, down step against weight.
    """
    curves = step_curves(device)
    if n_steps is None:
        n_steps = _default_steps(device)
    pulses = ramp_pulses(max(int(n_steps), 1), max(int(n_loops), 1))
    traces = np.asarray(trace_pulses(device, pulses, n_traces=n_traces, seed=seed, w0=w_init), dtype=float)
    if w_noise > 0:
        traces = traces + w_noise * np.random.default_rng(seed).standard_normal(traces.shape)

    # No ranges are set: plotly keeps a zoom only as long as the figure does not ask for another range.
    strip = {"rangemode": "tozero", "nticks": 3, "tickformat": ".2~g"}
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": "Up step", "domain": LEFT, **strip},
        "yaxis": {"title": WEIGHT},
        "xaxis2": {**COUNT_AXIS, "title": "Pulse number", "domain": CENTRE, "anchor": "y2"},
        "yaxis2": {"matches": "y", "anchor": "x2", "showticklabels": False},
        "xaxis3": {"title": "Down step", "domain": RIGHT, "anchor": "y3", "matches": "x", **strip},
        "yaxis3": {"matches": "y", "anchor": "x3", "showticklabels": False},
    }
    steps = [
        {
            "x": sizes, "y": curves.weights, "mode": "lines", "name": name, "line": {"color": colour, "width": 2.5},
            "xaxis": f"x{axis}", "yaxis": f"y{axis}",
            "hovertemplate": f"weight %{{y:.3f}}<br>step %{{x:.3g}}<extra>{name}</extra>",
        }
        for axis, sizes, colour, name in (("", curves.up, UP, "Up step"), ("3", curves.down, DOWN, "Down step"))
    ]  # fmt: skip
    point = symmetry_point(device)
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": point, "y1": point}
    return framed(
        [*steps, *_responses(traces)],
        axes,
        key=f"{type(device).__name__}-response",
        height=440,
        legend=False,
        title=type(device).__name__,
        shapes=[{**line, "line": {"color": REFERENCE, "width": 1, "dash": "dot"}}] if math.isfinite(point) else [],
    )


def _default_steps(device: PulsedDevice) -> int:
    states = number_of_states(device)
    return int(min(max(round(states), 1), MOST_STEPS)) if math.isfinite(states) else 1000


def _responses(traces: Array) -> list[dict[str, Any]]:
    """The centre panel: a line for each device, or a mean with a band where there are many."""
    keep = thinned(len(traces))
    place = {"xaxis": "x2", "yaxis": "y2", "mode": "lines"}
    if traces.shape[1] < BAND_FROM:
        return [
            {
                **place, "x": keep, "y": traces[keep, number], "name": f"Device {number + 1}",
                "line": {"width": 1.4, "color": SEQUENCE[number % len(SEQUENCE)]},
                "hovertemplate": "pulse %{x}<br>weight %{y:.3f}<extra>%{fullData.name}</extra>",
            }
            for number in range(traces.shape[1])
        ]  # fmt: skip
    mean, std = traces[keep].mean(axis=1), traces[keep].std(axis=1)
    band = {
        **place, "x": np.concatenate([keep, keep[::-1]]), "y": np.concatenate([mean + std, (mean - std)[::-1]]),
        "fill": "toself", "fillcolor": translucent(SEQUENCE[0], 0.22), "line": {"width": 0}, "hoverinfo": "skip",
        "name": "± 1 standard deviation",
    }  # fmt: skip
    middle = {
        **place, "x": keep, "y": mean, "name": f"Mean of {traces.shape[1]} devices",
        "line": {"width": 2, "color": SEQUENCE[0]},
        "hovertemplate": "pulse %{x}<br>mean weight %{y:.3f}<extra></extra>",
    }  # fmt: skip
    return [band, middle]


def plot_step_curves(devices: PulsedDevice | dict[str, PulsedDevice], weights: Array | None = None) -> go.Figure:
    """Size of the up and the down step at each weight, with the symmetry point where they cross.

    Args:
        devices: one device, or several by name.
        weights: visible weights to evaluate at; the device's own range when not given.
    """
    named = {"": devices} if isinstance(devices, PulsedDevice) else dict(devices)
    if not named:
        return empty_figure("Choose a device to see its steps.")
    traces: list[dict[str, Any]] = []
    for number, (name, device) in enumerate(named.items()):
        traces += _step_traces(device, name, DASHES[number % len(DASHES)], weights)
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": WEIGHT},
        "yaxis": {"title": "Step (weight units)", "rangemode": "tozero"},
    }
    return framed(traces, axes, key="step-curves", height=340)


def _step_traces(device: PulsedDevice, name: str, dash: str, weights: Array | None) -> list[dict[str, Any]]:
    curves = step_curves(device, weights)
    traces: list[dict[str, Any]] = []
    for label, steps, colour in (("Up step", curves.up, UP), ("Down step", curves.down, DOWN)):
        title = f"{label} {name}".strip()
        traces.append(
            {
                "x": curves.weights, "y": steps, "mode": "lines", "name": title,
                "line": {"color": colour, "width": 2.5, "dash": dash},
                "hovertemplate": f"weight %{{x:.3f}}<br>step %{{y:.4g}}<extra>{title}</extra>",
            }
        )  # fmt: skip
    point = symmetry_point(device)
    if math.isfinite(point):
        traces.append(
            {
                "x": [point], "y": [float(np.interp(point, curves.weights, curves.up))], "mode": "markers",
                "name": f"Symmetry point {name}".strip(),
                "marker": {"size": 11, "symbol": "circle-open", "color": REFERENCE, "line": {"width": 2.5}},
                "hovertemplate": "symmetry point %{x:.3f}<extra></extra>",
            }
        )  # fmt: skip
    return traces
