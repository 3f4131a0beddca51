"""What goes beyond one fit: profiles, bootstrap, chains, the second pass, many devices, the verdict and the report."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from recurrences import measurement_of
from truths import SOFT, TRUTHS, TUTORIAL, fitted_to, noise_free, noisy

from tilewright.configs import ConstantStepDevice, SoftBoundsDevice, SoftBoundsPmaxDevice, SoftBoundsReferenceDevice
from tilewright.devices import trace_pulses
from tilewright.figures.report import extraction_report
from tilewright.fitting import (
    FitCancelled,
    FitError,
    bootstrap,
    device_verdict,
    estimate_noise,
    fit_all_devices,
    fit_device,
    fit_population,
    fit_with_noise,
    markov_chain,
    population_noise,
    profile_likelihood,
    typical_fit,
    with_profiles,
)
from tilewright.fitting.draws import drawn_responses
from tilewright.fitting.intervals import reached_bounds
from tilewright.fitting.problem import problem_of
from tilewright.fitting.residual_noise import RecordShape, ResidualNoise
from tilewright.fitting.search import downhill, values_of
from tilewright.fitting.verdict import LABELS, NOT_JUDGED
from tilewright.measurement import AffineMap, Measurement, Record
from tilewright.runs.recommended import recommended_names

NAME = "SoftBoundsDevice"


@pytest.fixture(scope="module")
def fitted():
    measurement = noisy(NAME, 3, step=0.5, write=2.0)
    return measurement, fitted_to(NAME, measurement)


def test_profiles_agree_with_errors_where_the_model_is_nearly_linear(fitted):
    measurement, fit = fitted
    profiles = {profile.name: profile for profile in profile_likelihood(measurement, fit)}
    assert set(profiles) == {*SOFT, "w0"}
    for name in ("dw_min", "w_min"):
        low, high = profiles[name].interval
        assert (high - low) / (2 * 1.96 * fit[name].stderr) == pytest.approx(1.0, abs=0.4)
        assert low < fit[name].value < high
        assert profiles[name].drop.min() == 0.0
    with pytest.raises(FitError, match="nothing to profile"):
        profile_likelihood(measurement, fit, names=[])


@pytest.mark.parametrize("seed", [7, 8, 22])
def test_profiles_reach_further_where_noise_grows_with_the_parameter(seed):
    """Records in which the estimate of a bound lies inside the truth by more than 1.96 of its errors.

    The walk of the steps is damped less the further out the bound is, so the error there is larger than at the
    estimate; the profile, which counts it as it would be there, holds the truth.
    """
    measurement = noisy("PowStepDevice", seed, step=1.0, write=2.0)
    fit = fitted_to("PowStepDevice", measurement)
    bound, true = fit["w_min"], TRUTHS["PowStepDevice"][0].w_min
    assert bound.value - 1.96 * bound.stderr > true
    found, profiles = with_profiles(measurement, fit)
    low, high = found["w_min"].interval
    assert low < true < bound.value < high
    assert {profile.name for profile in profiles} >= {"w_min", "w_max", "dw_min"}


def test_bootstrap_and_chain_agree_with_errors(fitted):
    """Standard deviations of 60 draws and of a short chain, within a factor of two of the stated error."""
    measurement, fit = fitted
    for draws in (bootstrap(measurement, fit, repeats=60), markov_chain(measurement, fit, steps=150)):
        for name in ("dw_min", "w_min"):
            assert 0.5 < float(draws.table[name].std()) / fit[name].stderr < 2.0
            low, high = draws.fit[name].interval
            assert low < draws.fit[name].value < high


def test_more_work_can_be_cancelled(fitted):
    measurement, fit = fitted
    for work in (profile_likelihood, bootstrap, markov_chain):
        with pytest.raises(FitCancelled):
            work(measurement, fit, cancelled=lambda: True)


def test_the_second_pass_moves_hard_bounds_outward():
    measurement = noisy("LinearStepDevice", 1, step=5.0, write=2.0)
    fit = fitted_to("LinearStepDevice", measurement, method="least_squares")
    corrected = fit_with_noise(measurement, fit, estimate_noise(measurement, fit))
    assert corrected["w_max"].value > fit["w_max"].value
    assert corrected.notes[0].startswith("Second pass")


@pytest.mark.slow
def test_the_second_pass_takes_the_pull_off_hard_bounds():
    """Mean error of the upper bound over four measurements of four ramps each: the pull of -0.06 shrinks to a third."""
    true = TRUTHS["LinearStepDevice"][0].w_max
    first, second = [], []
    for seed in range(1, 5):
        measurement = noisy("LinearStepDevice", seed, step=5.0, write=2.0, repeats=4)
        fit = fitted_to("LinearStepDevice", measurement)
        corrected = fit_with_noise(measurement, fit, estimate_noise(measurement, fit))
        first.append(fit["w_max"].value - true)
        second.append(corrected["w_max"].value - true)
    assert np.mean(first) < -0.04
    assert abs(np.mean(second)) < 0.6 * abs(np.mean(first))


def test_the_second_pass_leaves_bounds_that_little_noise_hardly_pulls():
    measurement = noisy("ConstantStepDevice", 1, step=1.0, read=0.02)
    fit = fitted_to("ConstantStepDevice", measurement)
    same = fit_with_noise(measurement, fit, estimate_noise(measurement, fit))
    assert same["w_min"].value == fit["w_min"].value
    assert "nothing was moved" in same.notes[0]


def test_what_comes_after_a_second_pass_knows_of_the_noise():
    """The response without the mean effect of noise is what intervals, bootstrap and chain fit, not the raw one."""
    measurement = noisy("LinearStepDevice", 1, step=5.0, write=2.0)
    fit = fitted_to("LinearStepDevice", measurement, method="least_squares")
    corrected = fit_with_noise(measurement, fit, estimate_noise(measurement, fit))
    objective, parameters = problem_of(measurement, corrected)
    best, _ = downhill(objective, parameters)
    found = values_of(best)["w_max"]
    assert found == pytest.approx(corrected["w_max"].value, abs=0.2 * corrected["w_max"].stderr)
    np.testing.assert_allclose(corrected.model[0], measurement.records[0].response - corrected.residuals[0], atol=1e-9)


@pytest.mark.parametrize(("name", "seed"), [("ConstantStepDevice", 16), ("LinearStepDevice", 50)])
def test_hard_bounds_that_the_response_meets_late_are_within_their_intervals(name, seed):
    """Records whose trace meets the lower bound late, which moves the estimate by more than 1.96 of its errors."""
    noise = {"write": 2.0} if name == "LinearStepDevice" else {"read": 0.02}
    measurement = noisy(name, seed, step=1.0, **noise)
    fit = fitted_to(name, measurement)
    true = TRUTHS[name][0].w_min
    assert "w_min" in reached_bounds(fit)
    assert fit["w_min"].value - 1.96 * fit["w_min"].stderr > true
    found, profiles = with_profiles(measurement, fit)
    low, high = found["w_min"].interval
    assert low < true < high
    assert "w_min" not in {profile.name for profile in profiles}


def test_responses_drawn_from_a_fit_stay_within_its_bounds_and_have_its_noise():
    """White noise of 2000 draws: its standard deviation within 2 %, five standard errors of it at any sample."""
    measurement = noisy("ConstantStepDevice", 1, step=1.0, read=0.02)
    fit = fitted_to("ConstantStepDevice", measurement)
    (drawn,) = drawn_responses(measurement.records, replace(fit, noise=replace(fit.noise, white=0.0)), 50, 3)
    assert fit.device.w_min - 1e-6 <= drawn.min() <= drawn.max() <= fit.device.w_max + 1e-6
    quiet = replace(fit, noise=replace(fit.noise, step=0.0, slow=0.05, time=10.0))
    (drawn,) = drawn_responses(measurement.records, quiet, 2000, 3)
    away = drawn - drawn.mean(axis=1, keepdims=True)
    expected = np.hypot(fit.noise.white, 0.05)
    assert np.abs(away.std(axis=1) / expected - 1).max() < 0.1
    assert np.mean(away[100] * away[110]) == pytest.approx(0.05**2 / np.e, rel=0.3)


def test_spread_over_devices_goes_into_the_fields():
    """24 devices; tolerances are four standard errors of a spread estimated from so many (15 % of it)."""
    device = SoftBoundsDevice(
        **SOFT, dw_min_dtod=0.3, up_down_dtod=0.05, w_max_dtod=0.0, w_min_dtod=0.15, dw_min_std=0.2,
        write_noise_std=0.5, construction_seed=5,
    )  # fmt: skip
    traces = trace_pulses(device, TUTORIAL, n_traces=24, seed=2, w0=-0.3)[:-1].astype(float)
    records = tuple(Record(TUTORIAL, trace, device=f"d{k}") for k, trace in enumerate(traces.T))
    array = Measurement("array", "", records)
    found = fit_population(array, SoftBoundsDevice)
    assert found.device.dw_min_dtod == pytest.approx(0.3, rel=0.6)
    assert found.device.w_min_dtod == pytest.approx(0.15, rel=0.6)
    assert found.device.up_down_dtod == pytest.approx(0.05, abs=0.04)
    assert {"parameter", "spread", "distribution"} <= set(found.table().columns)
    typical = typical_fit(array, found)
    assert typical["w_min"].value == np.mean([fit["w_min"].value for fit in found.fits.values()])
    assert typical["w_min"].stderr == pytest.approx(0.15 * 0.777 / math.sqrt(24), rel=0.6)
    assert [item.name for item in typical.parameters] == list(SOFT)
    assert len(typical.model) == len(found.fits)
    noise = population_noise(array, found)
    assert "from one device" not in " ".join(noise.explanation)
    assert noise.dw_min_std == pytest.approx(0.2, abs=0.1)
    assert noise.write_noise_std == pytest.approx(0.5, rel=0.2)
    with pytest.raises(FitError, match="at least two devices"):
        fit_population(Measurement("one", "", records[:1]), SoftBoundsDevice)


def test_step_noise_does_not_collapse_on_any_seed():
    """Step noise of 3: an earlier estimate fell to 0.1 on single seeds. Three seeds, mean 3.1 with a spread of 0.4."""
    pulses = np.array([1] * 200 + [-1] * 200 + [1, -1] * 1000, dtype=np.int8)
    quiet = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
    device = SoftBoundsDevice(
        dw_min=0.0116, up_down=-0.24, w_max=2.0, w_min=-0.777, **quiet, dw_min_std=3.0, write_noise_std=1.0
    )
    for seed in range(1, 4):
        measurement = measurement_of((pulses, trace_pulses(device, pulses, seed=seed, w0=-0.3)[:-1, 0]))
        found = estimate_noise(measurement, fit_device(measurement, device))
        assert found.dw_min_std > 1.0


def test_weights_and_missing_samples_leave_samples_out():
    measurement = noise_free(NAME)
    (record,) = measurement.records
    bent = record.response.copy()
    bent[100:150] += 0.5
    keep = np.ones(len(bent))
    keep[100:150] = 0.0
    spoiled = dataclasses.replace(measurement, records=(dataclasses.replace(record, response=bent),))
    fit = fit_device(spoiled, SoftBoundsDevice, weights=[keep])
    assert fit["dw_min"].value == pytest.approx(SOFT["dw_min"], rel=1e-3)
    missing = dataclasses.replace(record, response=bent, missing=np.arange(100, 150))
    fit = fit_device(dataclasses.replace(measurement, records=(missing,)), SoftBoundsDevice)
    assert fit["dw_min"].value == pytest.approx(SOFT["dw_min"], rel=1e-3)
    assert fit.n_points == 550
    with pytest.raises(FitError, match="2 weights for 1 records"):
        fit_device(measurement, SoftBoundsDevice, weights=[1.0, 1.0])


def test_missing_samples_say_nothing_about_errors_and_noise():
    """A tenth of the samples spoiled and marked missing: noise and errors stay those of the whole record, near enough.

    Unmarked, the same samples raise the white noise tenfold.
    """
    measurement = noisy(NAME, 3, step=1.0, write=2.0)
    (record,) = measurement.records
    whole = fit_device(measurement, SoftBoundsDevice)
    gone = np.sort(np.random.default_rng(1).choice(len(record), 60, replace=False))
    spoiled = record.response.copy()
    spoiled[gone] += 0.5
    marked = dataclasses.replace(measurement, records=(dataclasses.replace(record, response=spoiled, missing=gone),))
    fit = fit_device(marked, SoftBoundsDevice)
    for name in SOFT:
        assert fit[name].stderr == pytest.approx(whole[name].stderr, rel=0.35)
        assert fit[name].value == pytest.approx(whole[name].value, abs=2 * whole[name].stderr)
    noise, full = estimate_noise(marked, fit), estimate_noise(measurement, whole)
    assert noise.white == pytest.approx(full.white, rel=0.15)
    assert noise.dw_min_std == pytest.approx(full.dw_min_std, rel=0.5)
    plain = dataclasses.replace(measurement, records=(dataclasses.replace(record, response=spoiled),))
    assert estimate_noise(plain, fit_device(plain, SoftBoundsDevice)).white > 3 * full.white


def test_pulses_between_kept_samples_add_up():
    """Covariance of kept samples from the joined shape, against that of all samples with the others struck out."""
    rng = np.random.default_rng(2)
    shape = RecordShape(rng.uniform(0.9, 1.0, 30), rng.uniform(0.5, 1.5, 30))
    kept = np.ones(30, dtype=bool)
    kept[[4, 9, 10, 11, 25]] = False
    noise = ResidualNoise(0.3, 0.7, 0.0, float("nan"))
    everything = noise.covariance_of(shape, np.eye(30))[np.ix_(kept, kept)]
    assert noise.covariance_of(shape.at(kept), np.eye(int(kept.sum()))) == pytest.approx(everything, rel=1e-12)


def test_all_models_are_fitted_and_judged_by_the_weights():
    measurement = noise_free(NAME)
    (record,) = measurement.records
    bent = record.response.copy()
    bent[100:150] += 0.5
    keep = np.ones(len(bent))
    keep[100:150] = 0.0
    spoiled = dataclasses.replace(measurement, records=(dataclasses.replace(record, response=bent),))
    ranking = fit_all_devices(spoiled, [SoftBoundsDevice], weights=[keep])
    assert ranking.best.held_out_rms < 1e-3
    assert ranking.best.fit["dw_min"].value == pytest.approx(SOFT["dw_min"], rel=1e-3)
    missing = dataclasses.replace(record, response=bent, missing=np.arange(100, 150))
    ranking = fit_all_devices(dataclasses.replace(measurement, records=(missing,)), [SoftBoundsDevice])
    assert ranking.best.held_out_rms < 1e-3


def test_parameters_in_the_unit_of_the_measurement():
    """Levels are shifted and scaled by the kept map, steps are scaled only."""
    affine = AffineMap(offset=20.0, scale=-4.0, unit="µS")
    fit = fit_device(dataclasses.replace(noise_free(NAME), affine=affine), SoftBoundsDevice)
    assert fit["dw_min"].unit_value == pytest.approx(-4 * SOFT["dw_min"], rel=1e-3)
    assert fit["w_max"].unit_value == pytest.approx(20 - 4 * SOFT["w_max"], rel=1e-3)
    assert fit["w_min"].measured_text.endswith("µS")


def test_what_the_verdict_does_not_judge_is_named():
    judged = {"fp", *LABELS}
    assert len(NOT_JUDGED) == len([name for name in recommended_names() if name not in judged])
    sentence = device_verdict(SoftBoundsDevice()).not_judged
    assert all(label in sentence for label in NOT_JUDGED)


def test_the_verdict_follows_the_physics():
    steady = {"dw_min_std": 0.3, "w_max_dtod": 0.1, "w_min_dtod": 0.1, "dw_min_dtod": 0.1}
    symmetric = ConstantStepDevice(dw_min=0.001, w_max=1.0, w_min=-1.0, **steady)
    shifted = SoftBoundsDevice(dw_min=0.004, up_down=0.4, w_max=1.0, w_min=-1.0, **steady)
    centred = SoftBoundsReferenceDevice(
        dw_min=0.004, up_down=0.4, w_max=1.0, w_min=-1.0, subtract_symmetry_point=True, **steady
    )
    fine, off, on = (device_verdict(device) for device in (symmetric, shifted, centred))
    errors = [{item.algorithm: item.error for item in verdict.advice} for verdict in (fine, off, on)]
    assert errors[0]["sgd"] < errors[1]["sgd"]  # asymmetry hurts SGD
    assert off.symmetry_point > 0.2
    assert abs(on.symmetry_point) < 0.01
    assert errors[2]["ttv2"] < errors[1]["ttv2"]  # so does an offset the reads of TTv2
    assert errors[1]["agad"] < min(errors[1]["ttv2"], errors[1]["c-ttv2"])  # AGAD measures where its array rests
    for item in off.advice:
        assert sum(item.parts.values()) == pytest.approx(item.error)
        assert list(item.parts.values()) == sorted(item.parts.values(), reverse=True)
    # The number that the Device page shows, not that of the drawn ones, which stop where their bounds lie.
    assert [v.states for v in (fine, off, on)] == [d.number_of_states for d in (symmetric, shifted, centred)]
    assert device_verdict(shifted, doubts=("Something.",)).confidence < off.confidence
    assert off.sentence().count("Start with") == 1


@pytest.mark.parametrize(
    "device",
    [
        ConstantStepDevice(corrupt_devices_prob=1.0),
        SoftBoundsReferenceDevice(w_max_dtod=1.0, w_min_dtod=1.0, dw_min_dtod=1.0, reference_std=1.0),
        ConstantStepDevice(w_max=1e-3, w_min=-1e-3, dw_min=1e-4),
        SoftBoundsDevice(w_max=1.0, w_min=0.0),
    ],
    ids=["stuck", "all apart", "narrow", "one-sided"],
)
def test_odd_devices_get_a_verdict_too(device):
    verdict = device_verdict(device)
    assert all(0 < item.error <= 0.9 for item in verdict.advice)
    assert 0.5 <= verdict.confidence <= 1
    assert not {"nan", "inf"} & set(verdict.sentence().split())
    assert (device.corrupt_devices_prob == 1.0) == ("takes no steps" in verdict.sentence())


def test_the_report_stands_alone(fitted):
    measurement, fit = fitted
    named = dataclasses.replace(measurement, name="<b>mine</b>")
    noise = estimate_noise(measurement, fit)
    text = extraction_report(named, fit, noise.apply(fit.device), device_verdict(noise.apply(fit.device)), noise)
    assert text.startswith("<!DOCTYPE html>")
    assert "<b>mine" not in text
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://", text)
    assert text.count("<svg") == 3
    assert fit["dw_min"].text in text
    assert "-0.00" not in text
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower()) or not math.isfinite(noise.correlation_pulses)


def test_a_spread_that_the_class_cannot_hold_is_said_with_a_remedy():
    traces = [trace_pulses(SoftBoundsDevice(**(SOFT | {"w_max": top, "dw_min_std": 0.2})), TUTORIAL, w0=-0.3)[:-1, 0]
              for top in (1.0, 1.3, 1.6)]  # fmt: skip
    array = Measurement("three", "", tuple(Record(TUTORIAL, t, device=f"d{k}") for k, t in enumerate(traces)))
    found = fit_population(array, SoftBoundsPmaxDevice)
    assert [spread.name for spread in found.spreads if spread.lost] == ["alpha", "range_min", "range_max"]
    (note,) = (note for note in found.notes if note.startswith("range_max"))
    assert "SoftBoundsDevice" in note


@pytest.mark.parametrize(("step", "write", "shown"), [(0.0, 2.0, False), (5.0, 0.5, True)])
def test_wider_errors_are_explained_without_numbers_that_contradict(step, write, shown):
    """A correlation of residuals is named where it is one; errors allow for what residuals hide too."""
    notes = fitted_to(NAME, noisy(NAME, 4, step=step, write=write)).notes
    (note,) = (note for note in notes if note.startswith("Standard errors"))
    assert "allow for noise that stays in the device" in note
    named = [float(value) for value in re.findall(r"correlation of ([-+.\d]+\d)", note)]
    assert bool(named) is shown
    assert all(value > 0.1 for value in named)
