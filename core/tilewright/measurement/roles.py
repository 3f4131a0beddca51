"""What each column is: index, time, polarity, voltage, cycle, device, or the response itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import Block, Column
from tilewright.measurement.options import ReadOptions
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.units import quantity_in_header, quantity_of_unit, unit_in_header, words_of
from tilewright.parameters import unknown_name_message

_INDEX = {"#", "no", "nr", "n", "idx", "index", "pulse", "pulses", "puls", "pulsnummer", "impuls", "step", "sample",
          "point", "count", "k", "i", "number", "num", "zeile", "row", "id"}  # fmt: skip
_POLARITY = {"polarity", "polarität", "direction", "dir", "sign", "type", "operation", "op", "mode", "richtung", "sens"}
_CYCLE = {"cycle", "cycles", "loop", "run", "trial", "repeat", "zyklus", "sweep", "ramp"}
_DEVICE = {"device", "dev", "cell", "dut", "die", "address", "addr", "zelle", "bauteil", "chip"}
_UP_WORDS = {"up", "p", "pot", "potentiation", "potentiate", "ltp", "set", "inc", "increase", "+", "+1", "1", "hoch"}
_UP_WORDS |= {"on", "program"}
_DOWN_WORDS = {"down", "d", "dep", "depression", "depress", "ltd", "reset", "dec", "decrease", "-", "-1", "runter"}
_DOWN_WORDS |= {"off", "erase"}


@dataclass
class Roles:
    """Columns by what they hold; ``values`` are the candidates for the response."""

    values: list[Column] = field(default_factory=list)
    index: Column | None = None
    time: Column | None = None
    polarity: NDArray[np.int8] | None = None
    polarity_title: str = ""
    cycle: Column | None = None
    device: Column | None = None
    notes: list[str] = field(default_factory=list)
    swept_voltage: Column | None = None
    constant: list[Column] = field(default_factory=list)


def assign_roles(block: Block, options: ReadOptions) -> Roles:
    """Tell columns apart by what the user said, then by header, then by content.

    Raises:
        MeasurementError: a named column does not exist, or a named polarity column holds something else.
    """
    roles = Roles()
    free = list(block.columns)
    _take_named(roles, free, options)
    chosen = [_named(block.columns, name, "value_columns") for name in options.value_columns]
    for column in [c for c in free if not any(c is item for item in chosen)]:
        if _take_by_header(roles, column) or (len(free) > 1 and _take_by_content(roles, column, free)):
            free = [c for c in free if c is not column]
    roles.values = chosen or [c for c in free if len(c.values)]
    _drop_duplicates(roles)
    return roles


def _named(columns: list[Column], wanted: str, option: str) -> Column:
    for column in columns:
        if column.is_named(wanted):
            return column
    known = [column.header or column.name for column in columns]
    raise MeasurementError(unknown_name_message(f"{option}: there is no column", wanted, known))


def _take_named(roles: Roles, free: list[Column], options: ReadOptions) -> None:
    for option in ("pulse_column", "cycle_column", "device_column"):
        wanted = getattr(options, option)
        if not wanted:
            continue
        column = _named(free, wanted, option)
        if option == "pulse_column":
            signs = polarity_of(column)
            if signs is None and len(column.values) and np.any(column.values > 0) and np.any(column.values < 0):
                signs = np.sign(column.values).astype(np.int8)
            if signs is None:
                raise MeasurementError(
                    f"pulse_column {wanted!r} holds no polarities (+1 and -1, up and down, voltages)"
                )
            roles.polarity, roles.polarity_title = signs, column.title
        elif option == "cycle_column":
            roles.cycle = column
        else:
            roles.device = column
        free.remove(column)


def _take_by_header(roles: Roles, column: Column) -> bool:
    words = set(words_of(column.header))
    if not words:
        return False
    quantity = quantity_in_header(column.header)
    if roles.polarity is None and (words & _POLARITY or quantity == "voltage" or column.words):
        signs = polarity_of(column)
        if signs is not None:
            roles.polarity, roles.polarity_title = signs, column.title
            return True
    if quantity == "voltage" and len(column.values):
        if len(np.unique(column.values)) > 1:
            roles.swept_voltage = roles.swept_voltage or column
        return True
    if words & _DEVICE and roles.device is None and not _looks_measured(column):
        roles.device = column
        return True
    if (
        words & _CYCLE
        and roles.cycle is None
        and _is_integer(column)
        and len(np.unique(column.values)) < len(column.values)
    ):
        roles.cycle = column
        return True
    if quantity == "time" and len(column.values) and np.all(np.diff(column.values) >= 0):
        roles.time = roles.time or column
        return True
    if words & _INDEX and _is_integer(column) and not quantity and _mostly_counting(column):
        roles.index = roles.index or column
        return True
    if column.words:
        roles.notes.append(f"{column.title!r} holds text and was not read.")
        return True
    return False


def _take_by_content(roles: Roles, column: Column, free: list[Column]) -> bool:
    values = column.values
    if column.words or not len(values):
        signs = polarity_of(column)
        if signs is not None and roles.polarity is None:
            roles.polarity, roles.polarity_title = signs, column.title
        return True
    others = [c for c in free if c is not column and len(c.values)]
    if not others:
        return False
    if np.ptp(values) == 0:
        roles.constant.append(column)
        return True
    if roles.polarity is None and len(np.unique(values)) <= 3:
        signs = polarity_of(column)
        if signs is not None:
            roles.polarity, roles.polarity_title = signs, column.title
            return True
    if roles.index is None and _is_integer(column) and _counting(values):
        roles.index = column
        return True
    if roles.time is None and not column.header and _evenly_rising(values) and not _evenly_rising(others[0].values):
        roles.time = column
        return True
    return False


def polarity_of(column: Column) -> NDArray[np.int8] | None:
    """+1, -1 and 0 (no pulse) for a column of polarities, words or pulse voltages; None when it is none of these."""
    if column.words:
        words = [word.strip().lower() for word in column.words]
        kinds = set(words)
        if kinds <= _UP_WORDS | _DOWN_WORDS and kinds & _UP_WORDS and kinds & _DOWN_WORDS:
            return np.array([1 if word in _UP_WORDS else -1 for word in words], dtype=np.int8)
        return None
    kinds_found = np.unique(column.values)
    if len(kinds_found) < 2 or len(kinds_found) > 8:
        return None
    if kinds_found[0] < 0 < kinds_found[-1]:
        return np.sign(column.values).astype(np.int8)
    if set(kinds_found) == {0.0, 1.0} and set(words_of(column.header)) & _POLARITY:
        return np.where(column.values > 0, 1, -1).astype(np.int8)
    return None


def _is_integer(column: Column) -> bool:
    return len(column.values) > 0 and bool(np.all(column.values == np.round(column.values)))


def _counting(values: NDArray[np.float64]) -> bool:
    """Whether values count up in equal integer steps, restarting at most a few times."""
    if len(values) < 3:
        return False
    steps = np.diff(values)
    step = float(np.median(steps))
    return step > 0 and float(np.mean(steps == step)) > 0.97 and bool(values[0] in (0, 1, step))


def _mostly_counting(column: Column) -> bool:
    return bool(np.mean(np.diff(column.values) >= 0) > 0.9)


def _evenly_rising(values: NDArray[np.float64]) -> bool:
    """Whether values rise evenly from 0 or from one step, as times and counts do."""
    steps = np.diff(values)
    if len(steps) < 3 or not np.all(steps > 0):
        return False
    step = float(np.mean(steps))
    return float(np.ptp(steps)) < 1e-3 * step and min(abs(values[0]), abs(values[0] - step)) < 1e-3 * step


def _looks_measured(column: Column) -> bool:
    return len(column.values) > 0 and (
        not _is_integer(column) or len(np.unique(column.values)) > len(column.values) / 4
    )


def _drop_duplicates(roles: Roles) -> None:
    """Keep one of two columns that hold the same trace in other units (raw code and current, R and G)."""
    kept: list[Column] = []
    for column in roles.values:
        twin = next((k for k in kept if _same_trace(k, column)), None)
        if twin is None:
            kept.append(column)
            continue
        better = column if _physical(column) > _physical(twin) else twin
        other = twin if better is column else column
        kept[[c is twin for c in kept].index(True)] = better
        roles.notes.append(f"{other.title!r} holds the same trace as {better.title!r} and was left out.")
    roles.values = kept


def _same_trace(a: Column, b: Column) -> bool:
    stems = {"".join(ch for ch in header.lower() if not ch.isdigit()) for header in (a.header, b.header)}
    if not (a.header and b.header) or len(stems) == 1 or len(a.values) != len(b.values):
        return False
    x, y = a.values, b.values
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return False
    for u in (x, 1 / x if np.all(x > 0) else x):
        scaled = (u - u.mean()) / u.std()
        other = (y - y.mean()) / y.std()
        if abs(float(np.mean(scaled * other))) > 0.99999:
            return True
    return False


def _physical(column: Column) -> int:
    quantity = quantity_in_header(column.header) or quantity_of_unit(unit_in_header(column.header))
    return {"conductance": 4, "current": 3, "weight": 2, "resistance": 1}.get(quantity, 0)
