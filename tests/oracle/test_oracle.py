"""The oracles hit the numbers that are known by hand; otherwise a comparison with them would mean nothing."""

from __future__ import annotations

import numpy as np
import pytest

from oracle import cells, devices, mvm, update
from tilewright import configs


def test_single_pulses_by_hand():
    constant = devices.nominal_crosspoint(configs.ConstantStepDevice(dw_min=0.01, up_down=0.3))
    assert devices.pulse(constant, 0.0, +1) == pytest.approx(0.010)
    assert devices.pulse(constant, 0.0, -1) == pytest.approx(-0.007)
    soft = devices.nominal_crosspoint(configs.SoftBoundsDevice(dw_min=0.01, w_max=1.0, w_min=-1.0))
    assert devices.pulse(soft, 0.5, +1) == pytest.approx(0.505)
    assert devices.pulse(soft, 1.0, +1) == 1.0
    linear = devices.nominal_crosspoint(configs.LinearStepDevice(dw_min=0.01, w_max=1.0, gamma_up=0.1))
    assert linear.up + linear.slope_up * 1.0 == pytest.approx(0.009)


def test_symmetry_point_by_hand():
    device = configs.SoftBoundsReferenceDevice(dw_min=0.01, up_down=0.4, w_max=1.0, w_min=-1.0)
    assert devices.symmetry_point(devices.nominal_crosspoint(device)) == pytest.approx(0.25)


def test_reference_device_works_in_raw_coordinates():
    device = configs.SoftBoundsReferenceDevice(dw_min=0.01, w_max=1.0, w_min=-1.0, reference_mean=0.5)
    point = devices.nominal_crosspoint(device)
    assert devices.trace(point, [], 0.9)[0] == pytest.approx(0.5), "visible 0.9 is raw 1.4, beyond the bound 1"
    assert devices.trace(point, [], -1.4)[0] == pytest.approx(-1.4), "visible -1.4 is raw -0.9, inside the bounds"


@pytest.mark.parametrize(("res", "expected"), [(0.0, 4.96), (0.25, 7.75), (4.0, 7.75), (-1.0, 4.96)])
def test_probability_steps(res, expected):
    """Mean count at p = q = 0.4 and 31 slots."""
    p = float(update.quantise(np.array([0.4]), res)[0])
    assert 31 * p * p == pytest.approx(expected)


def test_dac_and_bound_management_by_hand():
    io = configs.IOParameters(noise_management="None", out_noise=0.0, out_res=-1.0)
    y, _ = mvm.product(np.eye(1), np.array([0.3]), io)
    assert y[0] == pytest.approx(19 / 63)
    io = configs.IOParameters(out_noise=0.0, out_res=-1.0, inp_res=-1.0, out_bound=1.0)
    y, report = mvm.product(np.array([[3.0]]), np.array([1.0]), io)
    assert (y[0], report.passes, report.rho) == (3.0, 3, 4.0)
    io = configs.IOParameters(out_noise=0.0, out_res=-1.0, out_bound=1.0)
    y, report = mvm.product(np.array([[1000.0]]), np.array([1.0]), io)
    assert (y[0], report.passes) == (16.0, 5)


def test_ir_drop_and_nonlinearity_by_hand():
    io = configs.IOParameters(out_noise=0.0, out_res=-1.0, inp_res=-1.0, ir_drop=1.0, ir_drop_g_ratio=100.0)
    ones = np.ones((1, 10))
    for j, expected in ((0, 1.0), (5, 0.963962), (9, 0.952430)):
        y, _ = mvm.product(ones, np.eye(10)[j], io)
        assert y[0] == pytest.approx(expected, abs=1e-6)
    io = configs.IOParameters(
        out_noise=0.0, out_res=-1.0, inp_res=-1.0, out_bound=2.0, out_nonlinearity=0.5, slope_calibration=0.5
    )
    y, _ = mvm.product(np.eye(1), np.array([0.999]), io, None)
    assert y[0] == pytest.approx(1.249, abs=1e-3)


def test_transfer_and_mixed_precision_by_hand():
    """One vector of gradient 1 moves A down one step per vector; the buffer then counts reads of A."""
    device = configs.ConstantStepDevice(dw_min=0.01, up_down_dtod=0.0)
    config = configs.build_config("ttv2", device, cell={"fast_lr": 0.01})
    config.update.desired_bl = 1
    config.update.pulse_type = "MeanCount"
    run = cells.ChoppedTransfer(config.device, config.update, 1, 1, (0.01, 0.01))
    run.run(np.ones((3, 1)), np.ones((3, 1)), lr=0.1)
    assert run.a.weights[0, 0] == pytest.approx(-0.03)
    assert run.h[0, 0] == pytest.approx(-(0.01 + 0.02 + 0.03) * 0.1 / 0.01)
    mixed = cells.MixedPrecision(configs.build_config("mp", device).device, 1, 1, 0.01)
    mixed.run(np.ones((1, 1)), np.ones((1, 1)), lr=0.015)
    assert mixed.weights[0, 0] == pytest.approx(-0.01)
    assert mixed.chi[0, 0] == pytest.approx(0.005)
