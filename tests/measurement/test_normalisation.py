"""Normalisations and their way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.measurement import (
    NORMALISATIONS,
    Measurement,
    MeasurementError,
    Record,
    suggested_normalisation,
    tutorial_pulses,
)
from tilewright.measurement.normalisation import alternating_section


def tutorial_record(seed=0, offset=20.0, scale=8.0) -> Measurement:
    rng = np.random.default_rng(seed)
    state, states = -0.3, []
    for pulse in tutorial_pulses():
        states.append(state)
        state += 0.009 * (1 - state / 2) if pulse > 0 else -0.0116 * (1 + state / 0.777)
    response = offset + scale * (np.array(states) + 0.05 * rng.standard_normal(600))
    return Measurement("m", "µS", (Record(tutorial_pulses(), response),))


def test_tutorial_rule_is_exact():
    measurement = tutorial_record()
    raw = measurement.records[0].response
    expected = raw - raw.mean()
    expected = expected / abs(expected[180:200].mean())
    np.testing.assert_array_equal(measurement.normalised("tutorial").records[0].response, expected)


def test_symmetry_point_rule():
    measurement = tutorial_record()
    raw = measurement.records[0].response
    zero, one = raw[-50:].mean(), np.median(raw[180:200])
    np.testing.assert_allclose(
        measurement.normalised("symmetry-point").records[0].response, (raw - zero) / (one - zero)
    )


def test_min_max_and_none():
    measurement = tutorial_record()
    response = measurement.normalised("min-max").records[0].response
    np.testing.assert_allclose((response.min(), response.max()), (-1.0, 1.0), rtol=1e-12)
    assert measurement.normalised("none") is measurement


@given(st.sampled_from([name for name in NORMALISATIONS if name != "none"]), st.floats(-1e3, 1e3), st.floats(1e-9, 1e6))
def test_affine_map_leads_back(how, offset, scale):
    measurement = tutorial_record(offset=offset * scale, scale=scale)
    normalised = measurement.normalised(how)
    back = normalised.affine.to_measured(normalised.records[0].response)
    np.testing.assert_allclose(back, measurement.records[0].response, rtol=1e-9, atol=1e-9 * scale * (1 + abs(offset)))
    assert normalised.affine.unit == "µS"
    again = normalised.normalised("min-max")
    np.testing.assert_allclose(
        again.affine.to_measured(again.records[0].response), measurement.records[0].response,
        rtol=1e-9, atol=1e-9 * scale * (1 + abs(offset)),
    )  # fmt: skip


def test_rules_say_what_they_need():
    down = Measurement("d", "", (Record(np.full(50, -1), np.linspace(5, 1, 50)),))
    with pytest.raises(MeasurementError, match="needs an up ramp"):
        down.normalised("tutorial")
    with pytest.raises(MeasurementError, match="20 alternating pulses"):
        down.normalised("symmetry-point")
    with pytest.raises(MeasurementError, match="unknown normalisation 'seed'"):
        down.normalised("seed")
    assert suggested_normalisation(down) == "min-max"
    assert suggested_normalisation(tutorial_record()) == "tutorial"
    assert suggested_normalisation(tutorial_record().normalised()) == "none"


def test_one_map_serves_all_records():
    up = Record(np.ones(100), np.linspace(1, 3, 100))
    other = Record(np.ones(100), np.linspace(1, 5, 100))
    normalised = Measurement("two", "S", (up, other)).normalised("min-max")
    assert normalised.records[0].response.max() == pytest.approx(0.0)
    assert normalised.records[1].response.max() == pytest.approx(1.0)


def test_alternating_section():
    assert alternating_section(tutorial_record().records[0]) in {(399, 600), (400, 600)}
    assert alternating_section(Record(np.ones(50), np.arange(50.0))) is None
