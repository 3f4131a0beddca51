"""Device: move a slider, see the response."""

import streamlit as st

from studio.devices import choose_device, device_names, load_device, origin_of, own_name
from studio.errors import live
from studio.forms import changes_line, parameter_form, reset_button, slug
from studio.places import carry, go, heading, next_step
from studio.plots import show_figure
from studio.saving import keep, save_as
from studio.spread import SPREADS, show_numbers, show_spread
from studio.symmetry import SEARCH, show_symmetry_search
from studio.verdicts import device_verdict
from studio.workspace import workspace
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import plot_device_compact, plot_step_curves


def show_response(device: PulsedDevice, n_traces: int, n_loops: int, seed: int) -> None:
    figure = plot_device_compact(device, n_traces=n_traces, n_loops=n_loops, seed=seed)
    code = (
        f"from tilewright.figures import plot_device_compact\n{device.to_python('device')}\n"
        f"plot_device_compact(device, n_traces={n_traces}, n_loops={n_loops}, seed={seed}).show()"
    )
    settings = f"{n_traces} device{'s' if n_traces > 1 else ''}, {n_loops} ramps up and down, seed {seed}"
    show_figure(figure, "device-response", settings=settings, code=code)


def show_steps(name: str, device: PulsedDevice) -> None:
    others = st.multiselect(
        "Compare its steps with", [n for n in device_names() if n != name], key="against", bind="query-params",
        max_selections=3, placeholder="Choose up to three devices",
    )  # fmt: skip
    shown = {name: device, **{other: load_device(other) for other in others}} if others else device
    code = (
        f"from tilewright.figures import plot_step_curves\n{device.to_python('device')}\n"
        "plot_step_curves(device).show()"
    )
    show_figure(plot_step_curves(shown), "device-steps", settings="Nominal steps, without noise and spread", code=code)


def show_analysis(name: str, device: PulsedDevice, seed: int) -> None:
    looks = ["Steps", *SPREADS, SEARCH]
    look = st.segmented_control(
        "Look at", looks, default="Steps", required=True, key="look", bind="query-params", label_visibility="collapsed"
    )
    if look == "Steps":
        show_steps(name, device)
    elif look == SEARCH:
        show_symmetry_search(device, seed)
    else:
        show_spread(device, look, seed)


@live()
def explore() -> None:
    place = heading("Device", "How a device answers pulses. Move a slider and watch the figure follow.")
    settings, view = st.columns([1, 2.3], gap="medium")
    with settings:
        name, base = choose_device()
        key = slug(name)
        st.caption(origin_of(name))
        form, errors = st.container(height=440, border=False), st.container()
        with form:
            device = parameter_form(
                base, key, open_groups=("Step", "Bounds"), skip=("construction_seed",), errors=errors
            )
        changed = changes_line(base, device)
        if changed:
            st.caption(f"Changed: {changed}")
            reset_button(base, key)
        wanted, saved = save_as(device, workspace().devices, "device", suggestion=own_name(name))
        if saved:
            carry(device=saved)
            st.rerun()
    with view:
        knobs = st.columns(3)
        n_traces = knobs[0].slider("Devices drawn", 1, 30, 3, key="traces", bind="query-params")
        n_loops = knobs[1].slider("Ramps", 1, 5, 2, key="loops", bind="query-params")
        seed = knobs[2].slider("Draw", 0, 50, 0, key="draw", bind="query-params", help="Another draw, other devices.")
        show_response(device, n_traces, n_loops, seed)
        show_numbers(device)
        st.info(device_verdict(device), icon=":material/lightbulb:")
        for caution in device.cautions():
            st.warning(caution, icon=":material/warning:")
        show_analysis(name, device, seed)
    with place:
        if next_step("Save and put it in a tile" if changed else "Put it in a tile", "tile"):
            kept = keep(device, workspace().devices, "device", wanted) if changed else name
            if kept:
                go("tile", device=kept)


explore()
