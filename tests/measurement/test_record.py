"""Records, protocols in words, saving, quality and the shipped examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tilewright.configs import SoftBoundsReferenceDevice
from tilewright.fitting import fit_measurements
from tilewright.measurement import (
    AffineMap,
    Measurement,
    MeasurementError,
    Record,
    describe_pulses,
    example_names,
    load_example,
    measurement_from_csv,
    measurement_to_csv,
    parse_protocol,
    quality_report,
    read_measurement,
    tutorial_pulses,
)

# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pulses", "response", "message"),
    [
        ([1, 1], [0.1, 0.2, 0.3], "as many pulses as samples"),
        ([1, 2], [0.1, 0.2], r"\+1 \(up\) or -1"),
        ([1, -1], [0.1, np.nan], "not finite"),
        ([[1], [1]], [[0.1], [0.2]], "one dimension"),
    ],
)
def test_records_refuse_nonsense(pulses, response, message):
    with pytest.raises(MeasurementError, match=message):
        Record(np.array(pulses), np.array(response))


def test_missing_samples_weigh_nothing_and_are_checked():
    record = Record(np.ones(4), np.arange(4.0), missing=[1, 2], index=[10, 20, 30, 40], index_name="pulse")
    np.testing.assert_array_equal(record.weights, [1, 0, 0, 1])
    for fields, message in (
        ({"missing": [4]}, "within the record"),
        ({"missing": [2, 1]}, "rising positions"),
        ({"index": [1, 2]}, "the index has shape"),
    ):
        with pytest.raises(MeasurementError, match=message):
            Record(np.ones(4), np.arange(4.0), **fields)


def test_one_device_of_many():
    many = Measurement("m", "S", tuple(Record(np.ones(3), np.arange(3.0), device=d) for d in "abab"))
    assert len(many.of_device("b").records) == 2
    with pytest.raises(MeasurementError, match="no device 'c'"):
        many.of_device("c")


def test_the_affine_map_leads_back_for_levels_and_for_steps():
    affine = AffineMap(offset=20.0, scale=8.0, unit="µS")
    assert affine.to_measured(0.5) == 24.0
    assert affine.to_normalised(24.0) == 0.5
    assert affine.change_to_measured(0.5) == 4.0


def test_records_cannot_be_changed():
    record = Record(np.ones(3), np.arange(3.0))
    with pytest.raises(ValueError, match="read-only"):
        record.response[0] = 1.0


# --- protocols --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pulses"),
    [
        ("200 up, 200 down, 100 x (up, down)", tutorial_pulses()),
        ("200 up, 200 down, 100 × (up, down)", tutorial_pulses()),
        ("2*(3 up; 1 down)", [1, 1, 1, -1, 1, 1, 1, -1]),
        ("2 x (2 x (up), down)", [1, 1, -1, 1, 1, -1]),
        ("+ - + -", [1, -1, 1, -1]),
    ],
)
def test_protocol_from_words(text, pulses):
    assert np.array_equal(parse_protocol(text), pulses)


@pytest.mark.parametrize(
    "text", ["", "200", "up, sideways", "3 x (up", "up)", "((((((up))))))", "999999999 up", "5 x 5 up", "1e3 up"]
)
def test_protocols_that_make_no_sense(text):
    with pytest.raises(MeasurementError, match="protocol"):
        parse_protocol(text)


@given(st.text(alphabet="0123456789updown x×(),+- ", max_size=40))
def test_any_protocol_text_is_read_or_declined(text):
    try:
        pulses = parse_protocol(text)
    except MeasurementError:
        return
    assert set(np.unique(pulses)) <= {-1, 1}


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from([1, -1])), min_size=1, max_size=4))
def test_short_protocols_survive_their_description(ramps):
    pulses = np.concatenate([np.full(n, direction) for n, direction in ramps])
    assert np.array_equal(parse_protocol(describe_pulses(pulses)), pulses)


# --- saving -----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=20)


@st.composite
def measurements(draw):
    records = []
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 12))
        response = draw(hnp.arrays(np.float64, n, elements=st.floats(allow_nan=False, allow_infinity=False)))
        pulses = draw(hnp.arrays(np.int8, n, elements=st.sampled_from([1, -1])))
        missing = sorted(draw(st.sets(st.integers(0, n - 1))))
        index = draw(st.none() | hnp.arrays(np.float64, n, elements=st.floats(allow_nan=False, allow_infinity=False)))
        records.append(
            Record(
                pulses, response, label=draw(TEXT), device=draw(TEXT), cycle=draw(st.integers(0, 99)),
                missing=missing, index=index, index_name="" if index is None else draw(TEXT),
            )
        )  # fmt: skip
    affine = AffineMap(draw(st.floats(-1e6, 1e6)), draw(st.floats(1e-9, 1e6)), draw(TEXT))
    return Measurement(
        draw(TEXT) or "m", draw(TEXT), tuple(records), draw(TEXT), draw(TEXT), draw(st.floats(0, 1)),
        draw(st.lists(TEXT, max_size=3)), draw(TEXT), affine, draw(st.none() | st.floats(-5, 5)),
    )  # fmt: skip


@given(measurements())
def test_saving_keeps_everything(measurement):
    text = measurement_to_csv(measurement)
    assert measurement_from_csv(text) == measurement
    assert read_measurement(text.encode()) == measurement


def test_saved_text_is_checked():
    text = measurement_to_csv(Measurement("m", "S", (Record(np.ones(3), np.arange(3.0)),)))
    for damaged, message in (
        (text.replace("measurement 1", "measurement 9"), "not a measurement saved by this release"),
        (text.replace("1,1,2.0", "1,1,two"), "line .*: expected three: record, pulse, response"),
        (text.replace("1,1,2.0", "1,5,2.0"), "the pulse must be 1 or -1"),
        (text.replace("1,1,", "2,1,"), "names 1 records"),
        (text.replace("record,pulse,response", "a,b"), "expected the column names"),
    ):
        with pytest.raises(MeasurementError, match=message):
            measurement_from_csv(damaged)


# --- examples ---------------------------------------------------------------------------------------------------------


def test_every_example_reads_and_is_labelled_synthetic():
    from tilewright.assets import asset_path

    assert example_names()[0].startswith("tutorial")
    assert len(example_names()) >= 4
    for name in example_names():
        assert "synthetic" in asset_path("examples", f"{name}.csv").read_text().splitlines()[0]
        assert load_example(name).confidence >= 0.8
    with pytest.raises(MeasurementError, match="there is no example 'gong'"):
        load_example("gong")


@pytest.mark.parametrize(
    ("name", "devices", "serious"),
    [
        ("tutorial-rram", 1, set()),
        ("ecram-up-down", 1, set()),
        ("rram-array", 8, set()),
        ("fifty-devices", 50, set()),
        ("drifting-cycles", 1, {"drift"}),
        ("bad-device", 1, {"outliers", "missing", "grid", "branches", "negative", "index"}),
    ],
)
def test_the_quality_report_finds_what_is_wrong_with_each_example(name, devices, serious):
    example = load_example(name)
    assert len(example.devices) == devices
    report = quality_report(example)
    found = {f.check for f in report if f.severity in ("warning", "problem")}
    assert found <= serious
    assert serious <= {f.check for f in report}


def test_tutorial_example_gives_the_tutorial_device():
    record = load_example("tutorial-rram").normalised().records[0]
    assert np.array_equal(record.pulses, tutorial_pulses())
    ranges = {
        "dw_min": (0.1, 0.001, 1.0),
        "up_down": (0.0, -0.99, 0.99),
        "w_max": (1.0, 0.1, 2.0),
        "w_min": (-1.0, -2.0, -0.1),
    }
    _, device, model = fit_measurements(ranges, record.pulses, record.response, SoftBoundsReferenceDevice())
    assert device.dw_min == pytest.approx(0.0116, rel=0.2)
    assert device.up_down == pytest.approx(-0.24, abs=0.12)
    assert device.w_min == pytest.approx(-0.777, rel=0.2)
    noise = np.std(record.response[500:] - model[500:]) / device.dw_min
    assert noise > 5  # the tutorial takes the square root of noise² - 5²
