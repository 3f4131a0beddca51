"""The ledgers of runs on the Compare page: what each array was pulsed, read and written, in time and energy."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from studio.errors import guarded
from studio.forms import parameter_form
from studio.workspace import workspace
from tilewright.figures import algorithm_label
from tilewright.ledger import CostConstants
from tilewright.runs import RunRow, cost_table

# Column of the core's table to heading, and how it is written.
SHOWN = {
    "mean_pulses": ("Pulses per device", "%.1f"),
    "most_pulses": ("Most at one device", "compact"),
    "pulses": ("Pulses", "compact"),
    "line_reads": ("Line reads", "compact"),
    "digital_operations": ("Digital operations", "compact"),
    "digital_operations_simulated": ("… as simulated", "compact"),
    "digital_memory": ("Digital memory (bytes)", "compact"),
    "update_time_per_vector": ("Update per vector (ns)", "%.1f"),
    "update_time": ("Updates in all (s)", "%.3g"),
    "energy_pulses": ("Pulse energy (mJ)", "%.3g"),
    "energy_line_reads": ("Read energy (mJ)", "%.3g"),
    "energy_products": ("Product energy (mJ)", "%.3g"),
    "energy_digital": ("Digital energy (mJ)", "%.3g"),
    "energy_total": ("Energy (mJ)", "%.3g"),
}
ACCURACY = "Test accuracy (%)"


def show_ledgers(rows: Sequence[RunRow]) -> None:
    """Accuracy against pulses, reads, digital operations, memory and time: a row a run, and a row an array."""
    title, button = st.columns([3, 1], vertical_alignment="center")
    title.subheader("Ledger", anchor=False)
    with button, st.popover("Constants", icon=":material/tune:", key="cost-constants", width="stretch"):
        st.caption("What each operation takes; energies are shown once you give them.")
        costs = parameter_form(CostConstants(), "costs", open_groups=("Time", "Energy"))
    with guarded():
        _show_tables([row.id for row in rows], costs)


def _show_tables(run_ids: list[str], costs: CostConstants) -> None:
    table = cost_table(workspace().runs, run_ids, costs)
    if table.empty:
        st.caption("Costs are counted for networks on tiles, from the first checkpoint on.")
        return
    formats = {heading: written for heading, written in SHOWN.values()} | {ACCURACY: "%.1f"}
    st.dataframe(
        _readable(table), hide_index=True, placeholder="–",
        column_config={name: st.column_config.NumberColumn(format=form) for name, form in formats.items()},
    )  # fmt: skip
    st.caption(
        f"{costs.pulse_time:g} ns a slot, {costs.product_time:g} ns a read, {costs.digital_rate:g} TFLOPS beside each "
        "array. Updates alone, of the busiest tile: products cost every algorithm the same. The Help page says more, "
        "under Costs."
    )
    with st.expander("Every array"):
        st.dataframe(_arrays(dict(zip(table["run_id"], table["name"], strict=True))), hide_index=True)
    st.download_button(
        "Costs (CSV)", data=lambda: table.to_csv(index=False), file_name="tilewright-costs.csv", mime="text/csv",
        on_click="ignore", icon=":material/table:", key="costs-csv",
    )  # fmt: skip


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame({"Run": table["name"], "Algorithm": table["algorithm"].map(algorithm_label)})
    shown[ACCURACY] = 100 * table["test_accuracy"]
    for column, (heading, _) in SHOWN.items():
        if column in table:
            shown[heading] = table[column]
    return shown


def _arrays(names: dict[str, str]) -> pd.DataFrame:
    parts = []
    for run_id, name in names.items():
        book = workspace().runs.ledger(run_id)
        if book is not None:
            parts.append(book.table().assign(run=name))
    joined = pd.concat(parts)
    return joined[["run", *(column for column in joined.columns if column != "run")]]
