"""What Compare shows of the chosen runs: curves, settings, sweeps, costs, the runs themselves, and exports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from studio.background import find_task, start_task
from studio.errors import guarded, show_error
from studio.plots import show_figure
from studio.workspace import workspace, workspace_code
from tilewright.figures import algorithm_label, plot_against, plot_bands, plot_heat_map, plot_parallel
from tilewright.report import interval_figure, metric_words, scale_of, setting_curves
from tilewright.runs import RunRow, figures_of, fresh_accuracies
from tilewright.runs.comparison import swept_fields
from tilewright.runs.grouping import SETTING, group_heading, group_words, groupings, setting_names
from tilewright.runs.side_by_side import (
    difference_text,
    interval_text,
    runs_table,
    setting_differences,
    settings_table,
    value_text,
)

CURVES = ("loss", "train_accuracy", "validation_accuracy", "test_accuracy", "train_loss", "test_loss", "test_error")
COSTS = ("pulses", "line_reads", "update_slots", "digital_operations", "cpu_seconds", "seconds")
USUAL = ("test_accuracy", "fresh_test_accuracy", "validation_accuracy", "test_error", "loss")
FRESH = "fresh devices"
SMOOTH = 15
SECONDS = st.column_config.NumberColumn(format="%.1f")
NOTE = (
    "95 % intervals: Student's t over runs that differ in their seeds only; where every seed ran on every device draw, "
    "both count as random (Satterthwaite)."
)

GROUP_NOTE = (
    "95 % intervals (Student's t) over all runs of a group: they include how the settings within it differ. "
    "Groups compare fairly where each has the same other settings."
)


def known_metrics(rows: Sequence[RunRow]) -> list[str]:
    """Figures that any of the runs has, the usual ones first."""
    found = {name for row in rows for name in figures_of(row)}
    first = [name for name in USUAL if name in found]
    return [*first, *sorted(found - set(first) - {"throughput"})] or ["test_accuracy"]


def code_of(chosen: Sequence[str]) -> str:
    """The Python that gives the same figures."""
    return (
        "from tilewright.runs import compare\nfrom tilewright.workspace import Workspace\n\n"
        f"comparison = compare({workspace_code()}.runs, {list(chosen)!r})\nprint(comparison.table)"
    )


def choose_grouping(rows: list[RunRow]) -> str:
    """What makes runs one group: their setting, or any one thing in which they differ."""
    options = groupings(rows)
    if st.session_state.get("group") not in options:
        st.session_state["group"] = SETTING
    return st.selectbox(
        "Group by", options, key="group", width=300, format_func=lambda by: f"By {group_words(by)}",
        label_visibility="collapsed",
    )  # fmt: skip


def show_curves(rows: list[RunRow], by: str) -> None:
    """Mean curves of the settings, or other groups, with bands from the lowest to the highest run."""
    shown = st.segmented_control(
        "Curve", [name for name in CURVES if name == "loss" or any(name in figures_of(row) for row in rows)],
        default="loss", required=True, format_func=metric_words, key="curve",
        bind="query-params",
    )  # fmt: skip
    loss = shown == "loss"
    figure = plot_bands(
        setting_curves(workspace().runs, rows, shown, by), y_title=metric_words(shown),
        log_y="loss" in shown, smooth=SMOOTH if loss else 1, key=f"compare-{shown}",
    )  # fmt: skip
    over = "seeds" if by == SETTING else "the runs of a group"
    note = f"Mean of {SMOOTH} values, averaged over {over}" if loss else f"After each epoch, averaged over {over}"
    show_figure(
        figure,
        "compare-curves",
        settings=f"{note}; bands from the lowest to the highest run",
        code=code_of([row.id for row in rows]),
    )


def show_settings(rows: list[RunRow], metric: str, by: str) -> None:
    """The table of settings, or other groups, with intervals, the figure of it, and paired differences."""
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        table = settings_table(rows, metric, by)
        several = by != "algorithm" and table.algorithm.nunique() > 1
        words = [interval_text(r.mean, r.low, r.high, metric) for r in table.itertuples()]
        shown = pd.DataFrame(
            {
                group_heading(by): table.setting,
                metric_words(metric).removesuffix(" (%)"): words,
                "Finished": [f"{r.finished} of {r.runs}" for r in table.itertuples()],
                "Time (s)": table.seconds.round(1),
                **({"Algorithm": [algorithm_label(n) or "Several" for n in table.algorithm]} if several else {}),
            }
        )
        st.dataframe(shown, hide_index=True, placeholder="–", column_config={"Time (s)": SECONDS})
        st.caption(NOTE if by == SETTING else GROUP_NOTE)
    with right:
        show_figure(interval_figure(rows, metric, by), "compare-settings", settings="Diamond: mean; dots: each run")
    differences = [d for d in setting_differences(rows, metric, by) if d.pairs > 1]
    if not differences:
        st.caption("Paired differences appear when two groups have two seeds or more in common.")
        return
    st.subheader("Paired differences", anchor=False)
    st.dataframe(
        pd.DataFrame(
            {
                "First": [d.first for d in differences], "Second": [d.second for d in differences],
                "Pairs": [d.pairs for d in differences],
                "First minus second": [difference_text(d, metric) for d in differences],
                "p (paired t, Holm)": [value_text(d.p_adjusted, "") for d in differences],
                "p (Wilcoxon)": [value_text(d.p_wilcoxon, "") for d in differences],
                "": [d.verdict for d in differences],
            }
        ),
        hide_index=True,
    )  # fmt: skip
    st.caption("Pairs share their seeds for data, weights and devices. Holm's correction is over all of them.")


def show_sweep(rows: list[RunRow], metric: str) -> None:
    """A map over two varied fields, and all varied fields as parallel coordinates."""
    fields = swept_fields(rows)
    if not fields:
        st.info("These runs sweep over no field. A sweep over one or two fields is set on the Train page.")
        return
    scale = scale_of(metric)
    values = [scale * figures_of(row).get(metric, math.nan) for row in rows]
    short = {path: group_words(path) for path in fields}
    single = list(fields)
    if len(single) >= 2:
        bar = st.columns(2)
        x = bar[0].selectbox("Across", single, index=0, key="map-x", format_func=lambda p: short[p])
        y = bar[1].selectbox("Up", [p for p in single if p != x], key="map-y", format_func=lambda p: short[p])
        figure = plot_heat_map(
            fields[x], fields[y], values, x_title=short[x], y_title=short[y], z_title=metric_words(metric)
        )
        show_figure(figure, "compare-map", settings="Mean over the runs that share both values")
    algorithms = [algorithm_label(row.algorithm) for row in rows]
    columns: dict[str, Sequence[Any]] = {"algorithm": algorithms} if len(set(algorithms)) > 1 else {}
    columns |= {short[path]: fields[path] for path in single[:8]}
    figure = plot_parallel(columns, values, colour_title=metric_words(metric))
    show_figure(figure, "compare-parallel", settings="One line a run; drag along an axis to keep a part of it")


def show_costs(rows: list[RunRow], metric: str) -> None:
    """The chosen figure against what it took."""
    known = [name for name in COSTS if any(figures_of(row).get(name) for row in rows)]
    cost = st.segmented_control(
        "Against", known, default=known[0], required=True, format_func=metric_words, key="cost", bind="query-params"
    )
    names, scale = setting_names(rows), scale_of(metric)
    points = [
        (names[row.setting_digest], row.algorithm, figures_of(row).get(cost, math.nan),
         scale * figures_of(row).get(metric, math.nan))
        for row in rows
    ]  # fmt: skip
    figure = plot_against(points, x_title=metric_words(cost), y_title=metric_words(metric))
    missing = sum(not (x > 0 and math.isfinite(y)) for _, _, x, y in points)
    left_out = f"; {missing} without one of the two left out" if missing else ""
    show_figure(figure, "compare-costs", settings=f"A dot a run; sums over all tiles and the whole run{left_out}")


def show_list(rows: list[RunRow]) -> None:
    """Every run with its settings and figures; names, tags and notes can be edited."""
    table = runs_table(rows)
    shown = pd.DataFrame(
        {
            "Run": table.name, "Algorithm": [algorithm_label(row.algorithm) for row in rows], "State": table.state,
            "Test accuracy (%)": [None if r.test_accuracy is None else 100 * r.test_accuracy for r in rows],
            "Training loss": [row.loss for row in rows], "Tags": table.tags, "Notes": table.notes,
            "Time (s)": table.seconds.round(1), "Pulses": table.pulses if "pulses" in table else None,
            "Data": [row.spec.data.name for row in rows], "Network": [row.spec.network.describe() for row in rows],
            "Learning rate": [row.spec.learning_rate for row in rows], "Epochs": [row.spec.epochs for row in rows],
            "Batch": [row.spec.batch_size for row in rows], "Seed": table.seed_data, "Devices": table.seed_devices,
        }
    )  # fmt: skip
    number = st.column_config.NumberColumn
    formats = {
        "Test accuracy (%)": "%.1f",
        "Time (s)": "%.1f",
        "Training loss": "%.3g",
        "Pulses": "compact",
        "Learning rate": "%.3g",
    }
    editable = ("Run", "Tags", "Notes")
    edited = st.data_editor(
        shown, hide_index=True, placeholder="–", key=f"runs-{hash(tuple(row.id for row in rows))}",
        disabled=[name for name in shown if name not in editable],
        column_config={name: number(format=form) for name, form in formats.items()},
    )  # fmt: skip
    store = workspace().runs
    with guarded():
        for row, before, after in zip(rows, shown.itertuples(), edited.itertuples(), strict=True):
            if after.Run and after.Run != before.Run:
                store.rename(row.id, after.Run)
            if after.Tags != before.Tags:
                store.annotate(row.id, tags=(after.Tags or "").replace(",", " ").split())
            if after.Notes != before.Notes:
                store.annotate(row.id, notes=after.Notes or "")
    st.caption("Names, tags (separated by spaces) and notes can be changed in the table.")


# --- fresh devices ----------------------------------------------------------------------------------------------------


def offer_fresh_devices(rows: list[RunRow]) -> None:
    """One button: the trained weights of every finished run on newly drawn devices."""
    task = find_task(FRESH, own=True)
    ready = [row for row in rows if row.state == "finished" and row.algorithm != "digital"]
    if task is not None and task.running:
        done = task.progress.get("done", 0)
        st.progress(done / max(task.progress.get("of", 1), 1), text=f"{done} of {task.progress.get('of')} runs tested")
        return
    if task is not None and task.error is not None:
        show_error(task.error)
    some = "1 run" if len(ready) == 1 else f"{len(ready)} runs"
    pressed = st.button(
        f"Test {some} on fresh devices", icon=":material/casino:", disabled=not ready, key="fresh",
        help="Programs the trained weights onto five newly drawn sets of devices and tests there. "
        "The result is kept as “Accuracy on fresh devices”.",
    )  # fmt: skip
    if pressed:
        store, ids = workspace().runs, [row.id for row in ready]
        start_task(FRESH, lambda task: _test_fresh(task, store, ids), own=True)
        st.rerun()


def _test_fresh(task: Any, store: Any, ids: list[str]) -> None:
    task.report(done=0, of=len(ids))
    for number, run_id in enumerate(ids, start=1):
        for _ in fresh_accuracies(store, run_id, cancelled=task.cancelled):
            pass
        task.report(done=number)
