"""Whatever bytes arrive, the reader gives a measurement or says why not."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.measurement import (
    Measurement,
    MeasurementError,
    measurement_from_csv,
    measurement_to_csv,
    read_measurement,
)

LINES = [f"{k},{np.tanh(k / 20):.5f},{'up' if k < 30 else 'down'}" for k in range(60)]
SAVED = measurement_to_csv(read_measurement("\n".join(line.split(",")[1] for line in LINES).encode()))


def read_or_decline(data: bytes) -> None:
    try:
        measurement = read_measurement(data)
    except MeasurementError:
        return
    assert isinstance(measurement, Measurement)
    for record in measurement.records:
        assert len(record.pulses) == len(record.response) >= 1
        assert np.all(np.isfinite(record.response))


@given(st.binary(max_size=2000))
def test_random_bytes(data):
    read_or_decline(data)


@given(st.text(max_size=2000))
def test_random_text(text):
    read_or_decline(text.encode("utf-8", errors="surrogatepass"))


WORDS = st.sampled_from(["", "up", "x", "1,5", "nan", "inf", "1e999", '"'])
ROWS = st.lists(st.one_of(st.floats(), st.integers(-5, 5), WORDS), min_size=1, max_size=5)


@given(st.lists(ROWS, min_size=15, max_size=60), st.sampled_from([",", ";", "\t", " "]))
def test_random_tables(rows, separator):
    read_or_decline("\n".join(separator.join(str(cell) for cell in row) for row in rows).encode())


@given(st.integers(0, 59), st.integers(0, 40), st.text(max_size=8))
def test_damaged_tables(row, column, garbage):
    lines = list(LINES)
    lines[row] = lines[row][:column] + garbage + lines[row][column:]
    read_or_decline("\n".join(lines).encode("utf-8", errors="surrogatepass"))


@given(st.integers(0, len(SAVED) - 1), st.text(max_size=8))
def test_damaged_saved_measurements(position, garbage):
    read_or_decline((SAVED[:position] + garbage + SAVED[position + 1 :]).encode("utf-8", errors="surrogatepass"))


def test_aliases_in_a_saved_description_do_not_explode():
    bomb = ["a: &a [x, x]"] + [f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]" for i in range(24)]
    lines = ["# tilewright measurement 1", *(f"# {line}" for line in bomb), "# notes: [*y]", "# records: [{}]"]
    measurement = measurement_from_csv("\n".join([*lines, "record,pulse,response", "1,1,0.5", "1,1,0.6"]))
    assert measurement.notes == []


def workbook_bytes() -> bytes:
    book = openpyxl.Workbook()
    for k in range(60):
        book.active.append([k, float(np.tanh(k / 20))])
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


WORKBOOK = workbook_bytes()


@given(st.integers(0, len(WORKBOOK) - 1), st.binary(min_size=1, max_size=30))
def test_damaged_workbooks(position, garbage):
    read_or_decline(WORKBOOK[:position] + garbage + WORKBOOK[position + len(garbage) :])


def test_zip_bombs_and_other_archives(monkeypatch):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 3_000_000)
    monkeypatch.setattr("tilewright.measurement.source.MAX_UNPACKED_BYTES", 2**20)
    with pytest.raises(MeasurementError, match="unpacks to more than"):
        read_measurement(buffer.getvalue())
    other = BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("data.csv", "\n".join(LINES))
    with pytest.raises(MeasurementError, match="zip archives are not read"):
        read_measurement(other.getvalue())
