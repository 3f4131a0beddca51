"""Runs side by side: one row a setting with its interval over seeds and devices, paired differences, every curve."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tilewright.runs.paired import mean_interval, two_way_interval
from tilewright.runs.store import RunRow, RunStore

SHARES = ("accuracy", "saturated_weights", "truncated_updates", "empty_updates")  # ends of names of figures in [0, 1]
CURVE_METRICS = ("loss", "train_accuracy", "test_accuracy")
DECIDE_NO_SETTING = ("seeds.", "name", "versions.", "data.checksum")


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` gives.

    ``table`` has one row per setting (runs that differ only in their seeds): ``name``, ``algorithm``, ``runs``,
    ``finished``, then ``final_loss``, ``test_accuracy`` (0 to 1), ``pulses`` and ``seconds``, each the mean over the
    runs that have it, with ``_low`` and ``_high`` of its 95 % confidence interval for the first two (see
    :func:`setting_interval`; empty for a single run). ``curves`` is long: ``run_id``, ``name``, ``algorithm``,
    ``metric``, ``step``, ``epoch`` (a fraction, for axes), ``value``.
    """

    table: pd.DataFrame
    curves: pd.DataFrame


def compare(
    store: RunStore, run_ids: Sequence[str] | None = None, metrics: Sequence[str] = CURVE_METRICS
) -> Comparison:
    """Compare runs of a store; all of them when ``run_ids`` is None, in the given order otherwise.

    Raises:
        StoreError: there is no run of one of the ids.
    """
    rows = store.list() if run_ids is None else [store.get(run_id) for run_id in run_ids]
    return Comparison(_table(rows), _curves(store, rows, metrics))


def figures_of(row: RunRow) -> dict[str, float]:
    """Every figure of a run as a whole: its results with loss, accuracy and time."""
    own = {"loss": row.loss, "train_accuracy": row.train_accuracy, "test_accuracy": row.test_accuracy}
    known = {name: float(value) for name, value in own.items() if value is not None}
    return {**row.results, **known, "seconds": row.seconds}


def settings_of(rows: Sequence[RunRow]) -> dict[str, list[RunRow]]:
    """Runs by setting, in order of their first appearance: those of one list differ in their seeds only."""
    found: dict[str, list[RunRow]] = {}
    for row in rows:
        found.setdefault(row.setting_digest, []).append(row)
    return found


def setting_interval(rows: Sequence[RunRow], metric: str) -> tuple[float, float, float]:
    """Mean of a figure over the runs of a setting, with its 95 % confidence interval.

    Where every seed ran on every device instance, seeds and devices are crossed random effects and the interval holds
    for new seeds on new devices (:func:`two_way_interval`); otherwise the runs count as independent (Student's t).
    A run made again with the same seeds tells nothing new: such repeats count once, by their mean.
    An interval of a share, such as an accuracy, ends at 0 and 1, beyond which there is nothing to cover.
    """
    repeats: dict[tuple[str, int, int, int], list[float]] = {}
    for row in rows:
        value = figures_of(row).get(metric)
        if value is not None and math.isfinite(value):
            seeds = row.spec.seeds
            repeats.setdefault((row.setting_digest, seeds.data, seeds.weights, seeds.devices), []).append(value)
    values = [sum(several) / len(several) for several in repeats.values()]
    cells = {(key[1], key[3]): value for key, value in zip(repeats, values, strict=True)}
    seeds_there, devices_there = {key[0] for key in cells}, {key[1] for key in cells}
    crossed = len(cells) == len(values) == len(seeds_there) * len(devices_there)
    if crossed and min(len(seeds_there), len(devices_there)) > 1:
        table = [[cells[s, d] for d in sorted(devices_there)] for s in sorted(seeds_there)]
        mean, low, high = two_way_interval(table)
    else:
        mean, low, high = mean_interval(values)
    if metric.endswith(SHARES) and math.isfinite(low):
        low, high = max(low, 0.0), min(high, 1.0)
    return mean, low, high


def varied_fields(rows: Sequence[RunRow]) -> dict[str, list[Any]]:
    """Fields of the specification in which runs differ, by path, with the value in each run; seeds and names aside."""
    flat = [_flat(row.spec.to_dict(full=True)) for row in rows]
    paths = list(dict.fromkeys(path for fields in flat for path in fields))
    found = {path: [fields.get(path) for fields in flat] for path in paths}
    kept = {path: values for path, values in found.items() if len({json.dumps(value) for value in values}) > 1}
    return {
        path: v for path, v in kept.items() if not path.startswith(("seeds.", "name", "versions.", "data.checksum"))
    }


def swept_fields(rows: Sequence[RunRow]) -> dict[str, list[Any]]:
    """Of :func:`varied_fields` those a sweep is over: they take several values within one algorithm, none empty.

    Contenders differ in much that follows from their algorithm; what is left out here is not what one sweeps over.
    """
    varied = varied_fields(rows)
    algorithms = [row.algorithm for row in rows]

    def within_one(values: list[Any]) -> bool:
        pairs = {(name, json.dumps(value)) for name, value in zip(algorithms, values, strict=True)}
        return len(pairs) > len(set(algorithms))

    return {
        path: values
        for path, values in varied.items()
        if within_one(values)
        and not path.endswith(("type", "construction_seed"))
        and not any(value is None or isinstance(value, list) for value in values)
    }


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for name, inner in items:
        found |= _flat(inner, f"{path}.{name}" if path else str(name))
    return found


_COLUMNS = [
    "name", "algorithm", "runs", "finished", "final_loss", "final_loss_low", "final_loss_high",
    "test_accuracy", "test_accuracy_low", "test_accuracy_high", "pulses", "seconds",
]  # fmt: skip


def _table(rows: Sequence[RunRow]) -> pd.DataFrame:
    return pd.DataFrame([_table_row(group) for group in settings_of(rows).values()], columns=_COLUMNS)


def _table_row(group: Sequence[RunRow]) -> dict[str, object]:
    loss, accuracy = setting_interval(group, "loss"), setting_interval(group, "test_accuracy")
    return {
        "name": group[0].name,
        "algorithm": group[0].algorithm,
        "runs": len(group),
        "finished": sum(row.state == "finished" for row in group),
        **dict(zip(("final_loss", "final_loss_low", "final_loss_high"), loss, strict=True)),
        **dict(zip(("test_accuracy", "test_accuracy_low", "test_accuracy_high"), accuracy, strict=True)),
        "pulses": mean_interval([row.results["pulses"] for row in group if "pulses" in row.results])[0],
        "seconds": mean_interval([row.seconds for row in group])[0],
    }


def _curves(store: RunStore, rows: Sequence[RunRow], metrics: Sequence[str]) -> pd.DataFrame:
    parts = []
    for row in rows:
        steps_per_epoch = row.total_steps / row.spec.epochs if row.total_steps else math.nan
        for found in store.metrics(row.id, metrics):
            parts.append(
                (row.id, row.name, row.algorithm, found.name, found.step, found.step / steps_per_epoch, found.value)
            )
    return pd.DataFrame(parts, columns=["run_id", "name", "algorithm", "metric", "step", "epoch", "value"])
