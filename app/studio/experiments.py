"""The live figure of each lesson, under its knobs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from studio.numbers import significant
from studio.plots import show_figure
from tilewright.configs import IOParameters, LinearStepDevice, SoftBoundsDevice, build_config
from tilewright.devices import search_symmetry_points
from tilewright.error_sources import converter_curves, errors_by_source
from tilewright.figures import (
    algorithm_label,
    plot_coincidences,
    plot_converters,
    plot_device_compact,
    plot_error_sources,
    plot_one_weight,
    plot_symmetry_search,
)
from tilewright.lessons import balance_of_sgd, coincidences, learn_one_weight, pulse_probabilities

UPDATES = 1500
NO_SPREAD = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}


def steps() -> None:
    """Step curves and ramps of a device whose steps fade towards its bounds."""
    knobs = st.columns(3)
    states = knobs[0].slider("States", 20, 200, 100, 10, key="states", help="Range over the step at weight 0.")
    saturation = knobs[1].slider("Saturation", 0.0, 1.0, 0.8, 0.1, key="saturation")
    noise = knobs[2].slider("Cycle noise (steps)", 0.0, 2.0, 0.3, 0.1, key="cycle-noise")
    device = LinearStepDevice(
        dw_min=2 / states, dw_min_std=noise, w_max=1.0, w_min=-1.0, gamma_up=saturation, gamma_down=saturation,
        gamma_up_dtod=0.0, gamma_down_dtod=0.0, **NO_SPREAD,
    )  # fmt: skip
    show_figure(
        plot_device_compact(device, n_steps=2 * states, n_traces=5, n_loops=1), "lesson-steps",
        settings=f"Five devices, {2 * states} pulses up and as many down",
        code=f"from tilewright.figures import plot_device_compact\n{device.to_python('device')}\n"
        f"plot_device_compact(device, n_steps={2 * states}, n_traces=5, n_loops=1).show()",
    )  # fmt: skip


def symmetry() -> None:
    """Pulses alone find the symmetry points."""
    knobs = st.columns(3)
    balance = knobs[0].slider(
        "Up against down", -0.5, 0.5, 0.0, 0.1, key="up-down", help="Below 0 up steps are the weaker ones, at weight 0."
    )
    spread = knobs[1].slider("Spread", 0.0, 0.3, 0.1, 0.05, key="spread", help="Of up against down, between devices.")
    pulses = knobs[2].select_slider("Pulses", (100, 200, 500, 1000, 2000), 500, key="pulses")
    spreads = {**NO_SPREAD, "up_down_dtod": spread}
    device = SoftBoundsDevice(dw_min=0.02, dw_min_std=0.3, up_down=balance, w_max=1.0, w_min=-1.0, **spreads)
    searches = [search_symmetry_points(device, pulses, method, 200, 1) for method in ("alternating", "random")]
    show_figure(
        plot_symmetry_search(searches), "lesson-symmetry",
        settings="200 devices from their lower bound; a step at weight 0 is 0.02",
        code="from tilewright.devices import search_symmetry_points\n"
        f"from tilewright.figures import plot_symmetry_search\n{device.to_python('device')}\n"
        f"plot_symmetry_search(search_symmetry_points(device, {pulses})).show()",
    )  # fmt: skip


def chance() -> None:
    """Coincidences of two random trains."""
    knobs = st.columns(3)
    x = knobs[0].slider("Input", 0.0, 1.0, 0.5, 0.05, key="input")
    d = knobs[1].slider("Error", 0.0, 1.0, 0.5, 0.05, key="error")
    length = knobs[2].slider("Train length", 1, 64, 10, key="length")
    counts = coincidences(x, d, length)
    show_figure(
        plot_coincidences(counts, pulse_probabilities(x, d, length)), "lesson-coincidences",
        settings=f"Mean {significant(float(counts.mean()), 3)} pulses, expected {length * x * d:.3g}; "
        f"spread {significant(float(counts.std()), 3)}, expected {(length * x * d * (1 - x * d)) ** 0.5:.3g}",
        code="from tilewright.figures import plot_coincidences\n"
        "from tilewright.lessons import coincidences, pulse_probabilities\n"
        f"plot_coincidences(coincidences({x}, {d}, {length}), pulse_probabilities({x}, {d}, {length})).show()",
    )  # fmt: skip


def reading() -> None:
    """Errors of the periphery by their source."""
    knobs = st.columns(4)
    dac = knobs[0].slider("DAC bits", 2, 10, 5, key="dac")
    adc = knobs[1].slider("ADC bits", 2, 12, 8, key="adc")
    adc_range = knobs[2].slider("ADC range", 0.5, 20.0, 12.0, 0.5, key="adc-range")
    noise = knobs[3].slider("Output noise", 0.0, 0.3, 0.06, 0.02, key="noise")
    io = IOParameters(inp_bits=dac, out_bits=adc, out_bound=adc_range, out_noise=noise)
    code = (
        "from tilewright.error_sources import converter_curves, errors_by_source\n"
        f"from tilewright.figures import plot_converters, plot_error_sources\n{io.to_python('io')}\n"
    )
    show_figure(
        plot_error_sources(errors_by_source(io, io)), "lesson-sources",
        settings="24 inputs, 16 outputs, weights to ±0.5",
        code=code + "plot_error_sources(errors_by_source(io, io)).show()",
    )  # fmt: skip
    show_figure(
        plot_converters(*converter_curves(io)), "lesson-converters", settings="Each converter alone",
        code=code + "plot_converters(*converter_curves(io)).show()",
    )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=128)
def learned(algorithm: str, device_yaml: str, target: float, noise: float, lr: float) -> NDArray[np.float64]:
    """A weight's path; kept, since one knob moves while the other algorithms stay."""
    device = SoftBoundsDevice.from_yaml(device_yaml)
    # A single weight has no larger gradient beside it to scale the fast array by.
    cell = {"cell": {"fast_lr": 1.0}} if algorithm == "ttv2" else {}
    return learn_one_weight(build_config(algorithm, device, **cell), target, UPDATES, noise, lr)


def learning() -> None:
    """One weight, several algorithms."""
    algorithms = st.pills(
        "Algorithms", ["sgd", "tiki-taka", "ttv2", "mp"], default=["sgd"], selection_mode="multi",
        format_func=algorithm_label, key="contenders",
    )  # fmt: skip
    knobs = st.columns(3)
    target = knobs[0].slider("Target", -0.8, 0.8, 0.6, 0.1, key="target")
    noise = knobs[1].slider("Gradient noise", 0.0, 1.0, 0.3, 0.1, key="gradient-noise")
    lr = knobs[2].select_slider("Learning rate", (0.02, 0.05, 0.1, 0.2), 0.1, key="rate")
    device = SoftBoundsDevice(dw_min=0.01, dw_min_std=0.3, w_max=1.0, w_min=-1.0, **NO_SPREAD)
    paths = {name: learned(name, device.to_yaml(full=True), target, noise, lr) for name in algorithms}
    rest = balance_of_sgd(target, noise, 1.0, -1.0) if "sgd" in paths else None
    figure = plot_one_weight(paths, target, rest, 1.0, -1.0)
    ends = ", ".join(f"{algorithm_label(name)} {path[UPDATES // 2 :].mean():.2f}" for name, path in paths.items())
    show_figure(
        figure, "lesson-learning", settings=f"Mean of the second half: {ends}" if ends else "No algorithm",
        code="from tilewright.configs import build_config\nfrom tilewright.figures import plot_one_weight\n"
        f"from tilewright.lessons import learn_one_weight\n{device.to_python('device')}\n"
        f'path = learn_one_weight(build_config("sgd", device), {target}, {UPDATES}, {noise}, {lr})\n'
        f'plot_one_weight({{"sgd": path}}, {target}, None, 1.0, -1.0).show()',
    )  # fmt: skip


EXPERIMENTS: dict[str, Callable[[], None]] = {
    "steps": steps,
    "symmetry": symmetry,
    "coincidences": chance,
    "reading": reading,
    "learning": learning,
}
