"""Fits with errors: recovery, honest standard errors, bounds, missing directions, ranking."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from recurrences import correlated_noise, measurement_of, respond

from tilewright.configs import ConstantStepDevice, LinearStepDevice, SoftBoundsDevice, SoftBoundsReferenceDevice
from tilewright.fitting import (
    FITTABLE_CLASSES,
    FitCancelled,
    FitError,
    default_ranges,
    fit_all_devices,
    fit_device,
    value_with_error,
)
from tilewright.fitting.ranking import RankingRow, _in_order
from tilewright.fitting.result import FittedParameter
from tilewright.measurement import load_example, read_measurement, tutorial_pulses

TRUE = {"dw_min": 0.0116, "up_down": -0.24, "w_max": 1.7, "w_min": -0.777}
PULSES = tutorial_pulses()


@pytest.mark.parametrize("device_class", [SoftBoundsDevice, SoftBoundsReferenceDevice])
@pytest.mark.parametrize("up_down", [-0.5, 0.0, 0.3])
def test_noise_free_recovery_without_any_hint(device_class, up_down):
    truth = {**TRUE, "up_down": up_down}
    fit = fit_device(measurement_of((PULSES, respond(PULSES, -0.3, **truth))), device_class)
    for name, value in truth.items():
        assert fit[name].value == pytest.approx(value, rel=1e-3, abs=1e-6)
        assert getattr(fit.device, name) == fit[name].value
    assert fit.rms < 1e-6
    assert fit.r2 > 1 - 1e-9
    assert fit.class_name == device_class.__name__
    assert fit.n_points == 600


def test_linear_steps_up_to_their_bounds():
    pulses = np.r_[np.ones(400), -np.ones(500)].astype(np.int8)
    truth = {"dw_min": 0.006, "up_down": 0.1, "w_max": 1.0, "w_min": -0.9, "gamma_up": 0.3, "gamma_down": 0.6}
    fit = fit_device(measurement_of((pulses, respond(pulses, -0.5, **truth))), LinearStepDevice)
    for name, value in truth.items():
        assert fit[name].value == pytest.approx(value, rel=1e-3)


def test_constant_steps():
    pulses = np.r_[np.ones(300), -np.ones(300)].astype(np.int8)
    truth = {"dw_min": 0.006, "up_down": -0.1, "w_max": 0.8, "w_min": -0.9}
    response = respond(pulses, -0.5, **truth, gamma_up=0.0, gamma_down=0.0)
    fit = fit_device(measurement_of((pulses, response)), ConstantStepDevice)
    for name in ("dw_min", "up_down", "w_max"):
        assert fit[name].value == pytest.approx(truth[name], rel=1e-3)


def test_standard_errors_hold_under_correlated_noise():
    """Deviations from the truth in units of the stated error, 20 fits of 4 parameters.

    Statistic: root mean square of the 80 ratios. Over groups of other seeds it is 1.25 with a spread of 0.14; without
    the allowance for correlation it would be above 4. The bound of 2.2 is more than six spreads away: p < 1e-6.
    """
    truth = respond(PULSES, -0.3, **TRUE)
    rng = np.random.default_rng(8)
    ratios = []
    for _ in range(20):
        noisy = truth + correlated_noise(rng, 600, white=0.03, slow=0.05, time=12)
        fit = fit_device(measurement_of((PULSES, noisy)), SoftBoundsDevice, method="least_squares")
        ratios += [
            (fit[name].value - value) / fit[name].stderr
            for name, value in TRUE.items()
            if np.isfinite(fit[name].stderr)
        ]
    assert len(ratios) > 60
    assert math.sqrt(np.mean(np.square(ratios))) < 2.2
    assert any(note.startswith("Standard errors are about") for note in fit.notes)


def test_free_start_is_chosen_by_the_noise():
    truth = respond(PULSES, -0.3, **TRUE)
    quiet = fit_device(measurement_of((PULSES, truth)), SoftBoundsDevice)
    assert [item.name for item in quiet.parameters] == list(TRUE)
    assert quiet.starts == (truth[0],)
    rng = np.random.default_rng(2)
    noisy = truth + 0.05 * rng.standard_normal(600)
    noisy[0] = 0.4
    fit = fit_device(measurement_of((PULSES, noisy)), SoftBoundsDevice)
    assert fit["w0"].value == pytest.approx(-0.3, abs=5 * fit["w0"].stderr)
    bound = fit_device(measurement_of((PULSES, noisy)), SoftBoundsDevice, free_start=False)
    assert bound.starts == (0.4,)
    assert bound.rms > fit.rms
    two = measurement_of((PULSES, noisy), (PULSES, noisy))
    assert {"w0_1", "w0_2"} <= {item.name for item in fit_device(two, SoftBoundsDevice).parameters}


def test_parameters_at_a_limit_are_flagged():
    ranges = {
        "dw_min": (0.01, 0.001, 0.1),
        "up_down": (0.0, -0.9, 0.9),
        "w_max": (1.0, 0.5, 1.3),
        "w_min": (-1, -2, -0.1),
    }
    fit = fit_device(measurement_of((PULSES, respond(PULSES, -0.3, **TRUE))), SoftBoundsDevice, ranges)
    assert fit["w_max"].at_bound
    assert math.isnan(fit["w_max"].stderr)
    assert not fit["dw_min"].at_bound
    assert any("w_max ran into its upper limit (1.3)" in note for note in fit.notes)


def test_expressions_and_fixed_values():
    response = respond(PULSES, -0.3, dw_min=0.01, up_down=0.0, w_max=0.9, w_min=-0.9)
    response = response + 0.01 * np.random.default_rng(1).standard_normal(600)
    ranges = {"dw_min": (0.02, 0.001, 0.1), "up_down": 0.0, "w_max": (1.0, 0.5, 1.3), "w_min": {"expr": "-w_max"}}
    fit = fit_device(measurement_of((PULSES, response)), SoftBoundsDevice, ranges)
    assert fit["w_min"].value == -fit["w_max"].value
    assert fit["w_min"].stderr == pytest.approx(fit["w_max"].stderr, rel=1e-3)
    assert fit["w_min"].expr == "-w_max"
    assert not fit["up_down"].vary
    assert math.isnan(fit["up_down"].stderr)


def test_what_the_data_cannot_tell_is_said():
    pulses = np.ones(300, dtype=np.int8)
    response = respond(pulses, -0.6, dw_min=0.01, up_down=0.0, w_max=1.0, w_min=-1.0)
    measurement = measurement_of((pulses, response))
    assert default_ranges(SoftBoundsDevice, measurement)["up_down"] == (0.0, 0.0, 0.0)
    fit = fit_device(measurement, SoftBoundsDevice)
    assert any("Only up pulses" in note for note in fit.notes)
    assert fit["dw_min"].value == pytest.approx(0.01, rel=1e-3)
    free = {"dw_min": (0.02, 0.001, 0.1), "up_down": (-0.1, -0.9, 0.9), "w_max": (0.8, 0.1, 2.0)}
    fit = fit_device(measurement, SoftBoundsDevice, free)
    assert any("dw_min and up_down can be traded" in note for note in fit.notes)
    assert math.isnan(fit["dw_min"].stderr)
    silent = {"dw_min": (0.02, 0.001, 0.1), "w_max": (0.8, 0.1, 2.0), "w_min": (-1.0, -2.0, -0.7)}
    fit = fit_device(measurement, SoftBoundsDevice, silent)
    assert any("nothing about w_min" in note for note in fit.notes)


def test_steps_that_grow_are_noticed_and_can_be_followed():
    pulses = np.r_[np.ones(150), -np.ones(150)].astype(np.int8)
    response = respond(pulses, -0.6, dw_min=0.006, up_down=0.0, w_max=2.0, w_min=-2.0, gamma_up=-1.0, gamma_down=-1.0)
    measurement = measurement_of((pulses, response))
    fit = fit_device(measurement, SoftBoundsDevice)
    assert any("up step grows" in note and "allow_increasing" in note for note in fit.notes)
    fit = fit_device(measurement, LinearStepDevice(allow_increasing=True))
    assert fit["gamma_up"].value < 0
    assert not any("step grows" in note for note in fit.notes)
    assert fit.rms < 1e-3


def test_values_in_the_measured_unit():
    conductance = 20 + 8 * respond(PULSES, -0.3, **TRUE)
    fit = fit_device(measurement_of((PULSES, conductance), unit="µS").normalised("min-max"), SoftBoundsDevice)
    assert fit["w_max"].unit == "µS"
    assert fit["w_max"].unit_value == pytest.approx(20 + 8 * TRUE["w_max"], rel=1e-3)
    assert fit["w_min"].unit_value == pytest.approx(20 + 8 * TRUE["w_min"], rel=1e-3)
    assert math.isnan(fit["up_down"].unit_value)


def test_data_in_raw_units_is_refused_with_the_remedy():
    with pytest.raises(FitError, match=r"from .* to .* µS: .*normalise it first"):
        fit_device(load_example("tutorial-rram"), SoftBoundsDevice)
    with pytest.raises(FitError, match="unknown method"):
        fit_device(load_example("tutorial-rram").normalised(), SoftBoundsDevice, method="magic")
    with pytest.raises(FitError, match="expected a pulsed device"):
        fit_device(load_example("tutorial-rram").normalised(), int)


def test_progress_and_cancel():
    measurement = load_example("tutorial-rram").normalised()
    seen = []
    fit = fit_device(measurement, SoftBoundsDevice, progress=lambda *row: seen.append(row))
    assert seen[-1][0] <= fit.n_evaluations
    assert min(row[1] for row in seen) == pytest.approx(fit.rms, rel=1e-6)
    count = iter(range(1, 100))
    with pytest.raises(FitCancelled, match="cancelled after 30 evaluations") as caught:
        fit_device(measurement, SoftBoundsDevice, cancelled=lambda: next(count) >= 30)
    assert pickle.loads(pickle.dumps(caught.value)).best_values == caught.value.best_values
    assert pickle.loads(pickle.dumps(fit)).summary() == fit.summary()


def test_fields_that_are_not_fitted_keep_their_value():
    device = SoftBoundsReferenceDevice(subtract_symmetry_point=True, mult_noise=True, w_max_dtod=0.5)
    fit = fit_device(load_example("tutorial-rram").normalised(), device)
    assert fit.device.subtract_symmetry_point
    assert fit.device.mult_noise
    assert fit.device.w_max_dtod == 0.0
    assert device.w_max_dtod == 0.5


def test_report_texts():
    fit = fit_device(load_example("tutorial-rram").normalised(), SoftBoundsDevice)
    assert list(fit.table()["parameter"]) == [*TRUE, "w0"]
    assert "dw_min = " in fit.summary()
    assert list(fit.correlation.columns) == list(fit.correlation.index)
    assert np.all(np.abs(fit.correlation.to_numpy()) <= 1)
    np.testing.assert_allclose(fit.model[0] + fit.residuals[0], load_example("tutorial-rram").normalised().responses[0])
    with pytest.raises(KeyError, match="no parameter 'gamma'"):
        fit["gamma"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0116, 0.0003, "0.0116 ± 0.0003"),
        (0.01163, 0.00012, "0.01163 ± 0.00012"),
        (-1.234, 0.5, "-1.2 ± 0.5"),
        (1234.5, 67.0, "1230 ± 70"),
        (0.5, math.nan, "0.5"),
        (math.nan, 1.0, "not determined"),
    ],
)
def test_digits_follow_the_error(value, error, text):
    assert value_with_error(value, error) == text


# --- ranking ----------------------------------------------------------------------------------------------------------


def test_ranking_finds_the_device_that_made_the_data():
    classes = (SoftBoundsDevice, LinearStepDevice, ConstantStepDevice)
    rng = np.random.default_rng(5)
    pulses = np.r_[np.ones(300), -np.ones(300)].astype(np.int8)
    truth = {"dw_min": 0.006, "up_down": 0.1, "w_max": 1.0, "w_min": -0.9}
    made = {
        "LinearStepDevice": respond(pulses, -0.5, **truth, gamma_up=0.4, gamma_down=0.5),
        "SoftBounds": respond(pulses, -0.5, **{**truth, "dw_min": 0.015}),
    }
    for name, response in made.items():
        measurement = measurement_of((pulses, response + 0.01 * rng.standard_normal(600)))
        ranking = fit_all_devices(measurement, classes)
        errors = [row.held_out_rms for row in ranking]
        assert errors == sorted(errors)
        assert ranking.recommended.class_name.startswith(name)
        assert {row.class_name for row in ranking} == {cls.__name__ for cls in classes}
        assert ranking.best.held_out_rms == pytest.approx(0.01, rel=0.2)
        assert len(ranking.table()) == len(classes)
        assert ranking.best.class_name in ranking.verdict()


def test_a_flexible_class_does_not_decide_what_a_sample_is_worth():
    """Three classes tie; the flexible one leaves residuals that look independent, the others' last 20 samples.

    With 2,000 independent samples, its smaller residuals would outweigh sixteen more parameters.
    """

    def row(name, n_varied, correlated_samples, rms, errors):
        fit = SimpleNamespace(
            n_points=2000, correlated_samples=correlated_samples, rms=rms, n_varied=n_varied, parameters=[]
        )
        return RankingRow(name, math.sqrt(np.mean(errors)), 0.01, fit, np.asarray(errors))

    errors = np.random.default_rng(1).uniform(0.9, 1.1, 40)
    rows = [
        row("flexible", 20, 1.0, 0.095, errors),
        row("one", 4, 20.0, 0.1, errors),
        row("other", 5, 20.0, 0.1, errors),
    ]
    ordered = _in_order(rows)
    assert [found.place for found in ordered] == [1, 1, 1]
    assert ordered[0].class_name == "one"
    assert ordered[-1].class_name == "flexible"


def test_classes_with_one_equation_share_a_rank():
    measurement = load_example("tutorial-rram").normalised()
    ranking = fit_all_devices(measurement, (SoftBoundsReferenceDevice, SoftBoundsDevice))
    assert ranking.rows[0].held_out_rms == pytest.approx(ranking.rows[1].held_out_rms, rel=1e-4)
    assert any("same noise-free equation" in note for note in ranking.notes)
    assert set(FITTABLE_CLASSES) >= {SoftBoundsReferenceDevice, SoftBoundsDevice}


def test_real_two_column_record(shared_data):
    measurement = read_measurement(shared_data / "data" / "devices" / "gong_et_al.csv")
    fit = fit_device(measurement, SoftBoundsDevice)
    assert fit.rms <= 0.1913
    assert fit["w_max"].at_bound


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ((0.5, 1.25), "0.5 … 1.25"),
        ((-math.inf, 1.25), "below 1.25"),
        ((0.5, math.inf), "above 0.5"),
        ((-math.inf, math.inf), "open"),
        ((math.nan, math.nan), ""),
    ],
)
def test_intervals_in_words(limits, text):
    assert FittedParameter("w_max", 1.0, 0.2, 0.1, 2.0, 1.0, limits=limits).interval_text == text
