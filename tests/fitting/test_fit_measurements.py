"""The one-call fit: forms of parameters, shapes, weights, progress, and the values it must find."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from recurrences import respond

from tilewright.configs import (
    ConstantStepDevice,
    IdealDevice,
    LinearStepDevice,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from tilewright.fitting import FitCancelled, FitError, fit_measurements
from tilewright.measurement import read_measurement, tutorial_pulses

PARAMS = {
    "dw_min": (0.1, 0.001, 1.0),
    "up_down": (0.0, -0.99, 0.99),
    "w_max": (1.0, 0.1, 2.0),
    "w_min": (-1.0, -2.0, -0.1),
}
TRUE = {"dw_min": 0.0116, "up_down": -0.24, "w_max": 1.7, "w_min": -0.777}
PULSES = [+1] * 200 + [-1] * 200 + [+1, -1] * 100


def noise_fields(device):
    return {name: getattr(device, name) for name in type(device).model_fields if name.endswith(("dtod", "std"))}


@pytest.mark.parametrize("device_class", [SoftBoundsDevice, SoftBoundsReferenceDevice])
def test_notebook_call_recovers_the_parameters(device_class):
    response = respond(PULSES, -0.3, **TRUE)
    original = device_class()
    result, device, model = fit_measurements(PARAMS, PULSES, response, original)
    assert isinstance(result, lmfit.minimizer.MinimizerResult)
    for name, value in TRUE.items():
        assert getattr(device, name) == pytest.approx(value, rel=1e-3)
        assert result.params[name].value == getattr(device, name)
    assert model.shape == response.shape
    np.testing.assert_allclose(model, response, atol=2e-4)
    assert set(noise_fields(device).values()) == {0.0}
    assert original == device_class()


def test_configuration_in_configuration_out():
    config = SingleRPUConfig(device=SoftBoundsDevice())
    config.mapping.max_input_size = 77
    _, fitted, _ = fit_measurements(PARAMS, PULSES, respond(PULSES, -0.3, **TRUE), config)
    assert isinstance(fitted, SingleRPUConfig)
    assert fitted.mapping.max_input_size == 77
    assert fitted.device.dw_min == pytest.approx(TRUE["dw_min"], rel=1e-3)
    assert config.device == SoftBoundsDevice()


def test_tuples_of_records_and_arrays_of_devices():
    up, down = [1] * 300, [-1] * 300
    a, b = respond(up, -0.7, **TRUE), respond(down, 1.2, **TRUE)
    _, device, models = fit_measurements(PARAMS, (up, down), (a, b), SoftBoundsDevice())
    assert device.w_min == pytest.approx(TRUE["w_min"], rel=1e-3)
    assert isinstance(models, list)
    assert [m.shape for m in models] == [(300,), (300,)]
    both = np.stack([respond(PULSES, -0.3, **TRUE), respond(PULSES, 0.1, **TRUE)], axis=1)
    _, device, model = fit_measurements(PARAMS, PULSES, both, SoftBoundsDevice())
    assert model.shape == (600, 2)
    assert device.dw_min == pytest.approx(TRUE["dw_min"], rel=1e-3)
    np.testing.assert_allclose(model, both, atol=2e-4)


def test_every_record_starts_at_its_first_sample():
    response = respond(PULSES, -0.3, **TRUE)
    response[0] = 0.123
    _, _, model = fit_measurements(
        {"dw_min": (0.01, 0.001, 0.1)}, PULSES, response, SoftBoundsDevice(w_max=1.0, w_min=-1.0)
    )
    assert model[0] == 0.123
    response[0] = 5.0  # outside: clipped to the bound
    _, _, model = fit_measurements(
        {"dw_min": (0.01, 0.001, 0.1)}, PULSES, response, SoftBoundsDevice(w_max=1.0, w_min=-1.0)
    )
    assert model[0] == 1.0


def test_forms_of_parameters():
    response = respond(PULSES, -0.3, dw_min=0.0116, up_down=-0.24, w_max=0.9, w_min=-0.9)
    fixed = {"dw_min": (0.02, 0.001, 1.0), "up_down": -0.24, "w_max": 0.9, "w_min": -0.9}
    result, device, _ = fit_measurements(fixed, PULSES, response, SoftBoundsDevice())
    assert device.dw_min == pytest.approx(0.0116, rel=1e-3)
    assert not result.params["w_max"].vary
    tied = {"dw_min": (0.02, 0.001, 1.0), "up_down": (0.0, -0.9, 0.9), "w_min": {"expr": "-w_max"},
            "w_max": {"value": 0.5, "min": 0.1, "max": 2.0}}  # fmt: skip
    _, device, _ = fit_measurements(tied, PULSES, response, SoftBoundsDevice())
    assert device.w_min == -device.w_max
    assert device.w_max == pytest.approx(0.9, rel=1e-3)
    given = lmfit.Parameters()
    given.add("dw_min", value=0.02, min=0.001, max=1.0)
    for name in ("up_down", "w_max", "w_min"):
        given.add(name, value=fixed[name], vary=False)
    _, device, _ = fit_measurements(given, PULSES, response, SoftBoundsDevice(), method="least_squares")
    assert device.dw_min == pytest.approx(0.0116, rel=1e-3)
    assert given["dw_min"].value == 0.02
    shifted, point = dict(fixed), (0.0116 * 0.76 - 0.0116) / (0.0116 * 0.76 / 0.9 + 0.0116 / 0.9)
    shifted["subtract_symmetry_point"] = True
    _, device, _ = fit_measurements(shifted, PULSES, response - point, SoftBoundsReferenceDevice())
    assert device.subtract_symmetry_point
    assert device.dw_min == pytest.approx(0.0116, rel=1e-3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dwmin": (0.1, 0.001, 1.0)}, "cannot find parameter.*did you mean 'dw_min'"),
        ({"dw_min": (0.1, 0.001)}, r"dw_min: expected \(init, min, max\)"),
        ({"dw_min": (2.0, 0.001, 1.0)}, "initial value 2.0 lies outside"),
        ({"dw_min": (0.1, 1.0, 0.5)}, "minimum 1.0 must be below"),
        ({"dw_min": object()}, "expected"),
        ({"dw_min": {"valeu": 1}}, "unknown keys 'valeu'"),
        ({"dw_min": 0.1}, "no parameter is varied"),
        ([("dw_min", 1)], "must be a dictionary"),
        ({"dw_min": (0.1, 0.001, 1.0), "w_max": (-1.0, -2.0, 1.0)}, "device refuses.*narrow the range of w_max"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(FitError, match=message):
        fit_measurements(params, PULSES, respond(PULSES, -0.3, **TRUE), SoftBoundsDevice())


@pytest.mark.parametrize(
    ("pulses", "response", "options", "message"),
    [
        (([1] * 9,), np.zeros(9), {}, "both be tuples"),
        ([1] * 9, np.zeros(8), {}, "as many pulses as samples"),
        (([1] * 9,), (np.zeros(9), np.zeros(9)), {}, "1 pulse arrays for 2 responses"),
        ([1.5] * 9, np.zeros(9), {}, "whole numbers"),
        ([3] * 9, np.zeros(9), {}, "max_pulses allows 1"),
        ([1] * 9, np.full(9, np.nan), {}, "not finite"),
        ([1] * 9, np.zeros(9), {"method": "magic"}, "unknown method 'magic'"),
        ([1] * 9, np.zeros(9), {"fit_weights": np.ones(4)}, "fit weights of shape"),
        ([1] * 9, np.zeros(9), {"n_traces": 0}, "n_traces must be at least 1"),
    ],
)
def test_bad_data_is_named(pulses, response, options, message):
    with pytest.raises(FitError, match=message):
        fit_measurements(PARAMS, pulses, response, SoftBoundsDevice(), **options)


def test_what_is_not_a_pulsed_device_is_named():
    with pytest.raises(FitError, match="expected a pulsed device"):
        fit_measurements(PARAMS, PULSES, np.zeros(600), IdealDevice())


def test_pulse_counts():
    counts = np.array([3] * 60 + [-2] * 90)
    singles = np.concatenate([np.full(abs(c), np.sign(c)) for c in counts])
    response = respond(singles, -0.3, **TRUE)[np.concatenate([[0], np.cumsum(np.abs(counts))[:-1]])]
    _, device, _ = fit_measurements(PARAMS, counts, response, SoftBoundsDevice(), max_pulses=3)
    assert device.dw_min == pytest.approx(TRUE["dw_min"], rel=1e-3)


def test_weights_choose_what_is_fitted():
    a = respond(PULSES, -0.3, dw_min=0.01, up_down=0.0, w_max=1.0, w_min=-1.0)
    b = respond(PULSES, -0.3, dw_min=0.03, up_down=0.0, w_max=1.0, w_min=-1.0)
    device = SoftBoundsDevice(w_max=1.0, w_min=-1.0)
    only = {"dw_min": (0.02, 0.001, 0.1)}
    _, fitted, _ = fit_measurements(only, PULSES, np.stack([a, b], axis=1), device, fit_weights=[0.0, 1.0])
    assert fitted.dw_min == pytest.approx(0.03, rel=1e-3)
    _, fitted, _ = fit_measurements(only, (PULSES, PULSES), (a, b), device, fit_weights=(1.0, 0.0))
    assert fitted.dw_min == pytest.approx(0.01, rel=1e-3)


def test_noise_can_stay_on_and_is_repeatable():
    device = SoftBoundsDevice(w_max=1.0, w_min=-1.0, dw_min_std=0.5, dw_min_dtod=0.1, construction_seed=3)
    response = respond(PULSES, -0.3, dw_min=0.01, up_down=0.0, w_max=1.0, w_min=-1.0)
    call = [
        fit_measurements(
            {"dw_min": (0.02, 0.005, 0.05)}, PULSES, response, device, suppress_device_noise=False, n_traces=20
        )
        for _ in range(2)
    ]
    assert call[0][1].dw_min_std == 0.5
    assert call[0][1] == call[1][1]
    assert call[0][1].dw_min == pytest.approx(0.01, rel=0.2)
    assert not np.allclose(call[0][2], respond(PULSES, -0.3, call[0][1].dw_min, 0.0, 1.0, -1.0), atol=1e-6)


def test_progress_cancel_and_verbose(capsys):
    seen = []
    response = respond(PULSES, -0.3, **TRUE)
    result, _, _ = fit_measurements(
        PARAMS, PULSES, response, SoftBoundsDevice(), progress=lambda *row: seen.append(row), verbose=True
    )
    counts, errors, values = zip(*seen, strict=True)
    assert list(counts) == sorted(counts)
    assert list(errors) == sorted(errors, reverse=True)
    assert set(values[-1]) == set(PARAMS)
    assert len(capsys.readouterr().out.splitlines()) >= result.nfev
    with pytest.raises(FitCancelled) as caught:
        fit_measurements(PARAMS, PULSES, response, SoftBoundsDevice(), cancelled=lambda: len(seen) > 0)
    assert caught.value.evaluations == 1


@pytest.mark.parametrize(
    ("device_class", "gammas"), [(LinearStepDevice, {"gamma_up": 0.3, "gamma_down": 0.6}), (ConstantStepDevice, {})]
)
def test_other_step_models(device_class, gammas):
    pulses = [1] * 400 + [-1] * 500
    truth = {"dw_min": 0.006, "up_down": 0.1, "w_max": 1.0, "w_min": -0.9}
    response = respond(pulses, -0.5, **truth, **(gammas or {"gamma_up": 0.0, "gamma_down": 0.0}))
    ranges = {
        "dw_min": (0.01, 0.001, 0.1),
        "up_down": (0.0, -0.9, 0.9),
        "w_max": (1.1, 0.5, 2),
        "w_min": (-1.1, -2, -0.5),
    }
    ranges |= dict.fromkeys(gammas, (0.5, 0.0, 1.5))
    _, device, model = fit_measurements(ranges, pulses, response, device_class())
    np.testing.assert_allclose(model, response, atol=2e-3)
    for name, value in {**truth, **gammas}.items():
        assert getattr(device, name) == pytest.approx(value, rel=0.01)


def test_real_two_column_record(shared_data):
    measurement = read_measurement(shared_data / "data" / "devices" / "gong_et_al.csv")
    _, _, models = fit_measurements(PARAMS, measurement.pulses, measurement.responses, SoftBoundsReferenceDevice())
    rest = np.concatenate([m - r for m, r in zip(models, measurement.responses, strict=True)])
    assert np.sqrt(np.mean(rest**2)) < 0.19135


def test_tutorial_pulses_are_the_written_list():
    assert tutorial_pulses().tolist() == PULSES
