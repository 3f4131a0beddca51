"""Settings that cannot learn, as the pages show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st
import torch

from studio.words import plain
from tilewright import configs
from tilewright.advice import Conditions, Finding, Severity, advise
from tilewright.configs import RPUConfig
from tilewright.data import DataError
from tilewright.fitting.verdict import LABELS
from tilewright.parameters import ParameterError
from tilewright.runs import RunFinding, RunSpec, advise_run, recommend

# What the Tile page assumes of a network, since it knows none: a middle layer, at the usual learning rate.
TYPICAL_OUTPUTS, TYPICAL_INPUTS, TYPICAL_RATE = 128, 256, 0.1


def tile_findings(config: RPUConfig) -> list[Finding]:
    """What there is to say about a tile before anything is known of its network."""
    spread = 1 / TYPICAL_INPUTS**0.5  # as torch draws initial weights
    weights = torch.linspace(-spread, spread, TYPICAL_INPUTS).repeat(TYPICAL_OUTPUTS, 1)
    return advise(config, Conditions(TYPICAL_OUTPUTS, TYPICAL_INPUTS, TYPICAL_RATE, weights=weights))


@st.cache_data(show_spinner=False, max_entries=64)
def findings_by_algorithm(device_yaml: str, class_name: str) -> dict[str, list[str]]:
    """What the Tile page will say of the recommended settings of each algorithm on a device.

    Args:
        device_yaml: the device, in full.
        class_name: its class; a cached answer is not found by the text alone.
    """
    device = getattr(configs, class_name).from_yaml(device_yaml)
    said = {name: tile_findings(recommend(name, device).rpu_config) for name in LABELS}
    return {name: list(dict.fromkeys(finding.what for finding in found)) for name, found in said.items()}


def show_tile_findings(config: RPUConfig) -> None:
    """The findings of a tile as warnings."""
    for finding in tile_findings(config):
        st.warning(f"**{_sentence(finding.what)}** {_details(finding)}", icon=_icon(finding))


def warn_before_launch(make_specs: Callable[[], Sequence[RunSpec]]) -> None:
    """One box with what speaks against the runs that are chosen; nothing when nothing does or it is incomplete.

    Args:
        make_specs: the runs, one for each algorithm.
    """
    try:
        found = [(spec.name, item) for spec in make_specs() for item in _run_findings(spec.to_yaml(full=True))]
    except (DataError, ParameterError):
        return  # said when Train is pressed
    if not found:
        return
    found.sort(key=lambda pair: pair[1].finding.severity is not Severity.CANNOT_LEARN)
    said = {name: [item.finding.what for other, item in found if other == name] for name, _ in found}
    lines = "\n\n".join(f"**{plain(name)}**: {'; '.join(dict.fromkeys(what))}." for name, what in said.items())
    st.warning(lines, icon=_icon(found[0][1].finding))
    with st.expander("Why, and what to do"):
        for name, item in found:
            layers = "" if len(item.layers) == item.layers_in_all else f", layer {', '.join(item.layers)}"
            st.markdown(f"**{plain(name)}**{layers}: {item.finding.what}. {_details(item.finding)}")


@st.cache_data(show_spinner=False, max_entries=128)
def _run_findings(spec_yaml: str) -> list[RunFinding]:
    return advise_run(RunSpec.from_yaml(spec_yaml))


def _icon(finding: Finding) -> str:
    return ":material/block:" if finding.severity is Severity.CANNOT_LEARN else ":material/warning:"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _details(finding: Finding) -> str:
    return f"{finding.why}. {finding.remedy}. `{finding.field}`"
