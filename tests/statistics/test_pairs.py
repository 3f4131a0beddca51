"""Vector, reference and one-sided cells against the one-vector-at-a-time oracle, and their random parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise, without_spread
from oracle import cells, pairs
from oracle.statistics import assert_mean, assert_same_distribution, limit

from tilewright import configs, kernels
from tilewright.parameters import ParameterError
from tilewright.periphery import compile_io, line_read_input
from tilewright.tile import AnalogTile

EPS = 0.0107
COUNTED = {"pulse_type": "MeanCount", "desired_bl": 20}
PERFECT = configs.IOParameters(is_perfect=True)


def constant(**fields: Any) -> Any:
    return without_noise(configs.ConstantStepDevice, **({"dw_min": EPS, "w_max": 2.0, "w_min": -2.0} | fields))


def config_of(cell: Any, update: dict[str, Any] | None = None) -> configs.UnitCellRPUConfig:
    return configs.UnitCellRPUConfig(device=cell, update=configs.UpdateParameters(**(COUNTED | (update or {}))))


def batches(shape: tuple[int, int], seed: int, n: int) -> Any:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        size = int(rng.integers(1, 6))
        x = rng.uniform(-1, 1, size=(size, shape[1])).astype(np.float32)
        d = rng.uniform(-1, 1, size=(size, shape[0])).astype(np.float32)
        x[rng.uniform(size=x.shape) < 0.2] = 0.0
        yield x, d


def members(tile: AnalogTile) -> np.ndarray:
    return next(value for key, value in tile.state_dict().items() if key.endswith("members")).numpy()


# --- vector and reference cells ---------------------------------------------------------------------------------------

VECTORS: list[dict[str, Any]] = [
    {},
    {"gamma_vec": [0.2, 0.5, 0.3]},
    {"gamma_vec": [0.6, -0.4, 0.0]},
    {"update_policy": "SingleFixed", "first_update_idx": 2},
    {"update_policy": "SingleSequential"},
    {"update_policy": "SingleSequential", "first_update_idx": 1, "gamma_vec": [1.0, 0.5, -0.25]},
    {"update_policy": "SingleSequential", "select_per_sample": False},
]


@pytest.mark.parametrize("fields", VECTORS, ids=str)
def test_vector_cells_equal_the_oracle(fields):
    """Devices of three kinds, pulses in steps of the weight, and a member of negative weight pulsed the other way."""
    devices = [
        constant(),
        without_noise(configs.SoftBoundsDevice, dw_min=0.02, w_max=0.9, w_min=-0.7, up_down=0.1),
        without_noise(configs.LinearStepDevice, dw_min=0.005, gamma_up=0.3, gamma_down=0.2, w_max=1.0, w_min=-1.0),
    ]
    config = config_of(configs.VectorUnitCell(unit_cell_devices=devices, **fields))
    tile = AnalogTile(3, 4, config, seed=1)
    oracle = pairs.Vector(config.device, config.update, 3, 4, [d.granularity for d in devices])
    for x, d in batches((3, 4), seed=5, n=6):
        tile.update(torch.tensor(x), torch.tensor(d), 0.1)
        oracle.run(x, d, 0.1)
        assert tile.get_weights().numpy() == pytest.approx(oracle.weights, abs=3e-5)
    assert np.abs(oracle.weights).max() > 0.02


@pytest.mark.parametrize("policy", ["All", "SingleFixed", "SingleSequential", "SingleRandom"])
@pytest.mark.parametrize("gamma_vec", [[], [1.0, 0.5, -0.25]], ids=str)
def test_every_policy_learns_at_the_full_rate(policy, gamma_vec):
    """E[dW] = -lr sum outer(d, x) whatever the number of members; 300 tiles. Without the weights: a third of it."""
    cell = configs.VectorUnitCell(
        unit_cell_devices=[constant(dw_min=0.001)] * 3, update_policy=policy, gamma_vec=gamma_vec
    )
    x, d = torch.tensor([[0.9, -0.4, 0.2]]), torch.tensor([[0.05, -0.01]])
    found = []
    for seed in range(300):
        tile = AnalogTile(2, 3, configs.UnitCellRPUConfig(device=cell), seed=seed)
        tile.update(x.repeat(6, 1), d.repeat(6, 1), 0.1)
        found.append(tile.get_weights().numpy().ravel())
    assert_mean(np.array(found), -0.6 * np.outer(d[0], x[0]).ravel(), f"{policy} update")


def test_all_members_take_the_same_coincidences_with_noise_of_their_own():
    quiet = configs.VectorUnitCell(unit_cell_devices=[constant(dw_min=0.001)] * 2)
    x, d = torch.rand(5, 30), torch.rand(5, 20) * 0.05
    tile = AnalogTile(20, 30, configs.UnitCellRPUConfig(device=quiet), seed=3)
    tile.update(x, d, 0.1)
    one, other = members(tile)
    assert np.array_equal(one, other)
    assert one.any()
    noisy = without_spread(configs.ConstantStepDevice, dw_min=0.001, dw_min_std=1.0, w_max=2.0, w_min=-2.0)
    loud = configs.VectorUnitCell(unit_cell_devices=[noisy] * 2)
    tile = AnalogTile(20, 30, configs.UnitCellRPUConfig(device=loud), seed=3)
    tile.update(x, d, 0.1)
    noise = members(tile) - one
    pulsed = one != 0
    correlation = np.corrcoef(noise[0][pulsed], noise[1][pulsed])[0, 1]
    assert abs(correlation) < limit(1) / np.sqrt(pulsed.sum()), f"{pulsed.sum()} crosspoints"


def test_random_members_are_drawn_evenly():
    """3000 vectors among 4 members, and one draw for each of 300 mini-batches of 10."""
    for per_sample, draws in ((True, 3000), (False, 300)):
        cell = configs.VectorUnitCell(
            unit_cell_devices=[constant(dw_min=1e-6, w_max=9.0)] * 4, update_policy="SingleRandom",
            select_per_sample=per_sample,
        )  # fmt: skip
        tile = AnalogTile(1, 1, config_of(cell, {"desired_bl": 1}), seed=3)
        for _ in range(300):
            tile.update(torch.ones(10, 1), -torch.ones(10, 1), 1.0)
        counts = members(tile).ravel() / 1e-6
        assert counts.sum() == pytest.approx(3000, rel=1e-3)
        spread = np.sqrt(draws * 0.25 * 0.75) * 3000 / draws
        assert np.abs(counts - 750).max() < limit(4) * spread + 1


def test_members_are_chosen_for_each_vector_or_for_each_batch():
    """One mini-batch of 3000 vectors: shared evenly among 4 members, or all of it on one."""
    for per_sample in (True, False):
        cell = configs.VectorUnitCell(
            unit_cell_devices=[constant(dw_min=1e-6, w_max=9.0)] * 4, update_policy="SingleRandom",
            select_per_sample=per_sample,
        )  # fmt: skip
        tile = AnalogTile(1, 1, config_of(cell, {"desired_bl": 1}), seed=3)
        tile.update(torch.ones(3000, 1), -torch.ones(3000, 1), 1.0)
        counts = members(tile).ravel() / 1e-6
        assert counts.sum() == pytest.approx(3000, rel=1e-3)
        if per_sample:
            assert np.abs(counts - 750).max() < limit(4) * np.sqrt(3000 * 0.25 * 0.75) + 1
        else:
            assert np.count_nonzero(counts) == 1


@pytest.mark.parametrize("gamma_vec", [[], [1.0, 1.0], [0.7, -0.2]], ids=str)
@pytest.mark.parametrize("policy", ["All", "SingleFixed", "SingleRandom"])
def test_set_weights_are_the_weights(gamma_vec, policy):
    """Also where gamma_vec does not sum to 1."""
    cell = configs.VectorUnitCell(unit_cell_devices=[constant()] * 2, gamma_vec=gamma_vec, update_policy=policy)
    tile = AnalogTile(3, 4, config_of(cell), seed=1)
    wanted = torch.linspace(-0.5, 0.5, 12).reshape(3, 4)
    tile.set_weights(wanted)
    assert tile.get_weights().numpy() == pytest.approx(wanted.numpy(), abs=1e-6)


def test_a_reference_is_set_and_subtracted_and_never_pulsed():
    tile = AnalogTile(2, 3, config_of(configs.ReferenceUnitCell(unit_cell_devices=[constant()])), seed=1)
    reference = torch.linspace(-0.2, 0.3, 6).reshape(2, 3)
    tile.set_hidden_update_index(1)
    tile.set_weights(reference)
    tile.set_hidden_update_index(0)
    assert tile.get_weights().numpy() == pytest.approx(-reference.numpy(), abs=1e-6)
    wanted = torch.linspace(0.5, -0.5, 6).reshape(2, 3)
    tile.set_weights(wanted)
    assert tile.get_weights().numpy() == pytest.approx(wanted.numpy(), abs=1e-6)
    tile.update(torch.ones(4, 3), torch.ones(4, 2), 0.1)
    assert members(tile)[1] == pytest.approx(reference.numpy(), abs=1e-6)
    assert (tile.get_weights() < wanted - 0.05).all()
    assert tile.get_hidden_update_index() == 0


def test_only_vector_cells_have_members_to_select():
    tile = AnalogTile(2, 3, configs.build_config("ttv2", constant()), seed=1)
    with pytest.raises(ValueError, match="ChoppedTransferCell has no members"):
        tile.set_hidden_update_index(1)
    vector = AnalogTile(2, 3, config_of(configs.ReferenceUnitCell(unit_cell_devices=[constant()])), seed=1)
    with pytest.raises(ValueError, match="members 0 to 1"):
        vector.set_hidden_update_index(2)


# --- one-sided pairs --------------------------------------------------------------------------------------------------


def pair_of(**fields: Any) -> Any:
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.03, w_max=1.0, w_min=-0.5, reset=0.02)
    exact = configs.UpdateParameters(pulse_type="MeanCount", desired_bl=40)
    own = {"unit_cell_devices": [device], "refresh_forward": PERFECT, "refresh_update": exact}
    return configs.OneSidedUnitCell(**(own | fields))


REFRESHES: list[dict[str, Any]] = [
    {},
    {"refresh_every": 2},
    {"refresh_every": 3, "units_in_mbatch": False},
    {"refresh_every": 1, "refresh_upper_thres": 0.2, "refresh_lower_thres": 0.1},
]


@pytest.mark.parametrize("fields", REFRESHES, ids=str)
@pytest.mark.parametrize("pulse_type", ["MeanCount", "DeterministicImplicit"])
def test_one_sided_pairs_equal_the_oracle(fields, pulse_type):
    """Up pulses on plus for what should rise, on minus for what should fall; refreshes at their batch or vector."""
    cell = pair_of(**({"refresh_upper_thres": 0.3, "refresh_lower_thres": 0.2} | fields))
    config = config_of(cell, {"pulse_type": pulse_type})
    tile = AnalogTile(3, 4, config, seed=1)
    oracle = pairs.OneSided(cell, config.update, 3, 4, cell.granularity)
    start = np.linspace(-0.2, 0.2, 12, dtype=np.float32).reshape(3, 4)
    tile.set_weights(torch.tensor(start))
    oracle.set_weights(start)
    assert tile.get_weights().numpy() == pytest.approx(start, abs=1e-6)
    for x, d in batches((3, 4), seed=8, n=12):
        before = members(tile).copy()
        tile.update(torch.tensor(x), torch.tensor(d), 0.1)
        oracle.run(x, d, 0.1)
        assert tile.get_weights().numpy() == pytest.approx(oracle.weights, abs=5e-5)
        if not cell.refresh_every:
            assert (members(tile) >= before).all(), "no device is ever pulsed down"
    assert tile.cell.refreshed == oracle.refreshed
    assert bool(oracle.refreshed) == bool(cell.refresh_every)


def test_one_sided_pairs_learn_at_the_full_rate():
    """E[dW] = -lr sum outer(d, x) in all four quadrants of signs; stochastic trains, 400 tiles."""
    cell = configs.OneSidedUnitCell(unit_cell_devices=[constant(dw_min=0.001)])
    x, d = torch.tensor([[0.9, -0.4, 0.0]]), torch.tensor([[0.05, -0.02]])
    found = []
    for seed in range(400):
        tile = AnalogTile(2, 3, configs.UnitCellRPUConfig(device=cell), seed=seed)
        tile.update(x.repeat(5, 1), d.repeat(5, 1), 0.1)
        found.append(tile.get_weights().numpy().ravel())
    assert_mean(np.array(found), -0.5 * np.outer(d[0], x[0]).ravel(), "one-sided update")


def test_pulses_that_send_nothing_leave_write_noise_alone():
    """A coincidence meant for one device of a pair does not rewrite the other."""
    noisy = without_spread(
        configs.SoftBoundsDevice, dw_min=0.01, dw_min_std=0.0, write_noise_std=1.0, apply_write_noise_on_set=False
    )
    for scheme in ({}, {"pulse_type": "Stochastic"}):
        tile = AnalogTile(4, 5, config_of(configs.OneSidedUnitCell(unit_cell_devices=[noisy]), scheme), seed=1)
        tile.update(torch.ones(3, 5), torch.full((3, 4), 0.5), 0.1)
        minus, plus = members(tile)
        assert not plus.any()
        assert (minus != 0).all()


@pytest.mark.parametrize("cls", [configs.ConstantStepDevice, configs.SoftBoundsDevice, configs.LinearStepDevice])
def test_an_inverted_copy_mirrors_every_device(cls):
    """Plus pulsed up is minus pulsed down with the axis turned round: by traces of the drawn devices."""
    extra = {"gamma_up": 0.4, "gamma_down": 0.2} if cls is configs.LinearStepDevice else {}
    device = cls(dw_min=0.02, dw_min_std=0.0, up_down_dtod=0.2, **extra)
    cell = configs.OneSidedUnitCell(unit_cell_devices=[device], copy_inverted=True)
    tile = AnalogTile(3, 4, configs.UnitCellRPUConfig(device=cell), seed=1)
    minus, plus = tile.cell.arrays
    for direction in (1, -1):
        traces = []
        for array, sign in ((minus, 1), (plus, -1)):
            start = torch.zeros(3, 4)
            pulses = np.full(15, sign * direction, dtype=np.int8)
            traces.append(sign * kernels.pulse_trace(array.model, array.crosspoints(start), pulses, seed=1))
        assert traces[0] == pytest.approx(traces[1], abs=1e-6)
        assert np.abs(traces[0][-1]).min() > 0.01


def test_refresh_reads_have_the_statistics_of_products():
    """Reading lines equals full products with a one at the line: mean and spread of 4000 reads of 9 crosspoints."""
    weights = torch.linspace(-0.8, 0.8, 9).reshape(9, 1)
    for fields in (
        {},
        {"out_res": -1.0, "inp_res": 1 / 6, "out_asymmetry": 0.2},
        {"w_noise": 0.05, "w_noise_type": "AdditiveConstant", "out_sto_round": True, "out_res": 0.02},
        {"w_noise": 0.05, "w_noise_type": "PCMRead", "out_noise": 0.0},
    ):
        io = configs.IOParameters(noise_management="None", bound_management="None", **fields)
        settings = compile_io(io, None, backward=False)
        full = torch.cat([weights, torch.zeros(9, 3)], dim=1)
        hot = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(4000, 1)
        products = kernels.matrix_product(settings, (None,) * 4, full, hot, transposed=False, seed=1, first_sample=0)
        lines = weights.t().repeat(4000, 1)
        reads = kernels.read_lines(settings, lines, read_input=line_read_input(io), seed=2, first_event=0)
        assert_same_distribution(reads.numpy(), products.numpy(), f"reads with {fields}")


def test_refreshes_with_full_periphery_agree_with_line_reads():
    """Effects beyond a line (here a series resistance of nearly nothing) take full products: same difference kept."""
    kept = []
    for extra in ({}, {"r_series": 1e-6}):
        io = configs.IOParameters(out_noise=0.001, out_res=-1.0, inp_res=-1.0, **extra)
        cell = pair_of(refresh_every=1, refresh_forward=io, refresh_upper_thres=0.3, refresh_lower_thres=0.2)
        tile = AnalogTile(20, 30, config_of(cell), seed=1)
        for step in range(8):
            d = torch.full((2, 20), 0.5)
            d[step % 2] *= -0.4
            tile.update(torch.ones(2, 30), d, 0.1)
        assert tile.cell.refreshed > 0
        kept.append(tile.get_weights().mean().item())
    assert kept[0] == pytest.approx(kept[1], abs=0.02)


def test_mixed_precision_on_a_pair_equals_the_oracle():
    """Digital steps reach the pair as up pulses on the device of their sign, and refreshes come at batch ends."""
    cell = pair_of(refresh_every=2, refresh_upper_thres=0.05, refresh_lower_thres=0.02)
    config = configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=cell))
    tile = AnalogTile(3, 4, config, seed=1)
    oracle = cells.MixedPrecision(
        config.device, 3, 4, cell.granularity, pairs.OneSided(cell, None, 3, 4, cell.granularity)
    )
    for x, d in batches((3, 4), seed=4, n=60):
        tile.update(torch.tensor(x), torch.tensor(d), 0.008)
        oracle.run(x, d, 0.008)
        oracle.array.end_batch()
        assert tile.get_weights().numpy() == pytest.approx(oracle.weights, abs=5e-5)
    assert oracle.array.refreshed > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: configs.VectorUnitCell(unit_cell_devices=[constant()], gamma_vec=[1.0, 2.0]), "must have one entry"),
        (lambda: configs.VectorUnitCell(unit_cell_devices=[constant()], gamma_vec=[0.0]), "other than 0"),
        (lambda: configs.VectorUnitCell(unit_cell_devices=[constant()], first_update_idx=1), "first_update_idx = 1"),
        (lambda: configs.VectorUnitCell(unit_cell_devices=[]), "unit_cell_devices"),
        (lambda: configs.ReferenceUnitCell(unit_cell_devices=[constant()] * 3), "unit_cell_devices"),
        (lambda: configs.ReferenceUnitCell(unit_cell_devices=[constant()], gamma_vec=[1.0, 1.0]), "use VectorUnitCell"),
        (lambda: configs.OneSidedUnitCell(unit_cell_devices=[constant(), configs.SoftBoundsDevice()]), "of one kind"),
        (lambda: pair_of(refresh_upper_thres=1.5), "refresh_upper_thres"),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_are_named(build, message):
    with pytest.raises(ParameterError, match=message):
        build()
