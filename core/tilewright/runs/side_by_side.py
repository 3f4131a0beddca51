"""Runs and settings as tables: for pages, files and terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tilewright.runs.comparison import figures_of, setting_interval, settings_of, varied_fields
from tilewright.runs.paired import PairedDifference, paired_differences
from tilewright.runs.store import RunRow

PER_CENT = ("accuracy", "saturated_weights", "truncated_updates", "empty_updates")


def setting_names(rows: Sequence[RunRow]) -> dict[str, str]:
    """A name for each setting: that of its first run without the seed, with what differs where names are alike."""
    groups = settings_of(rows)
    names = {digest: group[0].name.partition(", seed ")[0] for digest, group in groups.items()}
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    if twice:
        firsts = [group[0] for group in groups.values()]
        varied = varied_fields(firsts)
        for number, digest in enumerate(groups):
            if names[digest] in twice:
                alike = [k for k, other in enumerate(groups) if names[other] == names[digest]]
                differing = [p for p, values in varied.items() if len({str(values[k]) for k in alike}) > 1]
                words = [f"{path.rpartition('.')[2]} {varied[path][number]}" for path in differing[:3]]
                names[digest] = f"{names[digest]} ({', '.join(words)})" if words else names[digest]
    return names


def settings_table(rows: Sequence[RunRow], metric: str) -> pd.DataFrame:
    """One row per setting: ``setting``, ``algorithm``, ``runs``, ``finished``, ``mean``, ``low``, ``high``,
    ``seconds`` (mean), best mean first."""
    names, found = setting_names(rows), []
    for digest, group in settings_of(rows).items():
        mean, low, high = setting_interval(group, metric)
        times = [row.seconds for row in group]
        found.append(
            {
                "setting": names[digest], "algorithm": group[0].algorithm, "runs": len(group),
                "finished": sum(row.state == "finished" for row in group), "mean": mean, "low": low, "high": high,
                "seconds": sum(times) / len(times),
            }
        )  # fmt: skip
    table = pd.DataFrame(found)
    return table.sort_values("mean", ascending=lower_is_better(metric)).reset_index(drop=True) if found else table


def lower_is_better(metric: str) -> bool:
    """Whether a smaller figure is the better one."""
    return "accuracy" not in metric and metric != "throughput"


def setting_differences(rows: Sequence[RunRow], metric: str) -> list[PairedDifference]:
    """Paired differences of a figure between all settings; pairs are runs with equal seeds."""
    names = setting_names(rows)
    values: dict[str, dict[object, float]] = {}
    for digest, group in settings_of(rows).items():
        for row in group:
            seeds = row.spec.seeds
            value = figures_of(row).get(metric, math.nan)
            values.setdefault(names[digest], {})[seeds.data, seeds.weights, seeds.devices] = value
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
    return f"{100 * value:.1f} %" if metric.endswith(PER_CENT) else f"{value:.4g}"


def interval_text(mean: float, low: float, high: float, metric: str) -> str:
    """``84.0 % (81.2 to 86.8)``."""
    if not math.isfinite(low):
        return value_text(mean, metric)
    ends = [value_text(end, metric).removesuffix(" %") for end in (low, high)]
    return f"{value_text(mean, metric)} ({ends[0]} to {ends[1]})"


def settings_text(rows: Sequence[RunRow], metric: str) -> str:
    """The table of settings for a terminal."""
    lines = [("setting", "runs", f"{metric}, mean and 95 % interval", "time")]
    for row in settings_table(rows, metric).itertuples():
        words = interval_text(row.mean, row.low, row.high, metric)
        lines.append((row.setting, f"{row.finished}/{row.runs}", words, f"{row.seconds:.0f} s"))
    return _columns(lines)


def differences_text(rows: Sequence[RunRow], metric: str) -> str:
    """The paired differences for a terminal; empty when there is nothing to compare."""
    found = [difference for difference in setting_differences(rows, metric) if difference.pairs > 1]
    if not found:
        return ""
    lines = [("difference", "pairs", "mean and 95 % interval", "p (t, Holm)", "p (Wilcoxon)", "")]
    for d in found:
        words = interval_text(d.mean, d.low, d.high, metric)
        lines.append(
            (f"{d.first} - {d.second}", str(d.pairs), words, f"{d.p_adjusted:.3g}", f"{d.p_wilcoxon:.3g}", d.verdict)
        )
    return _columns(lines)


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
