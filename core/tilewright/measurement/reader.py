"""Reading an uploaded file as a pulse response: what the studio's Measure page and notebooks call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tilewright.measurement.block import Block, find_block
from tilewright.measurement.layouts import Arrangement, arrange
from tilewright.measurement.options import Layout, ReadOptions
from tilewright.measurement.record import Measurement, MeasurementError
from tilewright.measurement.roles import Roles, assign_roles
from tilewright.measurement.screening import screen_columns, screen_response
from tilewright.measurement.source import decode, is_workbook, read_bytes
from tilewright.measurement.storage import is_saved_measurement, measurement_from_csv
from tilewright.measurement.table import Table
from tilewright.measurement.text_table import split_text
from tilewright.measurement.units import (
    inverse_unit,
    quantity_in_header,
    quantity_of_unit,
    si_unit,
    unit_in_header,
    unit_in_sentence,
)
from tilewright.measurement.workbook_table import read_workbook


def read_measurement(path_or_buffer: Any, name: str | None = None, options: ReadOptions | None = None) -> Measurement:
    """Read a pulse response from a table (CSV, TSV, TXT or XLSX).

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
    options = options or ReadOptions()
    data, found_name = read_bytes(path_or_buffer)
    table = _table(data, options)
    if isinstance(table, Measurement):
        return table.with_name(name) if name else table
    block = find_block(table, options)
    roles = assign_roles(block, options)
    screen_columns(roles)
    stated = options.layout is not Layout.AUTO or options.protocol.strip().lower() not in {"auto", ""}
    share = screen_response(roles, certain=stated or roles.polarity is not None)
    arrangement = arrange(roles, options)
    measurement = _measurement(name or found_name, block, roles, arrangement, options)
    if share < 0.7 and not stated:
        note = f"Only {100 * share:.0f} % of the variation follows the pulses; the rest is from sample to sample."
        measurement.notes.append(note)
    return measurement


def _table(data: bytes, options: ReadOptions) -> Table | Measurement:
    if is_workbook(data):
        return read_workbook(data, options)
    text, notes = decode(data)
    if is_saved_measurement(text):
        return measurement_from_csv(text)
    table = split_text(text, options)
    table.notes[:0] = notes
    return table


def _measurement(name: str, block: Block, roles: Roles, arrangement: Arrangement, options: ReadOptions) -> Measurement:
    unit, quantity, unit_notes = _unit_of(block, roles, options)
    records = tuple(arrangement.records)
    confidence = arrangement.confidence
    invert = options.resistance if options.resistance is not None else quantity == "resistance"
    if invert:
        if any(np.any(record.response <= 0) for record in records):
            raise MeasurementError("resistances must be above 0 to be turned into conductances")
        if unit and not inverse_unit(unit):
            raise MeasurementError(f"the unit {unit!r} is not one of a resistance; set resistance = False or the unit")
        records = tuple(replace(record, response=1 / record.response) for record in _reversed(records, options, roles))
        unit_notes.append(f"Resistances were turned into conductances{' in ' + inverse_unit(unit) if unit else ''}.")
        unit, quantity = inverse_unit(unit), "conductance"
    notes = [*block.notes, *roles.notes, *arrangement.notes, *unit_notes]
    if roles.constant:
        notes.append(f"Constant column(s) left out: {', '.join(column.title for column in roles.constant)}.")
    return Measurement(
        name=name, unit=unit, records=records, layout=arrangement.layout, protocol=arrangement.protocol,
        confidence=round(confidence, 2), notes=notes, quantity=quantity,
    )  # fmt: skip


def _reversed(records: Any, options: ReadOptions, roles: Roles) -> Any:
    """Directions that were read from the course of a resistance point the other way for its conductance."""
    given = roles.polarity is not None or options.protocol.strip().lower() not in {"auto", ""}
    return records if given else tuple(replace(record, pulses=-record.pulses) for record in records)


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
