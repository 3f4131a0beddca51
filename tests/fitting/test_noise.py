"""Separating write noise, step noise and reading noise with memory."""

from __future__ import annotations

import numpy as np
import pytest
from recurrences import correlated_noise, measurement_of, respond
from truths import TRUTHS, fitted_to, noisy

from tilewright.configs import ConstantStepDevice, LinearStepDevice, SoftBoundsDevice
from tilewright.devices import trace_pulses
from tilewright.fitting import FitError, estimate_noise, fit_device, variogram
from tilewright.measurement import read_measurement, tutorial_pulses

QUIET = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
TRUE = {"dw_min": 0.0116, "up_down": -0.24, "w_max": 2.0, "w_min": -0.777}
LONG = np.array([1] * 200 + [-1] * 200 + [1, -1] * 1000)


def test_variogram_of_known_series():
    values, pairs = variogram([np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0])], np.array([1, 2, 3]))
    np.testing.assert_allclose(values[:2], [(1 + 4 + 4) / 3, 9.0])
    assert np.isnan(values[2])
    assert pairs.tolist() == [3, 1, 0]


@pytest.mark.parametrize(
    ("step", "write", "tolerance"),
    [(1.0, 2.0, (0.8, 0.3)), (5.0, 6.5, (2.0, 1.3)), (0.0, 5.0, (0.75, 0.65)), (2.0, 0.0, (0.8, 2.0))],
)
def test_recovery_of_step_and_write_noise(step, write, tolerance):
    """Mean of three devices of 1000 settled samples each against the truth, in units of the true step.

    Tolerance: bias plus six standard errors of the mean of three, both from 30 other seeds, so that a false alarm has
    p < 1e-6. Most uncertain is a write noise of 0 beside a large step noise, as no estimate can be negative.
    """
    device = SoftBoundsDevice(**TRUE, **QUIET, dw_min_std=step, write_noise_std=write, mult_noise=False)
    found = []
    for seed in range(101, 104):
        response = trace_pulses(device, LONG, seed=seed, w0=-0.3)[:-1, 0]
        measurement = measurement_of((LONG, response))
        fit = fit_device(measurement, device, method="least_squares")
        estimate = estimate_noise(measurement, fit)
        scale = fit.device.dw_min / device.dw_min
        found.append((estimate.dw_min_std * scale, estimate.write_noise_std * scale))
    assert np.all(np.abs(np.mean(found, axis=0) - (step, write)) < tolerance)


def test_noise_in_units_of_the_current_step():
    device = SoftBoundsDevice(**TRUE, **QUIET, dw_min_std=3.0, write_noise_std=1.0, mult_noise=True)
    response = trace_pulses(device, LONG, seed=3, w0=-0.3)[:-1, 0]
    measurement = measurement_of((LONG, response))
    estimate = estimate_noise(measurement, fit_device(measurement, device))
    assert estimate.dw_min_std == pytest.approx(3.0, rel=0.5)


def test_reading_noise_with_memory_is_not_taken_for_step_noise():
    pulses = np.ones(1000, dtype=np.int8)
    rng = np.random.default_rng(6)
    up = respond(pulses, -0.8, dw_min=0.003, up_down=0.0, w_max=1.5, w_min=-1.5)
    down = respond(-pulses, 0.8, dw_min=0.003, up_down=0.0, w_max=1.5, w_min=-1.5)
    measurement = measurement_of(
        *((p, r + correlated_noise(rng, 1000, 0.1, 0.12, 10)) for p, r in ((pulses, up), (-pulses, down)))
    )
    estimate = estimate_noise(measurement, fit_device(measurement, SoftBoundsDevice))
    assert estimate.white == pytest.approx(0.1, rel=0.25)
    assert estimate.slow == pytest.approx(0.12, rel=0.4)
    assert 3 < estimate.correlation_pulses < 30
    assert any("memory" in sentence for sentence in estimate.explanation)


def test_apply_sets_what_the_device_has():
    pulses = tutorial_pulses()
    rng = np.random.default_rng(3)
    measurement = measurement_of((pulses, respond(pulses, -0.3, **TRUE) + 0.05 * rng.standard_normal(600)))
    fit = fit_device(measurement, SoftBoundsDevice)
    estimate = estimate_noise(measurement, fit)
    noisy = estimate.apply(fit.device)
    assert noisy.write_noise_std == estimate.write_noise_std > 0
    assert noisy.dw_min_std == estimate.dw_min_std
    assert fit.device.write_noise_std == 0
    assert set(estimate.errors) == {"dw_min_std", "write_noise_std"}
    constant = fit_device(measurement, ConstantStepDevice)
    estimate = estimate_noise(measurement, constant)
    assert any("has no write noise" in sentence for sentence in estimate.explanation)
    assert estimate.apply(constant.device).dw_min_std == estimate.dw_min_std


def test_too_little_data_is_refused():
    pulses = np.ones(30, dtype=np.int8)
    measurement = measurement_of((pulses, respond(pulses, -0.5, 0.05, 0.0, 1.0, -1.0)))
    with pytest.raises(FitError, match="at least 40 samples"):
        estimate_noise(measurement, fit_device(measurement, SoftBoundsDevice))


def test_real_two_column_record(shared_data):
    measurement = read_measurement(shared_data / "data" / "devices" / "gong_et_al.csv")
    estimate = estimate_noise(measurement, fit_device(measurement, SoftBoundsDevice))
    assert estimate.white == pytest.approx(0.115, abs=0.01)
    assert estimate.slow == pytest.approx(0.13, abs=0.02)
    assert 7 <= estimate.correlation_pulses <= 17


@pytest.mark.parametrize(
    ("name", "seed"), [("ConstantStepDevice", 3), ("LinearStepDevice", 3), ("PiecewiseStepDevice", 2)]
)
def test_states_that_a_bound_stops_are_not_taken_for_noise_with_memory(name, seed):
    """Step noise of five steps in a response that runs into its bounds: to a walk about nominal states, which forgets
    everything at a bound, twice the log-likelihood gains 200 and more from noise with memory that is not there."""
    noise = {"step": 5.0, "write": 2.0} if name != "ConstantStepDevice" else {"step": 5.0, "read": 0.02}
    measurement = noisy(name, seed, **noise)
    estimate = estimate_noise(measurement, fitted_to(name, measurement, method="least_squares"))
    assert estimate.slow == 0
    assert 3 < estimate.dw_min_std < 8


@pytest.mark.slow
def test_noise_with_memory_is_hardly_found_where_there_is_none():
    """72 records of six classes with step and write noise, none with memory: 1 is said to have it (19 were, before it
    was minded that bounds stop noisy states); for chance alone a gain of 50 by two parameters has odds below 1e-10."""
    found = []
    for name in ("SoftBounds", "LinearStep", "ConstantStep", "PowStep", "ExpStep", "PiecewiseStep"):
        writes = TRUTHS[f"{name}Device"][0].supports_write_noise
        for step, other in ((1, 2.0), (5, 2.0), (3, 0.3), (0, 2.0)):
            for seed in range(1, 4):
                noise = {"write": other} if writes else {"read": 0.01 * other}
                measurement = noisy(f"{name}Device", seed, step=step, **noise)
                fit = fitted_to(f"{name}Device", measurement, method="least_squares")
                found.append(estimate_noise(measurement, fit).slow > 0)
    assert sum(found) <= 1


def test_the_noise_of_a_real_record_is_the_same_to_a_model_with_hard_bounds(shared_data):
    measurement = read_measurement(shared_data / "data" / "devices" / "gong_et_al.csv")
    estimate = estimate_noise(measurement, fit_device(measurement, LinearStepDevice, method="least_squares"))
    assert estimate.slow == pytest.approx(0.13, abs=0.02)
    assert 7 <= estimate.correlation_pulses <= 17
