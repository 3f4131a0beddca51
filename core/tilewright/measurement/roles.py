"""What each column is: index, time, polarity, voltage, cycle, device, or the response itself; how sure, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import Block, Column
from tilewright.measurement.options import ReadOptions
from tilewright.measurement.protocol import turning_points
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.units import (
    parse_unit,
    prefix_factor,
    quantity_in_header,
    quantity_of_unit,
    unit_in_header,
    words_of,
)
from tilewright.parameters import unknown_name_message

_ROWS_OF_A_DEVICE = 20
_RESTS_OF_A_LOG = (0.3, 0.995)  # share of rows without a pulse, in a log with rows for reads and rows for pulses
_OFTEN = 0.01  # stretches of reads in a row of such a log
ROLES = ("response", "pulse", "index", "time", "voltage", "cycle", "device", "left out")

_INDEX = {"#", "no", "nr", "n", "idx", "index", "pulse", "pulses", "puls", "pulsnummer", "impuls", "step", "sample",
          "point", "count", "k", "i", "number", "num", "zeile", "row", "id", "pt", "points", "record",
          "schritt"}  # fmt: skip
_POLARITY = {"polarity", "polarität", "direction", "dir", "sign", "type", "operation", "op", "mode", "richtung", "sens"}
_POLARITY |= {"branch", "phase", "action", "event", "pulse", "pulses", "state"}
_CYCLE = {"cycle", "cycles", "loop", "run", "trial", "repeat", "zyklus", "sweep", "ramp", "cyc", "repetition"}
_DEVICE = {"device", "dev", "cell", "dut", "die", "address", "addr", "zelle", "bauteil", "chip", "deviceid", "site"}
_UP_WORDS = {"up", "u", "p", "pot", "potentiation", "potentiate", "ltp", "set", "inc", "increase", "+", "+1", "1"}
_UP_WORDS |= {"on", "program", "hoch", "pos", "positive", "rise", "plus"}
_DOWN_WORDS = {"down", "d", "dep", "depression", "depress", "ltd", "reset", "dec", "decrease", "-", "-1", "runter"}
_DOWN_WORDS |= {"off", "erase", "neg", "negative", "fall", "minus"}
_REST_WORDS = {"", "read", "none", "0", "idle", "wait", "verify", "lesen", "init", "initial", "start"}
_SETTING = {"compliance", "width", "delay", "temperature", "temp", "temperatur", "humidity", "leak", "leakage", "gate",
            "igs", "ig", "range", "status", "settings", "std", "stdev", "sigma", "error", "err",
            "uncertainty"}  # fmt: skip
_TIME_STAMP = re.compile(
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})?[T ,]*"
    r"(\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?\s*([AaPp][Mm])?Z?$"
)


@dataclass(frozen=True)
class ColumnGuess:
    """What a column is taken for.

    Attributes:
        name: number or letter of the column.
        header: what stands above it.
        role: one of ``ROLES``.
        unit: as the header states it; empty when it states none.
        confidence: 0 to 1.
        reason: why, in words.
    """

    name: str
    header: str
    role: str
    unit: str
    confidence: float
    reason: str


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
    read_voltage: float | None = None
    constant: list[Column] = field(default_factory=list)
    guesses: dict[str, tuple[str, float, str]] = field(default_factory=dict)

    def say(self, column: Column, role: str, confidence: float, reason: str) -> bool:
        """Note what a column was taken for; True, so that a rule can end with it."""
        self.guesses[column.name] = (role, confidence, reason)
        return True


def assign_roles(block: Block, options: ReadOptions) -> Roles:
    """Tell columns apart by what the user said, then by header, then by content.

    Raises:
        MeasurementError: a named column does not exist, or a named polarity column holds something else.
    """
    roles = Roles()
    free = list(block.columns)
    for name in options.ignored_columns:
        column = _named(block.columns, name, "ignored_columns")
        roles.say(column, "left out", 1.0, "you said so")
        free = [c for c in free if c is not column]
    _take_named(roles, free, options)
    chosen = [_named(block.columns, name, "value_columns") for name in options.value_columns]
    free = _take_addresses(roles, free)
    for column in [c for c in free if not any(c is item for item in chosen)]:
        if _take_by_header(roles, column) or (len(free) > 1 and _take_by_content(roles, column, free)):
            free = [c for c in free if c is not column]
    roles.values = chosen or [c for c in free if len(c.values)]
    for column in roles.values:
        _say_response(roles, column, bool(chosen))
    for column in free:
        if column.name not in roles.guesses or (chosen and not any(column is c for c in roles.values)):
            roles.say(
                column, "left out", 1.0 if chosen else 0.6, "other columns were chosen" if chosen else "no numbers"
            )
    _drop_duplicates(roles)
    if not chosen:
        _keep_one_quantity(roles)
        _keep_reads_before(roles)
    _begin_with_readings(roles)
    _take_segments(roles, block)
    return roles


_ADDRESSES = (({"row", "wl", "y", "zeile"}, {"col", "column", "bl", "x", "spalte"}),)


def _take_addresses(roles: Roles, free: list[Column]) -> list[Column]:
    """Row and column of a crosspoint, which name a device together; the columns that are left."""
    if roles.device is not None:
        return free
    for rows, columns in _ADDRESSES:
        pair = [next((c for c in free if set(words_of(c.header)) & names), None) for names in (rows, columns)]
        first, second = pair
        if first is None or second is None or first is second or len(first.values) != len(second.values):
            continue
        if not all(_is_integer(c) and len(np.unique(c.values)) <= len(c.values) / _ROWS_OF_A_DEVICE for c in pair if c):
            continue
        names = [f"{first.title} {a:g}, {second.title} {b:g}"
                 for a, b in zip(first.values.tolist(), second.values.tolist(), strict=True)]  # fmt: skip
        roles.device = Column("", "crosspoint", np.empty(0), first.rows, names)
        for column in (first, second):
            roles.say(column, "device", 0.85, "row and column name a crosspoint together")
        return [c for c in free if c is not first and c is not second]
    return free


def fill_skipped_rows(roles: Roles) -> None:
    """Where a count of pulses skips a few numbers, put in rows without a reading: the pulses were given nonetheless."""
    if roles.index is None or not roles.values:
        return
    n = max(len(column.values) for column in roles.values)
    if len(roles.index.values) < n:
        return
    steps = np.diff(roles.index.values[:n])
    if float(np.median(steps)) != 1:
        return
    skipped = np.where(steps > 1, steps - 1, 0)
    total = int(skipped.sum())
    if total == 0 or total > _MOST_SKIPPED * n or skipped.max() > 0.02 * n + 5:
        return
    # Position of each old row among the new ones; the polarity of a new row is that of the row before it.
    moved = np.concatenate([[0], np.cumsum(1 + skipped.astype(np.int64))])
    source = np.searchsorted(moved, np.arange(moved[-1] + 1), side="right") - 1
    new = np.ones(len(source), dtype=bool)
    new[moved] = False
    stretched: dict[int, Column] = {}
    for column in {id(c): c for c in [*roles.values, roles.index, roles.time, roles.cycle, roles.device] if c}.values():
        stretched[id(column)] = _stretched(column, source, new, moved)
    roles.values = [stretched[id(column)] for column in roles.values]
    roles.index, roles.time, roles.cycle, roles.device = (
        stretched[id(c)] if c else None for c in (roles.index, roles.time, roles.cycle, roles.device)
    )
    if roles.polarity is not None:
        roles.polarity = roles.polarity[source[source < len(roles.polarity)]]
    roles.notes.append(f"The count skips {total} number(s); their pulses are kept, their readings are missing.")


_MOST_SKIPPED = 0.1


def _stretched(column: Column, source: NDArray[np.int64], new: NDArray[np.bool_], moved: NDArray[np.int64]) -> Column:
    if column.words:
        return replace(column, words=[column.words[k] for k in source.tolist() if k < len(column.words)])
    n = min(len(column.values), len(moved))
    end = int(moved[n - 1]) + 1
    places = np.arange(end)
    values = np.interp(places, moved[:n], column.values[:n])
    missing = np.union1d(moved[column.missing[column.missing < n]], places[new[:end]])
    return replace(column, values=values, rows=column.rows[source[:end]], missing=missing.astype(np.int64))


def guesses_of(block: Block, roles: Roles) -> tuple[ColumnGuess, ...]:
    """What every column of the block was taken for."""
    made = []
    for column in block.columns:
        role, confidence, reason = roles.guesses.get(column.name, ("left out", 0.5, "nothing tells what it is"))
        unit = unit_in_header(column.header) or parse_unit(column.header)
        made.append(ColumnGuess(column.name, column.header, role, unit, confidence, reason))
    return tuple(made)


def _say_response(roles: Roles, column: Column, chosen: bool) -> None:
    quantity = quantity_in_header(column.header)
    if chosen:
        roles.say(column, "response", 1.0, "you said so")
    elif quantity in {"conductance", "current", "resistance", "weight"}:
        roles.say(column, "response", 0.95, f"its header names a {quantity}")
    elif column.header:
        roles.say(column, "response", 0.8, "numbers that are no index, time or polarity")
    else:
        roles.say(column, "response", 0.75, "no header; its numbers are no index, time or polarity")


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
            roles.say(column, "pulse", 1.0, "you said so")
        elif option == "cycle_column":
            roles.cycle = column
            roles.say(column, "cycle", 1.0, "you said so")
        else:
            roles.device = column
            roles.say(column, "device", 1.0, "you said so")
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
            what = "voltages of both signs" if quantity == "voltage" else "its header and cells name directions"
            return roles.say(column, "pulse", 0.95, what)
    if quantity == "voltage" and len(column.values):
        return _take_voltage(roles, column, words)
    if words & _DEVICE and roles.device is None and not _looks_measured(column):
        roles.device = column
        return roles.say(column, "device", 0.9, "its header names devices")
    if (
        words & _CYCLE
        and roles.cycle is None
        and _is_integer(column)
        and len(np.unique(column.values)) < len(column.values)
    ):
        roles.cycle = column
        return roles.say(column, "cycle", 0.9, "its header names cycles and its numbers repeat")
    if quantity == "time" and len(column.values) and float(np.mean(np.diff(column.values) >= 0)) > 0.9:
        roles.time = roles.time or column
        return roles.say(column, "time", 0.95, "its header names a time")
    if words & _INDEX and _is_integer(column) and not quantity and _mostly_counting(column):
        roles.index = roles.index or column
        return roles.say(column, "index", 0.95, "its header names a count and its numbers count up")
    if len(column.values) and words & _SETTING and not words & {"conductance", "current", "resistance"}:
        return roles.say(column, "left out", 0.8, "its header names a setting or an error")
    if column.words:
        return _say_words(roles, column)
    return False


def _take_voltage(roles: Roles, column: Column, words: set[str]) -> bool:
    if np.ptp(column.values) == 0:
        if {"read", "vread", "lesen"} & words or abs(column.values[0]) <= 0.5:
            roles.read_voltage = float(column.values[0]) * _volts(column.header)
            return roles.say(column, "voltage", 0.9, f"constant {column.values[0]:g}: taken for the read voltage")
        return roles.say(column, "voltage", 0.8, "a constant voltage")
    roles.swept_voltage = roles.swept_voltage or column
    return roles.say(column, "voltage", 0.9, "its header names a voltage")


def _volts(header: str) -> float:
    unit = unit_in_header(header)
    return prefix_factor(unit) if quantity_of_unit(unit) == "voltage" else 1.0


def _say_words(roles: Roles, column: Column) -> bool:
    filled = [word for word in column.words if word][:100]
    if filled and all(_TIME_STAMP.match(word) for word in filled):
        return roles.say(column, "left out", 0.95, "time stamps; the order of the rows is used")
    roles.notes.append(f"{column.title!r} holds text and was not read.")
    return roles.say(column, "left out", 0.8, "it holds text")


def _take_by_content(roles: Roles, column: Column, free: list[Column]) -> bool:
    values = column.values
    if column.words or not len(values):
        signs = polarity_of(column)
        if signs is not None and roles.polarity is None:
            roles.polarity, roles.polarity_title = signs, column.title
            return roles.say(column, "pulse", 0.9, "its cells are words for up and down")
        if not any(column.words):
            return roles.say(column, "left out", 0.9, "empty")
        distinct = len(set(column.words))
        if roles.device is None and signs is None and 1 < distinct <= len(column.words) / _ROWS_OF_A_DEVICE:
            roles.device = column
            return roles.say(column, "device", 0.7, f"{distinct} names that repeat")
        return _say_words(roles, column)
    others = [c for c in free if c is not column and len(c.values)]
    if not others:
        return False
    if np.ptp(values) == 0:
        roles.constant.append(column)
        return roles.say(column, "left out", 0.9, f"constant {values[0]:g}")
    if roles.swept_voltage is None and _is_sweep(values):
        roles.swept_voltage = column
        return roles.say(column, "voltage", 0.8, "even steps from 0 through both signs, as in a voltage sweep")
    if roles.polarity is None and len(np.unique(values)) <= 3:
        signs = polarity_of(column)
        if signs is not None:
            roles.polarity, roles.polarity_title = signs, column.title
            return roles.say(column, "pulse", 0.85, "it holds nothing but numbers of both signs")
    if _is_integer(column) and _counting(values):
        if roles.index is None:
            roles.index = column
            return roles.say(column, "index", 0.9, "whole numbers that count up")
        if not quantity_in_header(column.header):
            return roles.say(column, "left out", 0.85, "a second count")
    if roles.time is None and not column.header and _is_axis(values, [other.values for other in others]):
        roles.time = column
        return roles.say(column, "time", 0.7, "numbers that rise evenly while the others do not")
    return False


def is_log(rests: NDArray[np.bool_]) -> bool:
    """Whether so many rows have no pulse that they read the state between pulses."""
    return _RESTS_OF_A_LOG[0] < float(np.mean(rests)) < _RESTS_OF_A_LOG[1]


def polarity_of(column: Column) -> NDArray[np.int8] | None:
    """+1, -1 and 0 (no pulse) for a column of polarities, words or pulse voltages; None when it is none of these."""
    if column.words:
        words = [word.strip().lower() for word in column.words]
        kinds = set(words)
        if kinds <= _UP_WORDS | _DOWN_WORDS | _REST_WORDS and kinds & _UP_WORDS and kinds & _DOWN_WORDS:
            return np.array([1 if w in _UP_WORDS else -1 if w in _DOWN_WORDS else 0 for w in words], dtype=np.int8)
        return None
    values = column.values.copy()
    values[column.missing] = 0.0
    kinds_found = np.unique(values)
    if len(kinds_found) > 12 and (_counts_with_signs(values) or _amplitudes(column, values)):
        return np.sign(values).astype(np.int8)
    if len(kinds_found) < 2 or len(kinds_found) > 12:
        return None
    if kinds_found[0] < 0 < kinds_found[-1]:
        return _signs_of_pulses(values)
    if set(kinds_found) == {0.0, 1.0} and set(words_of(column.header)) & _POLARITY:
        return np.where(values > 0, 1, -1).astype(np.int8)
    return None


def _counts_with_signs(values: NDArray[np.float64]) -> bool:
    """Whether up pulses are counted 1, 2, 3 ... and down pulses -1, -2, -3 ..."""
    sides = [values[values > 0], values[values < 0]]
    if len(sides[0]) + len(sides[1]) < len(values) or not all(len(side) > 2 for side in sides):
        return False
    whole = bool(np.all(values == np.round(values)))
    return whole and all(float(np.mean(np.abs(np.diff(side)) == 1)) > 0.9 for side in sides)


def _amplitudes(column: Column, values: NDArray[np.float64]) -> bool:
    """Whether these are voltages of pulses whose size grows: both signs and, unlike a sweep, none near 0."""
    size = np.abs(values)
    named = quantity_in_header(column.header) == "voltage"
    return named and float(values.min()) < 0 < float(values.max()) and float(size.min()) > 0.25 * float(size.max())


def _signs_of_pulses(values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Signs; 0 where the voltage is that of a read, which is much smaller than a pulse and stands between pulses."""
    size = np.abs(values)
    small = float(size.min())
    reads = size <= small * 1.001
    stretches = int(np.count_nonzero(np.diff(reads.astype(np.int8)) > 0))
    between = stretches >= max(5, _OFTEN * len(values))
    if between and is_log(reads) and float(np.min(size[~reads])) > 2 * small:
        return np.where(reads, 0, np.sign(values)).astype(np.int8)
    return np.sign(values).astype(np.int8)


def _take_segments(roles: Roles, block: Block) -> None:
    """Blocks stacked in the file are devices where their titles say so, else cycles."""
    if not len(block.segments):
        return
    rows = block.columns[0].rows
    if block.segments_are_devices and roles.device is None:
        words = [block.segment_titles[k - 1] for k in block.segments.tolist()]
        roles.device = Column("", "title of the block", np.empty(0), rows, words)
        roles.notes.append(f"{len(block.segment_titles)} stacked blocks are taken for devices, by their titles.")
    elif roles.cycle is None and roles.polarity is None:
        roles.cycle = Column("", "block", block.segments.astype(np.float64), rows)
        roles.notes.append(f"{len(block.segment_titles)} stacked blocks are taken for cycles.")


def _is_integer(column: Column) -> bool:
    return len(column.values) > 0 and bool(np.all(column.values == np.round(column.values)))


def _counting(values: NDArray[np.float64]) -> bool:
    """Whether values count up in equal integer steps, restarting at most a few times."""
    if len(values) < 3:
        return False
    steps = np.diff(values)
    step = float(np.median(steps))
    if step <= 0:
        return False
    # Missing and repeated rows leave a count a count, as long as hardly any step goes back.
    return bool(values[0] in (0, 1, step)) and float(np.mean(steps == step)) > 0.9 and float(np.mean(steps < 0)) < 0.05


def _mostly_counting(column: Column) -> bool:
    return bool(np.mean(np.diff(column.values) >= 0) > 0.9)


def _is_axis(values: NDArray[np.float64], others: list[NDArray[np.float64]]) -> bool:
    """Whether values rise evenly, as times and counts do, and the other columns do not."""
    steps = np.diff(values)
    if len(steps) < 3 or not np.all(steps > 0):
        return False
    step, spread = float(np.mean(steps)), float(np.ptp(steps))
    if spread < 1e-3 * step and min(abs(values[0]), abs(values[0] - step)) < 1e-3 * step:
        return not any(_even(other) for other in others)
    # Clocks start anywhere and wander; where they alone go one way all the time, the others are the response.
    return float(np.std(steps)) < 0.3 * step and all(bool(turning_points(other)[0]) for other in others)


def _even(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values)
    return len(steps) > 0 and float(np.ptp(steps)) < 1e-3 * abs(float(np.mean(steps)))


def _is_sweep(values: NDArray[np.float64]) -> bool:
    """Whether values go in even steps from 0 to both signs and back, as the voltage of a sweep does."""
    steps = np.diff(values)
    size = float(np.median(np.abs(steps))) if len(steps) else 0.0
    if size == 0 or len(values) < 20 or abs(values[0]) > size or not values.min() < -3 * size < 3 * size < values.max():
        return False
    even = float(np.mean(np.abs(np.abs(steps) - size) < 0.06 * size)) > 0.95
    turns = int(np.sum(np.diff(np.sign(steps[steps != 0])) != 0))
    return even and 1 <= turns <= len(values) / 10


def _looks_measured(column: Column) -> bool:
    return len(column.values) > 0 and (
        not _is_integer(column) or len(np.unique(column.values)) > len(column.values) / 4
    )


def _drop_duplicates(roles: Roles) -> None:
    """Keep one of two columns that hold the same trace in other units (raw code and current, R and G)."""
    kept: list[Column] = []
    if len(roles.values) > 40:
        return  # an array of devices
    for column in roles.values:
        twin = next((k for k in kept if _same_trace(k, column)), None)
        if twin is None:
            kept.append(column)
            continue
        better = column if _physical(column) > _physical(twin) else twin
        other = twin if better is column else column
        kept[[c is twin for c in kept].index(True)] = better
        roles.notes.append(f"{other.title!r} holds the same trace as {better.title!r} and was left out.")
        roles.say(other, "left out", 0.95, f"the same trace as {better.title!r}")
    roles.values = kept


def _keep_one_quantity(roles: Roles) -> None:
    """Where headers name several quantities, the response is the one nearest to a conductance."""
    ranks = [_physical(column) for column in roles.values]
    if len(roles.values) < 2 or max(ranks) == 0 or len(set(ranks)) == 1:
        return
    best = max(ranks)
    for column, rank in zip(roles.values, ranks, strict=True):
        if rank < best:
            roles.say(column, "left out", 0.7, "another column names a conductance or current")
            roles.notes.append(f"{column.title!r} was left out: another column names the response.")
    roles.values = [column for column, rank in zip(roles.values, ranks, strict=True) if rank == best]


_BEFORE, _AFTER = {"before", "pre", "initial", "vor"}, {"after", "post", "final", "nach"}


def _keep_reads_before(roles: Roles) -> None:
    """Of two columns that read the state before and after each pulse, the first is the response."""
    words = {id(column): _parts(column.header) for column in roles.values}
    for column in list(roles.values):
        if not words[id(column)] & _AFTER:
            continue
        rest = words[id(column)] - _AFTER
        twins = [c for c in roles.values if words[id(c)] & _BEFORE and words[id(c)] - _BEFORE == rest]
        if twins:
            roles.values = [c for c in roles.values if c is not column]
            roles.notes.append(f"{column.title!r} reads the state after each pulse; {twins[0].title!r} is taken.")
            roles.say(column, "left out", 0.9, f"the state after the pulse; {twins[0].title!r} is that before it")


def _parts(header: str) -> set[str]:
    return {part for word in words_of(header) for part in word.split("_")}


def _begin_with_readings(roles: Roles) -> None:
    """Columns that fill one after the other, the up branch first, each without the blank rows above it."""
    starts = {id(column): _blank_rows_above(column) for column in roles.values}
    if roles.polarity is not None or len(roles.values) < 2 or not any(starts.values()):
        return
    roles.values = [
        replace(
            column, values=column.values[start:], rows=column.rows[start:],
            missing=column.missing[column.missing >= start] - start,
        ) if (start := starts[id(column)]) else column
        for column in roles.values
    ]  # fmt: skip
    roles.index = roles.time = None
    roles.notes.append("Columns that begin further down were read from their first number on.")


def _blank_rows_above(column: Column) -> int:
    """Rows without a reading at the start of a column, where they are more than a few missing readings."""
    present = np.ones(len(column.values), dtype=bool)
    present[column.missing] = False
    first = int(np.argmax(present)) if present.any() else 0
    return first if first >= 10 else 0


def _same_trace(a: Column, b: Column) -> bool:
    stems = {"".join(ch for ch in header.lower() if not ch.isdigit()) for header in (a.header, b.header)}
    if not (a.header and b.header) or len(stems) == 1 or len(a.values) != len(b.values):
        return False
    if _physical(a) == _physical(b) > 0 and _bare(a.header) != _bare(b.header):
        return False  # two devices, not two units
    x, y = a.values, b.values
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return False
    for u in (x, 1 / x if np.all(x > 0) else x):
        scaled = (u - u.mean()) / u.std()
        other = (y - y.mean()) / y.std()
        if abs(float(np.mean(scaled * other))) > 0.99999:
            return True
    return False


def _bare(header: str) -> str:
    """A header without its unit."""
    return " ".join(words_of(re.sub(r"[(\[{][^)\]}]*[)\]}]", " ", header)))


def _physical(column: Column) -> int:
    quantity = quantity_in_header(column.header) or quantity_of_unit(unit_in_header(column.header))
    return {"conductance": 4, "current": 3, "weight": 2, "resistance": 1}.get(quantity, 0)
