"""Every remark of the quality report: a record that must get it, and a clean one that must not."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from tilewright.figures import plot_measurement
from tilewright.measurement import AffineMap, Measurement, Record, quality_report
from tilewright.measurement.units import readable_unit

CYCLE = np.r_[np.ones(100), -np.ones(100)]
PULSES = np.r_[np.tile(CYCLE, 4), np.tile([1, -1], 20)].astype(np.int8)


def states(pulses=PULSES, noise=0.02, seed=0, start=12.0, rate=0.03):
    """Conductances in µS before each pulse of a soft-bounds device between 10 and 50."""
    state, found = start, []
    for pulse in pulses:
        found.append(state)
        state += rate * (50 - state) if pulse > 0 else -rate * (state - 10)
    return np.array(found) + noise * np.random.default_rng(seed).standard_normal(len(found))


def measured(response=None, pulses=PULSES, unit="µS", **record):
    response = states(pulses) if response is None else response
    return Measurement("m", unit, (Record(pulses, response, **record),), quantity="conductance")


def checks(measurement, *severities):
    return {f.check for f in quality_report(measurement) if not severities or f.severity in severities}


def finding(measurement, check):
    found = [f for f in quality_report(measurement) if f.check == check]
    assert found, [f.text for f in quality_report(measurement)]
    return found[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_a_clean_record_gets_no_complaint(seed, noise):
    index = np.arange(len(PULSES), dtype=float)
    clean = measured(states(noise=noise, seed=seed), index=index, index_name="pulse")
    assert checks(clean, "warning", "problem") == set()
    assert checks(clean, "info") <= {"noise"}


@pytest.mark.parametrize(("rate", "start"), [(0.001, 29.0), (0.1, 12.0), (0.3, 12.0)])
def test_straight_and_strongly_curved_devices_get_no_complaint(rate, start):
    assert checks(measured(states(noise=0.1, rate=rate, start=start)), "warning", "problem") == set()


def test_clean_branches_in_records_of_their_own_meet():
    response = states()
    up, down = (Record(PULSES[a:b], response[a:b]) for a, b in ((0, 100), (100, 200)))
    assert checks(Measurement("m", "µS", (up, down)), "warning", "problem") == set()


def with_outlier():
    response = states()
    response[77] += 20
    return measured(response)


def with_missing():
    return measured(missing=[5, 6, 7, 300, 301, 302, 303, 304, 305])


def with_grid():
    return measured(np.round(states() / 4) * 4)


def with_a_gap():
    pulses = np.r_[np.ones(100), -np.ones(100)].astype(np.int8)
    response = states(pulses)
    response[100:] = 10 + (response[100:] - 10) * 0.5
    return measured(response, pulses)


def mirrored():
    pulses = np.r_[np.ones(100), -np.ones(100)].astype(np.int8)
    response = states(pulses)
    response[100:] = response[:99:-1]
    return measured(response, pulses)


def negative():
    return measured(states() - 25)


def uneven():
    index = np.arange(len(PULSES), dtype=float)
    index[200:] += 7
    return measured(index=index, index_name="pulse")


def drifting():
    return measured(states() + np.linspace(0, 8, len(PULSES)))


def noisy():
    return measured(states(noise=8.0))


def clipped():
    return measured(np.minimum(states(), 40))


@pytest.mark.parametrize(
    ("make", "check", "severity", "words", "samples"),
    [
        (with_outlier, "outliers", "info", "1 of 840 .* at sample 77", {77}),
        (with_missing, "missing", "warning", r"9 of 840 \(1.1 %\) readings", {5, 6, 7, *range(300, 306)}),
        (with_grid, "grid", "warning", "steps of about 4 µS", None),
        (
            with_a_gap,
            "branches",
            "warning",
            "ends at 4.* µS, the down branch after it begins at .*range away",
            {99, 100},
        ),
        (mirrored, "mirrored", "problem", "rises along 1 of 1 down branch.*last pulse first", set(range(100, 200))),
        (negative, "negative", "problem", "conductances are below 0, the lowest -1", None),
        (uneven, "index", "warning", "'pulse' is uneven at 1 of 840.*goes from 199 to 207 at sample 200", {200}),
        (drifting, "drift", "warning", r"4 up ramps move by .* µS, \+1\d % of the range", {99, 299, 499, 699}),
        (noisy, "noise", "warning", "8.* µS, .* mean steps", None),
        (clipped, "clipping", "warning", "highest value, 40 µS", None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_is_said_with_numbers_and_marked(make, check, severity, words, samples):
    import re

    measurement = make()
    found = finding(measurement, check)
    assert found.severity == severity
    assert re.search(words, found.text), found.text
    marked = {k for _, places in found.marks for k in places}
    assert marked
    assert samples is None or marked == samples
    figure = plot_measurement(measurement, [found])
    (drawn,) = [trace for trace in figure.data if trace.name not in {"Up pulses", "Down pulses", "Alternating pulses"}]
    assert set(np.asarray(drawn.x).tolist()) <= marked
    if found.size:
        assert drawn.error_y.value == pytest.approx(found.size / 2)


@pytest.mark.parametrize(
    "make", [with_outlier, with_missing, with_a_gap, mirrored, negative, uneven, drifting, clipped]
)
def test_one_fault_does_not_look_like_another(make):
    own = {"with_a_gap": "branches"}.get(make.__name__, "")
    serious = checks(make(), "warning", "problem") - {own}
    assert len(serious) <= 1, serious


def test_drift_is_judged_device_by_device():
    records = tuple(
        Record(PULSES, states(seed=k) + k + np.linspace(0, 8 * (k == 1), len(PULSES)), device=f"D{k}") for k in range(3)
    )
    found = [f for f in quality_report(Measurement("m", "µS", records)) if f.check == "drift"]
    assert {f.where for f in found} == {"D1"}
    assert {number for f in found for number, _ in f.marks} == {1}


def test_small_negative_readings_are_noise():
    measurement = measured(states(noise=0.5, seed=1) - 12.2)
    assert finding(measurement, "negative").severity == "info"
    assert "within the noise" in finding(measurement, "negative").text
    normalised = replace(measurement, affine=AffineMap(30, 20, "µS"), unit="")
    assert "negative" not in checks(normalised)


def test_reversed_directions_are_told_from_a_mirrored_branch():
    pulses = np.r_[np.ones(100), -np.ones(100)].astype(np.int8)
    found = finding(measured(states(pulses), -pulses), "mirrored")
    assert "the wrong way round" in found.text


def test_only_one_direction_and_short_ramps():
    up = Measurement("m", "", (Record(np.ones(30), np.linspace(0, 1, 30)),))
    assert {"directions", "symmetry", "length"} <= checks(up, "warning", "info")
    flat = Measurement("m", "", (Record(np.r_[np.ones(30), -np.ones(30)], np.tile([1.0, 1.0], 30)),))
    assert "does not change" in finding(flat, "noise").text


def test_counts_in_steps_are_named():
    index = 10.0 * np.arange(len(PULSES))
    assert "steps of 10" in finding(measured(index=index, index_name="pulse"), "index step").text


def test_of_many_records_some_are_looked_at():
    pulses = PULSES[:200]
    broken = [Record(pulses, states(pulses, seed=k), device=f"D{k}") for k in range(150)]
    response = states(pulses)
    response[40] += 20
    broken[149] = Record(pulses, response, device="D149")
    report = quality_report(Measurement("m", "µS", tuple(broken)))
    assert any("100 of the 150 records" in f.text for f in report)
    (outliers,) = [f for f in report if f.check == "outliers"]
    assert outliers.marks == ((149, (40,)),)


def test_pulses_in_turn_alone_are_judged_by_their_own_steps():
    pulses = np.tile([1, -1], 100).astype(np.int8)
    response = 10 + np.where(pulses > 0, 0.0, 1.0) + 0.02 * np.random.default_rng(1).standard_normal(200)
    findings = quality_report(Measurement("pairs", "", (Record(pulses, response),)))
    assert all(finding.severity in {"good", "info"} for finding in findings)
    assert any("Low noise" in finding.text for finding in findings)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_curve_over_time_is_not_taken_for_pulses_without_a_warning(noise):
    """Whoever reads a file sets the confidence: .95 and more where its pulses are stated, .9 for those found."""
    k = np.arange(160)
    rng = np.random.default_rng(0)
    waves = {
        "wave": (np.sin(2 * np.pi * k / 80 - np.pi / 2), np.where(k % 80 < 40, 1, -1)),
        "epidemic": (1 / np.cosh((k - 80) / 20) ** 2, np.where(k < 80, 1, -1)),
    }
    for values, pulses in waves.values():
        found = replace(measured(values + noise * rng.standard_normal(160), pulses.astype(np.int8)), confidence=0.9)
        assert finding(found, "course").severity == "warning"
        assert "state its pulses" in finding(found, "course").text
        assert "course" not in checks(replace(found, confidence=0.95))


@pytest.mark.parametrize("rate", [0.001, 0.03, 0.1])
def test_devices_turn_sharply(rate):
    assert "course" not in checks(replace(measured(states(rate=rate)), confidence=0.9))


def test_pulses_guessed_from_uneven_turns_are_called_a_guess():
    assert "a guess" in finding(replace(measured(), confidence=0.65), "course").text


def test_steps_that_grow_from_one_bound_turn_gently_there_only():
    """Steps in proportion to the conductance, both ways: slow on both sides of the lower turns, fast at the upper."""
    pulses = np.where(np.arange(300) % 100 < 50, 1, -1).astype(np.int8)
    growing = 10 * np.exp(0.04 * np.cumsum(np.append(0, pulses[:-1])))
    assert "course" not in checks(replace(measured(growing, pulses), confidence=0.9))


@pytest.mark.parametrize(
    ("size", "unit", "factor", "found"),
    [
        (6e4, "nS", 1e-3, "µS"), (9e-12, "A", 1e12, "pA"), (25.0, "µS", 1.0, "µS"), (0.058, "µS", 1.0, "µS"),
        (2.5e-4, "mS", 1e6, "nS"), (1e12, "GΩ", 1.0, "GΩ"), (1e6, "", 1.0, ""), (0.0, "S", 1.0, "S"),
        (1e6, "%", 1.0, "%"), (math.nan, "S", 1.0, "S"), (-5e3, "µA", 1e-3, "mA"),
    ],
)  # fmt: skip
def test_a_unit_is_found_whose_numbers_read_well(size, unit, factor, found):
    assert readable_unit(size, unit) == (pytest.approx(factor), found)


def test_findings_are_worded_without_powers_of_ten():
    nano = measured(1000 * states(noise=0.3), unit="nS")
    assert re.search(r"Noise from sample to sample is \d{3} nS|Low noise: \d{3} nS", finding(nano, "noise").text)
