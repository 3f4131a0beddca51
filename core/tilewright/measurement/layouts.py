"""From columns to records: one column, up and down columns, one column per ramp or device, sequences, long form."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES, Column
from tilewright.measurement.options import Layout, ReadOptions, Sampling
from tilewright.measurement.protocol import alternating_end, find_protocol, parse_protocol, smooth, turning_points
from tilewright.measurement.record import MeasurementError, Record, describe_pulses, runs_of
from tilewright.measurement.roles import Roles, is_log
from tilewright.measurement.units import words_of

Pulses = NDArray[np.int8]
Samples = NDArray[np.float64]

_UP_HEADERS = {"up", "pot", "potentiation", "ltp", "set", "hoch", "increase", "inc"}
_DOWN_HEADERS = {"down", "dep", "depression", "ltd", "reset", "runter", "decrease", "dec"}
_CYCLE_STEMS = ("rmp", "ramp", "cycle", "loop", "run", "trial", "sweep", "zyklus", "cyc")
_SHORTEST_RAMP = 10


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
    if options.mirrored:
        made.notes.append("Down branches were turned round: their last row is the state before the first down pulse.")
    return made


def _turned_round(chosen: NDArray[np.int64], pulses: Pulses) -> NDArray[np.int64]:
    """Positions of a column with those of every ramp of down pulses in the opposite order."""
    turned = chosen.copy()
    for start, stop, direction in runs_of(pulses):
        if direction < 0 and stop - start >= _SHORTEST_RAMP:
            turned[start:stop] = chosen[start:stop][::-1]
    return turned


def _fitting_layout(roles: Roles) -> Layout:
    if roles.device is not None or (roles.cycle is not None and roles.polarity is None):
        return Layout.LONG
    if roles.polarity is not None or roles.cycle is not None:
        return Layout.SEQUENCE
    if len(roles.values) == 1:
        return Layout.ONE_COLUMN
    if len(roles.values) == 2:
        first, second = (column_direction(column.values) for column in roles.values)
        said = _header_direction(roles.values[0]) * _header_direction(roles.values[1])
        if (first * second < 0 or said < 0) and not any(turning_points(c.values)[0] for c in roles.values):
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


def _record(
    column: Column, roles: Roles, chosen: NDArray[np.int64], pulses: Pulses, label: str, device: str = "",
    cycle: int = 0, mirrored: bool = False,
) -> Record:  # fmt: skip
    """The record of the chosen positions of a column, with what is missing there and the index of the file."""
    chosen = _turned_round(chosen, pulses) if mirrored else chosen
    absent = np.zeros(len(column.values), dtype=bool)
    absent[column.missing] = True
    place = roles.index or roles.time
    index = None
    if place is not None and len(place.values) >= len(column.values):
        index = place.values[chosen]
    return Record(
        pulses, column.values[chosen], label=label, device=device, cycle=cycle,
        missing=np.flatnonzero(absent[chosen]), index=index,
        index_name="" if place is None or index is None else place.header or "index",
    )  # fmt: skip


def _whole(column: Column) -> NDArray[np.int64]:
    return np.arange(len(column.values))


# --- layouts ----------------------------------------------------------------------------------------------------------


def _one_column(roles: Roles, options: ReadOptions) -> Arrangement:
    if len(roles.values) > 1 and not options.value_columns:
        names = ", ".join(repr(c.title) for c in roles.values)
        raise MeasurementError(
            f"one column was expected, {len(roles.values)} hold values: {names}; state value_columns"
        )
    column = roles.values[0]
    pulses, confidence, notes = _pulses_for(column.values, options)
    record = _record(column, roles, _whole(column), pulses, column.header, mirrored=options.mirrored)
    return Arrangement([record], "one column, one pulse per row", describe_pulses(pulses), confidence, notes)


def _up_down(roles: Roles, options: ReadOptions) -> Arrangement:
    if len(roles.values) != 2:
        raise MeasurementError(f"an up and a down column were expected, {len(roles.values)} columns hold values")
    notes: list[str] = []
    directions = [column_direction(column.values) for column in roles.values]
    said = [_header_direction(column) for column in roles.values]
    if options.layout is Layout.UP_DOWN and directions[0] == directions[1]:
        directions = said if 0 not in said else [1, -1]
    if directions[0] == directions[1] and said[0] * said[1] < 0:
        directions = said  # one branch was recorded last pulse first
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
        chosen = _whole(column)
        records.append(_record(column, roles, chosen, pulses, column.header or kind, mirrored=options.mirrored))
    lengths = " and ".join(describe_pulses(record.pulses) for record in records)
    confidence = 0.95 if not notes else 0.7
    return Arrangement(records, "two columns: up pulses and down pulses", lengths, confidence, notes)


def _header_direction(column: Column) -> int:
    words = {word.rstrip("0123456789") for part in words_of(column.header) for word in part.split("_")}
    return 1 if words & _UP_HEADERS else -1 if words & _DOWN_HEADERS else 0


def _wide(roles: Roles, options: ReadOptions) -> Arrangement:
    columns = roles.values
    stated = options.protocol.strip().lower() not in {"auto", ""}
    sample = columns[:: max(1, len(columns) // 24)]
    turned = sum(bool(turning_points(c.values)[0]) or alternating_end(c.values) is not None for c in sample)
    ramps = not stated and turned <= len(sample) / 4
    names = [_name_of(column, number) for number, column in enumerate(_letters_spelt_out(columns), start=1)]
    one_kind = len({name.device for name in names}) == 1 or not any(column.header for column in columns)
    plain = [re.sub(r"\s*[(\[][^)\]]*[)\]]\s*$", "", column.title) for column in columns]
    if len(set(plain)) < len(plain) or not all(plain):
        plain = [column.title for column in columns]
    records, notes, confidences = [], [], []
    shared = None if ramps else _shared_pulses(columns, options)
    for number, (column, name) in enumerate(zip(columns, names, strict=True), start=1):
        chosen = _whole(column)
        if ramps:
            direction = name.direction if _branches_named(names) else column_direction(column.values)
            pulses = np.full(len(column.values), direction, dtype=np.int8)
        elif shared is not None and len(shared[0]) == len(column.values):
            pulses = shared[0]
        else:
            pulses, confidence, _ = _pulses_for(column.values, options)
            confidences.append(confidence)
        cycles = name.cycle or (number if ramps and one_kind else 0)
        device = name.device if ramps or name.cycle else plain[number - 1]
        records.append(
            _record(column, roles, chosen, pulses, column.title, "" if cycles and one_kind else device, cycles)
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
        return Arrangement(records, f"{len(records)} columns, one ramp each", _ramps_of(records), 0.9, notes)
    confidence = min(confidences, default=0.7)
    what = "cycle" if all(name.cycle for name in names) and one_kind else "device"
    layout = f"{len(records)} columns, one {what} each"
    return Arrangement(records, layout, describe_pulses(records[0].pulses), confidence, notes)


def _protocol_of(records: list[Record]) -> str:
    """The pulses in words: of the first record, or of all where each is a ramp and they differ."""
    if len(records) > 1 and all(len(runs_of(record.pulses)) == 1 for record in records):
        return _ramps_of(records)
    return describe_pulses(records[0].pulses)


def _ramps_of(records: list[Record]) -> str:
    lengths = sorted({len(record) for record in records})
    up = sum(record.pulses[0] > 0 for record in records)
    kinds = [f"{n} {word}" for n, word in ((up, "up"), (len(records) - up, "down")) if n]
    size = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
    return f"{' and '.join(kinds)} ramp(s) of {size} pulses"


@dataclass(frozen=True)
class _Name:
    """What a header such as ``"Device 3 LTD cycle 2"`` says: device, direction, cycle."""

    device: str
    direction: int
    cycle: int


_DIRECTION_WORD = re.compile(r"(?<![a-zµ])(" + "|".join(sorted(_UP_HEADERS | _DOWN_HEADERS, key=len, reverse=True))
                             + r")(?![a-zµ])", re.IGNORECASE)  # fmt: skip
_CYCLE_WORD = re.compile(r"(?<![a-z])(" + "|".join(_CYCLE_STEMS) + r")s?[\s_#:.-]*(\d{1,6})", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"^[\W_]*(\d{1,6})[\W_]*$")


def _name_of(column: Column, number: int) -> _Name:
    header = re.sub(r"[(\[{][^)\]}]*[)\]}]", " ", column.header)
    direction = _header_direction(column)
    cycle = 0
    found = _CYCLE_WORD.search(header)
    if found:
        cycle, header = int(found[2]), header.replace(found[0], " ")
    bare = _DIRECTION_WORD.sub(" ", header.replace("_", " "))
    rest = _LAST_NUMBER.match(bare)
    if direction and rest and not cycle:
        return _Name("", direction, int(rest[1]))  # "LTP 3"
    device = " ".join(bare.split()).strip(" ,;:-")
    if cycle and device.lower() in {"", "g", "i", "r", "conductance", "current", "resistance"}:
        device = ""
    return _Name(device if device or cycle or direction else column.title, direction, cycle)


_LETTER = re.compile(r"^([PD])[\s_#-]*(\d+)$", re.IGNORECASE)


def _letters_spelt_out(columns: list[Column]) -> list[Column]:
    """The columns with ``P1``, ``D1``, ``P2`` ... as ``pot 1``, ``dep 1``, ``pot 2``, where they are named so."""
    found = [_LETTER.match(column.header.strip()) for column in columns]
    if not all(found) or {match[1].lower() for match in found if match} != {"p", "d"}:
        return columns
    words = {"p": "pot", "d": "dep"}
    return [replace(c, header=f"{words[m[1].lower()]} {m[2]}") for c, m in zip(columns, found, strict=True) if m]


def _branches_named(names: list[_Name]) -> bool:
    return {name.direction for name in names} == {1, -1}


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
    logged = is_log(roles.polarity == 0)
    for column in roles.values:
        device = column.title if len(roles.values) > 1 else ""
        made, words = _sequence_records(column, roles, _whole(column), device, options)
        records += made
        notes += [word for word in words if word not in notes]
    notes.insert(0, f"Pulse directions are taken from {roles.polarity_title!r}.")
    many = f", a column for each of {len(roles.values)} devices" if len(roles.values) > 1 else ""
    kind = "a log of pulses and reads" if logged else "one pulse per row with its polarity"
    layout = f"{kind}{many}"
    return Arrangement(records, layout, _protocol_of(records), confidence, notes)


def _long(roles: Roles, options: ReadOptions) -> Arrangement:
    records, notes, confidences = [], [], []
    many = 1
    for column in roles.values:
        n = len(column.values)
        rows_of = _rows_by_label(roles.device, n) if roles.device is not None else {"": np.arange(n)}
        many = max(many, len(rows_of))
        for name, chosen in rows_of.items():
            if len(chosen) < MIN_SAMPLES:
                notes.append(f"Device {name!r} has fewer than {MIN_SAMPLES} samples and was left out.")
                continue
            made, words = _sequence_records(column, roles, chosen, name, options)
            records += made
            notes += [word for word in words if word not in notes]
            confidences.append(0.95 if roles.polarity is not None else 0.8)
    if not records:
        raise MeasurementError(f"no device has {MIN_SAMPLES} samples or more")
    layout = f"long form, {many} device(s)" if roles.device is not None else "long form, one pulse per row"
    return Arrangement(records, layout, _protocol_of(records), min(confidences), notes)


def _rows_by_label(column: Column, n: int) -> dict[str, NDArray[np.int64]]:
    """Rows of each device, in order of appearance."""
    labels, first, inverse = np.unique(_labels(column, n), return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return {str(labels[k]): parts[k] for k in np.argsort(first, kind="stable").tolist()}


def _labels(column: Column, n: int) -> NDArray[np.str_]:
    if column.words:
        labels = np.array([word.strip() or "unnamed" for word in column.words])
    else:
        kinds, inverse = np.unique(column.values, return_inverse=True)
        labels = np.array([f"{value:g}" for value in kinds.tolist()])[inverse]
    if len(labels) < n:
        raise MeasurementError(f"{column.title!r} has {len(labels)} entries for {n} samples")
    return labels[:n]


def _sequence_records(
    column: Column, roles: Roles, chosen: NDArray[np.int64], device: str, options: ReadOptions
) -> tuple[list[Record], list[str]]:
    """Records of one device: split where a cycle begins with a jump, joined where the state runs on."""
    n = len(column.values)
    notes: list[str] = []
    logged = False
    cycles = _as_cycles(roles.cycle, n) if roles.cycle is not None else np.zeros(n, dtype=int)
    signs: Pulses | None = None
    if roles.polarity is not None:
        if len(roles.polarity) < n:
            raise MeasurementError(f"{roles.polarity_title!r} has {len(roles.polarity)} entries for {n} samples")
        signs = roles.polarity[:n].copy()
        rests = float(np.mean(signs[chosen] == 0))
        logged = is_log(signs[chosen] == 0)
        if logged:
            chosen, notes = _reads_of_a_log(column, signs, chosen)
        elif rests:
            notes.append(f"{int(np.sum(signs[chosen] == 0))} row(s) without a pulse were left out.")
            chosen = chosen[signs[chosen] != 0]
    records = []
    for start, stop in _continuous(column.values[chosen], cycles[chosen]):
        part = chosen[start:stop]
        if len(part) < 2:
            continue
        cycle = int(cycles[part[0]])
        if signs is not None:
            part = _turned_round(part, signs[part]) if options.mirrored else part
            sampling = Sampling.BEFORE if logged else options.sampling
            own, after = _aligned(signs[part], column.values[part], sampling)
            if after and not any("after" in note for note in notes):
                notes.append("Each row was read after its pulse, as the turns show; rows were moved by one pulse.")
        else:
            own, _, found = _pulses_for(column.values[part], options)
            notes += [note for note in found if note not in notes]
        label = column.header or device
        if cycle and cycles[part[-1]] != cycle:
            label = f"{label}, cycles {cycle} to {int(cycles[part[-1]])}".lstrip(", ")
        elif cycle:
            label = f"{label}, cycle {cycle}".lstrip(", ")
        records.append(_record(column, roles, part, own, label, device, cycle))
    if not records:
        raise MeasurementError("no stretch of at least two pulses was found")
    return records, notes


def _reads_of_a_log(column: Column, signs: Pulses, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Rows that read the state, in a log in which pulses and reads have rows of their own; notes their pulses in place.

    The pulse of a read is the sum of the pulses until the next one; of reads with no pulse between, the last counts.
    """
    absent = np.zeros(len(column.values), dtype=bool)
    absent[column.missing] = True
    reads = chosen[(signs[chosen] == 0) & ~absent[chosen]]
    if len(reads) < MIN_SAMPLES:
        raise MeasurementError(f"only {len(reads)} rows read the state; a pulse response needs at least {MIN_SAMPLES}")
    counted = np.concatenate([[0], np.cumsum(signs.astype(np.int64))])
    absolute = np.concatenate([[0], np.cumsum(np.abs(signs.astype(np.int64)))])
    ends = np.append(reads[1:], len(signs))
    between = counted[ends] - counted[reads]
    number = absolute[ends] - absolute[reads]
    between[-1] = between[-1] or between[-2]
    notes = ["A log with rows for pulses and rows for reads: each read is the state before the pulse that follows it."]
    if np.any(number[:-1] == 0):
        notes.append(f"{int(np.sum(number[:-1] == 0))} read(s) with no pulse before the next one were left out.")
    if np.any(number > 1):
        notes.append(f"Up to {int(number.max())} pulses stand between two reads; they count as one.")
    keep = between != 0
    signs[reads] = np.sign(between).astype(np.int8)
    return reads[keep], notes


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
