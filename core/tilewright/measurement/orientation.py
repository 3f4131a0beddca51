"""Tables that lie on their side: one device or cycle a row, its pulses from left to right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES
from tilewright.measurement.protocol import trend_share
from tilewright.measurement.table import CellColumn, Table

_MOST_ROWS = 5000
_ROW_TITLES = {"cycle", "device", "dev", "cell", "run", "loop", "dut", "zyklus", "bauteil", "trace", "sample"}


def upright(table: Table) -> Table:
    """The table with one pulse a row; turned where its traces run from left to right."""
    if len(table.columns) < MIN_SAMPLES or len(table) > _MOST_ROWS or not _lies(table):
        return table
    _name_rows(table)
    values = np.stack([column.values for column in table.columns])
    columns = [
        CellColumn(values[:, i].copy(), {j: c.words[i] for j, c in enumerate(table.columns) if i in c.words})
        for i in range(len(table))
    ]
    notes = [*table.notes, "Each row holds one trace; the table was turned so that each row is one pulse."]
    return Table(columns, np.arange(1, len(table.columns) + 1), table.comments, table.separator, notes, name=table.name)


def _name_rows(table: Table) -> None:
    """Numbers of the rows under a title such as ``Cycle`` become names: ``Cycle 1``, ``Cycle 2``."""
    first = table.columns[0]
    title = first.words.get(0, "")
    rows = np.flatnonzero(np.isfinite(first.values))
    if title.strip().lower() not in _ROW_TITLES or 0 in rows or not len(rows):
        return
    for i in rows.tolist():
        first.words[i] = f"{title.strip()} {first.values[i]:g}"
        first.values[i] = np.nan


def _lies(table: Table) -> bool:
    numbers = np.stack([np.isfinite(column.values) for column in table.columns], axis=1)
    per_row = numbers.sum(axis=1)
    long_rows = np.flatnonzero(per_row >= MIN_SAMPLES)
    if not len(long_rows):
        return False
    if np.count_nonzero(numbers.sum(axis=0) >= MIN_SAMPLES) == 0:
        return True
    values = np.stack([column.values for column in table.columns], axis=1)[long_rows]
    values = values[:, np.isfinite(values).mean(axis=0) > 0.5]
    if values.shape[1] < MIN_SAMPLES:
        return False
    filled = np.where(np.isfinite(values), values, np.nanmean(values, axis=1, keepdims=True))
    # A row of pulse numbers and a column of device numbers are no traces.
    down, across = float(np.var(np.median(filled, axis=1))), float(np.var(np.median(filled, axis=0)))
    return across > 3 * down and _typical_trend(filled) > 0.35


def _typical_trend(rows: NDArray[np.float64]) -> float:
    chosen = rows[:: max(1, len(rows) // 20)]
    return float(np.median([trend_share(row) for row in chosen if np.ptp(row) > 0] or [0.0]))
