"""TTv2 and c-TTv2 against the one-vector-at-a-time oracle, and their random parts by distribution.

With a deterministic pulse type and exact reads a run has one right answer, whatever the batch it arrives in.
Distributions: z tests, false-alarm rate 1e-7 per call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import cells
from oracle.statistics import assert_mean, assert_std, limit

from tilewright import configs
from tilewright.cells import cell, chopped_transfer, line_transfer
from tilewright.tile import AnalogTile

EPS_FAST, EPS_SLOW = 0.0107, 0.0043
# Two schemes with one right answer: counts by formula; or single slots in which every line fires, or is silent at 0.
COUNTED = {"pulse_type": "MeanCount", "desired_bl": 20}
CERTAIN = {"desired_bl": 1, "update_management": False, "update_bl_management": False}
PERFECT_READ = configs.IOParameters(is_perfect=True, noise_management="None", bound_management="None")


def config_of(update: dict[str, Any] | None = None, slow: Any = None, **cell: Any) -> configs.UnitCellRPUConfig:
    fast = without_noise(configs.SoftBoundsDevice, dw_min=EPS_FAST, w_max=0.9, w_min=-0.7, up_down=0.1)
    slow = slow or without_noise(configs.ConstantStepDevice, dw_min=EPS_SLOW, w_max=2.0, w_min=-2.0)
    compound = configs.ChoppedTransferCompound(
        unit_cell_devices=[fast, slow], **({"transfer_forward": PERFECT_READ, "in_chop_prob": 0.0} | cell)
    )
    scheme = configs.UpdateParameters(**(COUNTED if update is None else update))
    return configs.UnitCellRPUConfig(device=compound, update=scheme)


def compare(config: configs.UnitCellRPUConfig, shape: tuple[int, int], lr: float, seed: int, batches: int = 5) -> float:
    """Run both on the same random batches, compare the visible weights after each, and say how far C moved."""
    rng = np.random.default_rng(seed)
    tile = AnalogTile(*shape, config, seed=1)
    device = config.device.unit_cell_devices
    oracle = cells.ChoppedTransfer(config.device, config.update, *shape, (device[0].granularity, device[1].granularity))
    start = rng.uniform(-0.3, 0.3, size=shape).astype(np.float32)
    tile.set_weights(torch.tensor(start))
    oracle.c.set_weights(start)
    for batch in range(batches):
        size = int(rng.integers(1, 8))
        x = rng.uniform(-1, 1, size=(size, shape[1])).astype(np.float32)
        d = rng.uniform(-1, 1, size=(size, shape[0])).astype(np.float32)
        x[rng.uniform(size=x.shape) < 0.2] = 0.0
        if config.update.desired_bl == 1:
            x, d = np.sign(x), np.sign(d)
        tile.update(torch.tensor(x), torch.tensor(d), lr)
        oracle.run(x, d, lr)
        found = tile.get_weights().numpy()
        assert found == pytest.approx(oracle.weights, abs=2e-5), f"after batch {batch}"
    return float(np.abs(oracle.c.weights - start).max())


VARIANTS: list[dict[str, Any]] = [
    {},
    {"transfer_columns": False},
    {"gamma": 0.3},
    {"gamma": 0.3, "transfer_columns": False},
    {"units_in_mbatch": True, "transfer_lr": 6.0},
    {"transfer_every": 3.0, "transfer_lr": 4.0},
    {"transfer_every": 0.5, "units_in_mbatch": True, "transfer_lr": 3.0},
    {"transfer_every": -0.05, "transfer_lr": 4.0},
    {"in_chop_prob": 1.0},
    {"in_chop_prob": 0.3, "in_chop_random": False},
    {"in_chop_prob": 1.0, "out_chop_prob": 1.0, "gamma": 0.2},
    {"in_chop_prob": 0.5, "in_chop_random": False, "out_chop_prob": 1.0, "gamma": 0.2, "transfer_columns": False},
    {"momentum": 0.4},
    {"momentum": 0.4, "forget_buffer": False},
    {"forget_buffer": False},
    {"no_buffer": True, "transfer_lr": 20.0},
    {"auto_granularity": 30.0, "transfer_lr": 8.0},
    {"auto_granularity": 30.0, "transfer_every": 2.0, "transfer_lr": 8.0},
    {"buffer_granularity": 0.37},
    {"buffer_granularity": -1.0},
    {"scale_transfer_lr": False, "transfer_lr": 0.11},
    {"fast_lr": 0.0},
    {"fast_lr": 0.6, "scale_fast_lr": True},
    {"auto_scale": True, "fast_lr": 0.73},
    {"auto_scale": True, "fast_lr": 0.73, "auto_momentum": 0.5},
    {"auto_scale": True, "fast_lr": 3.1, "scale_fast_lr": True, "auto_momentum": 0.0},
    {"correct_gradient_magnitudes": True, "transfer_lr": 0.071},
    {"auto_scale": True, "fast_lr": 0.73, "correct_gradient_magnitudes": True, "transfer_lr": 0.071},
]


@pytest.mark.parametrize("cell", VARIANTS, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_runs_equal_the_oracle(cell, shape):
    """Every option by itself, tall and wide, columns and rows."""
    if cell.get("auto_scale"):
        cell = cell | {"fast_lr": cell["fast_lr"] * 9}
    moved = compare(config_of(CERTAIN, **({"fast_lr": 0.0913} | cell)), shape, lr=0.1973, seed=3, batches=6)
    assert moved > EPS_SLOW / 2, "the run reached the slow array"


@pytest.mark.parametrize("pulse_type", ["MeanCount", "DeterministicImplicit", "NoneWithDevice"])
@pytest.mark.parametrize("cell", [{}, {"transfer_columns": False, "gamma": 0.3}, {"auto_scale": True}], ids=str)
def test_other_pulse_types_equal_the_oracle(cell, pulse_type):
    """The reads see A as it was after their vector, whatever way the vectors reach A."""
    update = COUNTED | {"pulse_type": pulse_type}
    compare(config_of(update, **({"fast_lr": 0.0913} | cell)), (3, 4), lr=0.1973, seed=3)


@settings(max_examples=25)
@given(
    cell=st.fixed_dictionaries(
        {},
        optional={
            "transfer_columns": st.booleans(),
            "gamma": st.sampled_from([0.0, 0.25]),
            "auto_scale": st.booleans(),
            "momentum": st.sampled_from([0.0, 0.3, 1.0]),
            "forget_buffer": st.booleans(),
            "transfer_every": st.sampled_from([1.0, 2.0, 5.0]),
            "units_in_mbatch": st.booleans(),
            "out_chop_prob": st.sampled_from([0.0, 1.0]),
            "in_chop_prob": st.sampled_from([0.0, 1.0]),
        },
    ),
    seed=st.integers(0, 1000),
)
def test_options_together_equal_the_oracle(cell, seed):
    fast_lr = 3.1 if cell.get("auto_scale") else 0.0913
    config = config_of(CERTAIN, **({"fast_lr": fast_lr, "transfer_lr": 9.7} | cell))
    compare(config, (3, 4), lr=0.1973, seed=seed, batches=12)


@pytest.mark.parametrize("columns", [True, False])
def test_reads_go_on_while_no_pulses_are_sent(columns):
    """Vectors of zeros still read A: the buffer goes on filling with what A holds."""
    config = config_of(CERTAIN, fast_lr=0.0913, transfer_lr=5.0, transfer_columns=columns)
    tile = AnalogTile(3, 4, config, seed=1)
    device = config.device.unit_cell_devices
    oracle = cells.ChoppedTransfer(config.device, config.update, 3, 4, (device[0].granularity, device[1].granularity))
    x, d = np.array([[1, -1, 0, 1]] * 2, dtype=np.float32), np.array([[1, -1, 1]] * 2, dtype=np.float32)
    for scale_x, scale_d in ((1, 1), (0, 1), (1, 0), (0, 0), (0, 1)):
        tile.update(torch.tensor(scale_x * x), torch.tensor(scale_d * d), 0.1973)
        oracle.run(scale_x * x, scale_d * d, 0.1973)
        held = state(tile, "buffer")
        assert held == pytest.approx(oracle.h.T if columns else oracle.h, abs=1e-5)
    assert tile.get_weights().numpy() == pytest.approx(oracle.weights, abs=2e-5)


def test_several_pulses_per_transfer():
    """With a longer transfer train the buffer's whole steps are sent, up to desired_bl of them."""
    transfer = configs.UpdateParameters(desired_bl=3, pulse_type="MeanCount")
    config = config_of(CERTAIN, fast_lr=0.0913, transfer_lr=20.0, transfer_update=transfer, forget_buffer=False)
    compare(config, (3, 4), lr=0.1973, seed=5)


@pytest.mark.parametrize("slow_class", [configs.LinearStepDevice, configs.SoftBoundsReferenceDevice])
def test_other_slow_devices(slow_class):
    extra = {"gamma_up": 0.5, "gamma_down": 0.3} if slow_class is configs.LinearStepDevice else {"reference_mean": 0.1}
    slow = without_noise(slow_class, dw_min=EPS_SLOW, w_max=0.8, w_min=-0.8, **extra)
    compare(config_of(CERTAIN, slow=slow, fast_lr=0.0913, transfer_lr=5.0), (3, 4), lr=0.1973, seed=6)


def test_a_zero_rate_changes_nothing_not_even_counters():
    config = config_of(fast_lr=0.0913, gamma=0.2)
    tile = AnalogTile(3, 4, config, seed=1)
    before = {k: v.clone() for k, v in tile.state_dict().items() if isinstance(v, torch.Tensor)}
    tile.update(torch.ones(3, 4), torch.ones(3, 3), 0.0)
    after = tile.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def state(tile: AnalogTile, name: str) -> np.ndarray:
    """A buffer of the cell from the public state."""
    found = [value for key, value in tile.state_dict().items() if key.rpartition(".")[2] == name]
    assert len(found) == 1, f"{name} in {list(tile.state_dict())}"
    return found[0].numpy()


def test_choppers_flip_with_their_probability():
    """After one sweep a line has flipped with probability in_chop_prob; 20 sweeps of 400 lines, 8000 chances."""
    tile = AnalogTile(2, 400, config_of(in_chop_prob=0.3), seed=4)
    flips, before = 0, state(tile, "in_chop").copy()
    for _ in range(20):
        tile.update(torch.zeros(400, 400), torch.zeros(400, 2), 0.1)
        after = state(tile, "in_chop").copy()
        flips += int(np.sum(after != before))
        before = after
    assert abs(flips / 8000 - 0.3) < limit(1) * np.sqrt(0.3 * 0.7 / 8000)


def test_output_choppers_flip_after_a_sweep():
    """Once a sweep each output chopper flips with probability out_chop_prob; 20 sweeps of 400 outputs."""
    tile = AnalogTile(400, 5, config_of(out_chop_prob=0.2), seed=4)
    flips, before = 0, state(tile, "out_chop").copy()
    tile.update(torch.zeros(4, 5), torch.zeros(4, 400), 0.1)
    assert np.array_equal(before, state(tile, "out_chop")), "not before the sweep is complete"
    tile.update(torch.zeros(1, 5), torch.zeros(1, 400), 0.1)
    for _ in range(20):
        after = state(tile, "out_chop").copy()
        flips += int(np.sum(after != before))
        before = after
        tile.update(torch.zeros(5, 5), torch.zeros(5, 400), 0.1)
    assert abs(flips / 8000 - 0.2) < limit(1) * np.sqrt(0.2 * 0.8 / 8000)


def test_reads_carry_the_noise_of_their_periphery():
    """A = 0: the buffer after one sweep is lr_H times the read noise; 10000 reads."""
    read = configs.IOParameters(
        noise_management="None", bound_management="None", out_noise=0.06, out_res=-1.0, inp_res=-1.0
    )
    tile = AnalogTile(100, 100, config_of(transfer_forward=read), seed=4)
    tile.update(torch.zeros(100, 100), torch.zeros(100, 100), 0.01)
    gain = 0.01 / config_of().device.unit_cell_devices[0].granularity
    assert gain * 0.06 * 6 < 1, "no pulses"
    noise = state(tile, "buffer").ravel() / gain
    assert_mean(noise, 0.0, "read noise")
    assert_std(noise, 0.06, "read noise")
    assert np.abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < limit(1) / 100


def test_stochastic_pulses_reach_the_fast_array():
    """E[A] = -lr_A sum outer(d, x), seen through gamma = 1; 400 tiles."""
    fast = without_noise(configs.ConstantStepDevice, dw_min=0.001, w_max=2.0, w_min=-2.0)
    cell = configs.ChoppedTransferCompound(
        unit_cell_devices=[fast, fast],
        fast_lr=0.01,
        gamma=1.0,
        in_chop_prob=0.0,
        transfer_forward=PERFECT_READ,
        scale_transfer_lr=False,
        transfer_lr=1e-6,
    )
    config = configs.UnitCellRPUConfig(device=cell)
    x, d = torch.tensor([[0.9, -0.4, 0.2, 0.0]]), torch.tensor([[0.5, -0.1]])
    found = []
    for seed in range(400):
        tile = AnalogTile(2, 4, config, seed=seed)
        tile.update(x.repeat(5, 1), d.repeat(5, 1), 0.1)
        found.append(tile.get_weights().numpy().ravel())
    assert_mean(np.array(found), -0.05 * np.outer(d[0], x[0]).ravel(), "A", rounding=1e-6)


@pytest.mark.parametrize("algorithm", ["tiki-taka", "ttv2", "c-ttv2", "agad"])
def test_a_large_batch_passes_in_parts_as_if_it_were_whole(algorithm, monkeypatch):
    """Reads, choppers, running maxima and pulse trains go on where a part ends; devices without noise, bit for bit."""
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01)
    config = configs.build_config(algorithm, device)
    config.device.units_in_mbatch = False
    config.device.transfer_every = 2.0
    x, d = torch.rand(23, 4, generator=torch.Generator().manual_seed(1)), torch.linspace(-1, 1, 23 * 3).reshape(23, 3)
    found = []
    for at_once in (256, 5):
        for module in (cell, chopped_transfer, line_transfer):
            monkeypatch.setattr(module, "VECTORS_AT_ONCE", at_once)
        tile = AnalogTile(3, 4, config, seed=1)
        for _ in range(20):
            tile.update(x, d, 0.3)
        found.append(tile)
    whole, parts = (tile.state_dict() for tile in found)
    assert float(whole["weight"].abs().max()) > 0.02
    assert torch.equal(whole["weight"], parts["weight"])
    assert found[0].cell.totals == found[1].cell.totals
