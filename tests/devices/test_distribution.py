"""Analysis of drawn devices: against the kernel's own pulses, the oracle's formulas and the traces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from devices.recipes import FAMILIES, without_noise

from tilewright import configs, kernels
from tilewright.devices import (
    asymmetry,
    device_distribution,
    noise_to_signal,
    number_of_states,
    signal_to_noise,
    symmetry_point,
    trace_pulses,
)
from tilewright.devices.analysis import crossing
from tilewright.devices.array import DeviceArray
from tilewright.devices.distribution import drawn_arrays, quantile_bands
from tilewright.devices.tracing import trace_draw_seed
from tilewright.parameters import Parameters
from tilewright.presets import DEVICE_PRESETS

MODELS = [
    cls
    for cls in Parameters._registry.values()
    if issubclass(cls, configs.PulsedDevice) and not cls._abstract and cls.__module__.startswith("tilewright.devices")
]


def quiet(device):
    """The same devices without cycle and write noise."""
    silent = {name: 0.0 for name in ("dw_min_std", "write_noise_std") if name in type(device).model_fields}
    return device.model_copy(update=silent)


def every_model():
    """Every concrete model, also those with lists, and every preset."""
    uneven = {"piecewise_up": [1.8, 1.2, 0.4, 0.1], "piecewise_down": [0.2, 0.9, 1.4, 1.6]}
    formulas = {"formula_up": "1 - 0.5 * w / w_max", "formula_down": "1 + 0.9 * (w / w_max) ^ 2"}
    plain = [cls() for cls in MODELS]
    shaped = [configs.PiecewiseStepDevice(**uneven), configs.TableStepDevice(**formulas)]
    return [*plain, *shaped, *(cls() for cls in DEVICE_PRESETS.values())]


@pytest.mark.parametrize("device", every_model(), ids=lambda d: type(d).__name__)
def test_drawn_steps_are_what_the_kernel_does(device):
    """One noise-free pulse of the kernel moves each drawn device by the step the analysis states."""
    n = 500
    device = quiet(device)
    drawn = drawn_arrays(device, n)
    for share in (0.1, 0.5, 0.8):
        raw = drawn["min_bound"] + share * (drawn["max_bound"] - drawn["min_bound"])
        for pulse, steps in zip((1, -1), device.drawn_steps(drawn, raw), strict=True):
            array = DeviceArray(device, (1, n), trace_draw_seed(device, 0), 0)
            visible = torch.zeros(1, n)
            array.set_weights(visible, torch.from_numpy(raw - drawn["reference"]).float()[None])
            trace = kernels.pulse_trace(array.model, array.crosspoints(visible), np.array([pulse], np.int8), 0)
            expected = np.clip(raw + pulse * steps, drawn["min_bound"], drawn["max_bound"]) - raw
            np.testing.assert_allclose(trace[1] - trace[0], expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("cls", FAMILIES)
def test_without_spread_every_device_is_the_nominal_one(cls):
    device = without_noise(cls, up_down=0.2, w_max=0.9, w_min=-0.5).model_copy(update={"dw_min_std": 0.4})
    found = device_distribution(device, 3)
    for values, nominal in (
        (found.symmetry_points, symmetry_point(device)),
        (found.states, number_of_states(device)),
        (found.asymmetry, asymmetry(device)),
        (found.snr, signal_to_noise(device)),
        (found.noise_to_signal, noise_to_signal(device)),
    ):
        np.testing.assert_allclose(values, np.full(3, nominal), rtol=1e-5, atol=1e-6)


def test_symmetry_points_of_soft_bounds_have_their_closed_form():
    device = configs.SoftBoundsDevice(up_down=0.1, w_max_dtod=0.2, w_min_dtod=0.2)
    drawn = drawn_arrays(device, 2000, seed=3)
    up, down, high, low = (drawn[name] for name in ("up", "down", "max_bound", "min_bound"))
    expected = (up - down) / (up / high - down / low)
    found = device_distribution(device, 2000, seed=3).symmetry_points
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_alternating_pulses_settle_each_device_at_its_own_symmetry_point():
    device = quiet(configs.SoftBoundsReferenceDevice(dw_min=0.01, up_down=0.2, reference_std=0.1))
    points = device_distribution(device, 200, seed=5).symmetry_points
    settled = trace_pulses(device, [1, -1] * 2000, n_traces=200, seed=5)[-2:].mean(axis=0)
    np.testing.assert_allclose(settled, points, atol=0.01)


def test_a_distribution_shows_the_devices_of_the_traces():
    """The first devices are the same for any number of them, and their windows hold their traces."""
    device = quiet(configs.LinearStepDevice(dw_min=0.05))
    few, many = device_distribution(device, 10, seed=2), device_distribution(device, 3000, seed=2)
    np.testing.assert_array_equal(few.low, many.low[:10])
    traces = trace_pulses(device, [1] * 200 + [-1] * 400, n_traces=10, seed=2)
    np.testing.assert_allclose(traces.max(axis=0), few.high, atol=1e-6)
    np.testing.assert_allclose(traces.min(axis=0), few.low, atol=1e-6)


def test_noise_of_a_read_after_a_pulse_is_measured():
    """Sampled against computed noise of one pulse at weight 0: 200,000 reads, 7 standard errors (one case in 10^11)."""
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01).model_copy(
        update={"dw_min_std": 2.0, "write_noise_std": 3.0, "apply_write_noise_on_set": False}
    )
    n = 200_000
    moved = np.diff(trace_pulses(device, [1], n_traces=n, w0=0.0), axis=0)[0]
    ratio = moved.mean() / moved.std()
    wanted = signal_to_noise(device)
    assert wanted == pytest.approx(1 / math.sqrt(13))
    assert ratio == pytest.approx(wanted, abs=7 / math.sqrt(n))


def test_stuck_devices_have_neither_states_nor_a_symmetry_point():
    device = configs.SoftBoundsDevice(corrupt_devices_prob=1.0)
    found = device_distribution(device, 20)
    assert np.isnan(found.symmetry_points).all()
    assert np.isnan(found.states).all()
    assert np.isnan(found.quantiles("states")).all()
    assert np.isnan(found.bands(found.up)).all()


def test_f_and_g_are_half_the_sum_and_half_the_difference():
    found = device_distribution(configs.LinearStepDevice(), 50)
    np.testing.assert_allclose(found.symmetric_part + found.asymmetric_part, found.down)
    np.testing.assert_allclose(found.symmetric_part - found.asymmetric_part, found.up)


def test_bands_are_quantiles_over_the_devices_that_have_a_value():
    curve = np.random.default_rng(0).normal(size=(5, 101))
    curve[1, :30], curve[2, :60] = np.nan, np.nan
    bands = quantile_bands(curve, (0.1, 0.5, 0.9))
    for row in (0, 1, 3):
        np.testing.assert_allclose(bands[:, row], np.nanquantile(curve[row], (0.1, 0.5, 0.9)))
    assert np.isnan(bands[:, 2]).all()


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (lambda w: 0.3 - w, 0.3),
        (lambda w: w - 0.3, 0.3),  # crosses the other way: unstable, but the only one
        (lambda w: (w + 0.5) * (0.31 - w), 0.31),  # the one at -0.5 repels
        (lambda w: w + 2, math.nan),
        (lambda w: 0 * w, math.nan),
        (lambda w: 1 - w, math.nan),  # equal at the bound alone
    ],
)
def test_crossings(difference, expected):
    found = crossing(difference, np.array([-1.0]), np.array([1.0]))
    np.testing.assert_allclose(found, [expected], atol=1e-12)


def test_no_devices_are_refused():
    with pytest.raises(ValueError, match="n_devices must be at least 1, found 0"):
        device_distribution(configs.LinearStepDevice(), 0)


def test_few_and_many_devices_have_the_same_crossings():
    device = configs.ExpStepDevice(up_down=0.1)
    few, many = (device_distribution(device, n, seed=7).symmetry_points for n in (20, 500))
    np.testing.assert_allclose(few, many[:20], atol=1e-12)
