"""Layouts, separators, headers, units and column roles that the reader must get right without help."""

from __future__ import annotations

from io import BytesIO, StringIO

import numpy as np
import openpyxl
import pytest

from tilewright.measurement import (
    Measurement,
    MeasurementError,
    ReadOptions,
    inspect_file,
    quality_report,
    read_measurement,
    tutorial_pulses,
)

UP, DOWN = np.linspace(-1, 1, 60), np.linspace(1, -1, 60) ** 3
PAIRS = [f"{a:.5f},{b:.5f}" for a, b in zip(UP, DOWN, strict=True)]


def read(lines, **options) -> Measurement:
    text = "\n".join(lines) if not isinstance(lines, str) else lines
    return read_measurement(text.encode(), options=ReadOptions(**options) if options else None)


def soft_bounds(pulses, up=0.012, down=0.01, high=1.0, low=-1.0, w0=-0.8):
    """States before each pulse of a soft-bounds device, written out as plainly as possible."""
    state, states = w0, []
    for pulse in pulses:
        states.append(state)
        state += up * (1 - state / high) if pulse > 0 else -down * (1 - state / low)
    return np.array(states)


def assert_up_down(measurement: Measurement):
    first, second = measurement.records
    assert np.all(first.pulses == 1)
    assert np.all(second.pulses == -1)
    np.testing.assert_allclose(first.response, UP, atol=1e-5)
    np.testing.assert_allclose(second.response, DOWN, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(PAIRS),
        "\ufeff" + "\n".join(PAIRS),
        "\r\n".join(PAIRS),
        "\n".join(["up,down", *PAIRS]),
        "\n".join(["# a comment, with commas", "% another", *PAIRS]),
        "\n".join([*PAIRS, "", ""]),
        "\n".join(line.replace(",", "\t") for line in PAIRS),
        "\n".join(line.replace(",", " ; ") for line in PAIRS),
        "\n".join(line.replace(",", "   ") for line in PAIRS),
        "\n".join(line.replace(",", ";").replace(".", ",") for line in PAIRS),
        "\n".join(line.replace(",", "\t").replace(".", ",") for line in PAIRS),
        "\n".join('"' + line.replace(",", '","') + '"' for line in PAIRS),
        "\n".join(f"{k},{line}" for k, line in enumerate(PAIRS)),
        "\n".join(["pulse,LTP,LTD", *(f"{k + 1},{line}" for k, line in enumerate(PAIRS))]),
        "\n".join([*PAIRS, "mean value,see notebook"]),
        "\n".join(["Instrument X;operator Y", "date;2024-01-01", *(line.replace(",", ";") for line in PAIRS)]),
    ],
)
def test_two_columns_in_many_dresses(text):
    measurement = read(text)
    assert_up_down(measurement)
    assert measurement.confidence >= 0.9


def test_utf16_and_windows_text():
    assert_up_down(read_measurement("\n".join(PAIRS).encode("utf-16")))
    measurement = read_measurement("\n".join(["hoch (µS);runter (µS)", *PAIRS]).replace(",", ";").encode("cp1252"))
    assert measurement.unit == "µS"
    assert any("Windows" in note for note in measurement.notes)


def test_buffers_names_and_paths(tmp_path):
    path = tmp_path / "my device.csv"
    path.write_text("\n".join(PAIRS))
    assert read_measurement(path).name == "my device"
    assert read_measurement(str(path), name="other").name == "other"
    with path.open("rb") as binary, path.open() as text:
        assert read_measurement(binary).name == "my device"
        assert_up_down(read_measurement(text))
    assert_up_down(read_measurement(BytesIO(path.read_bytes())))
    assert_up_down(read_measurement(StringIO(path.read_text())))
    with pytest.raises(MeasurementError, match=r"cannot open .absent\.csv."):
        read_measurement(tmp_path / "absent.csv")


def test_down_column_first():
    first, second = read([f"{b:.5f},{a:.5f}" for a, b in zip(UP, DOWN, strict=True)]).records
    assert first.pulses[0] == -1
    assert second.pulses[0] == 1


def test_one_column_at_the_tutorial_protocol():
    rng = np.random.default_rng(1)
    response = soft_bounds(tutorial_pulses()) + 0.05 * rng.standard_normal(600)
    measurement = read([f"{value:.5f}" for value in response])
    assert np.array_equal(measurement.records[0].pulses, tutorial_pulses())
    assert measurement.protocol == "200 up, 200 down, 100 × (up, down)"


def test_one_column_with_decimal_commas():
    measurement = read([f"{value:.4f}".replace(".", ",") for value in np.linspace(0.001, 0.9, 100)])
    np.testing.assert_allclose(measurement.records[0].response, np.linspace(0.001, 0.9, 100), atol=1e-4)


@pytest.mark.parametrize(("ups", "downs", "cycles"), [(100, 100, 1), (50, 50, 4), (120, 80, 3), (30, 30, 10)])
def test_turning_points_of_one_column(ups, downs, cycles):
    pulses = np.array(([1] * ups + [-1] * downs) * cycles, dtype=np.int8)
    response = soft_bounds(pulses, up=0.05, down=0.05) + 0.005 * np.random.default_rng(2).standard_normal(len(pulses))
    found = read([f"{value:.5f}" for value in response]).records[0].pulses
    assert np.mean(found == pulses) >= 0.99


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("polarity", ("1", "-1")),
        ("direction", ("up", "down")),
        ("V_pulse (V)", ("1.5", "-1.7")),
        ("pulse", ("SET", "RESET")),
    ],
)
def test_sequence_with_polarity(header, words):
    pulses = np.array([1] * 40 + [-1] * 40 + [1, -1] * 20, dtype=np.int8)
    response = soft_bounds(pulses)
    rows = [f"{words[0] if p > 0 else words[1]}\t{10 * (g + 2):.6f}" for p, g in zip(pulses, response, strict=True)]
    measurement = read([f"{header}\tG_uS", *rows])
    assert np.array_equal(measurement.records[0].pulses, pulses)
    assert measurement.unit == "µS"
    assert measurement.quantity == "conductance"


def test_rows_read_after_their_pulse_are_moved():
    pulses = np.array([1] * 40 + [-1] * 40 + [1] * 40, dtype=np.int8)
    after = soft_bounds(np.append(pulses, 1))[1:]
    measurement = read(["polarity,G", *(f"{p},{g:.6f}" for p, g in zip(pulses, after, strict=True))])
    assert np.array_equal(measurement.records[0].pulses[:-1], pulses[1:])
    assert any("after its pulse" in note for note in measurement.notes)


def test_rows_without_a_pulse_are_left_out():
    pulses = np.array([1] * 30 + [-1] * 30, dtype=np.int8)
    response = soft_bounds(pulses)
    rows = ["0,-0.8", *(f"{p},{g:.6f}" for p, g in zip(pulses, response, strict=True))]
    measurement = read(["polarity,G", *rows])
    assert np.array_equal(measurement.records[0].pulses, pulses)


def test_long_form_with_devices():
    pulses = np.array([1] * 30 + [-1] * 30, dtype=np.int8)
    rows = ["device,cycle,pulse,direction,value"]
    for name, w0 in (("A1", -0.8), ("B2", -0.5)):
        response = soft_bounds(pulses, w0=w0)
        rows += [
            f"{name},1,{k},{'up' if p > 0 else 'down'},{g:.6f}"
            for k, (p, g) in enumerate(zip(pulses, response, strict=True))
        ]
    measurement = read(rows)
    assert measurement.devices == ("A1", "B2")
    assert all(np.array_equal(record.pulses, pulses) for record in measurement.records)
    np.testing.assert_allclose(measurement.records[1].response[0], -0.5)


def test_wide_ramps_with_ragged_ends():
    table = np.full((50, 4), np.nan)
    lengths = (50, 47, 44, 49)
    for j, n in enumerate(lengths):
        table[:n, j] = (-1 if j % 2 else 1) * np.linspace(-1, 1, n) + 0.01 * j
    rows = [",".join("" if np.isnan(x) else f"{x:.5f}" for x in row) for row in table]
    measurement = read(["ramp1,ramp2,ramp3,ramp4", *rows])
    assert [len(record) for record in measurement.records] == list(lengths)
    assert [int(record.pulses[0]) for record in measurement.records] == [1, -1, 1, -1]
    assert [record.cycle for record in measurement.records] == [1, 2, 3, 4]


def test_one_device_per_column():
    pulses = np.array([1] * 100 + [-1] * 100, dtype=np.int8)
    columns = [soft_bounds(pulses, up=0.02 + 0.003 * j, down=0.02) for j in range(5)]
    measurement = read([",".join(f"{x:.5f}" for x in row) for row in np.stack(columns, axis=1)])
    assert len(measurement.devices) == 5
    assert all(np.array_equal(record.pulses, pulses) for record in measurement.records)


def test_the_same_trace_in_two_units_is_read_once():
    codes = np.round(400 + 300 * UP).astype(int)
    measurement = read(["Pulse #,ADC,Current (A)", *(f"{k},{c},{c * 1e-8:.6e}" for k, c in enumerate(codes, start=1))])
    assert len(measurement.records) == 1
    assert measurement.unit == "A"
    np.testing.assert_allclose(measurement.records[0].response, codes * 1e-8)


def test_resistances_become_conductances():
    conductance = np.linspace(1e-5, 1e-4, 80)
    measurement = read(["pulse,R (kOhm)", *(f"{k},{1e-3 / g:.6f}" for k, g in enumerate(conductance, start=1))])
    assert measurement.unit == "mS"
    assert np.all(measurement.records[0].pulses == 1)
    np.testing.assert_allclose(measurement.records[0].response, conductance * 1e3, rtol=1e-4)
    kept = read(["pulse,R (kOhm)", *(f"{k},{1e-3 / g:.6f}" for k, g in enumerate(conductance))], resistance=False)
    assert kept.unit == "kΩ"


def test_workbook_with_side_notes():
    book = openpyxl.Workbook()
    book.active.title = "notes"
    book.active.append(["nothing here"])
    sheet = book.create_sheet("data")
    sheet.append(["Pulse #", "G (nS)", None, "V read", 0.3])
    for k, value in enumerate(UP, start=1):
        sheet.append([k, float(value) * 50 + 100, None, "note" if k == 3 else None])
    buffer = BytesIO()
    book.save(buffer)
    measurement = read_measurement(buffer)
    assert measurement.unit == "nS"
    assert len(measurement.records) == 1
    np.testing.assert_allclose(measurement.records[0].response, UP * 50 + 100)
    assert any("sheet 'data'" in note for note in measurement.notes)
    with pytest.raises(MeasurementError, match="no sheet 'raw'"):
        read_measurement(buffer, options=ReadOptions(sheet="raw"))


# --- options ----------------------------------------------------------------------------------------------------------


def test_options_override_the_guess():
    lines = [f"{value:.5f}" for value in soft_bounds(np.array([1] * 50 + [-1] * 50))]
    measurement = read(lines, protocol="2 x (25 up, 25 down)", unit="nS")
    assert measurement.protocol == "25 up, 25 down, 25 up, 25 down"
    assert measurement.unit == "nS"
    with pytest.raises(MeasurementError, match="has 30 pulses, but the column has 100 samples"):
        read(lines, protocol="30 up")
    two = read(["a,b", *PAIRS], value_columns=["b"])
    assert [record.label for record in two.records] == ["b"]
    with pytest.raises(MeasurementError, match="there is no column 'c'"):
        read(["a,b", *PAIRS], value_columns=["c"])
    wide = read(PAIRS, layout="wide")
    assert "ramp" in wide.layout
    moved = read(["polarity,G", *(f"{1 if k < 30 else -1},{k}" for k in range(60))], sampling="after")
    assert moved.records[0].pulses[29] == -1
    with pytest.raises(MeasurementError, match="state pulse_column"):
        read(PAIRS, layout="sequence")


# --- declined ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        (["# only a comment"], "only comments"),
        (["hello", "world"], "no numbers were found; the file starts with 'hello'"),
        (PAIRS[:7], "only 7 rows of numbers"),
        ([*PAIRS[:30], "0.1,oops", *PAIRS[30:]], r"row 31, column 2: 'oops' is not a number"),
        ([line if k % 3 else "0.1," for k, line in enumerate(PAIRS)], r"column 2: 32 % of its 59 cells .* in row 4"),
        (["G,H", *PAIRS[:9], "x,0.1", *PAIRS[9:]], r"row 11, column 1 \('G'\): 'x' is not a number"),
        ([f"{value:.3f}" for value in np.full(50, 0.5)], "every value is 0.5"),
        (
            [f"{v:.3f},{1e-6 * v**3:.4e}" for v in np.r_[np.linspace(0, 2, 50), np.linspace(2, -2, 100)]],
            "voltage|sweep|unevenly|pulse response",
        ),
    ],
)
def test_unreadable_data_is_declined_with_the_place(lines, message):
    if "sweep" in message:
        lines = ["V (V),I (A)", *lines]
    with pytest.raises(MeasurementError, match=message):
        read(lines)


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\x93NUMPY\x01", "NumPy"), (b"\x80\x04\x95", "pickle"), (b"\x89PNG\r\n", "picture"), (b"\x1f\x8b\x08", "gzip"),
     (b"%PDF-1.7", "PDF"), (b"<!DOCTYPE html><html>", "web page"), (b'{"G": [1, 2]', "JSON"),
     (b"<?xml version", "XML"), (b"\xd0\xcf\x11\xe0", "old Excel"), (b"MATLAB 5.0 MAT-file", "MATLAB")],
)  # fmt: skip
def test_foreign_files_are_named(head, kind):
    with pytest.raises(MeasurementError, match=kind):
        read_measurement(head + bytes(range(256)) * 4)


def test_other_measurements_are_named():
    rng = np.random.default_rng(3)
    low, high = 1e4 * np.exp(0.05 * rng.standard_normal(300)), 1e5 * np.exp(0.3 * rng.standard_normal(300))
    with pytest.raises(MeasurementError, match="endurance") as caught:
        read([f"{a:.1f}\t{b:.1f}\t{100 * (k + 1)}" for k, (a, b) in enumerate(zip(low, high, strict=True))])
    assert "endurance" in caught.value.seems
    with pytest.raises(MeasurementError, match="binary switching"):
        read([f"{v:.1f}" for v in np.stack([low, high], axis=1).ravel()])
    times = np.geomspace(1, 1e6, 60)
    with pytest.raises(MeasurementError, match="retention"):
        read(["time (s),G (uS)", *(f"{t:.4g},{10 * t**-0.05:.5f}" for t in times)])
    with pytest.raises(MeasurementError, match="pixels of pictures"):
        read([",".join(str(x) for x in row) for row in rng.integers(0, 17, (100, 65))])


def test_size_limits(monkeypatch):
    monkeypatch.setattr("tilewright.measurement.source.MAX_BYTES", 1000)
    with pytest.raises(MeasurementError, match="larger than"):
        read_measurement(b"1\n" * 600)
    monkeypatch.undo()
    monkeypatch.setattr("tilewright.measurement.table.MAX_CELLS", 100)
    with pytest.raises(MeasurementError, match="more than 100 cells"):
        read(["1,2"] * 60)


def test_a_mirrored_down_branch_is_turned_round_on_request():
    response = np.r_[soft_bounds(np.ones(60)), soft_bounds(np.r_[np.ones(60), -np.ones(60)])[60:][::-1]]
    rows = [f"{'up' if k < 60 else 'down'},{g:.5f}" for k, g in enumerate(response)]
    assert any(f.check == "mirrored" for f in quality_report(read(["direction,G", *rows])))
    turned = read(["direction,G", *rows], mirrored=True)
    np.testing.assert_allclose(turned.records[0].response[60:], response[:59:-1], atol=1e-5)
    assert not any(f.check == "mirrored" for f in quality_report(turned))
    columns = [f"{a:.5f},{b:.5f}" for a, b in zip(response[:60], response[60:], strict=True)]
    assert any(f.check == "mirrored" for f in quality_report(read(["LTP,LTD", *columns])))
    assert not any(f.check == "mirrored" for f in quality_report(read(["LTP,LTD", *columns], mirrored=True)))


def test_currents_become_conductances_at_a_stated_voltage():
    rows = [f"{k},{1e-6 * (g + 2):.8e}" for k, g in enumerate(soft_bounds(np.ones(60)))]
    found = read(["# V_read = 200 mV", "pulse,I (A)", *rows])
    assert (found.unit, found.quantity, found.read_voltage) == ("A", "current", 0.2)
    stated = read(["pulse,I (A)", *rows], read_voltage=0.2)
    assert (stated.unit, stated.quantity) == ("S", "conductance")
    np.testing.assert_allclose(stated.records[0].response, found.records[0].response / 0.2)


def test_every_guess_has_a_reason_even_when_declined():
    voltages = np.r_[np.linspace(0, 1, 30), np.linspace(1, -1, 60), np.linspace(-1, 0, 30)]
    reading = inspect_file("\n".join(["V (V),I (A)", *(f"{v:.4f},{v**3:.3e}" for v in voltages)]).encode())
    assert reading.measurement is None
    assert "current–voltage sweep" in reading.declined.seems
    assert [(c.role, bool(c.reason)) for c in reading.columns] == [("voltage", True), ("response", True)]
    bare = inspect_file("\n".join(f"{v:.4f}\t{v**3:.3e}" for v in voltages).encode())
    assert "current–voltage sweep" in bare.declined.seems


@pytest.mark.parametrize(
    ("header", "rows", "seems"),
    [
        ("cycle,LRS (Ohm),HRS (Ohm)", [f"{k},{1e4 + k},{1e5 - 9 * k}" for k in range(200)], "endurance"),
        ("epoch,loss,accuracy", [f"{k},{np.exp(-k / 9)},{1 - np.exp(-k / 9)}" for k in range(50)], "training log"),
        ("# retention at 85 C\ntime (s),G (uS)", [f"{10 * k},{50 - 0.01 * k}" for k in range(90)], "retention"),
        (
            "wavelength (nm),absorbance",
            [f"{300 + k},{np.exp(-(((k - 90) / 30) ** 2)):.4f}" for k in range(180)],
            "spectrum",
        ),
        ("", [",".join(str((k * j * 7919) % 256) for j in range(28)) for k in range(1, 60)], "pictures"),
    ],
)
def test_what_is_no_pulse_response_is_named(header, rows, seems):
    reading = inspect_file("\n".join([header, *rows]).encode())
    assert reading.measurement is None
    assert seems in reading.declined.seems


def test_columns_can_be_left_out():
    rows = [f"{k},{g:.5f},{g**2:.5f}" for k, g in enumerate(soft_bounds(np.ones(60), w0=0))]
    assert len(read(["n,a,b", *rows]).records) == 2
    assert len(read(["n,a,b", *rows], ignored_columns=["b"]).records) == 1
