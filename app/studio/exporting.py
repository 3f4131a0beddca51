"""Taking runs out of the studio and in: table, report, archive, logs."""

from __future__ import annotations

import streamlit as st

from studio.errors import guarded
from studio.workspace import workspace
from tilewright.report import html_report
from tilewright.runs import RunRow, archive, tensorboard_logs
from tilewright.runs.side_by_side import runs_table


def offer_exports(rows: list[RunRow], metric: str, by: str) -> None:
    """Buttons for what can be made of the chosen runs, which the report groups as the page does."""
    ids, store = [row.id for row in rows], workspace().runs
    bar = st.container(horizontal=True)
    bar.download_button(
        "Table (CSV)", data=lambda: runs_table(rows).to_csv(index=False), file_name="tilewright-comparison.csv",
        mime="text/csv", on_click="ignore", icon=":material/table:", key="table-csv",
    )  # fmt: skip
    bar.download_button(
        "Report (HTML)", data=lambda: html_report(store, ids, metric, by=by), file_name="tilewright-report.html",
        mime="text/html", on_click="ignore", icon=":material/description:", key="report-html",
    )  # fmt: skip
    bar.download_button(
        "Archive (zip)", data=lambda: archive.pack(store, ids), file_name="tilewright-runs.zip",
        mime="application/zip", on_click="ignore", icon=":material/folder_zip:", key="archive-zip",
    )  # fmt: skip
    if bar.button("TensorBoard logs", icon=":material/monitoring:", key="tensorboard"):
        with guarded():
            folder = workspace().folder / "tensorboard"
            tensorboard_logs(store, ids, folder)
            st.success(f"Written. Look at them with: tensorboard --logdir {folder}")
    st.caption(
        "The report is one file that opens without a network. The archive holds specifications, curves and weights: "
        "another studio takes it in below and can repeat every run to the same numbers."
    )


def offer_take_in() -> None:
    """Add the runs of an archive to this workspace."""
    file = st.file_uploader("Take in an archive of runs", type=["zip"], key="take-in")
    if file is not None and st.button("Add its runs", icon=":material/input:", key="take-in-now"):
        with guarded():
            taken = archive.take_in(workspace().runs, file.getvalue())
            st.success(f"Added {len(taken)} run{'s' if len(taken) != 1 else ''}.")
