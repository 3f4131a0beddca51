"""Pulse traces without noise are the equations, pulse by pulse."""

from __future__ import annotations

import numpy as np
import pytest
from devices.recipes import FAMILIES, pulse_trains, quiet_devices, without_noise, without_spread
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import devices as oracle

from tilewright import configs
from tilewright.devices import nominal_response, trace_pulses
from tilewright.presets import DEVICE_PRESETS


def rounding(point: oracle.Crosspoint, pulses: list[int], w0: float, unit: float) -> np.ndarray:
    """How far single roundings of size ``unit`` may have grown along a trace (steps can stretch differences)."""
    shifted = [oracle.trace(point, pulses, w0 + shift) for shift in (-unit, unit)]
    size = max(abs(point.b_max), abs(point.b_min)) + abs(point.reference)
    return (len(pulses) + 2) * (unit * size + np.abs(shifted[1] - shifted[0])) + unit


@pytest.mark.parametrize("cls", FAMILIES)
@settings(max_examples=60)
@given(data=st.data())
def test_quiet_traces_follow_the_equations(cls, data):
    device = data.draw(quiet_devices(cls))
    pulses = data.draw(pulse_trains)
    w0 = data.draw(st.floats(-2.2, 2.2))
    point = oracle.nominal_crosspoint(device)
    expected = oracle.trace(point, pulses, w0)
    found = trace_pulses(device, pulses, n_traces=3, seed=data.draw(st.integers(0, 9)), w0=w0)
    assert found.shape == (len(pulses) + 1, 3)
    assert found.dtype == np.float32
    assert np.array_equal(found[:, 0], found[:, 1])
    assert np.all(np.abs(found[:, 0] - expected) <= rounding(point, pulses, w0, 6e-8))


@pytest.mark.parametrize("cls", FAMILIES)
@settings(max_examples=60)
@given(data=st.data())
def test_nominal_response_follows_the_equations(cls, data):
    """The fitting path: visible weight, no noise whatever the device says, finer than single precision."""
    quiet = data.draw(quiet_devices(cls))
    noisy = type(quiet)(**(quiet.changed() | {"dw_min_std": 3.0, "dw_min_dtod": 0.3, "w_max_dtod": 0.2}))
    pulses = data.draw(pulse_trains)
    w0 = data.draw(st.floats(-2.2, 2.2))
    point = oracle.nominal_crosspoint(quiet)
    expected = oracle.trace(point, pulses, w0)
    for device in (quiet, noisy):
        found = np.asarray(nominal_response(device, pulses, w0))
        assert found.shape == (len(pulses) + 1,)
        assert np.all(np.abs(found - expected) <= rounding(point, pulses, w0, 1e-12))


@pytest.mark.parametrize("cls", FAMILIES)
def test_golden_steps(cls):
    """One pulse from 0: the down step alone shrinks for positive up_down, the up step alone for negative."""
    for up_down, up, down in ((0.3, 0.010, 0.007), (-0.3, 0.007, 0.010), (0.0, 0.010, 0.010)):
        device = without_noise(cls, dw_min=0.01, up_down=up_down)
        assert trace_pulses(device, [1], w0=0.0)[1, 0] == pytest.approx(up, rel=1e-6)
        assert trace_pulses(device, [-1], w0=0.0)[1, 0] == pytest.approx(-down, rel=1e-6)


def test_golden_soft_bounds():
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-1.0)
    assert trace_pulses(device, [1], w0=0.5)[1, 0] == pytest.approx(0.505, rel=1e-6)
    assert trace_pulses(device, [1], w0=1.0)[1, 0] == 1.0


def test_reversed_soft_bounds_grow():
    """A reversed soft-bounds step is 0 just outside the opposite bound and grows towards its own."""
    device = without_noise(
        configs.SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-0.5, reverse_up=True, reverse_offset=0.1
    )
    for start in (-0.4, 0.0, 0.5):
        moved = trace_pulses(device, [1], w0=start)[1, 0] - start
        assert moved == pytest.approx(0.01 * (1 + start / 0.6), rel=1e-4)


def test_golden_linear_step():
    """At the bound the step has lost gamma of itself."""
    device = without_noise(configs.LinearStepDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, gamma_up=0.1, gamma_down=0.1)
    for start, direction in ((0.98, 1), (-0.98, -1)):
        moved = trace_pulses(device, [direction], w0=start)[1, 0] - start
        assert moved == pytest.approx(direction * 0.01 * (1 - 0.1 * 0.98), rel=1e-4)


def test_golden_symmetry_point_subtraction():
    """Alternating pulses settle at 0 to within half a step: the reference has absorbed w* = 0.25."""
    device = without_noise(
        configs.SoftBoundsReferenceDevice,
        dw_min=0.01,
        up_down=0.4,
        w_max=1.0,
        w_min=-1.0,
        subtract_symmetry_point=True,
    )
    assert device.nominal_reference == pytest.approx(0.25)
    for start in (-1.0, 0.7):
        settled = trace_pulses(device, [1, -1] * 600, w0=start)[-2:, 0]
        assert np.all(np.abs(settled) <= 0.005)


def test_reference_device_is_set_and_clipped_in_raw_coordinates():
    device = without_noise(configs.SoftBoundsReferenceDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, reference_mean=0.5)
    assert trace_pulses(device, [-1], w0=0.9)[0, 0] == pytest.approx(0.5, rel=1e-6)
    assert trace_pulses(device, [-1], w0=-1.4)[0, 0] == pytest.approx(-1.4, rel=1e-6)
    assert trace_pulses(device, [-1] * 2000, w0=0.0)[-1, 0] == pytest.approx(-1.5, abs=1e-4)
    assert trace_pulses(device, [1] * 2000, w0=0.0)[-1, 0] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("cls", FAMILIES)
def test_bounds_hold_under_strong_noise(cls):
    """Cycle noise of five steps never takes the raw weight past a bound; write noise is off."""
    extra = {"reference_mean": 0.2} if cls is configs.SoftBoundsReferenceDevice else {}
    device = without_spread(cls, dw_min=0.05, dw_min_std=5.0, w_max=0.4, w_min=-0.7, **extra)
    pulses = np.where(np.random.default_rng(0).uniform(size=200) < 0.5, 1, -1)
    raw = trace_pulses(device, pulses, n_traces=500, seed=3, w0=0.0) + extra.get("reference_mean", 0.0)
    assert raw.max() <= 0.4 + 1e-6
    assert raw.min() >= -0.7 - 1e-6
    assert raw.max() > 0.39, "the noise is strong enough to reach the bound"


@pytest.mark.parametrize("cls", FAMILIES)
def test_traces_repeat_by_seed(cls):
    device = cls(dw_min=0.02)
    pulses = [1] * 30 + [-1] * 30
    first = trace_pulses(device, pulses, n_traces=7, seed=4)
    assert np.array_equal(first, trace_pulses(device, pulses, n_traces=7, seed=4))
    assert not np.array_equal(first, trace_pulses(device, pulses, n_traces=7, seed=5))
    assert np.array_equal(first[:20], trace_pulses(device, pulses[:19], n_traces=7, seed=4)), "the past is fixed"


@pytest.mark.parametrize("preset", list(DEVICE_PRESETS.values()), ids=list(DEVICE_PRESETS))
def test_presets_trace(preset):
    """400 devices: with 20, the fall of ReRamSB is two standard errors only and one seed in fifty fails."""
    traces = trace_pulses(preset(), [1] * 100 + [-1] * 100, n_traces=400, seed=1)
    assert np.all(np.isfinite(traces))
    assert traces[100].mean() > traces[0].mean()
    assert traces[200].mean() < traces[100].mean()


def test_a_large_step_still_pulses_every_time():
    """Traces do not go through learning rates: a step above 1 is delivered by every pulse."""
    device = without_noise(configs.ConstantStepDevice, dw_min=4.0, w_max=100.0, w_min=-100.0)
    assert trace_pulses(device, [1, 1, -1], w0=0.0)[:, 0].tolist() == [0.0, 4.0, 8.0, 4.0]


@pytest.mark.parametrize(
    ("pulses", "keywords"),
    [
        ([0.5], {}),
        ([1, float("nan")], {}),
        ([200], {}),
        ([[1, 1], [1, 1]], {}),
        ([1], {"n_traces": 0}),
        ([1], {"n_traces": -3}),
        ([1], {"w0": float("nan")}),
        ([1], {"w0": [0.0, 0.1, 0.2], "n_traces": 2}),
    ],
)
def test_pulses_that_mean_nothing_are_refused(pulses, keywords):
    with pytest.raises((ValueError, TypeError)) as caught:
        trace_pulses(configs.ConstantStepDevice(), pulses, **keywords)
    assert str(caught.value).strip()


def test_entries_count_pulses():
    """An entry of 3 is three pulses read once; 0 is none and leaves even the write noise as it was."""
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.05)
    each = trace_pulses(device, [1, 1, 1, -1, -1], w0=-0.3)[:, 0]
    assert np.array_equal(trace_pulses(device, [3, 0, -2], w0=-0.3)[:, 0], each[[0, 3, 3, 5]])
    noisy = without_noise(configs.SoftBoundsDevice, dw_min=0.05, write_noise_std=1.0)
    seen = trace_pulses(noisy, [1, 0, 1], n_traces=50, w0=-0.3)
    assert np.array_equal(seen[1], seen[2])
    assert not np.any(seen[1] == seen[3])


def test_each_trace_may_start_elsewhere():
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.05)
    starts = np.array([-0.5, 0.0, 0.4])
    together = trace_pulses(device, [1, -1], n_traces=3, w0=starts)
    for k, start in enumerate(starts):
        assert np.array_equal(together[:, k], trace_pulses(device, [1, -1], w0=start)[:, 0])


def test_traces_start_at_each_devices_lower_bound():
    device = without_noise(configs.ConstantStepDevice, dw_min=0.2, w_min_dtod=0.2)
    traces = trace_pulses(device, [-1, 1], n_traces=200, seed=1)
    assert np.array_equal(traces[0], traces[1])
    assert np.unique(traces[0]).size == 200


def test_no_pulses_is_only_the_start():
    device = without_noise(configs.ConstantStepDevice)
    assert trace_pulses(device, [], n_traces=2, w0=0.1).tolist() == [[pytest.approx(0.1)] * 2]
