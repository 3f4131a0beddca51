"""A comparison as one HTML file: tables, figures and specifications, readable without a network or Tilewright."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import plotly
import plotly.graph_objects as go

from tilewright.figures.comparison import plot_bands, plot_intervals
from tilewright.figures.frame import KEPT_HERE
from tilewright.figures.training import Curve
from tilewright.runs.comparison import SHARES, figures_of
from tilewright.runs.grouping import SETTING, common_algorithm, group_heading, grouped
from tilewright.runs.side_by_side import (
    difference_text,
    interval_text,
    runs_table,
    setting_differences,
    settings_table,
)
from tilewright.runs.store import RunRow, RunStore

METRIC_WORDS = {
    "loss": "Training loss",
    "train_accuracy": "Training accuracy",
    "train_loss": "Loss on all training samples",
    "test_loss": "Loss on test samples",
    "validation_accuracy": "Validation accuracy",
    "test_accuracy": "Test accuracy",
    "fresh_test_accuracy": "Accuracy on fresh devices",
    "seconds": "Time (s)",
    "cpu_seconds": "Processor time (s)",
    "pulses": "Pulses",
}


def metric_words(metric: str) -> str:
    """The name of a figure as people write it."""
    words = METRIC_WORDS.get(metric) or metric.replace("_", " ").capitalize()
    return f"{words} (%)" if metric.endswith(SHARES) else words


def scale_of(metric: str) -> float:
    """100 for shares, which are shown as per cent."""
    return 100.0 if metric.endswith(SHARES) else 1.0


def setting_curves(store: RunStore, rows: Sequence[RunRow], metric: str, by: str = SETTING) -> dict[str, list[Curve]]:
    """The curves of a metric by the name of their setting, or other group."""
    scale = scale_of(metric)
    found: dict[str, list[Curve]] = {}
    for name, group in grouped(rows, by).items():
        algorithm = common_algorithm(group)
        for row in group:
            values = store.metrics(row.id, [metric])
            batch = row.spec.batch_size
            curve = Curve(row.name, algorithm, [v.step * batch for v in values], [v.value * scale for v in values])
            found.setdefault(name, []).append(curve)
    return found


def interval_figure(rows: Sequence[RunRow], metric: str, by: str = SETTING) -> go.Figure:
    """The mean of each setting, or other group, with its interval and its runs."""
    scale = scale_of(metric)
    values = {
        name: [scale * figures_of(row).get(metric, math.nan) for row in group]
        for name, group in grouped(rows, by).items()
    }
    entries = [
        (row.setting, row.algorithm, scale * row.mean, scale * row.low, scale * row.high)
        for row in settings_table(rows, metric, by).itertuples()
    ]
    return plot_intervals(entries, values, x_title=metric_words(metric))


def html_report(
    store: RunStore, run_ids: Sequence[str], metric: str = "test_accuracy", title: str = "", by: str = SETTING
) -> str:
    """The report.

    Args:
        store: where the runs are.
        run_ids: which ones.
        metric: the figure that settings are compared by.
        title: heading; empty takes the name of the sweep.
        by: what runs are grouped by, one of :func:`tilewright.runs.grouping.groupings`.

    Raises:
        StoreError: there is no run of one of the ids.
    """
    rows = [store.get(run_id) for run_id in run_ids]
    batches = {row.batch for row in rows if row.batch}
    heading = title or (batches.pop() if len(batches) == 1 else f"{len(rows)} runs")
    loss = plot_bands(
        setting_curves(store, rows, "loss", by), y_title="Training loss", log_y=True, smooth=15, key="loss"
    )
    parts = [
        _section(
            f"{metric_words(metric)}: mean and 95 % interval",
            _settings(rows, metric, by),
            interval_figure(rows, metric, by),
        ),
        _section("Training loss", "", loss),
    ]
    if metric != "loss":
        curves = plot_bands(setting_curves(store, rows, metric, by), y_title=metric_words(metric), key="metric")
        parts.append(_section(f"{metric_words(metric)} after each epoch", "", curves))
    parts.append(_section("Paired differences", _differences(rows, metric, by)))
    parts.append(_section("Every run", _table(_figures_first(rows))))
    parts.append(_section("Specifications", "".join(_specification(row) for row in rows)))
    script = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    made = time.strftime("%d %B %Y, %H:%M")
    return _PAGE.format(title=html.escape(heading), made=made, script=script, body="\n".join(parts))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data: blob:; font-src data:">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ margin-bottom: 0; }} .made {{ opacity: 0.65; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.25rem 0.8rem 0.25rem 0; text-align: left; border-bottom: 1px solid rgba(128,136,148,0.3); }}
/* Plotly writes the colour of its texts into them; these follow the ground. */
.js-plotly-plot :is(.cartesianlayer, .infolayer, [class*="axislayer"]) text {{ fill: CanvasText !important; }}
.wide {{ overflow-x: auto; }} .wide td:first-child {{ white-space: nowrap; }}
pre {{ overflow-x: auto; font-size: 12px; }}
</style><script>{script}</script></head><body>
<h1>{title}</h1><p class="made">Tilewright, {made}</p>
{body}
</body></html>
"""


def _section(title: str, text: str, figure: go.Figure | None = None) -> str:
    config = {**KEPT_HERE, "responsive": True}
    drawn = "" if figure is None else figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return f"<section><h2>{html.escape(title)}</h2>{text}{drawn}</section>"


def _settings(rows: Sequence[RunRow], metric: str, by: str) -> str:
    found = []
    for row in settings_table(rows, metric, by).itertuples():
        words = interval_text(row.mean, row.low, row.high, metric)
        found.append(
            {group_heading(by): row.setting, "Runs": f"{row.finished} of {row.runs}", metric_words(metric): words}
        )
    note = (
        "<p>Intervals are Student's t over the runs of a group; where every seed ran on every device instance, both "
        "count as random (Satterthwaite).</p>"
    )
    return _table(pd.DataFrame(found)) + note


def _differences(rows: Sequence[RunRow], metric: str, by: str) -> str:
    found = [
        {
            "First": d.first, "Second": d.second, "Pairs": d.pairs,
            "First minus second": difference_text(d, metric),
            "p (paired t, Holm)": f"{d.p_adjusted:.3g}", "p (Wilcoxon)": f"{d.p_wilcoxon:.3g}", "": d.verdict,
        }
        for d in setting_differences(rows, metric, by)
        if d.pairs > 1
    ]  # fmt: skip
    if not found:
        return "<p>Groups need two seeds or more in common to be compared in pairs.</p>"
    return _table(pd.DataFrame(found)) + "<p>Pairs are runs with equal seeds for data, weights and devices.</p>"


def _figures_first(rows: Sequence[RunRow]) -> pd.DataFrame:
    """The runs with what came of them before what they were set to; columns that say nothing are left out."""
    table = runs_table(rows)
    names = {name for row in rows for name in figures_of(row)}
    first = ["name", "state", *(name for name in table if name in names)]
    table = table[[*first, *(name for name in table if name not in first and name != "run"), "run"]]
    return table[[name for name in table if (table[name].notna() & (table[name] != "")).any()]]


def _specification(row: RunRow) -> str:
    return f"<details><summary>{html.escape(row.name)}</summary><pre>{html.escape(row.spec_yaml)}</pre></details>"


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in table.itertuples(index=False)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
