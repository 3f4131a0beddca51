"""What a fit may be told beyond its parameters: how it starts, what counts more, what devices share."""

import streamlit as st

from tilewright.measurement import Measurement

STARTS = {"automatic": None, "free": True, "first sample": False}


def fit_options(measurement: Measurement) -> tuple[bool | None, dict[int, float] | None, bool]:
    """How starts are treated, the factors of the branches, and whether one set of parameters is for all devices."""
    jointly = False
    with st.expander("Start, weights, devices"):
        if len(measurement.devices) > 1:
            jointly = st.toggle("One set of parameters for all devices", key="jointly")
        start = st.selectbox(
            "State before the first pulse", list(STARTS), key="start",
            help="Free: fitted with its error. Automatic does so where one reading is noisier than one step.",
        )  # fmt: skip
        columns = st.columns(3)
        words = {1: "Up ramps", -1: "Down ramps", 0: "Alternating"}
        factors = {
            kind: columns[k].number_input(label, 0.0, 100.0, 1.0, key=f"weight{kind}", help="Factor of deviations.")
            for k, (kind, label) in enumerate(words.items())
        }
    weighted = any(factor != 1.0 for factor in factors.values())
    return STARTS[start], factors if weighted else None, jointly
