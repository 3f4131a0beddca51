"""A measurement as one CSV text: its description in comment lines, then one row per pulse. Numbers survive exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import yaml

from tilewright.measurement.record import AffineMap, Measurement, MeasurementError, Record

_MARK = "# tilewright measurement 1"
_HEADER = "record,pulse,response"
_INDEXED = "record,pulse,response,index"
_MAX_RECORDS = 10_000


def is_saved_measurement(text: str) -> bool:
    """Whether a text was written by :func:`measurement_to_csv`."""
    return text.startswith("# tilewright measurement ")


def measurement_to_csv(measurement: Measurement) -> str:
    """Text that :func:`measurement_from_csv` turns into an equal measurement."""
    description = {
        "name": measurement.name,
        "unit": measurement.unit,
        "quantity": measurement.quantity,
        "layout": measurement.layout,
        "protocol": measurement.protocol,
        "confidence": float(measurement.confidence),
        "notes": [str(note) for note in measurement.notes],
        "affine": {
            "offset": float(measurement.affine.offset),
            "scale": float(measurement.affine.scale),
            "unit": measurement.affine.unit,
        },
        "records": [_description(record) for record in measurement.records],
    }
    if measurement.read_voltage is not None:
        description["read_voltage"] = float(measurement.read_voltage)
    indexed = any(record.index is not None for record in measurement.records)
    head = yaml.safe_dump(description, sort_keys=False, allow_unicode=False, width=10**9)
    lines = [_MARK, *(f"# {line}" for line in head.splitlines()), _INDEXED if indexed else _HEADER]
    for number, record in enumerate(measurement.records, start=1):
        ends = [""] * len(record)
        if indexed:
            ends = [","] * len(record) if record.index is None else [f",{x!r}" for x in record.index.tolist()]
        lines += [
            f"{number},{pulse},{value!r}{end}"
            for pulse, value, end in zip(record.pulses.tolist(), record.response.tolist(), ends, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _description(record: Record) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": record.label, "device": record.device, "cycle": int(record.cycle)}
    if len(record.missing):
        entry["missing"] = record.missing.tolist()
    if record.index is not None:
        entry["index"] = record.index_name
    return entry


def measurement_from_csv(text: str) -> Measurement:
    """Inverse of :func:`measurement_to_csv`.

    Raises:
        MeasurementError: the text was not written by it, or was damaged; names the line.
    """
    lines = text.splitlines()
    if not lines or lines[0].strip() != _MARK:
        raise MeasurementError("this is not a measurement saved by this release of Tilewright", where="line 1")
    body = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if body == len(lines) or lines[body].strip() not in {_HEADER, _INDEXED}:
        raise MeasurementError(f"expected the column names {_HEADER!r}", where=f"line {body + 1}")
    try:
        description = yaml.safe_load("\n".join(line[2:] for line in lines[1:body]))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise MeasurementError(f"the description in the comment lines is damaged ({type(error).__name__})") from None
    if not isinstance(description, dict) or not isinstance(description.get("records"), list):
        raise MeasurementError("the description in the comment lines is damaged (no list of records)")
    return _build(description, _rows(lines, body + 1, indexed=lines[body].strip() == _INDEXED))


Rows = tuple[list[int], list[float], list[float]]


def _rows(lines: list[str], first: int, indexed: bool) -> dict[int, Rows]:
    rows: dict[int, Rows] = {}
    for i in range(first, len(lines)):
        if not lines[i].strip():
            continue
        try:
            record, pulse, value, *rest = lines[i].split(",")
            pulses, values, index = rows.setdefault(int(record), ([], [], []))
            direction, number = int(pulse), float(value)
            (place,) = rest if indexed else ("",)
            if place:
                index.append(float(place))
        except ValueError:
            expected = "four numbers: record, pulse, response, index" if indexed else "three: record, pulse, response"
            raise MeasurementError(f"expected {expected}", where=f"line {i + 1}") from None
        if direction not in (-1, 1) or not math.isfinite(number):
            raise MeasurementError("the pulse must be 1 or -1 and the response finite", where=f"line {i + 1}")
        pulses.append(direction)
        values.append(number)
    return rows


def _build(description: dict[str, Any], rows: dict[int, Rows]) -> Measurement:
    entries = description["records"][:_MAX_RECORDS]
    if sorted(rows) != list(range(1, len(entries) + 1)):
        raise MeasurementError(f"the description names {len(entries)} records, the rows hold {sorted(rows)[:5]}")
    records = []
    for number, entry in enumerate(entries, start=1):
        entry = entry if isinstance(entry, dict) else {}
        pulses, values, index = rows[number]
        records.append(
            Record(
                np.array(pulses, dtype=np.int8), np.array(values), label=_word(entry, "label"),
                device=_word(entry, "device"), cycle=int(_number(entry, "cycle", 0)), missing=_missing(entry),
                index=np.array(index) if "index" in entry else None, index_name=_word(entry, "index"),
            )
        )  # fmt: skip
    raw = description.get("affine")
    affine = raw if isinstance(raw, dict) else {}
    notes = description.get("notes")
    return Measurement(
        name=_word(description, "name") or "measurement", unit=_word(description, "unit"), records=tuple(records),
        layout=_word(description, "layout"), protocol=_word(description, "protocol"),
        confidence=_number(description, "confidence", 1.0),
        notes=[note for note in notes if isinstance(note, str)] if isinstance(notes, list) else [],
        quantity=_word(description, "quantity"),
        affine=AffineMap(_number(affine, "offset", 0.0), _number(affine, "scale", 1.0), _word(affine, "unit")),
        read_voltage=_number(description, "read_voltage", 0.0) if "read_voltage" in description else None,
    )  # fmt: skip


def _missing(entry: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    places = entry.get("missing", [])
    if not isinstance(places, list) or not all(type(place) is int and 0 <= place < 2**31 for place in places):
        raise MeasurementError("the description in the comment lines is damaged: missing samples are whole numbers")
    return np.array(places, dtype=np.int64)


def _word(source: dict[str, Any], key: str) -> str:
    value = source.get(key, "")
    return str(value) if isinstance(value, (str, int, float)) else ""


def _number(source: dict[str, Any], key: str, default: float) -> float:
    value = source.get(key, default)
    if not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise MeasurementError(f"the description in the comment lines is damaged: {key} = {value!r} is not a number")
    return float(value)
