"""Tile: a device, an algorithm and the periphery round the array."""

import streamlit as st

from studio.devices import choose_device
from studio.errors import guarded, live
from studio.findings import show_tile_findings
from studio.forms import named_choice, slug
from studio.networks import show_network
from studio.numbers import percent
from studio.periphery import show_periphery
from studio.places import carry, go, heading, next_step
from studio.plots import show_figure
from studio.saving import keep, save_as
from studio.tiles import differences, new_tile, pasted, probed, tile_form
from studio.workspace import workspace
from tilewright.configs import FloatingPointRPUConfig, RPUConfig
from tilewright.figures import (
    agreement,
    algorithm_label,
    plot_device_compact,
    plot_mvm_scatter,
    plot_update_scatter,
    relative_error,
)
from tilewright.figures.probe import visible_device
from tilewright.runs import recommended_names

NEW = "New tile"


def choose_base() -> tuple[str, RPUConfig, tuple[str, ...]]:
    """A name for the forms, the configuration they start from, and the reasons for its settings."""
    saved = workspace().tiles.names()
    tile = named_choice("Tile", [NEW, *saved], "tile") if saved else NEW
    if tile != NEW:
        return tile, workspace().tiles.load(tile), ()
    device_name, device = choose_device()
    algorithm = st.pills(
        "Algorithm", recommended_names(), default="ttv2", required=True, format_func=algorithm_label, key="algorithm",
        bind="query-params", wrap=True,
    )  # fmt: skip
    recommended = st.toggle(
        "Recommended settings", value=True, key="recommended", bind="query-params", disabled=algorithm == "fp",
        help="On: settings that learn on this device. Off: the plain settings of the publication.",
    )  # fmt: skip
    name = f"{device_name} {algorithm}" + ("" if recommended else " plain")
    return (name, *new_tile(algorithm, device, recommended))


def show_probe(config: RPUConfig, seed: int) -> None:
    probe = probed(config.to_yaml(full=True), seed)
    code = (
        "from tilewright.figures.probe import probe_tile\nfrom tilewright.figures import plot_mvm_scatter\n"
        f"{config.to_python('config')}\nprobe = probe_tile(config, seed={seed})\n"
        "plot_mvm_scatter(probe.forward_wanted, probe.forward).show()"
    )
    products, updates = st.columns(2, gap="medium")
    with products:
        st.subheader("Products", anchor=False)
        forward = relative_error(probe.forward_wanted, probe.forward)
        backward = relative_error(probe.backward_wanted, probe.backward)
        figure = plot_mvm_scatter(
            probe.forward_wanted, probe.forward,
            wanted_backward=probe.backward_wanted, delivered_backward=probe.backward,
        )  # fmt: skip
        settings = f"Error: forward {percent(forward)}, backward {percent(backward)}"
        show_figure(figure, "tile-products", settings=settings, code=code)
    with updates:
        st.subheader("Update", anchor=False)
        settings = f"Correlation {agreement(probe.update_wanted, probe.update):.2f}, 500 repeats; bars: spread"
        show_figure(
            plot_update_scatter(probe.update_wanted, probe.update), "tile-update", settings=settings,
            code=code.replace("plot_mvm_scatter", "plot_update_scatter").replace("forward", "update"),
        )  # fmt: skip


def show_details(base: RPUConfig, config: RPUConfig) -> None:
    names = ["Pulse response", "Periphery", "Network", "Python", "YAML", "Changes", "Paste"]
    response, periphery, network, code, yaml, diff, paste = st.tabs(names)
    device = visible_device(config)
    with response:
        if device is None:
            st.caption("A floating-point tile has no device.")
        else:
            show_figure(
                plot_device_compact(device), "tile-response", settings="The device whose weight the network sees"
            )
    with periphery, guarded():
        show_periphery(config)
    with network, guarded():
        show_network(config)
    code.code(config.to_python("rpu_config"), language="python")
    yaml.code(config.to_yaml(), language="yaml")
    changed = differences(base, config)
    diff.code(changed, language=None) if changed else diff.caption("Nothing was changed from where you started.")
    with paste, guarded():
        text = st.text_area("A configuration in YAML or Python", key="pasted", placeholder="type: SingleRPUConfig …")
        if text.strip():
            _, saved = save_as(pasted(text), workspace().tiles, "tile", suggestion="pasted", key="paste")
            if saved:
                carry(tile=saved)
                st.rerun()


@live()
def assemble() -> None:
    place = heading(
        "Tile", "An array with converters, noise and an update scheme: what becomes of products and updates."
    )
    settings, view = st.columns([1, 2.1], gap="medium")
    with settings:
        name, base, reasons = choose_base()
        if reasons:
            with st.expander("Why these settings"):
                st.markdown("\n".join(f"- {reason}" for reason in reasons))
        exact = isinstance(base, FloatingPointRPUConfig)  # has one short form
        form, errors = st.container(height="content" if exact else 400, border=False), st.container()
        with form:
            config = tile_form(base, slug(name), errors)
        seed = st.slider("Draw", 1, 20, 1, key="probe", help="Another draw of weights, inputs, devices and noise.")
        suggestion = name.replace("PresetDevice", "")
        wanted, saved = save_as(config, workspace().tiles, "tile", suggestion=suggestion)
        if saved:
            carry(tile=saved)
            st.rerun()
    with view:
        for caution in config.cautions():
            st.warning(caution, icon=":material/warning:")
        show_tile_findings(config)
        show_probe(config, seed)
        show_details(base, config)
    with place:
        ready = name in workspace().tiles.names() and not differences(base, config)
        if next_step("Train with it" if ready else "Save and train with it", "train"):
            kept = name if ready else keep(config, workspace().tiles, "tile", wanted)
            if kept:
                go("train", tiles=[kept], algorithms=[])


assemble()
