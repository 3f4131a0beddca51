"""Searching the symmetry points of a device by pulses: the figure, the estimate and what it costs."""

from __future__ import annotations

import math

import streamlit as st

from studio.numbers import significant
from studio.plots import show_figure
from tilewright.devices import SymmetrySearch, number_of_states, search_symmetry_points
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import plot_symmetry_search

SEARCHED = 200
SEARCH = "Symmetry search"
LENGTHS = (100, 200, 500, 1000, 2000, 5000, 10000, 20000)


def show_symmetry_search(device: PulsedDevice, seed: int) -> None:
    """Up and down pulses in turn and in random order, side by side."""
    usual = next((n for n in LENGTHS if n >= 4 * number_of_states(device)), LENGTHS[-1])
    knobs = st.columns(2)
    n_pulses = knobs[0].select_slider(
        "Pulses to each device", LENGTHS, value=usual, key="search-pulses", bind="query-params"
    )
    n_reads = knobs[1].slider(
        "Reads averaged", 1, 64, 16, key="search-reads", bind="query-params",
        help="The estimate is the mean over reads after each of the last pulses.",
    )  # fmt: skip
    searches = [
        search_symmetry_points(device, n_pulses, method, SEARCHED, seed, n_reads=n_reads)
        for method in ("alternating", "random")
    ]
    code = (
        f"from tilewright.devices import search_symmetry_points\nfrom tilewright.figures import plot_symmetry_search\n"
        f"{device.to_python('device')}\nsearches = [\n"
        f"    search_symmetry_points(device, {n_pulses}, method, {SEARCHED}, seed={seed}, n_reads={n_reads})\n"
        '    for method in ("alternating", "random")\n]\nplot_symmetry_search(searches).show()'
    )
    settings = f"{SEARCHED} devices from their lower bound, seed {seed}; dotted: the true points"
    show_figure(plot_symmetry_search(searches), "device-symmetry-search", settings=settings, code=code)
    if math.isfinite(searches[0].rms_residual):
        for column, search in zip(st.columns(2), searches, strict=True):
            column.caption(cost_line(search))


def cost_line(search: SymmetrySearch) -> str:
    """What a search found and cost, in a sentence."""
    order = {"alternating": "In turn", "random": "Random order"}[search.method]
    half = search.pulses_to_reach(search.error[0] / 10)
    reached = (
        f"a tenth of the first distance after {half:,} pulses"
        if half is not None
        else "never within a tenth of the first distance"
    )
    return (
        f"**{order}**: {search.pulses:,} pulses and {search.reads} reads a device; {reached}; "
        f"the estimate misses by {significant(search.rms_residual, 2)} (rms)."
    )
