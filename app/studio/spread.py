"""What a device is worth: numbers of the nominal one, figures of many drawn ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import streamlit as st

from studio.numbers import significant
from studio.plots import show_figure
from tilewright.devices import (
    asymmetry,
    device_distribution,
    noise_to_signal,
    number_of_states,
    signal_to_noise,
    symmetry_point,
)
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import plot_f_and_g, plot_spread_histograms, plot_step_bands

DRAWN = 2000
SPREADS = {
    "Spread of steps": plot_step_bands,
    "F and G": plot_f_and_g,
    "Distributions": plot_spread_histograms,
}
_NOTES = {
    "Spread of steps": "line: median; dark and pale bands: half and nine in ten of the devices",
    "F and G": "F moves the weight as asked, G pulls it to where G is 0; bands: half and nine in ten of the devices",
    "Distributions": "symmetry point, range over mean step, and step over noise at weight 0",
}


def show_numbers(device: PulsedDevice) -> None:
    """Two rows of numbers of the nominal device."""
    point = symmetry_point(device)
    up, down = (float(step[0]) for step in device.nominal_steps(np.zeros(1)))
    shift = device.nominal_reference
    widths = (0.9, 1.1, 1.5, 1.3)
    first, second = st.columns(widths), st.columns(widths)
    first[0].metric("States", _short(device, number_of_states), help="Range divided by the mean step at weight 0.")
    first[1].metric(
        "Symmetry point",
        significant(round(point, 6), 2) if math.isfinite(point) else "none",
        help="Weight at which an up and a down pulse cancel; alternating pulses pull the device there.",
    )
    first[2].metric(
        "Step up / down", f"{significant(up, 2)} / {significant(down, 2)}", help="Nominal steps at weight 0."
    )
    first[3].metric(
        "Range", f"{significant(device.w_min - shift, 2)} … {significant(device.w_max - shift, 2)}",
        help="Visible weight between the nominal bounds.",
    )  # fmt: skip
    second[0].metric(
        "Asymmetry", _short(device, asymmetry), help="G / F = (down − up) / (down + up) at weight 0; 0 is symmetric."
    )
    second[1].metric(
        "Step over noise", _short(device, signal_to_noise),
        help="Mean step at weight 0 over the noise of one read after one pulse: cycle noise and write noise together.",
    )  # fmt: skip
    second[2].metric("Noise over step", _short(device, noise_to_signal), help="The inverse, at the symmetry point.")
    second[3].metric(
        "Symmetry points", _spread_of_points(device),
        help="Where the symmetry points of nine in ten drawn devices lie.",
    )  # fmt: skip


def show_spread(device: PulsedDevice, look: str, seed: int) -> None:
    """One of the figures of :data:`SPREADS` for many drawn devices."""
    plot = SPREADS[look]
    code = (
        f"from tilewright.devices import device_distribution\nfrom tilewright.figures import {plot.__name__}\n"
        f"{device.to_python('device')}\n{plot.__name__}(device_distribution(device, {DRAWN}, seed={seed})).show()"
    )
    settings = f"{DRAWN:,} devices, seed {seed}; {_NOTES[look]}"
    key = f"device-{look.lower().replace(' ', '-')}"
    show_figure(plot(device_distribution(device, DRAWN, seed)), key, settings=settings, code=code)


def _short(device: PulsedDevice, quantity: Callable[[PulsedDevice], float]) -> str:
    value = float(quantity(device))
    if math.isinf(value):
        return "∞"
    if math.isnan(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 100 else significant(round(value, 6), 2)


def _spread_of_points(device: PulsedDevice) -> str:
    low, high = device_distribution(device, 500, weights=np.zeros(1)).quantiles("symmetry_points", (0.05, 0.95))
    if not math.isfinite(low):
        return "none"
    ends = [significant(round(end, 4) + 0.0, 2) for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else " … ".join(ends)
