"""Compare: runs side by side."""

import streamlit as st

from studio.errors import live
from studio.places import go, heading, next_step
from studio.plots import show_figure
from studio.training import accuracies, comparison_table, curves_of, run_label
from studio.workspace import workspace
from tilewright.figures import plot_comparison, plot_losses

SMOOTH = 15
LOSS, TEST, TRAIN = "Training loss", "Test accuracy", "Training accuracy"
METRIC = {LOSS: "loss", TEST: "test_accuracy", TRAIN: "train_accuracy"}

place = heading("Compare", "Runs in one plot and one table: what each algorithm makes of a device.")

rows = workspace().runs.list()
if not rows:
    st.info("There is no run yet. Train a network with two or three algorithms, then compare them here.")
    if next_step("Train a network", "train"):
        go("train")
    st.stop()

by_id = {row.id: row for row in rows}
if not set(st.session_state.get("runs", [])) <= set(by_id):
    st.session_state["runs"] = [run for run in st.session_state["runs"] if run in by_id]
latest = [row.id for row in rows[:6]]
chosen = st.multiselect(
    "Runs", list(by_id), default=latest, format_func=lambda run: run_label(by_id[run]), key="runs", bind="query-params",
    placeholder="Choose runs",
)  # fmt: skip
if not chosen:
    st.info("Choose at least one run above.")
    st.stop()


busy = any(by_id[run].active for run in chosen)


@live(run_every=2 if busy else None)
def show() -> None:
    store = workspace().runs
    runs = [store.get(run) for run in chosen]
    if busy and not any(run.active for run in runs):
        st.rerun()  # draws the page once more, without the clock
    shown = st.segmented_control("Show", list(METRIC), default=LOSS, required=True, key="metric", bind="query-params")
    curves, bars = st.columns([2, 1], gap="medium")
    code = (
        "from tilewright.runs import compare\nfrom tilewright.workspace import Workspace\n\n"
        f"comparison = compare(Workspace().runs, {chosen!r})\nprint(comparison.table)"
    )
    with curves:
        loss = shown == LOSS
        figure = plot_losses(
            curves_of(runs, METRIC[shown]), y_title=shown if loss else f"{shown} (%)", smooth=SMOOTH if loss else 1,
            log_y=loss, key=f"compare-{shown}",
        )  # fmt: skip
        note = f"Mean of {SMOOTH} values over the pale single ones" if loss else "After each epoch"
        show_figure(figure, "compare-curves", settings=note, code=code)
    with bars:
        show_figure(
            plot_comparison(accuracies(runs)), "compare-accuracy", settings="Mean over seeds, after the last epoch"
        )
    table = comparison_table(runs)
    number = st.column_config.NumberColumn
    formats = {"Test accuracy (%)": "%.1f", "Training loss": "%.3g", "Pulses": "compact", "Step": "%.3g"}
    st.dataframe(table, hide_index=True, column_config={k: number(format=v) for k, v in formats.items()})
    st.download_button(
        "Table (CSV)", data=lambda: table.to_csv(index=False), file_name="tilewright-comparison.csv", mime="text/csv",
        on_click="ignore", icon=":material/table:", key="table-csv",
    )  # fmt: skip


show()
with place:
    if next_step("Train more", "train"):
        go("train")
