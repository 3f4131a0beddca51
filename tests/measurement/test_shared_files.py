"""Real measurements and their variants, read without options."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.measurement import MeasurementError, inspect_file, quality_report, read_measurement


@pytest.fixture(scope="module")
def devices(shared_data):
    return shared_data / "data" / "devices"


def test_two_normalised_columns(devices):
    measurement = read_measurement(devices / "gong_et_al.csv")
    assert [record.response.shape for record in measurement.records] == [(1000,), (1000,)]
    assert [set(record.pulses.tolist()) for record in measurement.records] == [{1}, {-1}]
    assert measurement.records[0].response[0] == -0.84444
    assert measurement.records[1].response[3] == 1.0556
    assert measurement.unit == ""
    assert measurement.normalised("auto") is measurement


def test_semicolons_and_decimal_commas_give_the_same_numbers(devices):
    plain = read_measurement(devices / "gong_et_al.csv")
    variant = read_measurement(devices / "format_variants" / "gong_semicolon_decimal_comma.csv")
    for a, b in zip(plain.records, variant.records, strict=True):
        np.testing.assert_array_equal(a.response, b.response)
        np.testing.assert_array_equal(a.pulses, b.pulses)
    assert variant.quantity == "weight"


@pytest.mark.parametrize(("name", "count", "direction", "shortest", "longest"),
                         [("crosssim_set", 39, 1, 185, 192), ("crosssim_reset", 40, -1, 149, 153)])  # fmt: skip
def test_ragged_ramps(devices, name, count, direction, shortest, longest):
    measurement = read_measurement(devices / f"{name}.csv")
    lengths = [len(record) for record in measurement.records]
    assert len(lengths) == count
    assert (min(lengths), max(lengths)) == (shortest, longest)
    assert all(np.all(record.pulses == direction) for record in measurement.records)
    assert [record.cycle for record in measurement.records] == list(range(1, count + 1))


def test_workbook_of_ten_cycles(devices):
    measurement = read_measurement(devices / "capacitor_synapse_current.xlsx")
    assert measurement.unit == "A"
    expected = np.array(([1] * 1000 + [-1] * 1000) * 10)
    np.testing.assert_array_equal(measurement.records[0].pulses, expected)
    assert measurement.records[0].response[0] == pytest.approx(1.04594330400782e-06, rel=1e-12)
    assert any("ADC" in note for note in measurement.notes)


def test_one_column_with_a_unit_in_a_comment(devices):
    measurement = read_measurement(devices / "format_variants" / "capacitor_synapse_one_column_uA.txt")
    assert (measurement.unit, measurement.quantity) == ("µA", "current")
    np.testing.assert_array_equal(measurement.records[0].pulses, np.array(([1] * 1000 + [-1] * 1000) * 2))


def test_sequence_with_polarity_and_cycles(devices):
    measurement = read_measurement(devices / "format_variants" / "crosssim_sequence_polarity.tsv")
    assert measurement.unit == "mS"
    assert len(measurement.records) == 1
    record = measurement.records[0]
    assert len(record) == 1700
    # rows were read after their pulse: the direction turns one row earlier than the column says
    assert np.array_equal(np.flatnonzero(np.diff(record.pulses))[:2] + 1, np.array([189, 340]))


def test_endurance_is_declined(devices):
    with pytest.raises(MeasurementError, match="endurance record") as caught:
        read_measurement(devices / "rram_endurance_1us.tsv")
    assert "low and a high state" in caught.value.reason


def test_digits_are_declined(shared_data):
    with pytest.raises(MeasurementError, match=r"not a pulse response|archive"):
        read_measurement(shared_data / "data" / "digits8x8" / "digits.csv.gz")


WHAT_EACH_IS = {
    "gong_et_al.csv": "1000 up and 1000 down",
    "crosssim_set.csv": "39 up ramp(s) of 185 to 192 pulses",
    "crosssim_reset.csv": "40 down ramp(s) of 149 to 153 pulses",
    "capacitor_synapse_current.xlsx": "10 × (1000 up, 1000 down)",
    "rram_endurance_1us.tsv": "endurance",
    "format_variants/gong_semicolon_decimal_comma.csv": "1000 up and 1000 down",
    "format_variants/capacitor_synapse_one_column_uA.txt": "1000 up, 1000 down, 1000 up, 1000 down",
    "format_variants/crosssim_sequence_polarity.tsv": "10 ramps of 150 to 191 pulses",
}


@pytest.mark.parametrize("name", WHAT_EACH_IS)
def test_every_file_is_read_or_declined_for_the_right_reason(devices, name):
    reading = inspect_file(devices / name)
    if reading.measurement is None:
        assert WHAT_EACH_IS[name] in reading.declined.seems
        return
    assert reading.measurement.protocol == WHAT_EACH_IS[name]
    assert reading.measurement.confidence >= 0.85
    assert all(column.reason for column in reading.columns)
    assert not any(finding.severity == "problem" for finding in quality_report(reading.measurement))


def test_no_file_is_forgotten(devices):
    found = {str(path.relative_to(devices)) for path in devices.rglob("*") if path.is_file() and path.suffix != ".md"}
    assert found == set(WHAT_EACH_IS)
