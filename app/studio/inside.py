"""Looking into one run: how it fares in words, its readings, and what its arrays look like."""

from __future__ import annotations

import re
import statistics

import streamlit as st

from studio.errors import guarded
from studio.numbers import percent, significant
from studio.plots import show_figure
from studio.training import run_label
from studio.workspace import workspace
from tilewright.figures import Curve, plot_losses, plot_snapshot
from tilewright.runs import RunRow
from tilewright.runs.health import concerns
from tilewright.runs.snapshots import load_snapshot, snapshot_epochs

READINGS = {
    "throughput": ("Samples per second", lambda value: f"{value:,.0f}"),
    "saturated_weights": ("Saturated weights", percent),
    "truncated_updates": ("Clipped updates", percent),
    "empty_updates": ("Empty updates", percent),
    "pulse_density": ("Pulses per crosspoint", significant),
}
HELP = {
    "saturated_weights": "Share of the devices within 1 % of their range from a bound.",
    "truncated_updates": "Share of the updates whose strongest weight asked for more pulses than a train holds.",
    "empty_updates": "Share of the updates that sent no pulse at all.",
    "pulse_density": "Pulses a crosspoint receives for a sample, on average.",
}


def array_words(name: str) -> str:
    """An array as people call it: ``1 tile 0 fast weight`` is that of layer 1, tile 0."""
    found = re.fullmatch(r"(\S+)(?: tile ([\d ]+))? (.+)", name)
    if found is None:
        return name
    layer, tile, what = found.groups()
    return f"Layer {layer}, tile {tile}: {what}" if tile else f"Layer {layer}: {what}"


def show_inside(rows: list[RunRow]) -> None:
    """Choose a run and look into it."""
    by_id = {row.id: row for row in rows}
    if st.session_state.get("inside") not in by_id:
        st.session_state.pop("inside", None)
    chosen = st.selectbox("Run", list(by_id), format_func=lambda run: run_label(by_id[run]), key="inside")
    row = by_id[chosen]
    metrics = workspace().runs.metrics(row.id)
    last = {found.name: found.value for found in metrics}
    paces = [found.value for found in metrics if found.name == "throughput"]
    if paces:
        last["throughput"] = statistics.median(paces)  # one step alone tells little of the pace
    losses = [found.value for found in metrics if found.name == "loss"]
    for sentence in concerns(last, losses, row.progress):
        st.warning(sentence, icon=":material/monitor_heart:")
    columns = st.columns(len(READINGS))
    for place, (name, (label, words)) in zip(columns, READINGS.items(), strict=True):
        place.metric(label, words(last[name]) if name in last else "–", help=HELP.get(name))
    with guarded():
        _show_arrays(row)
    drawn = [name for name in READINGS if sum(found.name == name for found in metrics) > 1]
    if drawn:
        name = st.segmented_control(
            "Over time", drawn, default=drawn[0], required=True, format_func=lambda n: READINGS[n][0], key="reading"
        )
        values = [found for found in metrics if found.name == name]
        curve = Curve(row.name, row.algorithm, [v.step for v in values], [v.value for v in values])
        smooth = 15 if name == "throughput" else 1
        figure = plot_losses([curve], y_title=READINGS[name][0], x_title="Step", smooth=smooth, key=f"reading-{name}")
        show_figure(figure, "train-reading", settings=f"{row.name}, {row.spec.data.name}")


def _show_arrays(row: RunRow) -> None:
    folder = workspace().runs.run_folder(row.id)
    epochs = snapshot_epochs(folder)
    if not epochs:
        st.caption("Pictures of the arrays are made before the first step and after each epoch.")
        return
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    epoch = epochs[-1]
    if len(epochs) > 1:
        if st.session_state.get("snapshot-epoch") not in epochs:
            st.session_state["snapshot-epoch"] = epochs[-1]
        epoch = bar.select_slider("After epoch", epochs, key="snapshot-epoch", width=300)
    arrays = {array.name: array for array in load_snapshot(folder, epoch)}
    if not arrays:
        return
    if st.session_state.get("array") not in arrays:
        st.session_state["array"] = next(iter(arrays))
    name = bar.selectbox("Array", list(arrays), key="array", width=260, format_func=array_words)
    array = arrays[name]
    figure = plot_snapshot(array.picture, array.counts, array.low, array.high)
    rows, columns = array.picture.shape
    show_figure(
        figure,
        "train-array",
        settings=f"{array_words(name)} after epoch {epoch}; {rows} x {columns} of its crosspoints",
    )
