"""Presets: every published device, periphery, update scheme and tile in one table."""

import streamlit as st

from studio.places import go, heading, next_step
from studio.presets import FORMATS, KINDS, about, filtered, shown_columns, table
from studio.saving import keep
from studio.workspace import workspace
from tilewright.preset_table import preset_class

place = heading("Presets", "Every preset in one table: where it comes from and what its device is worth. Pick a row.")

row = st.container(horizontal=True, vertical_alignment="top")
kind = row.segmented_control(
    "Kind", list(KINDS), default="All", required=True, key="kind", bind="query-params", format_func=str
)
wanted = row.text_input(
    "Search", key="search", bind="query-params", placeholder="name, technology, paper …", max_chars=60
)
least = row.number_input(
    "States at least", min_value=0, value=0, step=100, key="states", bind="query-params",
    help="Leaves out devices with fewer states; 0 shows everything.",
)  # fmt: skip

rows = filtered(table(), KINDS[kind or "All"], wanted or "", float(least or 0))
if rows.empty:
    st.info("No preset fits. Choose another kind, fewer states or other words.")
    st.stop()
st.caption(f"{len(rows)} of {len(table())} presets. Select a row to read about a preset and to use it.")
# A key of its own for each set of rows: a selection is kept by place, not by name.
picked = st.dataframe(
    rows[shown_columns(rows)], hide_index=True, placeholder="–", column_config=FORMATS, on_select="rerun",
    selection_mode="single-row", key=f"picked-{'-'.join(rows['name'])}", height="content" if len(rows) <= 12 else 460,
)  # fmt: skip
if picked.selection.rows:
    st.query_params["preset"] = rows["name"][picked.selection.rows[0]]
name = st.query_params.get("preset")
if name not in set(rows["name"]):
    st.stop()

page = about(name)
with place:
    if page == "device" and next_step("Explore this device", "device"):
        go("device", device=name)
    if page == "tile" and next_step("Save and open this tile", "tile"):
        kept = keep(preset_class(name)(), workspace().tiles, "tile", name)
        if kept:
            go("tile", tile=kept)
