"""Tables whose pulses run from left to right: one device or cycle a row, or one trace that goes on in the next line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES
from tilewright.measurement.protocol import trend_share
from tilewright.measurement.table import CellColumn, Table

_MOST_ROWS = 5000
_FEWEST_A_LINE = 4  # values, for a trace that runs on from line to line
_ROW_TITLES = {"cycle", "device", "dev", "cell", "run", "loop", "dut", "zyklus", "bauteil", "trace", "sample"}


def upright(table: Table) -> Table:
    """The table with one pulse a row; turned where its traces run from left to right."""
    if _runs_on(table):
        readings = np.stack([column.values for column in table.columns], axis=1).reshape(-1)
        readings = readings[: int(np.flatnonzero(np.isfinite(readings))[-1]) + 1]
        rows = np.repeat(table.row_numbers, len(table.columns))[: len(readings)]
        notes = [*table.notes, "The values run on from line to line: they were read as one trace."]
        return Table([CellColumn(readings)], rows, table.comments, table.separator, notes, name=table.name)
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


def _runs_on(table: Table) -> bool:
    """Whether one trace fills a table without names line by line: along a line it then changes by as much as from one
    line to the next, less one step."""
    width = len(table.columns)
    if width < _FEWEST_A_LINE or len(table) < 5 or any(column.words for column in table.columns):
        return False
    values = np.stack([column.values for column in table.columns], axis=1)[:-1]
    if not np.all(np.isfinite(values)):
        return False
    along = values[:-1, -1] - values[:-1, 0]
    down = np.diff(values[:, 0]) * (width - 1) / width
    if np.ptp(along) == 0 or np.ptp(down) == 0:
        return False
    slope = float(np.dot(along, down) / np.dot(down, down))
    return abs(slope - 1) < 0.2 and float(np.corrcoef(along, down)[0, 1]) > 0.9


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
