"""The pulsed update: expectation, counts, signs, schedule.

Distributions are compared by z tests on means and standard deviations (``oracle.statistics``): false-alarm rate 1e-7
per call, n stated in each test.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from devices.recipes import FAMILIES, without_noise, without_spread
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import update as oracle
from oracle.devices import nominal_crosspoint
from oracle.repeats import weight_changes
from oracle.statistics import assert_mean, assert_same_distribution, assert_std, limit

from tilewright import configs
from tilewright.tile import AnalogTile

X = [0.9, -0.5, 0.25, 0.0]
D = [0.3, -0.6, 0.1]
DW = 0.001


def config_of(device: object | None = None, **update: object) -> configs.SingleRPUConfig:
    device = device or without_noise(configs.ConstantStepDevice, dw_min=DW)
    return configs.SingleRPUConfig(device=device, update=configs.UpdateParameters(**update))


@pytest.mark.parametrize("lr", [0.0005, 0.004, 0.03])
@pytest.mark.parametrize("pulse_type", ["StochasticCompressed", "Stochastic"])
def test_expectation_is_the_outer_product(lr, pulse_type):
    """E[dW] = -lr outer(d, x) while the strongest crosspoint stays within desired_bl; n = 1500."""
    changes = weight_changes(config_of(pulse_type=pulse_type), X, D, 0.0, lr, 1500)
    assert lr * 0.9 * 0.6 / DW <= 31
    assert_mean(changes, -lr * np.outer(D, X).ravel(), "weight change", rounding=1e-8)


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"update_bl_management": False},
        {"update_bl_management": False, "update_management": False},
        {"desired_bl": 5},
        {"desired_bl": 1},
        {"desired_bl": 100},
        {"um_grad_scale": 0.5},
        {"res": 0.1},
        {"res": 8.0},
        {"fixed_bl": False, "update_bl_management": False, "update_management": False},
        {"fixed_bl": False, "update_bl_management": False, "update_management": False, "desired_bl": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("lr", [0.002, 0.02, 0.5])
def test_counts_are_binomial_and_saturate(update, lr):
    """Pulses of a crosspoint ~ Binomial(BL, p q) with BL, p, q of the schedule, also beyond saturation; n = 800."""
    config = config_of(**update)
    bl, p, q = oracle.probabilities(np.array(X), np.array(D), lr, DW, config.update)
    chance = np.outer(q, p)
    counts = weight_changes(config, X, D, 0.0, lr, 800) / -DW * np.sign(np.outer(D, X)).ravel()
    assert np.allclose(counts, np.rint(counts), atol=2e-3), "whole pulses only"
    counts = np.rint(counts)
    assert counts.min() >= 0, "every pulse goes against the gradient"
    assert counts.max() <= bl
    assert_mean(counts, bl * chance.ravel(), "count", rounding=1e-5)
    assert_std(counts, np.sqrt(bl * chance * (1 - chance)).ravel(), "count", rounding=1e-3)


def test_saturation_is_at_desired_bl():
    """Beyond desired_bl pulses the strongest crosspoint moves by exactly desired_bl steps."""
    for bl in (1, 7, 31, 64):
        changes = weight_changes(config_of(desired_bl=bl), [1.0], [1.0], 0.0, 10.0, 20)
        assert changes == pytest.approx(-bl * DW, rel=1e-5)


def test_lines_are_shared():
    """Two crosspoints of a row share the error's bits: Cov = BL p_j p_k q (1 - q), and none across; n = 5000."""
    config = config_of(update_management=False, update_bl_management=False, desired_bl=10)
    x, d, lr = [0.8, 0.5], [0.6, 0.4], 0.006
    bl, p, q = oracle.probabilities(np.array(x), np.array(d), lr, DW, config.update)
    n = 5000
    counts = np.rint(weight_changes(config, x, d, 0.0, lr, n) / -DW)
    product = (counts - counts.mean(axis=0))[:, :, None] * (counts - counts.mean(axis=0))[:, None, :]
    chance = np.outer(q, p).ravel()
    for a, b, expected in (
        (0, 1, bl * p[0] * p[1] * q[0] * (1 - q[0])),
        (0, 2, bl * q[0] * q[1] * p[0] * (1 - p[0])),
        (0, 3, 0.0),
        (1, 2, 0.0),
    ):
        assert chance[a] > 0
        assert_mean(product[:, a, b], expected, f"covariance of crosspoints {a} and {b}", rounding=1e-3)


@pytest.mark.parametrize("cls", FAMILIES)
@pytest.mark.parametrize(
    "update", [{}, {"res": 0.1, "sto_round": True}, {"desired_bl": 10, "update_management": True}], ids=str
)
def test_noisy_devices_follow_the_bit_loop(cls, update):
    """Means and stds equal those of the slot-by-slot oracle, with cycle noise, near a bound; n = 1500 each."""
    device = without_spread(cls, dw_min=0.01, dw_min_std=0.5, up_down=0.1, w_max=0.3, w_min=-0.3)
    config = config_of(device, **update)
    x, d, lr, w0 = X[:3], D[:2], 0.3, -0.2
    found = weight_changes(config, x, d, w0, lr, 1500)
    start = np.full((1500, len(d), len(x)), w0)
    after = oracle.stochastic_update(
        nominal_crosspoint(device),
        start,
        np.array(x),
        np.array(d),
        lr,
        device.granularity,
        config.update,
        np.random.default_rng(3),
    )
    assert_same_distribution(found, (after - start).reshape(1500, -1), "weight change", rounding=1e-6)


@pytest.mark.parametrize("pulse_type", ["StochasticCompressed", "Stochastic", "MeanCount", "DeterministicImplicit"])
def test_signs_of_all_quadrants(pulse_type):
    """d x > 0 lowers the weight, d x < 0 raises it."""
    config = config_of(pulse_type=pulse_type, desired_bl=10)
    for x in (1.0, -1.0):
        for d in (1.0, -1.0):
            change = weight_changes(config, [x], [d], 0.0, 10 * DW, 1)[0, 0]
            assert change == pytest.approx(-10 * DW * x * d, rel=1e-4)


@pytest.mark.parametrize("pulse_type", ["MeanCount", "DeterministicImplicit"])
@settings(max_examples=60)
@given(data=st.data())
def test_deterministic_counts_equal_the_formula(pulse_type, data):
    """Exactly, for every device family, whenever no rounding sits on a tie."""
    cls = data.draw(st.sampled_from(FAMILIES))
    device = without_noise(cls, dw_min=0.01, up_down=data.draw(st.floats(-0.5, 0.5)), w_max=0.7, w_min=-0.5)
    update = {
        "pulse_type": pulse_type,
        "desired_bl": data.draw(st.integers(1, 64)),
        "update_management": data.draw(st.booleans()),
        "update_bl_management": data.draw(st.booleans()),
        "um_grad_scale": data.draw(st.sampled_from([1.0, 0.5])),
    }
    if pulse_type == "MeanCount":
        update["res"] = data.draw(st.sampled_from([0.0, 0.07, 12.0]))
    else:
        update["x_res_implicit"] = data.draw(st.sampled_from([0.0, 0.03, 20.0]))
        update["d_res_implicit"] = data.draw(st.sampled_from([0.0, 0.011, 16.0]))
    config = config_of(device, **update)
    values = st.floats(-1, 1).map(lambda v: round(v, 4))
    x = np.array(data.draw(st.lists(values, min_size=3, max_size=3)))
    d = np.array(data.draw(st.lists(values, min_size=2, max_size=2)))
    lr = data.draw(st.floats(0.001, 1.0))
    grain = device.granularity
    counts = oracle.deterministic_counts(x, d, lr, grain, config.update)
    for nudge in (1 - 1e-5, 1 + 1e-5):  # single precision may fall on the other side of a tie: leave those out
        nudged = (
            oracle.deterministic_counts(x * s, d * nudge, lr * t, grain, config.update)
            for s in (1, nudge)
            for t in (1, nudge)
        )
        assume(all(np.array_equal(counts, other) for other in nudged))
    expected = oracle.apply_counts(nominal_crosspoint(device), np.full((2, 3), 0.1), counts, x, d, lr) - 0.1
    found = weight_changes(config, x.tolist(), d.tolist(), 0.1, lr, 1)[0]
    assert found == pytest.approx(expected.ravel(), abs=2e-6)


def test_train_length_follows_the_sample():
    """BL = min(ceil(lr max|x| max|d| / g), desired_bl): where that ratio is a whole number of steps, as written by
    people, both lines fire in every slot and the count is that number, every time."""
    for k in (1, 2, 3, 5, 7, 10, 13, 24, 30, 31, 40):
        for x, d, lr in ((1.0, 1.0, k * DW), (1.0, 0.6, k * DW / 0.6), (0.9, 0.5, k * DW / 0.45)):
            changes = weight_changes(config_of(), [x], [d], 0.0, lr, 20)
            assert changes == pytest.approx(-min(k, 31) * DW, rel=1e-4), f"k = {k}, x = {x}, d = {d}"
    for k, longest in ((0.3, 1), (2.5, 3), (6.9, 7)):
        counts = np.rint(weight_changes(config_of(), [1.0], [1.0], 0.0, k * DW, 1000) / -DW)
        assert counts.max() == longest
        assert_mean(counts[:, 0], k, "count", rounding=1e-3)


def test_management_makes_the_scale_of_x_and_d_irrelevant():
    """x c and d / c give the same pulses, bit for bit when c is a power of two."""
    base = AnalogTile(3, 4, config_of(), seed=3)
    scaled = AnalogTile(3, 4, config_of(), seed=3)
    for c in (2.0, 0.25, 1024.0):
        for tile, factor in ((base, 1.0), (scaled, c)):
            tile.set_weights(torch.zeros(3, 4))
            tile.update(torch.tensor([X]) * factor, torch.tensor([D]) / factor, 0.01)
        assert torch.equal(base.get_weights(), scaled.get_weights())


@pytest.mark.parametrize(("res", "expected"), [(0.0, 4.96), (0.25, 7.75), (4.0, 7.75), (-1.0, 4.96)])
def test_probability_resolution(res, expected):
    """p = q = 0.4 over 31 slots: quarter steps round it to 0.5, given as width or as number of steps; n = 4000."""
    config = config_of(update_bl_management=False, update_management=False, res=res)
    lr = DW * 31
    changes = weight_changes(config, [0.4], [0.4], 0.0, lr, 4000)
    assert_mean(changes / -DW, expected, "count", rounding=1e-3)


def test_stochastic_rounding_of_probabilities_is_unbiased():
    """p = 0.4 in steps of 0.25 is 0.25 or 0.5; the mean count stays 31 * 0.16; n = 4000."""
    config = config_of(update_bl_management=False, update_management=False, res=0.25, sto_round=True)
    changes = weight_changes(config, [0.4], [0.4], 0.0, DW * 31, 4000)
    assert_mean(changes / -DW, 31 * 0.16, "count", rounding=1e-3)
    assert (changes / -DW).std() > math.sqrt(31 * 0.16 * 0.84) * 1.02, "a wider distribution than exact probabilities"


def test_exact_updates_ignore_steps():
    """Pulse type None is the outer product itself, without bounds; NoneWithDevice clips it to the device."""
    expected = -0.5 * np.outer(D, X)
    device = without_noise(configs.ConstantStepDevice, dw_min=0.01, w_max=0.1, w_min=-0.1)
    free = weight_changes(config_of(device, pulse_type="None"), X, D, 0.0, 0.5, 1)[0]
    assert free == pytest.approx(expected.ravel(), abs=1e-7)
    clipped = weight_changes(config_of(device, pulse_type="NoneWithDevice"), X, D, 0.0, 0.5, 1)[0]
    assert clipped == pytest.approx(np.clip(expected, -0.1, 0.1).ravel(), abs=1e-7)


def test_exact_updates_reach_the_state_beneath_write_noise():
    """Five exact updates of -0.1 add up although the visible weight is noisy; n = 400 crosspoints."""
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, write_noise_std=1.0)
    tile = AnalogTile(20, 20, config_of(device, pulse_type="NoneWithDevice"), seed=1)
    tile.set_weights(torch.zeros(20, 20))
    for _ in range(5):
        tile.update(torch.ones(1, 20), torch.ones(1, 20), 0.1)
    assert_mean(tile.get_weights().numpy().ravel(), -0.5, "weight", rounding=1e-6)
    assert_std(tile.get_weights().numpy().ravel(), 0.01, "weight", rounding=1e-6)


@pytest.mark.parametrize("columns", [400, 8], ids=["every crosspoint", "few crosspoints"])
def test_pulses_write_the_visible_weight_anew(columns):
    """One down pulse: 0.01 (1 + 0.1) from the raw weight 0.1, less the reference, with write noise of one step.

    n = 100 x 400 or 100 x 8 crosspoints, in vectors and from lists; the others keep what they showed.
    """
    device = without_noise(
        configs.SoftBoundsReferenceDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, write_noise_std=1.0, reference_mean=0.1
    )
    tile = AnalogTile(100, 400, config_of(device), seed=1)
    tile.set_weights(torch.zeros(100, 400))
    before = tile.get_weights().clone()
    x = (torch.arange(400) % (400 // columns) == 0).float()[None]
    tile.update(x, torch.ones(1, 100), 0.01)
    touched = x[0] > 0
    weights = tile.get_weights()
    assert torch.equal(weights[:, ~touched], before[:, ~touched])
    assert_mean(weights[:, touched].numpy().ravel(), -0.011, "weight", rounding=1e-6)
    assert_std(weights[:, touched].numpy().ravel(), 0.01, "weight", rounding=1e-6)


def test_exact_updates_clip_in_raw_coordinates():
    device = without_noise(configs.SoftBoundsReferenceDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, reference_mean=0.5)
    changes = weight_changes(config_of(device, pulse_type="NoneWithDevice"), [1.0], [1.0], 0.0, 3.0, 1)
    assert changes[0, 0] == pytest.approx(-1.5, abs=1e-6)


def test_updates_stop_at_the_bound():
    device = without_noise(configs.ConstantStepDevice, dw_min=0.01, w_max=0.05, w_min=-0.05)
    assert weight_changes(config_of(device), [1.0], [1.0], 0.0, 1.0, 3) == pytest.approx(-0.05)
    assert weight_changes(config_of(device), [1.0], [-1.0], 0.0, 1.0, 3) == pytest.approx(0.05)


def test_nothing_happens_without_input_error_or_rate():
    tile = AnalogTile(3, 4, config_of(), seed=3)
    before = tile.get_weights().clone()
    for x, d, lr in ((torch.zeros(2, 4), torch.ones(2, 3), 0.1), (torch.ones(2, 4), torch.zeros(2, 3), 0.1),
                     (torch.ones(2, 4), torch.ones(2, 3), 0.0), (torch.ones(0, 4), torch.ones(0, 3), 0.1)):  # fmt: skip
        tile.update(x, d, lr)
        assert torch.equal(tile.get_weights(), before)


def test_successive_updates_are_independent():
    """Changes of two successive updates of a tile are uncorrelated: |r| below the z limit over sqrt(n); n = 3000."""
    changes = weight_changes(config_of(), [0.5, 0.4], [0.3, 0.7], 0.0, 0.01, 3000)
    for entry in changes.T:
        assert abs(np.corrcoef(entry[:-1], entry[1:])[0, 1]) < limit(4) / math.sqrt(len(entry) - 1)


def test_tiles_with_other_seeds_differ():
    tiles = [AnalogTile(8, 8, config_of(), seed=seed) for seed in (1, 2)]
    for tile in tiles:
        tile.set_weights(torch.zeros(8, 8))
        tile.update(torch.linspace(0.2, 1.0, 8)[None], torch.linspace(-0.9, 0.7, 8)[None], 0.02)
    assert not torch.equal(tiles[0].get_weights(), tiles[1].get_weights())


def test_perfect_bias_column_is_exact():
    """The last input column has no spread and a hundredfold range."""
    device = configs.ConstantStepDevice(dw_min=0.01, dw_min_std=0.0, up_down=0.2, dw_min_dtod=0.3, perfect_bias=True)
    tile = AnalogTile(50, 3, config_of(device), seed=2)
    tile.set_weights(torch.zeros(50, 3))
    tile.update(torch.ones(1, 3), torch.ones(1, 50), 31 * device.granularity)
    weights = tile.get_weights()
    assert weights[:, 2].numpy() == pytest.approx(-0.31, abs=1e-5)
    assert weights[:, 0].std() > 0.01
