"""Rules that hold for every algorithm: where it starts afresh, what its seed governs, what a batch may not change."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise
from every_cell import CONFIGURATIONS
from oracle import cells

from tilewright import configs
from tilewright.tile import AnalogTile

SHAPE = (5, 4)
PERFECT_READ = configs.IOParameters(is_perfect=True, noise_management="None", bound_management="None")
EXACT = configs.UpdateParameters(pulse_type="NoneWithDevice")
ALGORITHMS = [name for name, config in CONFIGURATIONS.items() if hasattr(config, "update") and name != "ideal"]


def batch(seed: int, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(size, SHAPE[1], generator=generator) * 2 - 1
    return x, torch.rand(size, SHAPE[0], generator=generator) * 2 - 1


def trained(config: Any, seed: int, batches: int = 12) -> AnalogTile:
    tile = AnalogTile(*SHAPE, config, seed=seed)
    for k in range(batches):
        tile.update(*batch(k), 0.2)
    return tile


def without_write_noise(config: Any) -> Any:
    """A copy whose devices are set without noise of their own."""
    made = copy.deepcopy(config)
    cell = made.device.device if isinstance(made.device, configs.MixedPrecisionCompound) else made.device
    for device in getattr(cell, "unit_cell_devices", [cell]):
        device.write_noise_std = 0.0
    return made


def memory(tile: AnalogTile) -> dict[str, torch.Tensor]:
    """What the algorithm holds, but for counters of random draws and of pulses."""
    skipped = ("counters", "_extra_state", "up_pulses", "down_pulses")
    state = {key: value for key, value in tile.state_dict().items() if isinstance(value, torch.Tensor)}
    return {key: value.clone() for key, value in state.items() if not key.endswith(skipped)}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_setting_weights_starts_an_algorithm_afresh(name):
    """Fast arrays, buffers, references, choppers and running maxima are those of a new tile with these weights."""
    config = without_write_noise(CONFIGURATIONS[name])
    wanted = torch.linspace(-0.2, 0.2, 20).reshape(SHAPE)
    fresh, used = AnalogTile(*SHAPE, config, seed=3), trained(config, seed=3)
    fresh.set_weights(wanted)
    used.set_weights(wanted)
    left, right = memory(fresh), memory(used)
    assert [key for key in left if not torch.allclose(left[key].double(), right[key].double(), atol=1e-6)] == []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_one_seed_governs_every_stream(name):
    """Trains, reads, choppers, selections, resets and flips: equal seeds repeat a run, others do not."""
    first, again, other = (trained(CONFIGURATIONS[name], seed) for seed in (5, 5, 6))
    for key, value in memory(first).items():
        assert torch.equal(value, memory(again)[key]), key
    assert not torch.equal(first.weight.data, other.weight.data)


def quiet(dw_min: float) -> Any:
    return without_noise(configs.ConstantStepDevice, dw_min=dw_min, w_max=2.0, w_min=-2.0, reset=0.02)


RANDOM_EVENTS = {
    "lines and resets": configs.TransferCompound(
        unit_cell_devices=[quiet(0.01)] * 3, with_reset_prob=0.4, random_selection=True, n_reads_per_transfer=2,
        transfer_every_vec=[2.0, 3.0, 0.0], units_in_mbatch=False, gamma=0.5, transfer_forward=PERFECT_READ,
        transfer_update=EXACT,
    ),
    "choppers": configs.ChoppedTransferCompound(
        unit_cell_devices=[quiet(0.01)] * 2, in_chop_prob=0.4, out_chop_prob=0.3, gamma=0.5, fast_lr=0.2,
        transfer_forward=PERFECT_READ, transfer_lr=5.0,
    ),
    "references": configs.DynamicTransferCompound(
        unit_cell_devices=[quiet(0.01)] * 2, in_chop_prob=0.4, in_chop_random=True, gamma=0.5, fast_lr=0.2,
        transfer_forward=PERFECT_READ, transfer_lr=9.0,
    ),
    "noise of reads": configs.RiderCompound(
        unit_cell_devices=[quiet(0.01)] * 2, units_in_mbatch=False, eta=0.3, transfer_update=EXACT, transfer_every=2.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RANDOM_EVENTS)
def test_a_batch_is_its_vectors_one_after_the_other(name):
    """13 vectors at once and one by one give the same weights: no vector, read, reset or flip is dropped or moved."""
    config = configs.UnitCellRPUConfig(device=RANDOM_EVENTS[name], update=EXACT)
    together, apart = (AnalogTile(*SHAPE, config, seed=4) for _ in range(2))
    for k in range(4):
        x, d = batch(k, size=13)
        together.update(x, d, 0.2)
        for row in range(13):
            apart.update(x[row : row + 1], d[row : row + 1], 0.2)
        assert together.get_weights().numpy() == pytest.approx(apart.get_weights().numpy(), abs=2e-5), f"batch {k}"
    assert float(together.get_weights().abs().max()) > 0.05


@pytest.mark.parametrize("name", ["tiki-taka", "ttv2", "agad", "mp", "e-rider"])
def test_negative_rates_are_refused(name):
    tile = AnalogTile(*SHAPE, configs.build_config(name, quiet(0.01)), seed=1)
    with pytest.raises(ValueError, match="lr must be a finite number that is not negative"):
        tile.update(*batch(1), -0.1)


def test_both_devices_of_a_pair_are_those_given():
    """Minus and plus with other steps: one certain pulse each moves the weight by the step of its own device."""
    cell = configs.OneSidedUnitCell(unit_cell_devices=[quiet(0.01), quiet(0.03)])
    certain = configs.UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
    tile = AnalogTile(1, 2, configs.UnitCellRPUConfig(device=cell, update=certain), seed=1)
    tile.update(torch.tensor([[1.0, -1.0]]), torch.ones(1, 1), cell.granularity)
    assert tile.get_weights().numpy()[0] == pytest.approx([-0.01, 0.03], abs=1e-6)


def test_resetting_what_a_sum_shows_keeps_its_members():
    """Saving and loading a vector cell does not even its members out, though setting the same sum does."""
    device = configs.ConstantStepDevice(dw_min=0.01, construction_seed=3)
    config = configs.UnitCellRPUConfig(device=configs.VectorUnitCell(unit_cell_devices=[device] * 3))
    tile, other = trained(config, seed=3), AnalogTile(*SHAPE, config, seed=8)
    other.load_state_dict(tile.state_dict())
    members = other.cell.members
    assert torch.equal(members, tile.cell.members)
    assert float((members[0] - members[1]).abs().max()) > 0.01
    assert torch.equal(other.get_weights(), tile.get_weights())


@pytest.mark.parametrize("bins", [{}, {"n_x_bins": 5, "n_d_bins": 3, "stoc_round_x": False, "stoc_round_d": False}])
@pytest.mark.parametrize("shape", [(3, 5), (9, 70)], ids=str)
def test_sparse_digital_updates_equal_the_oracle(bins, shape):
    """Nine in ten errors and three in four inputs are zero, whole vectors too: the accumulator holds every product."""
    device = quiet(0.0117)
    config = configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=device, **bins))
    tile, rng = AnalogTile(*shape, config, seed=1), np.random.default_rng(3)
    oracle = cells.MixedPrecision(config.device, *shape, device.granularity)
    for _ in range(30):
        x = rng.uniform(-1, 1, size=(5, shape[1])).astype(np.float32) * (rng.uniform(size=(5, shape[1])) < 0.25)
        d = rng.uniform(-1, 1, size=(5, shape[0])).astype(np.float32) * (rng.uniform(size=(5, shape[0])) < 0.1)
        tile.update(torch.tensor(x, dtype=torch.float32), torch.tensor(d, dtype=torch.float32), 0.0027)
        oracle.run(x, d, 0.0027)
        assert tile.cell.chi.numpy() == pytest.approx(oracle.chi, abs=2e-6)
        assert tile.get_weights().numpy() == pytest.approx(oracle.weights, abs=2e-5)
    assert np.abs(oracle.chi).max() > 0.001
