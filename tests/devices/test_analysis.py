"""Analysis of nominal devices: step curves, symmetry point, granularity, states."""

from __future__ import annotations

import math

import numpy as np
import pytest
from devices.recipes import FAMILIES, quiet_devices, without_noise
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import devices as oracle

from tilewright import configs
from tilewright.devices import number_of_states, step_curves, symmetry_point, trace_pulses


@pytest.mark.parametrize("cls", FAMILIES)
@settings(max_examples=40)
@given(data=st.data())
def test_step_curves_are_the_steps_of_the_equations(cls, data):
    device = data.draw(quiet_devices(cls))
    point = oracle.nominal_crosspoint(device)
    raw = np.linspace(device.w_min, device.w_max, 9)
    curves = step_curves(device, raw - point.reference)
    assert np.allclose(curves.up, point.up + point.slope_up * raw, rtol=1e-6, atol=1e-9)
    assert np.allclose(curves.down, point.down + point.slope_down * raw, rtol=1e-6, atol=1e-9)
    default = step_curves(device)
    assert len(default.weights) == len(default.up) == len(default.down) > 10
    assert default.weights[0] == pytest.approx(device.w_min - point.reference, abs=1e-6)
    assert default.weights[-1] == pytest.approx(device.w_max - point.reference, abs=1e-6)


@pytest.mark.parametrize("cls", FAMILIES[1:])
@settings(max_examples=40)
@given(data=st.data())
def test_symmetry_point_is_where_the_steps_cancel(cls, data):
    device = data.draw(quiet_devices(cls))
    point = oracle.nominal_crosspoint(device)
    expected = oracle.symmetry_point(point)
    # A crossing that rounding may put on either side of a bound proves nothing.
    inside = point.b_min + 1e-5 < expected + point.reference < point.b_max - 1e-5
    assume(math.isnan(expected) or inside)
    assume(abs(point.slope_up - point.slope_down) > 1e-3 * point.up or math.isnan(expected))
    found = symmetry_point(device)
    assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_unequal_constant_steps_have_no_symmetry_point():
    assert math.isnan(symmetry_point(without_noise(configs.ConstantStepDevice, up_down=0.1)))


@pytest.mark.parametrize("cls", [configs.SoftBoundsDevice, configs.SoftBoundsReferenceDevice])
@pytest.mark.parametrize("up_down", [-0.4, 0.0, 0.25])
def test_alternating_pulses_settle_at_the_symmetry_point(cls, up_down):
    device = without_noise(cls, dw_min=0.01, up_down=up_down, w_max=0.9, w_min=-0.6)
    settled = trace_pulses(device, [1, -1] * 1000, w0=0.4)[-2:, 0]
    assert settled.mean() == pytest.approx(symmetry_point(device), abs=0.002)


@settings(max_examples=40)
@given(data=st.data(), cls=st.sampled_from(FAMILIES))
def test_granularity_is_the_mean_step_at_zero(data, cls):
    """Mean of the up and the down step at visible weight 0."""
    device = data.draw(quiet_devices(cls))
    point = oracle.nominal_crosspoint(device)
    up = abs(point.up + point.slope_up * point.reference)
    down = abs(point.down + point.slope_down * point.reference)
    assert device.granularity == pytest.approx((up + down) / 2, rel=1e-6)
    assert number_of_states(device) == pytest.approx((device.w_max - device.w_min) / device.granularity, rel=1e-6)


def test_granularity_counts_the_mean_of_log_normal_draws():
    plain = without_noise(configs.ConstantStepDevice, dw_min=0.01)
    spread = without_noise(configs.ConstantStepDevice, dw_min=0.01, dw_min_dtod=0.8, dw_min_dtod_log_normal=True)
    assert spread.granularity == pytest.approx(plain.granularity * math.exp(0.32))
    traces = trace_pulses(spread, [1], n_traces=100_000, seed=1, w0=0.0)
    assert traces[1].mean() == pytest.approx(spread.granularity, rel=0.03)
