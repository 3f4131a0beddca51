"""What a network takes of tiles: its summary as numbers and a table."""

from __future__ import annotations

import itertools

import streamlit as st

from studio.launching import layer_sizes, network_of
from studio.numbers import percent
from tilewright.configs import FloatingPointRPUConfig, MappingParameter, RPUConfig
from tilewright.nn import AnalogSummary, analog_summary
from tilewright.parameters import ParameterError

_MOST_WEIGHTS = 50_000_000
_COLUMNS = {
    "layer": "Layer",
    "class": "Class",
    "out": "Output",
    "tiles": "Tiles",
    "logical": "Weights (out x in)",
    "physical": "Array (out x in)",
    "used (%)": "Used (%)",
    "analog params": "Analog parameters",
    "digital params": "Digital parameters",
    "reuse": "Vectors",
    "analog ops": "Analog operations",
    "digital ops": "Digital operations",
    "conversions": "Conversions",
}


@st.cache_data(show_spinner=False, max_entries=64)
def summarised(mapping_yaml: str, layers: str) -> AnalogSummary:
    """The summary of a perceptron on tiles of this mapping, for one image."""
    sizes = layer_sizes(layers)
    if sum(a * b for a, b in itertools.pairwise(sizes)) > _MOST_WEIGHTS:
        raise ParameterError(f"layers {layers!r}: a look at a network stops at {_MOST_WEIGHTS:,} weights")
    config = FloatingPointRPUConfig(mapping=MappingParameter.from_yaml(mapping_yaml))
    return analog_summary(network_of(layers, "Sigmoid").build(), (1, sizes[0]), config)


def show_network(config: RPUConfig) -> None:
    """Ask for a network, and show the tiles it takes with this configuration."""
    layers = st.text_input("Layers", "784-256-128-10", key="summary.layers", bind="query-params", width=260)
    summary = summarised(config.mapping.to_yaml(full=True), layers)
    totals = summary.totals()
    columns = st.columns(4)
    columns[0].metric("Tiles", totals["tiles"])
    columns[1].metric("Used", percent(summary.utilisation), help="Crosspoints that hold a weight, of all there are.")
    share = totals["analog share of operations (%)"]
    columns[2].metric(
        "In the arrays", "–" if share is None else f"{share} %",
        help="Multiply-accumulates in the arrays, of all operations of one image.",
    )  # fmt: skip
    columns[3].metric("Conversions", f"{summary.conversions:,}", help="DAC and ADC conversions for one image.")
    table = summary.to_frame()[list(_COLUMNS)].rename(columns=_COLUMNS)
    whole = st.column_config.NumberColumn(format="localized")
    counts = {name: whole for name in ("Analog parameters", "Digital parameters", *list(_COLUMNS.values())[-4:])}
    st.dataframe(table, hide_index=True, placeholder="", column_config=counts)
    st.caption("One image, forward. The Mapping section sets the size of the arrays.")
    sizes = layer_sizes(layers)
    st.code(
        f"{config.to_python('rpu_config')}\n"
        "from tilewright.nn import analog_summary\nfrom tilewright.runs import Perceptron\n\n"
        f"model = Perceptron(layer_sizes={sizes}, activation='Sigmoid').build()  # or a network of your own\n"
        f"print(analog_summary(model, (1, {sizes[0]}), rpu_config))",
        language="python",
    )
