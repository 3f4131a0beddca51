"""Compare: runs side by side."""

import streamlit as st

from studio.background import find_task
from studio.comparing import (
    FRESH,
    choose_grouping,
    known_metrics,
    offer_fresh_devices,
    show_costs,
    show_curves,
    show_list,
    show_settings,
    show_sweep,
)
from studio.errors import live
from studio.exporting import offer_exports, offer_take_in
from studio.ledgers import show_ledgers
from studio.places import go, heading, next_step
from studio.training import CHOSEN, run_label
from studio.workspace import workspace
from tilewright.figures import algorithm_label
from tilewright.report import metric_words
from tilewright.runs import RunRow
from tilewright.runs.grouping import SETTING

LATEST = 6
VIEWS = ("Settings", "Curves", "Sweep", "Costs", "Runs")
GROUPED = ("Settings", "Curves")

place = heading("Compare", "Settings in one plot and one table: what each algorithm makes of a device.")
rows = workspace().runs.list()
with place:
    if next_step("Train more" if rows else "Train a network", "train"):
        go("train")
if not rows:
    st.info("There is no run yet. Train a network with two or three algorithms, then compare them here.")
    offer_take_in()
    st.stop()


def choose_runs() -> list[RunRow]:
    """A sweep, or any runs; then only some algorithms and tags."""
    batches = list(dict.fromkeys(row.batch for row in rows if row.batch))
    options = [*batches, CHOSEN]
    if st.session_state.get("sweep") not in options:
        st.session_state["sweep"] = rows[0].batch or CHOSEN
    bar = st.columns([1.6, 1.6, 1, 1.2], vertical_alignment="bottom")
    sweep = bar[0].selectbox("Sweep", options, key="sweep")
    found = [row for row in rows if row.batch == sweep] if sweep != CHOSEN else rows
    algorithms = list(dict.fromkeys(row.algorithm for row in found))
    wanted = bar[1].multiselect(
        "Algorithms", algorithms, key=f"only-algorithms-{sweep}", format_func=algorithm_label, placeholder="All"
    )
    tags = sorted({tag for row in found for tag in row.tags})
    tag = bar[2].selectbox("Tag", tags, index=None, key=f"only-tag-{sweep}", placeholder="Any", disabled=not tags)
    found = [row for row in found if (not wanted or row.algorithm in wanted) and (tag is None or tag in row.tags)]
    with bar[3]:
        st.selectbox("Figure", known_metrics(found), key="figure", format_func=metric_words)
    if sweep == CHOSEN:
        by_id = {row.id: row for row in found}
        if not set(st.session_state.get("runs", [])) <= set(by_id):
            st.session_state["runs"] = [run for run in st.session_state["runs"] if run in by_id]
        chosen = st.multiselect(
            "Runs", list(by_id), default=[row.id for row in found[:LATEST]], key="runs", bind="query-params",
            format_func=lambda run: run_label(by_id[run]), placeholder="Choose runs",
        )  # fmt: skip
        found = [by_id[run] for run in chosen]
    return found[::-1]  # in the order they were made


chosen = choose_runs()
if not chosen:
    st.info("No run is left to compare: choose runs or a sweep above, or clear the choice of algorithms and tags.")
    st.stop()
task = find_task(FRESH, own=True)
busy = any(row.active for row in chosen) or (task is not None and task.running)
bar = st.container(horizontal=True, vertical_alignment="center")
view = bar.segmented_control(
    "View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params", label_visibility="collapsed"
)
by = SETTING
if view in GROUPED:
    with bar:
        by = choose_grouping(chosen)


@live(run_every=2 if busy and view != "Runs" else None)
def show() -> None:
    store, metric = workspace().runs, st.session_state.get("figure") or "test_accuracy"
    runs = [store.get(row.id) for row in chosen]
    testing = task is not None and task.running
    if busy and not testing and not any(row.active for row in runs):
        st.rerun()  # draws the page once more, without the clock
    waiting = sum(row.active for row in runs)
    if waiting:
        st.caption(f"{len(runs) - waiting} of {len(runs)} runs are over; the rest is waiting or training.")
    if view == "Curves":
        show_curves(runs, by)
    elif view == "Sweep":
        show_sweep(runs, metric)
    elif view == "Costs":
        show_costs(runs, metric)
        show_ledgers(runs)
    elif view == "Runs":
        show_list(runs)
    else:
        show_settings(runs, metric, by)
    offer_fresh_devices(runs)


show()
with st.expander("Export and import"):
    offer_exports(chosen, st.session_state.get("figure") or "test_accuracy", st.session_state.get("group") or "setting")
    offer_take_in()
