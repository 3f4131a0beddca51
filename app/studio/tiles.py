"""Assembling a tile configuration: where it starts from, and its sections as forms."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from studio.devices import as_model
from studio.forms import parameter_form
from tilewright.cells.parameters import UnitCell
from tilewright.configs import RPUConfig, build_config
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures.probe import TileProbe, probe_tile
from tilewright.parameters import Parameters
from tilewright.runs import recommend

SECTIONS = {
    "device": "Algorithm",
    "forward": "Forward",
    "backward": "Backward",
    "update": "Update",
    "mapping": "Mapping",
}
OPEN = {
    "device": ("Fast array", "Transfer", "Refresh", "Settings"),
    "forward": ("Mode", "Input", "Output"),
    "backward": ("Mode",),
    "update": ("Settings",),
    "mapping": ("Settings",),
}


def new_tile(algorithm: str, device: PulsedDevice, recommended: bool) -> tuple[RPUConfig, tuple[str, ...]]:
    """The configuration of an algorithm on a device, as recommended (with the reasons) or as published."""
    model = as_model(device)
    if recommended or algorithm == "fp":
        advice = recommend(algorithm, model)
        return advice.rpu_config, advice.reasons
    return build_config(algorithm, model), ()


def tile_form(base: RPUConfig, key: str, errors: DeltaGenerator) -> RPUConfig:
    """The sections of a tile as tabs; returns what they describe, and says in ``errors`` what is wrong."""
    sections = {name: title for name, title in SECTIONS.items() if isinstance(getattr(base, name, None), Parameters)}
    if not isinstance(getattr(base, "device", None), UnitCell):
        sections.pop("device", None)
        st.caption("This algorithm has no settings of its own. The device itself is edited on the Device page.")
    made: dict[str, Parameters] = {}
    for name, tab in zip(sections, st.tabs(list(sections.values())), strict=True):
        part = getattr(base, name)
        with tab:
            made[name] = parameter_form(
                part, f"{key}.{name}", open_groups=OPEN[name], skip=("construction_seed",), errors=errors
            )
    fields = {name: getattr(base, name) for name in type(base).model_fields}
    return type(base)(**fields | made)


def differences(before: RPUConfig, after: RPUConfig) -> str:
    """What differs between two configurations, a line each."""
    lines = [f"{path}: {old} → {new}" for path, (old, new) in before.diff(after).items()]
    return "\n".join(lines)


@st.cache_data(show_spinner=False, max_entries=64)
def probed(config_yaml: str, seed: int) -> TileProbe:
    """The probe of a configuration; kept, since products of one tile are asked for again and again."""
    return probe_tile(RPUConfig.from_yaml(config_yaml), seed=seed)


def pasted(text: str) -> RPUConfig:
    """A configuration from YAML or Python text; neither is executed."""
    looks_like_python = "import " in text or "(" in text.split(":", 1)[0]
    return RPUConfig.from_python(text) if looks_like_python else RPUConfig.from_yaml(text)
