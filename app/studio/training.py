"""Runs as the pages show them: labels, states, curves."""

from __future__ import annotations

import time
from collections.abc import Iterable

from studio.workspace import workspace
from tilewright.figures import Curve
from tilewright.runs import RunRow

STATE_ICONS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_arrow:",
    "paused": ":material/pause_circle:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/stop_circle:",
}

CHOSEN = "Chosen runs"  # what Compare shows when it is no sweep


def run_label(row: RunRow) -> str:
    """How a run is listed."""
    return f"{row.name} · {time.strftime('%d %b %H:%M', time.localtime(row.created))}"


def curves_of(rows: Iterable[RunRow], metric: str) -> list[Curve]:
    """One metric of several runs against the images seen; accuracies in per cent."""
    curves = []
    scale = 100.0 if metric.endswith("accuracy") else 1.0
    for row in rows:
        values = workspace().runs.metrics(row.id, names=[metric])
        images = row.spec.batch_size
        x, y = [v.step * images for v in values], [v.value * scale for v in values]
        curves.append(Curve(row.name, row.algorithm, x, y))
    return curves
