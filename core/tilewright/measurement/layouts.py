"""From columns to records: one column, up and down columns, one column per ramp or device, sequences, long form."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES, Column
from tilewright.measurement.options import Layout, ReadOptions, Sampling
from tilewright.measurement.protocol import find_protocol, parse_protocol, smooth, turning_points
from tilewright.measurement.record import MeasurementError, Record, describe_pulses
from tilewright.measurement.roles import Roles
from tilewright.measurement.units import words_of

Pulses = NDArray[np.int8]
Samples = NDArray[np.float64]

_UP_HEADERS = {"up", "pot", "potentiation", "ltp", "set", "hoch", "increase", "inc"}
_DOWN_HEADERS = {"down", "dep", "depression", "ltd", "reset", "runter", "decrease", "dec"}
_CYCLE_STEMS = ("rmp", "ramp", "cycle", "loop", "run", "trial", "sweep", "zyklus")


@dataclass
class Arrangement:
    """Records with the words for how they were found."""

    records: list[Record]
    layout: str
    protocol: str
    confidence: float
    notes: list[str] = field(default_factory=list)


def arrange(roles: Roles, options: ReadOptions) -> Arrangement:
    """Records of a table by the layout asked for, or the one that fits.

    Raises:
        MeasurementError: the layout asked for needs columns that are not there.
    """
    layout = options.layout if options.layout is not Layout.AUTO else _fitting_layout(roles)
    made = _BUILDERS[layout](roles, options)
    if options.layout is not Layout.AUTO:
        made.confidence = max(made.confidence, 0.95)
    return made


def _fitting_layout(roles: Roles) -> Layout:
    if roles.device is not None or (roles.cycle is not None and roles.polarity is None):
        return Layout.LONG
    if roles.polarity is not None or roles.cycle is not None:
        return Layout.SEQUENCE
    if len(roles.values) == 1:
        return Layout.ONE_COLUMN
    if len(roles.values) == 2:
        first, second = (column_direction(column.values) for column in roles.values)
        if first * second < 0 and not any(turning_points(c.values)[0] for c in roles.values):
            return Layout.UP_DOWN
    return Layout.WIDE


# --- pulses of one column ---------------------------------------------------------------------------------------------


def column_direction(values: Samples) -> int:
    """+1 where the values rise over the column, -1 where they fall."""
    tenth = max(len(values) // 10, 1)
    return 1 if np.median(values[-tenth:]) >= np.median(values[:tenth]) else -1


def _pulses_for(values: Samples, options: ReadOptions) -> tuple[Pulses, float, list[str]]:
    """Pulses of a column without a polarity column: as stated, or found."""
    if options.protocol.strip().lower() in {"auto", ""}:
        found = find_protocol(values)
        return found.pulses, found.confidence, list(found.notes)
    return _stated(options.protocol, len(values)), 1.0, []


def _stated(protocol: str, n: int) -> Pulses:
    if protocol.strip().lower() in {"up", "down"}:
        return np.full(n, 1 if protocol.strip().lower() == "up" else -1, dtype=np.int8)
    pulses = parse_protocol(protocol)
    if n % len(pulses) == 0:
        return np.tile(pulses, n // len(pulses))
    if n == len(pulses) + 1:  # the state after the last pulse was read too; its own pulse is never used
        return np.append(pulses, pulses[-1])
    raise MeasurementError(f"the protocol {protocol!r} has {len(pulses)} pulses, but the column has {n} samples")


# --- layouts ----------------------------------------------------------------------------------------------------------


def _one_column(roles: Roles, options: ReadOptions) -> Arrangement:
    if len(roles.values) > 1 and not options.value_columns:
        names = ", ".join(repr(c.title) for c in roles.values)
        raise MeasurementError(
            f"one column was expected, {len(roles.values)} hold values: {names}; state value_columns"
        )
    column = roles.values[0]
    pulses, confidence, notes = _pulses_for(column.values, options)
    record = Record(pulses, column.values, label=column.header)
    return Arrangement([record], "one column, one pulse per row", describe_pulses(pulses), confidence, notes)


def _up_down(roles: Roles, options: ReadOptions) -> Arrangement:
    if len(roles.values) != 2:
        raise MeasurementError(f"an up and a down column were expected, {len(roles.values)} columns hold values")
    notes: list[str] = []
    directions = [column_direction(column.values) for column in roles.values]
    said = [_header_direction(column) for column in roles.values]
    if options.layout is Layout.UP_DOWN and directions[0] == directions[1]:
        directions = said if 0 not in said else [1, -1]
    for column, direction, word in zip(roles.values, directions, said, strict=True):
        if word and word != direction:
            notes.append(
                f"{column.title!r} is named for the other direction than its values take: "
                f"read as {'up' if direction > 0 else 'down'} pulses."
            )
    records = []
    for column, direction in zip(roles.values, directions, strict=True):
        kind = "up pulses" if direction > 0 else "down pulses"
        pulses = np.full(len(column.values), direction, dtype=np.int8)
        records.append(Record(pulses, column.values, label=column.header or kind))
    lengths = " and ".join(describe_pulses(record.pulses) for record in records)
    confidence = 0.95 if not notes else 0.8
    return Arrangement(records, "two columns: up pulses and down pulses", lengths, confidence, notes)


def _header_direction(column: Column) -> int:
    words = set(words_of(column.header))
    return 1 if words & _UP_HEADERS else -1 if words & _DOWN_HEADERS else 0


def _wide(roles: Roles, options: ReadOptions) -> Arrangement:
    columns = roles.values
    stated = options.protocol.strip().lower() not in {"auto", ""}
    turned = sum(bool(turning_points(column.values)[0]) for column in columns)
    ramps = not stated and turned <= len(columns) / 4
    numbered = any(column.header.lower().startswith(_CYCLE_STEMS) for column in columns)
    records, notes, confidences = [], [], []
    shared = None if ramps else _shared_pulses(columns, options)
    for number, column in enumerate(columns, start=1):
        if ramps:
            pulses = np.full(len(column.values), column_direction(column.values), dtype=np.int8)
        elif shared is not None and len(shared[0]) == len(column.values):
            pulses = shared[0]
        else:
            pulses, confidence, _ = _pulses_for(column.values, options)
            confidences.append(confidence)
        device = "" if ramps or numbered else column.title
        records.append(
            Record(pulses, column.values, label=column.title, device=device, cycle=number if ramps or numbered else 0)
        )
    if shared is not None:
        confidences.append(shared[1])
        notes += shared[2]
    lengths = sorted({len(record) for record in records})
    if len(lengths) > 1:
        notes.append(
            f"The columns hold {lengths[0]} to {lengths[-1]} samples each; the empty cells at their ends were left out."
        )
    if ramps:
        up = sum(record.pulses[0] > 0 for record in records)
        kinds = [f"{n} {word}" for n, word in ((up, "up"), (len(records) - up, "down")) if n]
        size = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
        protocol = f"{' and '.join(kinds)} ramp(s) of {size} pulses"
        return Arrangement(records, f"{len(records)} columns, one ramp each", protocol, 0.9, notes)
    confidence = min(confidences, default=0.7)
    what = "cycle" if numbered else "device"
    layout = f"{len(records)} columns, one {what} each"
    return Arrangement(records, layout, describe_pulses(records[0].pulses), confidence, notes)


def _shared_pulses(columns: list[Column], options: ReadOptions) -> tuple[Pulses, float, list[str]] | None:
    """Pulses common to columns of one length, found from their mean: less noisy than each alone."""
    lengths = [len(column.values) for column in columns]
    common = max(set(lengths), key=lengths.count)
    same = [c.values for c in columns if len(c.values) == common]
    if len(same) < len(columns) / 2:
        return None
    scaled = [(v - v.mean()) / (v.std() or 1.0) for v in same]
    return _pulses_for(np.mean(scaled, axis=0), options)


def _sequence(roles: Roles, options: ReadOptions) -> Arrangement:
    if roles.polarity is None:
        if roles.cycle is not None:
            return _long(roles, options)
        raise MeasurementError("a sequence needs a column with the polarity of each pulse; state pulse_column")
    records, notes, confidence = [], [], 0.97
    for column in roles.values:
        device = column.title if len(roles.values) > 1 else ""
        made, words = _sequence_records(column, roles, np.ones(len(column.values), dtype=bool), device, options)
        records += made
        notes += [word for word in words if word not in notes]
    notes.insert(0, f"Pulse directions are taken from {roles.polarity_title!r}.")
    return Arrangement(
        records, "one pulse per row with its polarity", describe_pulses(records[0].pulses), confidence, notes
    )


def _long(roles: Roles, options: ReadOptions) -> Arrangement:
    if len(roles.values) != 1:
        names = ", ".join(repr(c.title) for c in roles.values)
        raise MeasurementError(f"the long form needs one value column, found {names}; state value_columns")
    column = roles.values[0]
    n = len(column.values)
    devices = _labels(roles.device, n) if roles.device is not None else np.zeros(n, dtype="<U1")
    records, notes, confidences = [], [], []
    for name in dict.fromkeys(devices.tolist()):
        members = devices == name
        if members.sum() < MIN_SAMPLES:
            notes.append(f"Device {name!r} has fewer than {MIN_SAMPLES} samples and was left out.")
            continue
        made, words = _sequence_records(column, roles, members, name, options)
        records += made
        notes += [word for word in words if word not in notes]
        confidences.append(0.95 if roles.polarity is not None else 0.8)
    if not records:
        raise MeasurementError(f"no device has {MIN_SAMPLES} samples or more")
    many = len(set(devices.tolist()))
    layout = f"long form, {many} device(s)" if roles.device is not None else "long form, one pulse per row"
    return Arrangement(records, layout, describe_pulses(records[0].pulses), min(confidences), notes)


def _labels(column: Column, n: int) -> NDArray[np.str_]:
    words = column.words or [f"{value:g}" for value in column.values]
    if len(words) < n:
        raise MeasurementError(f"{column.title!r} has {len(words)} entries for {n} samples")
    return np.array(words[:n])


def _sequence_records(
    column: Column, roles: Roles, members: NDArray[np.bool_], device: str, options: ReadOptions
) -> tuple[list[Record], list[str]]:
    """Records of one device: split where a cycle begins with a jump, joined where the state runs on."""
    n = len(column.values)
    values, notes = column.values[members], []
    cycles = np.zeros(len(values), dtype=int)
    if roles.cycle is not None:
        cycles = _as_cycles(roles.cycle, n)[members]
    if roles.polarity is not None:
        if len(roles.polarity) < n:
            raise MeasurementError(f"{roles.polarity_title!r} has {len(roles.polarity)} entries for {n} samples")
        pulses = roles.polarity[:n][members]
        if np.any(pulses == 0):
            notes.append(f"{int(np.sum(pulses == 0))} row(s) without a pulse were left out.")
            values, cycles, pulses = values[pulses != 0], cycles[pulses != 0], pulses[pulses != 0]
    else:
        pulses = None
    records = []
    for start, stop in _continuous(values, cycles):
        part, cycle = values[start:stop], int(cycles[start])
        if len(part) < 2:
            continue
        if pulses is not None:
            own, after = _aligned(pulses[start:stop], part, options.sampling)
            if after and not any("after" in note for note in notes):
                notes.append("Each row was read after its pulse, as the turns show; rows were moved by one pulse.")
        else:
            own, _, found = _pulses_for(part, options)
            notes += [note for note in found if note not in notes]
        label = column.header or device
        if cycle and cycles[stop - 1] != cycle:
            label = f"{label}, cycles {cycle} to {int(cycles[stop - 1])}".lstrip(", ")
        elif cycle:
            label = f"{label}, cycle {cycle}".lstrip(", ")
        records.append(Record(own, part, label=label, device=device, cycle=cycle))
    if not records:
        raise MeasurementError("no stretch of at least two pulses was found")
    return records, notes


def _as_cycles(column: Column, n: int) -> NDArray[np.int_]:
    if len(column.values) < n:
        raise MeasurementError(f"{column.title!r} has {len(column.values)} numbers for {n} samples")
    return np.asarray(np.clip(column.values[:n], -1e9, 1e9), dtype=int)


def _continuous(values: Samples, cycles: NDArray[np.int_]) -> list[tuple[int, int]]:
    """Stretches without a jump at a change of cycle. A jump is 10 % of the range and far above the usual step."""
    changes = np.flatnonzero(np.diff(cycles)) + 1
    steps = np.abs(np.diff(values))
    usual = float(np.quantile(steps, 0.95)) if len(steps) else 0.0
    limit = max(0.1 * float(np.ptp(values)), 5 * usual) if len(values) else 0.0
    cuts = [int(c) for c in changes if steps[c - 1] > limit]
    edges = [0, *cuts, len(values)]
    return list(itertools.pairwise(edges))


def _aligned(pulses: Pulses, values: Samples, sampling: Sampling) -> tuple[Pulses, bool]:
    """Pulses moved so that sample k is the state before pulse k, and whether they were moved.

    At a turn, a row read before its pulse still follows the old direction, a row read after it follows the new one.
    """
    after = sampling is Sampling.AFTER
    if sampling is Sampling.AUTO:
        turns = np.flatnonzero(np.diff(pulses)) + 1
        steps = np.diff(values)
        if len(turns):
            noise = float(np.std(steps - smooth(steps, max(5, len(steps) // 50)))) or 1e-300
            after = float(np.mean(steps[turns - 1] * pulses[turns])) * np.sqrt(len(turns)) > 3 * noise
    return (np.append(pulses[1:], pulses[-1]), True) if after else (pulses, False)


_BUILDERS: dict[Layout, Callable[[Roles, ReadOptions], Arrangement]] = {
    Layout.ONE_COLUMN: _one_column,
    Layout.UP_DOWN: _up_down,
    Layout.WIDE: _wide,
    Layout.SEQUENCE: _sequence,
    Layout.LONG: _long,
}
