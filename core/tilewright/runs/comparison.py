"""Runs side by side: one row a setting with its interval over repetitions, and every curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from tilewright.runs.store import RunRow, RunStore

CURVE_METRICS = ("loss", "train_accuracy", "test_accuracy")
PULSES = "pulses"


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` gives.

    ``table`` has one row per setting (runs that differ only in their seeds): ``name``, ``algorithm``, ``runs``,
    ``finished``, then ``final_loss``, ``test_accuracy`` (0 to 1), ``pulses`` and ``seconds``, each the mean over the
    runs that have it, with ``_low`` and ``_high`` of its 95 % confidence interval (Student's t; empty for a single run)
    for the first two. ``curves`` is long: ``run_id``, ``name``, ``algorithm``, ``metric``, ``step``, ``epoch``
    (a fraction, for axes), ``value``.
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
    return Comparison(_table(store, rows), _curves(store, rows, metrics))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean with the confidence interval of Student's t; the interval is nan for fewer than two values."""
    if not values:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    quantile = float(stdtrit(len(values) - 1, (1 + confidence) / 2))
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _table(store: RunStore, rows: Sequence[RunRow]) -> pd.DataFrame:
    settings: dict[str, list[RunRow]] = {}
    for row in rows:
        settings.setdefault(row.setting_digest, []).append(row)
    return pd.DataFrame([_table_row(store, group) for group in settings.values()], columns=_COLUMNS)


_COLUMNS = [
    "name", "algorithm", "runs", "finished", "final_loss", "final_loss_low", "final_loss_high",
    "test_accuracy", "test_accuracy_low", "test_accuracy_high", "pulses", "seconds",
]  # fmt: skip


def _table_row(store: RunStore, group: Sequence[RunRow]) -> dict[str, object]:
    loss = mean_interval([row.loss for row in group if row.loss is not None])
    accuracy = mean_interval([row.test_accuracy for row in group if row.test_accuracy is not None])
    pulses = [found[-1].value for row in group if (found := store.metrics(row.id, [PULSES]))]
    return {
        "name": group[0].name,
        "algorithm": group[0].algorithm,
        "runs": len(group),
        "finished": sum(row.state == "finished" for row in group),
        **dict(zip(("final_loss", "final_loss_low", "final_loss_high"), loss, strict=True)),
        **dict(zip(("test_accuracy", "test_accuracy_low", "test_accuracy_high"), accuracy, strict=True)),
        "pulses": float(np.mean(pulses)) if pulses else math.nan,
        "seconds": float(np.mean([row.seconds for row in group])),
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
