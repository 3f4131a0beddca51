"""Reading an uploaded file as a pulse response: what the studio's Measure page and notebooks call."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tilewright.measurement.array_table import read_mat, read_npy, read_npz
from tilewright.measurement.block import Block, Column, find_block
from tilewright.measurement.foreign_rows import screen_rows
from tilewright.measurement.layouts import Arrangement, arrange
from tilewright.measurement.options import Layout, ReadOptions
from tilewright.measurement.orientation import upright
from tilewright.measurement.reading import Guess, Reading
from tilewright.measurement.record import Measurement, MeasurementError, Record
from tilewright.measurement.roles import ColumnGuess, Roles, assign_roles, fill_skipped_rows, guesses_of
from tilewright.measurement.row_order import join_repeated_reads, order_by_ramp
from tilewright.measurement.screening import screen_columns, screen_missing, screen_response
from tilewright.measurement.source import decode, kind_of, read_bytes
from tilewright.measurement.storage import is_saved_measurement, measurement_from_csv
from tilewright.measurement.table import Table
from tilewright.measurement.text_table import split_text
from tilewright.measurement.units import (
    inverse_unit,
    prefix_factor,
    quantity_in_header,
    quantity_of_unit,
    si_unit,
    unit_in_header,
    unit_in_sentence,
)
from tilewright.measurement.workbook_table import read_workbook

_READ_VOLTAGE = re.compile(
    r"(?:v[\s_]*read|u[\s_]*read|read[\s_-]*(?:out[\s_-]*)?(?:voltage|bias|at)|lesespannung|read\s+with)"
    r"[^0-9+\-]{0,20}?([-+]?\d*[.,]?\d+(?:e[-+]?\d+)?)\s*(mv|v\b)?",
    re.IGNORECASE,
)


_READ_AT = re.compile(r"(?:@|\bat)\s*([-+]?\d*[.,]?\d+(?:e[-+]?\d+)?)\s*(mv|v)\b", re.IGNORECASE)
_LOGARITHM = re.compile(r"^\W*(log|ln)(?:_?10)?\b|^\W*(log|ln)_", re.IGNORECASE)


def read_measurement(path_or_buffer: Any, name: str | None = None, options: ReadOptions | None = None) -> Measurement:
    """Read a pulse response from a table (CSV, TSV, TXT, XLSX) or from arrays (MAT, NPY, NPZ).

    Encoding, separator, decimal sign, headers, units, column roles, layout and pulse protocol are found from the
    file; the result says what was found, how sure that is and what was assumed.

    Args:
        path_or_buffer: a path, bytes, or an open file (text or binary).
        name: name of the measurement; the file's name when not given.
        options: overrides of the guess.

    Returns:
        a measurement in the units of the file; sample k of a record is the state before pulse k.

    Raises:
        MeasurementError: the file cannot be read or is not a pulse response; says why, where, and what it seems to be.
    """
    return inspect_file(path_or_buffer, name, options).accepted()


def inspect_file(path_or_buffer: Any, name: str | None = None, options: ReadOptions | None = None) -> Reading:
    """Like :func:`read_measurement`, with every guess; a file that is no pulse response is declined, not raised."""
    options = options or ReadOptions()
    try:
        data, found_name = read_bytes(path_or_buffer)
        kind = kind_of(data)
        if kind == "text":
            text, notes = decode(data)
            if is_saved_measurement(text):
                saved = measurement_from_csv(text)
                return Reading(saved.with_name(name) if name else saved, None)
            table = split_text(text, options)
            table.notes[:0] = notes
            tables = [table]
        else:
            read = {"workbook": read_workbook, "npy": read_npy, "npz": read_npz, "mat": read_mat}[kind]
            tables = read(data, options)
        parts = [_read_table(table, name or found_name, options) for table in tables]
    except MeasurementError as error:
        return Reading(None, error)
    except RecursionError:
        return Reading(None, MeasurementError("the file is nested too deep to be a table"))
    return _combined(parts, name or found_name, kind)


@dataclass
class _Part:
    """One table as far as it could be read."""

    table: Table
    measurement: Measurement | None = None
    error: MeasurementError | None = None
    columns: tuple[ColumnGuess, ...] = ()
    guesses: list[Guess] = field(default_factory=list)


def _read_table(table: Table, name: str, options: ReadOptions) -> _Part:
    part = _Part(table)
    try:
        turned = upright(table)
        block = find_block(turned, options)
        roles = assign_roles(block, options)
        part.columns = guesses_of(block, roles)
        screen_columns(roles, block)
        join_repeated_reads(roles)
        order_by_ramp(roles)
        fill_skipped_rows(roles)
        screen_missing(roles)
        unit, quantity, notes = _to_one_unit(block, roles, options)
        stated = options.layout is not Layout.AUTO or options.protocol.strip().lower() not in {"auto", ""}
        certain = stated or roles.polarity is not None
        screen_rows(roles, block, certain)
        share = screen_response(roles, certain)
        arrangement = arrange(roles, options)
        voltage = _read_voltage(block, roles, options)
        part.measurement = _measurement(name, block, roles, arrangement, unit, quantity, notes, voltage)
        if share < 0.7 and not stated:
            note = f"Only {100 * share:.0f} % of the variation follows the pulses; the rest is from sample to sample."
            part.measurement.notes.append(note)
        part.guesses = _guesses(turned, roles, part.measurement, arrangement, options)
    except MeasurementError as error:
        part.error = error
    return part


def _measurement(
    name: str, block: Block, roles: Roles, arrangement: Arrangement, unit: str, quantity: str, unit_notes: list[str],
    voltage: float | None,
) -> Measurement:  # fmt: skip
    notes = [*block.notes, *roles.notes, *arrangement.notes, *unit_notes]
    if roles.constant:
        notes.append(f"Constant column(s) left out: {', '.join(column.title for column in roles.constant)}.")
    if voltage is not None and quantity == "current":
        notes.append(f"Currents read at {voltage:g} V; state read_voltage to see conductances.")
    return Measurement(
        name=name, unit=unit, records=tuple(arrangement.records), layout=arrangement.layout,
        protocol=arrangement.protocol, confidence=round(arrangement.confidence, 2), notes=notes, quantity=quantity,
        read_voltage=voltage,
    )  # fmt: skip


def _guesses(
    table: Table, roles: Roles, measurement: Measurement, arrangement: Arrangement, options: ReadOptions
) -> list[Guess]:
    stated = options.protocol.strip().lower() not in {"auto", ""}
    reason = "you said so" if stated else (arrangement.notes or ["the course of the values"])[0]
    layout, unit = (
        (arrangement.confidence, _seen_columns(roles)),
        (0.6, "no unit stands anywhere"),
    )
    if options.layout is not Layout.AUTO:
        layout = (1.0, "you said so")
    if measurement.unit:
        unit = (1.0, "you said so") if options.unit else (0.9, "header or remarks of the file")
    made = [
        Guess("layout", measurement.layout, *layout),
        Guess("pulses", measurement.protocol, 1.0 if stated else arrangement.confidence, reason),
        Guess("unit", measurement.unit or "none", *unit),
    ]
    if table.separator:
        made.append(Guess("separator", table.separator, 0.95, "most cells become numbers with it"))
    return made


def _seen_columns(roles: Roles) -> str:
    """What the layout follows from: ``"1 column of responses, a pulse column, an index"``."""
    count = len(roles.values)
    seen = [f"{count} column{'s' if count > 1 else ''} of responses"]
    others = {
        "a pulse column": roles.polarity, "an index": roles.index, "a time": roles.time, "a cycle column": roles.cycle,
        "a device column": roles.device,
    }  # fmt: skip
    return ", ".join([*seen, *(name for name, column in others.items() if column is not None)])


# --- several tables ---------------------------------------------------------------------------------------------------


def _combined(parts: list[_Part], name: str, kind: str) -> Reading:
    """One measurement of all tables that hold the same kind of response; the others are named in its notes."""
    sheets = tuple(part.table.name for part in parts if part.table.name)
    good = [part for part in parts if part.measurement is not None]
    if not good:
        first = max(parts, key=lambda part: (len(part.columns) > 0, len(part.table)))
        return Reading(None, first.error, first.columns, (), sheets)
    lead = good[0]
    assert lead.measurement is not None
    if len(good) == 1:
        measurement = lead.measurement
        if len(parts) > 1:
            others = "; ".join(f"{part.table.name!r}: {part.error.reason}" for part in parts if part.error)
            measurement.notes.append(f"Read sheet {lead.table.name!r} of {len(parts)}. Not read: {others}.")
        return Reading(measurement, None, lead.columns, tuple(lead.guesses), sheets)
    alike = [part for part in good if _alike(part.measurement, lead.measurement)]
    named = [(part.table.name, part.measurement) for part in alike if part.measurement is not None]
    branches = all(_single_direction(m) for _, m in named)
    directions = {int(m.records[0].pulses[0]) for _, m in named}
    together = branches and directions == {1, -1} and len(named) == 2 and all(len(m.records) == 1 for _, m in named)
    records: list[Record] = []
    for sheet, found in named:
        for record in found.records:
            label = f"{sheet} {record.label}".strip()
            device = record.device if together else f"{sheet} {record.device}".strip()
            records.append(replace(record, label=label, device=device))
    layout = f"{len(named)} sheets, {'one branch' if together else 'one device'} each: {lead.measurement.layout}"
    protocol = " and ".join(m.protocol for _, m in named) if together else lead.measurement.protocol
    notes = list(dict.fromkeys(note for _, m in named for note in m.notes))
    left = [part for part in parts if not any(part is item for item in alike)]
    if left:
        reasons = "; ".join(
            f"{part.table.name!r}: {part.error.reason if part.error else 'another kind'}" for part in left
        )
        notes.append(f"Sheets not read: {reasons}.")
    confidence = min(m.confidence for _, m in named) * (1.0 if together else 0.95)
    joined = replace(
        lead.measurement, records=tuple(records), layout=layout, protocol=protocol, notes=notes,
        confidence=round(confidence, 2),
    )  # fmt: skip
    guess = Guess("sheets", ", ".join(sheet for sheet, _ in named), confidence, "they hold the same kind of response")
    return Reading(joined, None, lead.columns, (guess, *lead.guesses), sheets)


def _alike(found: Measurement | None, lead: Measurement | None) -> bool:
    return found is not None and lead is not None and (found.unit, found.quantity) == (lead.unit, lead.quantity)


def _single_direction(measurement: Measurement) -> bool:
    return all(len(np.unique(record.pulses)) == 1 for record in measurement.records)


# --- units ------------------------------------------------------------------------------------------------------------


def _to_one_unit(block: Block, roles: Roles, options: ReadOptions) -> tuple[str, str, list[str]]:
    """Bring all value columns to one unit; resistances, and currents at a stated voltage, become conductances."""
    turned_back = _without_logarithms(roles)
    unit, quantity, notes = _unit_of(block, roles, options)
    notes[:0] = turned_back
    roles.values = [_rescaled(column, unit, notes) for column in roles.values] if not options.unit else roles.values
    invert = options.resistance if options.resistance is not None else quantity == "resistance"
    if invert:
        if any(np.any(column.values <= 0) for column in roles.values):
            raise MeasurementError("resistances must be above 0 to be turned into conductances")
        if unit and not inverse_unit(unit):
            raise MeasurementError(f"the unit {unit!r} is not one of a resistance; set resistance = False or the unit")
        roles.values = [replace(column, values=1 / column.values) for column in roles.values]
        notes.append(f"Resistances were turned into conductances{' in ' + inverse_unit(unit) if unit else ''}.")
        return inverse_unit(unit), "conductance", notes
    if options.read_voltage is not None and quantity in {"current", ""}:
        if options.read_voltage == 0:
            raise MeasurementError("the read voltage is 0; currents cannot be divided by it")
        roles.values = [replace(column, values=column.values / options.read_voltage) for column in roles.values]
        notes.append(f"Currents were divided by the read voltage, {options.read_voltage:g} V.")
        return (unit[:-1] if unit.endswith("A") else "") + "S", "conductance", notes
    if quantity == "current" and all(_negative(column) for column in roles.values):
        roles.values = [replace(column, values=-column.values) for column in roles.values]
        notes.append("The currents are negative, as at a negative read voltage: their size was taken.")
    return unit, quantity, notes


def _negative(column: Column) -> bool:
    return float(np.mean(column.values < 0)) > 0.99


def _without_logarithms(roles: Roles) -> list[str]:
    """Values under headers such as ``"log10(G/S)"`` turned back; what was done."""
    notes: list[str] = []
    for k, column in enumerate(roles.values):
        match = _LOGARITHM.match(column.header)
        if match and -20 < float(column.values.min()) <= float(column.values.max()) < 20:
            base = 10.0 if (match[1] or match[2]).lower() == "log" else math.e
            roles.values[k] = replace(column, values=base**column.values, header=column.header[match.end() :].strip())
            notes.append(f"{column.header!r} holds logarithms: they were turned back into readings.")
    return notes


def _rescaled(column: Column, unit: str, notes: list[str]) -> Column:
    own = unit_in_header(column.header)
    if not own or not unit or own == unit or own[-1] != unit[-1]:
        return column
    notes.append(f"{column.title!r} was converted to {unit}.")
    return replace(column, values=column.values * (prefix_factor(own) / prefix_factor(unit)))


def _unit_of(block: Block, roles: Roles, options: ReadOptions) -> tuple[str, str, list[str]]:
    """Unit and quantity: as stated, from the header, from a comment, or the SI unit of the named quantity."""
    header = next((column.header for column in roles.values if column.header), "")
    quantity = quantity_in_header(header)
    if options.unit:
        return options.unit, quantity or quantity_of_unit(options.unit), []
    unit = unit_in_header(header)
    if unit:
        return unit, quantity or quantity_of_unit(unit), []
    for comment in block.comments:
        unit = unit_in_sentence(comment)
        if unit and quantity in {"", quantity_of_unit(unit)}:
            return unit, quantity_of_unit(unit), [f"The unit {unit} is taken from the comment {comment[:60]!r}."]
    if quantity == "weight":
        return "", quantity, []
    size = max(float(np.max(np.abs(column.values))) for column in roles.values)
    base = si_unit(quantity)
    if base and quantity != "voltage" and (size > 10 if quantity == "resistance" else size < 0.1):
        return base, quantity, [f"{header!r} states no unit; its size suggests {base}."]
    if size > 3 or size < 0.01:
        return "", quantity, ["No unit was found; state it to see results in it."]
    return "", quantity, []


def _read_voltage(block: Block, roles: Roles, options: ReadOptions) -> float | None:
    """Read voltage in V: as stated, from a constant column, or from a remark such as ``"Vread = 0.1 V"``."""
    if options.read_voltage is not None:
        return options.read_voltage
    if roles.read_voltage is not None:
        return abs(roles.read_voltage)
    headers = [column.header for column in roles.values]
    found = [_READ_VOLTAGE.search(text) for text in [*block.comments, *headers]]
    found += [_READ_AT.search(header) for header in headers]
    for match in found:
        if match:
            value = float(match[1].replace(",", "."))
            value = value / 1000 if (match[2] or "").lower() == "mv" else value
            if 0 < abs(value) < 20:
                return abs(value)
    return None
