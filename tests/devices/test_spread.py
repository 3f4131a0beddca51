"""What is drawn per device, and what is drawn per pulse, has the distribution its fields promise.

Each comparison is a z test on means or standard deviations (``oracle.statistics``), false-alarm rate 1e-7 per call.
"""

from __future__ import annotations

import numpy as np
import pytest
from devices.recipes import FAMILIES, without_noise, without_spread
from oracle.statistics import FALSE_ALARM, assert_mean, assert_std, limit
from scipy.stats import kstest

from tilewright import configs
from tilewright.devices import trace_pulses

N = 40_000


def first_steps(device: object, seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Up step from 0, and the down step that follows it, for N devices; both positive on a sane device."""
    traces = trace_pulses(device, [1, -1], n_traces=N, seed=seed, w0=0.0).astype(float)
    return traces[1] - traces[0], traces[1] - traces[2]


@pytest.mark.parametrize("cls", FAMILIES)
def test_step_spread(cls):
    """Mean dw_min, spread dw_min * sqrt(dw_min_dtod^2 + up_down_dtod^2), normal; N = 40000."""
    device = without_noise(cls, dw_min=1e-3, w_max=1.0, w_min=-1.0, dw_min_dtod=0.15, up_down_dtod=0.05)
    up, _ = first_steps(device)
    assert_mean(up, 1e-3, "up step", rounding=1e-9)
    assert_std(up, 1e-3 * np.hypot(0.15, 0.05), "up step", rounding=1e-9)
    assert kstest((up - 1e-3) / (1e-3 * np.hypot(0.15, 0.05)), "norm").pvalue > FALSE_ALARM


def test_up_down_imbalance_spreads_in_opposite_directions():
    """up - down = 2 * dw_min * up_down_dtod * xi + dw_min * up_down; the common gain cancels."""
    device = without_noise(configs.ConstantStepDevice, dw_min=1e-3, dw_min_dtod=0.1, up_down_dtod=0.05, up_down=0.2)
    up, down = first_steps(device)
    assert_mean(up - down, 0.2e-3, "imbalance", rounding=1e-9)
    assert_std(up - down, 1e-4, "imbalance", rounding=1e-9)
    assert_mean(up + down, 1.8e-3, "sum of steps", rounding=1e-9)
    assert_std(up + down, 2e-4, "sum of steps", rounding=1e-9)


def test_log_normal_steps():
    """ln(step / dw_min) is normal with mean 0: the median is dw_min, the mean exp(dtod^2 / 2) times larger."""
    device = without_noise(configs.ConstantStepDevice, dw_min=1e-4, dw_min_dtod=0.8, dw_min_dtod_log_normal=True)
    up, _ = first_steps(device)
    assert_mean(np.log(up / 1e-4), 0.0, "log step", rounding=1e-5)
    assert_std(np.log(up / 1e-4), 0.8, "log step", rounding=1e-5)


@pytest.mark.parametrize(("consistent", "negative"), [(True, 0.0), (False, 0.158655)])
def test_wrong_way_steps_only_without_consistency(consistent, negative):
    """With dw_min_dtod = 1 a share Phi(-1) of the draws is negative; repaired draws are folded; N = 40000."""
    device = without_noise(configs.ConstantStepDevice, dw_min=1e-3, dw_min_dtod=1.0, enforce_consistency=consistent)
    up, _ = first_steps(device)
    share = float(np.mean(up < 0))
    assert abs(share - negative) <= limit(1) * np.sqrt(negative * (1 - negative) / N)


@pytest.mark.parametrize("cls", FAMILIES)
def test_bound_spread(cls):
    """After many pulses each device sits at its own bound: mean w_max, spread w_max_dtod * w_max; N = 10000."""
    device = without_noise(cls, dw_min=0.2, w_max=0.8, w_min=-0.5, w_max_dtod=0.1, w_min_dtod=0.05)
    traces = trace_pulses(device, [1] * 100 + [-1] * 100, n_traces=10_000, seed=2, w0=0.0)
    assert_mean(traces[100], 0.8, "upper bound", rounding=1e-5)
    assert_std(traces[100], 0.08, "upper bound", rounding=1e-5)
    assert_mean(traces[200], -0.5, "lower bound", rounding=1e-5)
    assert_std(traces[200], 0.025, "lower bound", rounding=1e-5)
    assert abs(np.corrcoef(traces[100], traces[200])[0, 1]) < limit(1) / np.sqrt(10_000)


def test_crossed_bounds_are_repaired():
    """A spread of 1 draws bounds of the wrong sign; repaired, the upper is never below 0 nor the lower above."""
    device = without_noise(configs.ConstantStepDevice, dw_min=0.5, w_max_dtod=1.0, w_min_dtod=1.0)
    traces = trace_pulses(device, [1] * 20 + [-1] * 30, n_traces=5000, seed=2, w0=0.0)
    assert traces[20].min() >= 0
    assert traces[50].max() <= 0


def test_linear_slope_spread():
    """Step at w is s (1 - gamma w / w_max) with gamma spread gamma_up_dtod; N = 40000."""
    device = without_noise(
        configs.LinearStepDevice,
        dw_min=1e-3,
        w_max=1.0,
        w_min=-1.0,
        gamma_up=0.5,
        gamma_down=0.3,
        gamma_up_dtod=0.1,
        gamma_down_dtod=0.05,
    )
    up = np.diff(trace_pulses(device, [1], n_traces=N, seed=1, w0=0.5).astype(float), axis=0)[0]
    down = -np.diff(trace_pulses(device, [-1], n_traces=N, seed=1, w0=-0.5).astype(float), axis=0)[0]
    assert_mean(up, 0.75e-3, "up step", rounding=1e-7)
    assert_std(up, 0.05e-3, "up step", rounding=1e-7)
    assert_mean(down, 0.85e-3, "down step", rounding=1e-7)
    assert_std(down, 0.025e-3, "down step", rounding=1e-7)


def test_slope_spread_of_reference_devices_moves_the_bound():
    """b_max / b_nominal = 1 / |1 + slope_up_dtod xi|, so its inverse has mean 1 and spread slope_up_dtod; N = 10000."""
    device = without_noise(
        configs.SoftBoundsReferenceDevice, dw_min=0.1, w_max=1.0, w_min=-1.0, slope_up_dtod=0.1, slope_down_dtod=0.05
    )
    traces = trace_pulses(device, [1] * 400 + [-1] * 400, n_traces=10_000, seed=2, w0=0.0).astype(float)
    assert_mean(1 / traces[400], 1.0, "inverse upper bound", rounding=1e-4)
    assert_std(1 / traces[400], 0.1, "inverse upper bound", rounding=1e-4)
    assert_std(1 / traces[800], 0.05, "inverse lower bound", rounding=1e-4)


def test_reference_spread_shifts_the_visible_window():
    """Visible upper end = w_max - r with r of mean reference_mean and spread reference_std; N = 10000."""
    device = without_noise(
        configs.SoftBoundsReferenceDevice, dw_min=0.1, w_max=1.0, w_min=-1.0, reference_mean=0.2, reference_std=0.05
    )
    ends = trace_pulses(device, [1] * 300 + [-1] * 300, n_traces=10_000, seed=2, w0=0.0).astype(float)
    assert_mean(ends[300], 0.8, "visible upper end", rounding=1e-5)
    assert_std(ends[300], 0.05, "visible upper end", rounding=1e-5)
    assert_mean(ends[300] - ends[600], 2.0, "visible window", rounding=1e-5)
    assert_std(ends[300] - ends[600], 0.0, "visible window", rounding=1e-5)


def test_every_device_subtracts_its_own_symmetry_point():
    """With all spreads on, alternating pulses settle each near visible 0, wherever its point is; N = 2000."""
    device = without_noise(
        configs.SoftBoundsReferenceDevice,
        dw_min=0.02,
        up_down=0.2,
        w_max=1.0,
        w_min=-1.0,
        dw_min_dtod=0.1,
        up_down_dtod=0.1,
        w_max_dtod=0.2,
        w_min_dtod=0.2,
        subtract_symmetry_point=True,
    )
    settled = trace_pulses(device, [1, -1] * 500, n_traces=2000, seed=3, w0=0.3)[-2:]
    assert np.percentile(np.abs(settled.mean(axis=0)), 99) < 0.005
    plain = type(device)(**(device.changed() | {"subtract_symmetry_point": False}))
    settled = trace_pulses(plain, [1, -1] * 500, n_traces=2000, seed=3, w0=0.3)[-2:]
    assert np.median(np.abs(settled.mean(axis=0))) > 0.05


@pytest.mark.parametrize("mult_noise", [True, False])
def test_cycle_noise_size(mult_noise):
    """Std of one pulse: dw_min_std times the current step (multiplicative) or the step at 0 (additive); N = 40000."""
    device = without_spread(
        configs.SoftBoundsDevice, dw_min=1e-3, dw_min_std=2.0, w_max=1.0, w_min=-1.0, mult_noise=mult_noise
    )
    moved = np.diff(trace_pulses(device, [1], n_traces=N, seed=5, w0=0.5).astype(float), axis=0)[0]
    assert_mean(moved, 0.5e-3, "step at half the bound", rounding=1e-7)
    assert_std(moved, 1e-3 if mult_noise else 2e-3, "step at half the bound", rounding=1e-7)


@pytest.mark.parametrize("cls", FAMILIES)
def test_cycle_noise_is_fresh_for_every_pulse(cls):
    """Successive noises are uncorrelated: |r| below the z limit over sqrt(N); N = 40000."""
    device = without_spread(cls, dw_min=1e-4, dw_min_std=1.0, w_max=1.0, w_min=-1.0)
    steps = np.diff(trace_pulses(device, [1] * 4, n_traces=N, seed=5, w0=0.0).astype(float), axis=0)
    found = np.corrcoef(steps)[np.triu_indices(4, 1)]
    assert np.all(np.abs(found) < limit(6) / np.sqrt(N))
    assert kstest((steps[2] - steps[2].mean()) / steps[2].std(), "norm").pvalue > FALSE_ALARM


def test_write_noise_is_seen_but_not_kept():
    """Every row has std write_noise_std * dw_min; rows are independent, and the state beneath does not wander."""
    device = without_noise(configs.SoftBoundsReferenceDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, write_noise_std=3.0)
    pulses = [1] * 20
    traces = trace_pulses(device, pulses, n_traces=20_000, seed=6, w0=0.1).astype(float)
    quiet = type(device)(**(device.changed() | {"write_noise_std": 0.0}))
    beneath = trace_pulses(quiet, pulses, w0=0.1)[:, 0]
    assert_mean(traces.T, beneath, "visible weight", rounding=1e-6)
    assert_std(traces.T, 0.03, "visible weight", rounding=1e-6)
    found = np.corrcoef(traces)[np.triu_indices(len(traces), 1)]
    assert np.all(np.abs(found) < limit(found.size) / np.sqrt(20_000))


def test_write_noise_on_set_is_optional():
    fields = {"dw_min": 0.01, "write_noise_std": 3.0, "apply_write_noise_on_set": False}
    start = trace_pulses(without_noise(configs.SoftBoundsDevice, **fields), [1], n_traces=500, w0=0.1)
    assert np.ptp(start[0]) == 0
    assert np.ptp(start[1]) > 0


def test_write_noise_is_not_clipped():
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.05, w_max=0.3, w_min=-0.3, write_noise_std=2.0)
    assert trace_pulses(device, [1] * 50, n_traces=500, w0=0.3)[-1].max() > 0.35


def test_stuck_devices():
    """A share corrupt_devices_prob never moves and sits uniformly within corrupt_devices_range; N = 40000."""
    device = without_noise(
        configs.ConstantStepDevice, dw_min=0.01, corrupt_devices_prob=0.2, corrupt_devices_range=0.05
    )
    traces = trace_pulses(device, [1, 1], n_traces=N, seed=8, w0=0.3)
    stuck = traces[2] == traces[0]
    assert abs(stuck.mean() - 0.2) < limit(1) * np.sqrt(0.2 * 0.8 / N)
    values = traces[0][stuck]
    assert kstest(values, "uniform", args=(-0.05, 0.1)).pvalue > FALSE_ALARM
    assert traces[0][~stuck] == pytest.approx(0.3)
