"""Runs and settings as tables: for pages, files and terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tilewright.runs.comparison import SHARES, figures_of, setting_interval, varied_fields
from tilewright.runs.grouping import SETTING, common_algorithm, grouped
from tilewright.runs.paired import PairedDifference, paired_differences
from tilewright.runs.store import RunRow


def settings_table(rows: Sequence[RunRow], metric: str, by: str = SETTING) -> pd.DataFrame:
    """One row per setting, or other group (see :func:`groupings`): ``setting``, ``algorithm`` (empty where several),
    ``runs``, ``finished``, ``mean``, ``low``, ``high``, ``seconds`` (mean), best mean first."""
    found = []
    for name, group in grouped(rows, by).items():
        mean, low, high = setting_interval(group, metric)
        times = [row.seconds for row in group]
        found.append(
            {
                "setting": name, "algorithm": common_algorithm(group), "runs": len(group),
                "finished": sum(row.state == "finished" for row in group), "mean": mean, "low": low, "high": high,
                "seconds": sum(times) / len(times),
            }
        )  # fmt: skip
    table = pd.DataFrame(found)
    return table.sort_values("mean", ascending=lower_is_better(metric)).reset_index(drop=True) if found else table


def lower_is_better(metric: str) -> bool:
    """Whether a smaller figure is the better one."""
    return "accuracy" not in metric and metric != "throughput"


def setting_differences(rows: Sequence[RunRow], metric: str, by: str = SETTING) -> list[PairedDifference]:
    """Paired differences of a figure between all settings, or other groups; pairs are runs with equal seeds.

    Where several runs of a group have the same seeds, their mean counts.
    """
    values: dict[str, dict[object, float]] = {}
    for name, group in grouped(rows, by).items():
        found: dict[object, list[float]] = {}
        for row in group:
            seeds = row.spec.seeds
            value = figures_of(row).get(metric, math.nan)
            found.setdefault((seeds.data, seeds.weights, seeds.devices), []).append(value)
        values[name] = {key: sum(several) / len(several) for key, several in found.items()}
    return paired_differences(values)


def runs_table(rows: Sequence[RunRow]) -> pd.DataFrame:
    """One row per run: names, state, every field that differs between the runs, seeds, and every figure."""
    varied = varied_fields(rows)
    found = []
    for number, row in enumerate(rows):
        seeds = row.spec.seeds
        about: dict[str, Any] = {
            "run": row.id, "name": row.name, "algorithm": row.algorithm, "state": row.state, "sweep": row.batch,
            "tags": " ".join(row.tags), "notes": row.notes,
        }  # fmt: skip
        about |= {"seed_data": seeds.data, "seed_weights": seeds.weights, "seed_devices": seeds.devices}
        found.append({**about, **{path: values[number] for path, values in varied.items()}, **figures_of(row)})
    return pd.DataFrame(found)


# --- as text ----------------------------------------------------------------------------------------------------------


def value_text(value: float, metric: str) -> str:
    """A figure as people read it."""
    if not math.isfinite(value):
        return "-"
    return f"{100 * value:.1f} %" if metric.endswith(SHARES) else f"{value:.4g}"


def interval_text(mean: float, low: float, high: float, metric: str) -> str:
    """``84.0 % (81.2 to 86.8)``."""
    if not math.isfinite(low):
        return value_text(mean, metric)
    ends = [value_text(end, metric).removesuffix(" %") for end in (low, high)]
    return f"{value_text(mean, metric)} ({ends[0]} to {ends[1]})"


def difference_text(difference: PairedDifference, metric: str) -> str:
    """``1.9 points (-1.6 to 5.4)``: shares differ by points, not by per cent."""
    return interval_text(difference.mean, difference.low, difference.high, metric).replace(" %", " points")


def settings_text(rows: Sequence[RunRow], metric: str, by: str = SETTING) -> str:
    """The table of settings, or other groups, for a terminal."""
    lines = [(by, "runs", f"{metric}, mean and 95 % interval", "time")]
    for row in settings_table(rows, metric, by).itertuples():
        words = interval_text(row.mean, row.low, row.high, metric)
        lines.append((row.setting, f"{row.finished}/{row.runs}", words, f"{row.seconds:.0f} s"))
    return _columns(lines)


def differences_text(rows: Sequence[RunRow], metric: str, by: str = SETTING) -> str:
    """The paired differences for a terminal; empty when there is nothing to compare."""
    found = [difference for difference in setting_differences(rows, metric, by) if difference.pairs > 1]
    if not found:
        return ""
    lines = [("difference", "pairs", "mean and 95 % interval", "p (t, Holm)", "p (Wilcoxon)", "")]
    for d in found:
        words = difference_text(d, metric)
        lines.append(
            (f"{d.first} - {d.second}", str(d.pairs), words, f"{d.p_adjusted:.3g}", f"{d.p_wilcoxon:.3g}", d.verdict)
        )
    return _columns(lines)


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
