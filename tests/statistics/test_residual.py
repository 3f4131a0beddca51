"""Residual learning v2, RIDER, E-RIDER and multi-tile residual against the one-vector-at-a-time oracle.

With a deterministic pulse type and exact reads a run has one right answer, whatever the batches it arrives in. Random
parts are judged by distribution: z tests, false-alarm rate 1e-7 per call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise
from oracle import residual
from oracle.side_by_side import COUNTED, PERFECT_READ, compare, fast_and_slower
from oracle.statistics import assert_mean, assert_std, limit

from tilewright import configs
from tilewright.parameters import ParameterError
from tilewright.tile import AnalogTile

NOISY_READ = configs.IOParameters(
    noise_management="None", bound_management="None", out_noise=0.06, out_res=-1.0, inp_res=-1.0
)


def devices(n: int) -> list[Any]:
    return fast_and_slower(n, configs.SoftBoundsReferenceDevice, reference_mean=0.07)


def config_of(cls: type, n: int = 2, **cell: Any) -> configs.UnitCellRPUConfig:
    own = {"transfer_forward": PERFECT_READ, "transfer_update": configs.UpdateParameters(**COUNTED)}
    return configs.UnitCellRPUConfig(
        device=cls(unit_cell_devices=devices(n), **(own | cell)), update=configs.UpdateParameters(**COUNTED)
    )


def state(tile: AnalogTile, name: str) -> np.ndarray:
    """A buffer of the cell from the public state."""
    found = [value for key, value in tile.state_dict().items() if key == f"cell.{name}"]
    assert len(found) == 1, f"{name} in {list(tile.state_dict())}"
    return found[0].numpy()


SHARED: list[dict[str, Any]] = [
    {},
    {"transfer_columns": False},
    {"gamma": 0.0},
    {"gamma": 1.0, "units_in_mbatch": False, "transfer_every": 2.0},
    {"n_reads_per_transfer": 9, "transfer_lr": 0.5},
    {"n_reads_per_transfer": 2, "transfer_every": 1.0, "units_in_mbatch": False, "transfer_columns": False},
    {"auto_scale": True, "fast_lr": 0.31},
    {"auto_scale": True, "fast_lr": 0.31, "scale_fast_lr": False, "auto_momentum": 0.3},
    {"fast_lr": 0.0},
    {"fast_lr": 0.09, "scale_fast_lr": False, "transfer_lr": 0.3, "scale_transfer_lr": False},
]
BASE = {"fast_lr": 2.0, "transfer_lr": 1.7}


@pytest.mark.parametrize("cell", [*SHARED, {"eta": 0.5}, {"eta": 0.01}], ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_rider_equals_the_oracle(cell, shape):
    """Every option; Q as well as the weights."""
    tile, oracle = compare(config_of(configs.RiderCompound, **(BASE | cell)), residual.Rider, shape, batches=14)
    assert state(tile, "tracked") == pytest.approx(oracle.q, abs=1e-5)


@pytest.mark.parametrize("cell", [*SHARED, {"eta": 0.5, "chop_prob": 0.0}, {"chop_prob": 0.0}], ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_e_rider_equals_the_oracle(cell, shape):
    """Every option, with a sign that flips after each sweep or never."""
    settings = BASE | {"chop_prob": 1.0} | cell
    tile, oracle = compare(
        config_of(configs.EnhancedRiderCompound, **settings), residual.EnhancedRider, shape, batches=14
    )
    assert state(tile, "reference") == pytest.approx(oracle.reference, abs=1e-5)
    assert float(state(tile, "sign")[0]) == oracle.sign


@pytest.mark.parametrize("cell", [*SHARED, {"buffer_rate": 0.9, "thres_scale": 3.0}, {"thres_scale": 0.0}], ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_residual_learning_equals_the_oracle(cell, shape):
    """Every option; the filter as well as the weights."""
    settings = BASE | {"buffer_rate": 0.4} | cell
    config = config_of(configs.ResidualLearningCompound, **settings)
    tile, oracle = compare(config, residual.ResidualLearning, shape, batches=14)
    assert state(tile, "filtered") == pytest.approx(oracle.h, abs=1e-5)


TILES: list[dict[str, Any]] = [
    {},
    {"gamma": 0.3},
    {"n": 3, "gamma": 0.5, "transfer_every": 0.3, "units_in_mbatch": False},
    {"n": 3, "gamma": 0.4, "transfer_every_vec": [1.0, 2.0], "units_in_mbatch": False, "transfer_columns": False},
    {"n": 3, "switch_on_plateau": True, "plateau_patience": 3, "plateau_memory": 0.5, "gamma": 0.2},
    {"n": 3, "switch_on_plateau": True, "plateau_patience": 2, "auto_scale": True, "fast_lr": 0.2},
    {"auto_scale": True, "fast_lr": 0.31},
]


def note_noisy_loss(tile: AnalogTile, oracle: residual.MultiTileResidual, rng: np.random.Generator) -> None:
    """A loss that does not fall, so that tiles are switched."""
    loss = float(2.0 + 0.01 * rng.normal())
    tile.cell.note_loss(loss)
    oracle.note_loss(loss)


@pytest.mark.parametrize("cell", TILES, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_multi_tile_residual_equals_the_oracle(cell, shape):
    """Two and three tiles, the recommended gamma, and the switch of tiles on a plateau of the loss."""
    config = config_of(configs.MultiTileResidualCompound, **(BASE | cell))
    tile, oracle = compare(config, residual.MultiTileResidual, shape, batches=14, after_batch=note_noisy_loss)
    assert tile.cell.active == oracle.first
    if cell.get("switch_on_plateau"):
        assert oracle.first == 0, "the run came to the finest tile"


def test_the_recommended_gamma_is_above_one_state():
    for states in (4, 20, 200):
        device = without_noise(configs.SoftBoundsDevice, dw_min=2.0 / states, w_max=1.0, w_min=-1.0)
        config = configs.build_config("multi-tile-residual", device, n_devices=3)
        assert 1.0 / states < config.device.ratio < 1.5 / states
        assert config.device.shares == pytest.approx([config.device.ratio**2, config.device.ratio, 1.0])


def test_a_falling_loss_keeps_the_tile():
    config = config_of(configs.MultiTileResidualCompound, n=3, switch_on_plateau=True, plateau_patience=5)
    tile = AnalogTile(2, 3, config, seed=1)
    for step in range(100):
        tile.cell.note_loss(0.95**step)
    assert tile.cell.active == 2
    for _ in range(400):
        tile.cell.note_loss(0.95**100)
    assert tile.cell.active < 2


def test_the_sign_flips_with_its_probability():
    """One sweep in each mini-batch; 4000 chances."""
    config = config_of(configs.EnhancedRiderCompound, chop_prob=0.3, n_reads_per_transfer=2)
    tile = AnalogTile(1, 2, config, seed=4)
    flips, before = 0, 1.0
    for _ in range(4000):
        tile.update(torch.zeros(1, 2), torch.zeros(1, 1), 0.1)
        after = float(state(tile, "sign")[0])
        flips, before = flips + (after != before), after
    assert abs(flips / 4000 - 0.3) < limit(1) * np.sqrt(0.3 * 0.7 / 4000)


@pytest.mark.parametrize(
    ("cls", "name", "share"),
    [
        (configs.RiderCompound, "tracked", {"eta": 0.25}),
        (configs.ResidualLearningCompound, "filtered", {"buffer_rate": 0.25}),
    ],
)
def test_digital_means_carry_the_noise_of_the_reads(cls, name, share):
    """P = 0 read four times with noise 0.06 at rate 1/4: mean 0, variance 0.06^2 sum_k (1/4 (3/4)^k)^2; 10000 reads."""
    config = config_of(cls, transfer_forward=NOISY_READ, transfer_lr=1e-9, n_reads_per_transfer=100, **share)
    config.device.unit_cell_devices[0] = config.device.unit_cell_devices[1]
    tile = AnalogTile(100, 100, config, seed=4)
    for _ in range(4):
        tile.update(torch.zeros(1, 100), torch.zeros(1, 100), 0.1)
    noise = state(tile, name).ravel()
    assert_mean(noise, 0.0, "read noise")
    assert_std(noise, 0.06 * float(np.sqrt(sum((0.25 * 0.75**k) ** 2 for k in range(4)))), "read noise")


def test_stochastic_writes_move_w_by_what_p_holds_beyond_q():
    """E[W] = transfer_lr (P - Q) with eta 1/4 and P set by one certain vector; 400 tiles."""
    quiet = without_noise(configs.ConstantStepDevice, dw_min=0.001, w_max=2.0, w_min=-2.0)
    cell = configs.RiderCompound(
        unit_cell_devices=[quiet, quiet], gamma=0.0, eta=0.25, n_reads_per_transfer=9, transfer_forward=PERFECT_READ,
        scale_fast_lr=False, transfer_lr=0.3, scale_transfer_lr=False,
    )  # fmt: skip
    config = configs.UnitCellRPUConfig(device=cell, update=configs.UpdateParameters(**COUNTED))
    x, d = torch.tensor([[0.9, -0.4, 0.2, 0.0]]), torch.tensor([[0.019, -0.011]])
    found = []
    for seed in range(400):
        tile = AnalogTile(2, 4, config, seed=seed)
        tile.update(x, d, 0.1)
        p = tile.cell.inner[0].numpy() if tile.cell.hidden else None
        found.append(tile.get_weights().numpy().ravel())
    assert p is not None
    assert np.abs(p).max() > 0.01
    assert_mean(np.array(found), 0.3 * 0.75 * p.ravel(), "W")


def test_what_w_takes_and_what_q_moves_are_tied():
    """W has taken rate (1 - eta) / eta times what Q has moved, whatever came and wherever P rests."""
    config = config_of(
        configs.RiderCompound, eta=0.02, fast_lr=2.0, transfer_lr=0.1, scale_transfer_lr=False,
        transfer_update=configs.UpdateParameters(pulse_type="MeanCount", desired_bl=1000),
    )  # fmt: skip
    config.device.unit_cell_devices[1].dw_min = 1e-4
    tile = AnalogTile(5, 6, config, seed=2)
    tile.set_weights(torch.full((5, 6), 0.1))
    draws = torch.Generator().manual_seed(8)
    for _ in range(60):
        tile.update(torch.rand(3, 6, generator=draws) - 0.3, torch.rand(3, 5, generator=draws) - 0.4, 0.2)
    taken = state(tile, "inner")[1] - 0.1
    assert np.abs(taken).max() > 0.2
    assert taken == pytest.approx(0.1 * 0.98 / 0.02 * state(tile, "tracked"), abs=3e-3)  # 30 writes, half a step each


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (configs.RiderCompound, {"n": 3}, "unit_cell_devices"),
        (configs.RiderCompound, {"eta": 0.0}, "eta"),
        (configs.EnhancedRiderCompound, {"chop_prob": 1.1}, "chop_prob"),
        (configs.ResidualLearningCompound, {"transfer_forward": configs.IOParameters()}, "transfer_forward needs"),
        (configs.MultiTileResidualCompound, {"transfer_every_vec": [1.0, 2.0, 3.0]}, "transfer_every_vec must have"),
        (configs.MultiTileResidualCompound, {"transfer_every_vec": [-1.0]}, "must not have negative"),
    ],
)
def test_fields_that_do_not_fit_are_named(cls, fields, message):
    with pytest.raises(ParameterError, match=message):
        config_of(cls, **fields)
