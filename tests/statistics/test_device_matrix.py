"""Device class by direction by kind of randomness: the sampled weights against an independent population of devices.

Means and standard deviations are compared by z tests and whole distributions by the two-sample Kolmogorov-Smirnov
test, N devices each. The matrix as a whole fails by chance with a probability below 1e-6: each comparison is allowed
1e-6 / COMPARISONS, and their number is checked at the end.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices.matrix import KINDS, RECIPES, applies, derived, device_class, make
from oracle.population import Population
from oracle.statistics import standard_error_of_std
from scipy.stats import kstest, kstwobign, norm

from tilewright import configs
from tilewright.devices import trace_pulses
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice

COMPARISONS = 20_000
ALPHA = 1e-6 / COMPARISONS
LIMIT = float(norm.isf(ALPHA / 2))
N = 12_000
ROUNDING = 2e-6  # single precision, over tens of pulses

TRAINS = {"up": [1] * 40, "down": [-1] * 40, "up, then down": [1] * 25 + [-1] * 15}
ROWS = [1, 7, 40]
PRESENT = [name for name in RECIPES if device_class(name) is not None]
CELLS = [(recipe, kind) for recipe in PRESENT for kind in KINDS if applies(recipe, kind)]
made = 0


def compare(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Two independent samples of one distribution: mean, standard deviation and shape."""
    global made
    made += 3
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    error = np.sqrt(found.var() / len(found) + expected.var() / len(expected))
    gap = abs(found.mean() - expected.mean())
    assert gap <= LIMIT * error + ROUNDING, f"{what}: mean {found.mean():.6g}, expected {expected.mean():.6g}"
    error = float(np.hypot(standard_error_of_std(found), standard_error_of_std(expected)))
    gap = abs(found.std() - expected.std())
    assert gap <= LIMIT * error + ROUNDING, f"{what}: std {found.std():.6g}, expected {expected.std():.6g}"
    found, expected = np.sort(found), np.sort(expected)
    distance = max(excess(found, expected), excess(expected, found))
    most = kstwobign.isf(ALPHA) * np.sqrt(1 / len(found) + 1 / len(expected))
    assert distance <= most, f"{what}: shape, distance {distance:.3g}"


def excess(one: np.ndarray, other: np.ndarray) -> float:
    """How far the distribution function of ``one`` rises above that of ``other``, which may lag by rounding alone."""
    below_other = np.searchsorted(other, one + ROUNDING, side="right") / len(other)
    return float(np.max(np.arange(1, len(one) + 1) / len(one) - below_other))


@pytest.mark.parametrize(("recipe", "kind"), CELLS)
def test_pulsed_devices_follow_the_oracle(recipe, kind):
    """Weights after 1, 7 and 40 pulses up, down and both ways."""
    device = make(recipe, **KINDS[kind])
    for seed, (name, pulses) in enumerate(TRAINS.items()):
        found = trace_pulses(device, pulses, n_traces=N, seed=seed + 1, w0=0.1)
        expected = Population(device, N, np.random.default_rng(seed)).trace(pulses, 0.1, ROWS)
        for row, sample in zip(ROWS, expected, strict=True):
            compare(found[row], sample, f"{recipe}, {kind}, {name}, {row} pulses")


def array_of(device: PulsedDevice, w0: float) -> tuple[DeviceArray, torch.Tensor]:
    array, visible = DeviceArray(device, (N // 100, 100), 5, 6), torch.zeros(N // 100, 100)
    array.set_weights(visible, torch.full_like(visible, w0))
    return array, visible


RETENTION = {
    "diffusion": {"diffusion": 0.02, "diffusion_dtod": 0.3},
    "decay": {"lifetime": 20.0, "lifetime_dtod": 0.2, "reset": 0.05},
    "decay to spread levels": {"lifetime": 5.0, "reset": 0.05, "reset_dtod": 0.04},
    "short lives": {"lifetime": 1.5, "lifetime_dtod": 0.3},
    "diffusion and decay": {"diffusion": 0.05, "lifetime": 10.0, "w_max_dtod": 0.3},
    "with write noise": {"diffusion": 0.01, "lifetime": 10.0, "write_noise_std": 1.0},
}


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [(r, k) for r in PRESENT for k, fields in RETENTION.items() if set(fields) <= set(device_class(r).model_fields)],
)
def test_time_passes_as_in_the_oracle(recipe, kind):
    """Diffusion and decay over 1 and 8 optimiser steps."""
    device = make(recipe, **RETENTION[kind])
    for steps in (1, 8):
        array, visible = array_of(device, 0.3)
        for _ in range(steps):
            array.pass_time(visible)
        population = Population(device, N, np.random.default_rng(steps))
        population.set(0.3)
        population.pass_time(steps)
        compare(visible.numpy().ravel(), population.visible(), f"{recipe}, {kind}, {steps} steps")


DRIFTS = {
    "plain": {"nu": 0.08},
    "spread": {"nu": 0.08, "nu_dtod": 0.4, "nu_std": 0.3, "w_noise_std": 0.01},
    "conductance": {"nu": 0.05, "nu_k": 0.02, "log_g0": -0.5, "wg_ratio": 1.2, "w_offset": -0.6, "g_offset": 0.1},
}


@pytest.mark.parametrize("kind", DRIFTS)
@pytest.mark.parametrize("recipe", [name for name in PRESENT if "w_max" not in derived(device_class(name))])
def test_drift_is_as_in_the_oracle(recipe, kind):
    """Two calls, 30 and 500 times the unit of time, on devices with spread bounds."""
    device = make(recipe, w_max_dtod=0.2, drift=configs.DriftParameters(**DRIFTS[kind]))
    array, visible = array_of(device, 0.3)
    population = Population(device, N, np.random.default_rng(3))
    population.set(0.3)
    for elapsed in (30.0, 470.0):
        array.drift_weights(visible, elapsed)
    population.drift([30.0, 470.0])
    compare(visible.numpy().ravel(), population.visible(), f"{recipe}, {kind}, drift")


@pytest.mark.parametrize("recipe", PRESENT)
def test_resets_are_as_in_the_oracle(recipe):
    """A reset lands at its level with its noise; with probability 0.4 the others stay."""
    device = make(recipe, reset=0.04, reset_dtod=0.03, reset_std=0.02)
    array, visible = array_of(device, 0.3)
    population = Population(device, N, np.random.default_rng(1))
    population.reset()
    before = visible.numpy().copy()
    array.reset(visible, 0.4)
    moved = visible.numpy() != before
    share = float(np.mean(moved))
    assert abs(share - 0.4) <= LIMIT * np.sqrt(0.4 * 0.6 / N)
    compare(visible.numpy()[moved], population.visible(), f"{recipe}, reset")


def test_every_device_class_is_in_the_matrix():
    """A class without a recipe is a class whose physics nobody has checked."""
    classes = {
        name
        for name, value in vars(configs).items()
        if isinstance(value, type) and issubclass(value, PulsedDevice) and value is not PulsedDevice
    }
    assert classes
    assert classes <= {name for name, _ in RECIPES.values()}


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [1, -1])
def test_constant_steps_sum_to_a_normal(direction):
    """n steps s (1 + sigma xi): normal with mean n s and standard deviation s sigma sqrt(n)."""
    global made
    made += 6
    device = make("constant", dw_min=0.001, dw_min_std=0.7)
    traces = direction * trace_pulses(device, [direction] * 100, n_traces=N, seed=4, w0=0.0).astype(float)
    for n in (1, 10, 100):
        score = (traces[n] - n * 0.001) / (0.0007 * np.sqrt(n))
        assert abs(score.mean()) <= LIMIT / np.sqrt(N)
        assert kstest(score, "norm").pvalue > ALPHA


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("recipe", ["soft", "soft reference", "linear"])
@pytest.mark.parametrize("mult_noise", [True, False])
def test_linear_steps_have_geometric_moments(recipe, direction, mult_noise):
    """Distance to where the step vanishes, u_n: mean a^n u_0 with a = 1 - s / end. Its second moment is
    (a^2 + (s sigma / end)^2)^n u_0^2 with noise in proportion, and its variance s^2 sigma^2 (1 - a^2n) / (1 - a^2) with
    noise as at 0."""
    global made
    made += 4
    s, sigma = 0.01, 0.5
    loss = RECIPES["linear"][1]["gamma_up" if direction > 0 else "gamma_down"] if recipe == "linear" else 1.0
    end = 0.6 / loss
    device = make(recipe, dw_min=s, dw_min_std=sigma, mult_noise=mult_noise)
    n = 25
    traces = direction * trace_pulses(device, [direction] * n, n_traces=N, seed=7, w0=0.0).astype(float)
    a = 1 - s / end
    left = end - traces[n]
    mean = a**n * end
    if mult_noise:
        variance = (a**2 + (s * sigma / end) ** 2) ** n * end**2 - mean**2
    else:
        variance = (s * sigma) ** 2 * (1 - a ** (2 * n)) / (1 - a**2)
    assert abs(left.mean() - mean) <= LIMIT * left.std() / np.sqrt(N) + ROUNDING
    assert abs(left.std() - np.sqrt(variance)) <= LIMIT * float(standard_error_of_std(left)) + ROUNDING


def test_diffusion_is_a_random_walk():
    """After n steps normal with standard deviation rate sqrt(n), while no bound is near."""
    global made
    made += 2
    array, visible = array_of(make("constant", diffusion=0.005), 0.0)
    for n in range(1, 26):
        array.pass_time(visible)
        if n in (1, 25):
            assert kstest(visible.numpy().ravel() / (0.005 * np.sqrt(n)), "norm").pvalue > ALPHA


@pytest.mark.parametrize("recipe", PRESENT)
def test_decay_is_geometric(recipe):
    """Without spread: level + (w0 - level) (1 - 1 / lifetime)^n, exactly."""
    array, visible = array_of(make(recipe, lifetime=30.0, reset=0.1), 0.4)
    for n in range(1, 31):
        array.pass_time(visible)
        assert visible.numpy() == pytest.approx(0.1 + 0.3 * (1 - 1 / 30) ** n, abs=2e-6)


def test_the_matrix_states_its_false_alarm_rate():
    """The number of comparisons made by this file is covered by the share each was allowed."""
    assert made <= COMPARISONS
