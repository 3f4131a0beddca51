"""Constant steps of a batch taken as their sum: the same distribution as pulse by pulse, bounds included.

Distributions are compared by z tests on means and standard deviations (``oracle.statistics``) and, where a closed form
exists, by Kolmogorov and Smirnov's test: false-alarm rate 1e-7 per call, n stated in each test.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices.recipes import without_spread
from oracle import update as oracle
from oracle.devices import nominal_crosspoint
from oracle.statistics import FALSE_ALARM, assert_same_distribution
from scipy.stats import kstest

from tilewright import configs
from tilewright.tile import AnalogTile

BOUND, STEP, NOISE = 0.3, 0.002, 0.4
COLUMNS = 24  # three vectors of crosspoints, each of which is summed or not by itself


def config_of(**device: object) -> configs.SingleRPUConfig:
    made = without_spread(
        configs.ConstantStepDevice,
        **{"dw_min": STEP, "dw_min_std": NOISE, "up_down": 0.1, "w_max": BOUND, "w_min": -BOUND} | device,
    )
    return configs.SingleRPUConfig(device=made)


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Four samples of up to 31 slots each, two of which raise and two lower each weight."""
    rng = np.random.default_rng(2)
    x, d = rng.uniform(0.6, 1, (4, COLUMNS)), rng.uniform(0.6, 1, (4, 2))
    return x, d * np.array([1, -1, -1, 1])[:, None]


@pytest.mark.parametrize(
    "distance",
    [
        [0.3, 0.3, 0.3],  # far from both bounds: all summed
        [0.0, 0.02, 0.06],  # on a bound, near it, and where halves of the batch can be summed but not the whole
        [0.08, 0.1, 0.12],  # around the distance at which the sum takes over
    ],
    ids=["far", "near", "threshold"],
)
@pytest.mark.parametrize("side", [1, -1], ids=["upper", "lower"])
def test_sums_follow_the_bit_loop(distance, side):
    """Mean and std of every crosspoint equal those of the slot-by-slot oracle over a batch; n = 1000 each."""
    config, n, lr = config_of(), 1000, 0.06
    x, d = batch()
    start = np.tile(side * (BOUND - np.repeat(distance, COLUMNS // 3)), (2, 1))
    tile = AnalogTile(2, COLUMNS, config, seed=5)
    inputs, errors, weights = (torch.tensor(v, dtype=torch.float32) for v in (x, d, start))
    found = np.empty((n, 2, COLUMNS))
    for k in range(n):
        tile.set_weights(weights)
        tile.update(inputs, errors, lr)
        found[k] = tile.get_weights().numpy()
    after, rng = np.tile(start, (n, 1, 1)), np.random.default_rng(3)
    expected_pulses = 0.0
    for sample in range(len(x)):
        bl, p, q = oracle.probabilities(x[sample], d[sample], lr, config.device.granularity, config.update)
        expected_pulses += bl * np.outer(q, p).sum()
        after = oracle.stochastic_update(
            nominal_crosspoint(config.device), after, x[sample], d[sample], lr, config.device.granularity,
            config.update, rng,
        )  # fmt: skip
    assert expected_pulses / (2 * COLUMNS) > 50, "many pulses at each crosspoint"
    assert tile.cell.totals.pulses / n == pytest.approx(expected_pulses, rel=0.01)
    assert np.abs(found).max() <= BOUND + 1e-6
    assert_same_distribution(found.reshape(n, -1), after.reshape(n, -1), "weight", rounding=1e-6)


def test_the_sum_is_normal():
    """31 pulses up and 62 down: mean and variance add up, and the shape is normal; n = 12288 crosspoints, one call."""
    shape = (96, 128)
    config = config_of(up_down=0.0)
    config.update.update_bl_management = config.update.update_management = False
    tile = AnalogTile(*shape, config, seed=7)
    x, d = torch.ones(3, shape[1]), torch.tensor([[-1.0], [1.0], [1.0]]).expand(3, shape[0]).contiguous()
    tile.update(x, d, 10.0)
    assert tile.cell.totals.pulses == 93 * shape[0] * shape[1]
    scores = (tile.get_weights().numpy().ravel() + 31 * STEP) / (STEP * NOISE * np.sqrt(93))
    assert kstest(scores, "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("side", [1, -1], ids=["upper", "lower"])
def test_noise_that_reaches_a_bound_is_not_summed(side):
    """100 pulses end two steps before a bound on average, with noise of 100: paths meet it and lose what goes beyond.

    Mean and std against a loop over pulses, n = 4800 each.
    """
    noise, pulses = 10.0, 100
    config, shape = config_of(dw_min_std=noise, up_down=0.0), (40, COLUMNS)
    start = side * (BOUND - (pulses + 2) * STEP)
    found = []
    for seed in range(5):
        tile = AnalogTile(*shape, config, seed=seed)
        tile.set_weights(torch.full(shape, start))
        tile.update(torch.ones(4, COLUMNS), torch.full((4, shape[0]), -float(side)), pulses / 4 * STEP)
        assert tile.cell.totals.pulses == pulses * shape[0] * COLUMNS
        found.append(tile.get_weights().numpy().ravel())
    rng = np.random.default_rng(4)
    expected = np.full(len(found) * found[0].size, start)
    for _ in range(pulses):
        expected = np.clip(expected + side * STEP * (1 + noise * rng.standard_normal(expected.size)), -BOUND, BOUND)
    assert_same_distribution(np.concatenate(found)[:, None], expected[:, None], "weight", rounding=1e-6)


def test_counters_and_single_pulses_agree():
    """Pulse counters add up to the pulses delivered, and a device without noise moves by whole steps."""
    config = config_of(up_down=0.0, dw_min_std=0.0, count_pulses=True)
    tile = AnalogTile(5, 21, config, seed=7)
    rng = np.random.default_rng(1)
    x, d = (torch.tensor(rng.uniform(-1, 1, (6, size)), dtype=torch.float32) for size in (21, 5))
    tile.update(x, d, 0.05)
    up, down = tile.pulse_counts()["W"]
    assert int((up + down).sum()) == tile.cell.totals.pulses
    assert tile.get_weights().numpy() == pytest.approx((STEP * (up - down)).numpy(), abs=1e-6)
