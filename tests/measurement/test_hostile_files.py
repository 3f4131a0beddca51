"""Whatever bytes arrive, the reader gives a measurement or says why not."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import openpyxl
import pytest
import scipy.io
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


def saved(writer, *args, **kwargs):
    buffer = BytesIO()
    writer(buffer, *args, **kwargs)
    return buffer.getvalue()


RESPONSE = np.tanh(np.arange(60) / 20)
FILES = {
    "csv": "\n".join(["n,G (uS),dir", *LINES]).encode(),
    "german": "\n".join(["n;G", *(f"{k};{x:.4f}".replace(".", ",") for k, x in enumerate(RESPONSE))]).encode("cp1252"),
    "utf16": "\n".join(LINES).encode("utf-16"),
    "xlsx": WORKBOOK,
    "npy": saved(np.save, RESPONSE),
    "npz": saved(np.savez_compressed, g=RESPONSE, v=0.1),
    "mat": saved(scipy.io.savemat, {"G": RESPONSE, "s": {"a": RESPONSE, "b": {"c": "text"}}}),
    "mat compressed": saved(scipy.io.savemat, {"G": RESPONSE}, do_compression=True),
}


@pytest.mark.parametrize("kind", FILES)
@given(edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255), st.integers(0, 4)), max_size=8))
def test_mutations_of_every_format(kind, edits):
    data = bytearray(FILES[kind])
    for place, byte, how in edits:
        place %= len(data)
        if how == 0:
            data[place] = byte
        elif how == 1:
            data.insert(place, byte)
        elif how == 2 and len(data) > 8:
            del data[place : place + byte % 16 + 1]
        elif how == 3:
            data[place : place + 4] = (0xFFFFFF00 | byte).to_bytes(4, "little")
        else:
            data += data[place : place + byte]
        data = data or bytearray(b"1")
    read_or_decline(bytes(data))


def test_objects_in_arrays_are_never_unpickled(tmp_path):
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    for data in (
        saved(np.save, np.array([Bomb()] * 40, dtype=object), allow_pickle=True),
        saved(np.savez, a=np.array([Bomb()] * 40, dtype=object), allow_pickle=True),
    ):
        with pytest.raises(MeasurementError, match="Python objects, which are never opened"):
            read_measurement(data)
    assert not marker.exists()


def npy_with_header(header: str) -> bytes:
    text = header.encode() + b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\xff" * 800


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4), }",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2, 2, 2, 2, 2), }",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (100,), }",
        "{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (9,), }",
        "__import__('os').system('true')",
        "[" * 5000,
        "{'descr': '<U20', 'fortran_order': False, 'shape': (10,), }",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (400,), }",
        "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (100,), }",
    ],
)
def test_deceitful_headers_of_arrays(header):
    with pytest.raises(MeasurementError):
        read_measurement(npy_with_header(header))


def test_matlab_files_that_lie_about_their_size(monkeypatch):
    data = bytearray(FILES["mat"])
    place = bytes(data).index((60).to_bytes(4, "little"))
    data[place : place + 4] = (2**31 - 1).to_bytes(4, "little")
    read_or_decline(bytes(data))
    monkeypatch.setattr("tilewright.measurement.matlab_file.MAX_UNPACKED_BYTES", 2**20)
    bomb = saved(scipy.io.savemat, {"G": np.zeros(500_000)}, do_compression=True)
    with pytest.raises(MeasurementError, match="unpacks to more than 1 MB"):
        read_measurement(bomb)


def test_matlab_structures_nested_too_deep():
    nested = {"g": RESPONSE}
    for _ in range(40):
        nested = {"s": nested}
    with pytest.raises(MeasurementError, match="no numeric variables"):
        read_measurement(saved(scipy.io.savemat, nested))


def test_files_of_matlab_7_3_say_how_to_save_them():
    with pytest.raises(MeasurementError, match="option '-v7'"):
        read_measurement(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128) + bytes(400))
    with pytest.raises(MeasurementError, match="option '-v7'"):
        read_measurement(b"\x89HDF\r\n\x1a\n" + bytes(400))


def packed_workbook(**parts: bytes) -> bytes:
    """The small workbook with some of its parts replaced."""
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(WORKBOOK)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(
                entry.filename, parts.get(entry.filename.rpartition("/")[2].partition(".")[0], old.read(entry))
            )
    return buffer.getvalue()


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'


def test_workbooks_that_claim_too_much():
    far = '<dimension ref="A1:XFD1048576"/><sheetData><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with pytest.raises(MeasurementError):
        read_measurement(packed_workbook(sheet1=SHEET.format(far).encode()))
    laughs = "".join(f'<!ENTITY l{k + 1} "{f"&l{k};" * 10}">' for k in range(9))
    bomb = f'<!DOCTYPE w [<!ENTITY l0 "ha">{laughs}]>' + SHEET.format(
        '<sheetData><row r="1"><c r="A1" t="str"><v>&l9;</v></c></row></sheetData>'
    )
    with pytest.raises(MeasurementError):
        read_measurement(packed_workbook(sheet1=bomb.encode()))


def test_formulas_and_links_are_not_followed():
    book = openpyxl.Workbook()
    for k in range(60):
        book.active.append([k, f"='[other.xlsx]Sheet1'!A{k + 1}*1000000"])
    data = saved(book.save)
    with pytest.raises(MeasurementError) as caught:
        read_measurement(data)
    assert "constant" in str(caught.value) or "no column" in str(caught.value) or "formulas" in str(caught.value)
    only = openpyxl.Workbook()
    for k in range(60):
        only.active.append([f"=A{k + 2}+1"])
    with pytest.raises(MeasurementError, match="formulas without stored results"):
        read_measurement(saved(only.save))


@pytest.mark.parametrize(
    "data",
    [
        b"1," * 1_500_000,
        b"1" * 3_000_000,
        b"\n".join(b'"' * 200_000 for _ in range(3)),
        b'"' + b'""' * 50_000 + b"\n1,2\n" * 30,
        (b"[" * 100_000 + b"\n") * 3,
        b"nan,nan\n" * 5000,
        b"1e999\n" * 50 + b"1\n2\n" * 30,
        b"a;b\n" + b";" * 9_990 + b"\n" + b"1;2\n" * 5_000,
        b"# \n" * 50_000,
        ("\u202e\u0000" * 200 + "\n").encode() * 30,
        b"\n".join([b"1;a"] * 25 + [b"b;c"] * 200),
    ],
    ids=[
        "columns",
        "digits",
        "quotes",
        "nested quotes",
        "brackets",
        "nan",
        "overflow",
        "ragged",
        "comments",
        "marks",
        "words",
    ],
)
def test_lines_no_laboratory_writes(data):
    with pytest.raises(MeasurementError):
        read_measurement(data)
