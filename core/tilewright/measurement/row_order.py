"""Rows that do not follow each other in time: repeated reads of one state, and tables sorted by their pulse number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES, Column
from tilewright.measurement.roles import Roles

Rows = NDArray[np.int64]

_MOST_READS = 1000


def join_repeated_reads(roles: Roles) -> None:
    """Where each pulse number stands in several rows that differ in nothing but the reading, take their mean."""
    index = roles.index
    if index is None or not _same_length(roles) or (roles.polarity is not None and np.any(roles.polarity == 0)):
        return
    starts = _starts(index.values)
    lengths = np.diff(np.append(starts, len(index.values)))
    reads = int(np.median(lengths))
    if not 2 <= reads <= _MOST_READS or float(np.mean(lengths == reads)) < 0.9 or len(starts) < MIN_SAMPLES:
        return
    if not all(_constant_within(keys, starts) for keys in _keys(roles)):
        return
    roles.values = [_means(column, starts) for column in roles.values]
    _choose_rows(roles, starts)
    roles.notes.append(f"Each pulse number stands in {reads} rows, taken for reads of one state: their mean is used.")


def order_by_ramp(roles: Roles) -> None:
    """Put the rows of a table sorted by pulse number, up and down side by side, into the order of the pulses.

    Both directions then take turns row by row, but the rows of one alone go all the way up, and those of the other all
    the way down, which alternating pulses never do.
    """
    index, polarity = roles.index, roles.polarity
    if index is None or polarity is None or not _same_length(roles) or np.any(polarity == 0):
        return
    n = len(index.values)
    if len(_starts(index.values)) > 0.6 * n or float(np.mean(np.diff(index.values) >= 0)) < 0.99:
        return
    keys = [np.unique(key, return_inverse=True)[1].reshape(-1) for key in _keys(roles)[1:]]
    order = np.lexsort(np.stack([np.arange(n), index.values, -polarity.astype(float), *keys[::-1]]))
    ramps = np.unique(np.stack([*keys, polarity], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    for k in range(int(ramps.max()) + 1):
        if not all(_goes(column.values[ramps == k], polarity[ramps == k][0]) for column in roles.values):
            return
    roles.values = [_chosen(column, order) for column in roles.values]
    _choose_rows(roles, order)
    roles.notes.append("The rows are sorted by their pulse number: they were put into the order of up and down ramps.")


def _goes(values: NDArray[np.float64], direction: np.int8) -> bool:
    """Whether readings go the way of their pulses by far more than they scatter."""
    tenth = max(len(values) // 10, 1)
    change = float(np.median(values[-tenth:]) - np.median(values[:tenth])) * int(direction)
    return len(values) >= MIN_SAMPLES and change > 5 * float(np.median(np.abs(np.diff(values))))


def _same_length(roles: Roles) -> bool:
    others = [roles.index, roles.time, roles.cycle, roles.device]
    lengths = {len(c.words) if c.words else len(c.values) for c in [*roles.values, *others] if c is not None}
    if roles.polarity is not None:
        lengths.add(len(roles.polarity))
    return len(lengths) == 1


def _keys(roles: Roles) -> list[NDArray[np.generic]]:
    """Polarity, device and cycle of each row, as far as they are known; the polarity first where there is one."""
    keys: list[NDArray[np.generic]] = [] if roles.polarity is None else [roles.polarity]
    for column in (roles.device, roles.cycle):
        if column is not None:
            keys.append(np.array(column.words) if column.words else column.values)
    return keys


def _starts(numbers: NDArray[np.float64]) -> Rows:
    """Rows at which a run of equal numbers begins."""
    return np.concatenate([[0], np.flatnonzero(np.diff(numbers) != 0) + 1]).astype(np.int64)


def _constant_within(keys: NDArray[np.generic], starts: Rows) -> bool:
    changes = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    return bool(np.all(np.isin(changes, starts)))


def _means(column: Column, starts: Rows) -> Column:
    read = np.ones(len(column.values))
    read[column.missing] = 0.0
    counts = np.add.reduceat(read, starts)
    sums = np.add.reduceat(column.values * read, starts)
    there = counts > 0
    places = np.arange(len(starts))
    values = np.interp(places, places[there], sums[there] / counts[there]) if there.any() else sums
    return replace(column, values=values, rows=column.rows[starts], missing=np.flatnonzero(~there).astype(np.int64))


def _chosen(column: Column, rows: Rows) -> Column:
    if column.words:
        return replace(column, words=[column.words[k] for k in rows.tolist()], rows=column.rows[rows])
    absent = np.zeros(len(column.values), dtype=bool)
    absent[column.missing] = True
    return replace(
        column, values=column.values[rows], rows=column.rows[rows],
        missing=np.flatnonzero(absent[rows]).astype(np.int64),
    )  # fmt: skip


def _choose_rows(roles: Roles, rows: Rows) -> None:
    """The same rows of everything that is known of each row; the readings are left to the caller."""
    roles.index, roles.time, roles.cycle, roles.device = (
        None if c is None else _chosen(c, rows) for c in (roles.index, roles.time, roles.cycle, roles.device)
    )
    if roles.polarity is not None:
        roles.polarity = roles.polarity[rows]
