"""Tiki-Taka, buffered Tiki-Taka and AGAD against the one-vector-at-a-time oracle, and the random parts by distribution.

With a deterministic pulse type and exact reads a run has one right answer, whatever the batches it arrives in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise
from oracle import transfer
from oracle.side_by_side import COUNTED, PERFECT_READ, compare, fast_and_slower
from oracle.statistics import assert_mean, assert_std, limit

from tilewright import configs
from tilewright.parameters import ParameterError
from tilewright.tile import AnalogTile

WRITE = configs.UpdateParameters(**COUNTED)


def devices(n: int) -> list[Any]:
    return fast_and_slower(n, configs.SoftBoundsDevice, reset=0.03)


def config_of(cls: type, n: int = 2, **cell: Any) -> configs.UnitCellRPUConfig:
    own = {"transfer_forward": PERFECT_READ}
    if cls is configs.TransferCompound:
        own["transfer_update"] = WRITE
    compound = cls(unit_cell_devices=devices(n), **(own | cell))
    return configs.UnitCellRPUConfig(device=compound, update=configs.UpdateParameters(**COUNTED))


TRANSFERS: list[dict[str, Any]] = [
    {},
    {"transfer_columns": False},
    {"gamma": 0.3},
    {"gamma_vec": [0.4, 0.8], "transfer_columns": False},
    {"transfer_every": 3.0, "units_in_mbatch": False},
    {"transfer_every": 0.5, "n_reads_per_transfer": 2},
    {"n_reads_per_transfer": 9, "transfer_lr": 0.5},
    {"with_reset_prob": 1.0, "n_reads_per_transfer": 2, "gamma": 0.5},
    {"with_reset_prob": 1.0, "transfer_every": 2.0, "units_in_mbatch": False},
    {"fast_lr": 0.0},
    {"fast_lr": 0.09, "scale_fast_lr": False},
    {"fast_lr": 3.0, "transfer_lr": 0.3, "scale_transfer_lr": False},
    {"transfer_lr": -0.7},
    {"n": 3, "transfer_every": 2.0, "units_in_mbatch": False},
    {"n": 3, "gamma": 0.5, "units_in_mbatch": False, "n_reads_per_transfer": 2},
    {"n": 3, "transfer_every_vec": [1.0, 3.0, 1.0], "units_in_mbatch": False, "transfer_lr_vec": [1.0, 2.5]},
    {"n": 3, "transfer_every_vec": [5.0, 2.0, 0.0], "units_in_mbatch": False, "transfer_columns": False, "gamma": 0.4},
]


@pytest.mark.parametrize("cell", TRANSFERS, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_tiki_taka_equals_the_oracle(cell, shape):
    """Every option; two and three arrays; the vectors after the last read of a batch count, whatever the period."""
    compare(
        config_of(configs.TransferCompound, **({"fast_lr": 2.0, "transfer_lr": 1.3} | cell)), transfer.Transfer, shape
    )


BUFFERED: list[dict[str, Any]] = [
    {},
    {"transfer_columns": False},
    {"momentum": 0.6, "thres_scale": 2.5},
    {"forget_buffer": False},
    {"forget_buffer": False, "momentum": 0.3, "buffer_cap": 1.5, "transfer_lr": 9.0},
    {"gamma": 0.5, "units_in_mbatch": False},
    {"n_reads_per_transfer": 2, "transfer_every": 2.0, "units_in_mbatch": False},
    {"n": 3, "transfer_every": 1.0, "units_in_mbatch": False, "transfer_lr": 8.0},
    {"n": 3, "gamma": 0.7, "units_in_mbatch": False, "transfer_columns": False, "transfer_lr": 8.0},
    {"n": 3, "transfer_every_vec": [3.0, 2.0, 0.0], "units_in_mbatch": False, "transfer_lr": 8.0},
]


@pytest.mark.parametrize("cell", BUFFERED, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_the_buffered_cell_equals_the_oracle(cell, shape):
    """Rows of a wide array included; the threshold is a step of the array that is written."""
    config = config_of(configs.BufferedTransferCompound, **({"fast_lr": 2.0, "transfer_lr": 2.0} | cell))
    compare(config, transfer.BufferedTransfer, shape, batches=12)


DYNAMIC: list[dict[str, Any]] = [
    {},
    {"transfer_columns": False},
    {"in_chop_prob": 0.2, "tail_weightening": 2.0},
    {"in_chop_prob": 1.0, "in_chop_random": True},
    {"gamma": 0.3, "out_chop_prob": 1.0},
    {"gamma": 0.3, "transfer_columns": False, "momentum": 0.5},
    {"forget_buffer": False, "buffer_cap": 1.2, "transfer_lr": 12.0},
    {"auto_scale": True, "fast_lr": 0.5},
    {"auto_granularity": 20.0, "transfer_every": 2.0, "transfer_lr": 9.0},
    {"experimental_correct_accumulation": True, "transfer_lr": 300.0},
    {"experimental_fast_lr_feedback": True, "in_chop_prob": 0.5, "feedback_target": 0.13},
    {"no_buffer": True, "transfer_lr": 40.0},
]


@pytest.mark.parametrize("cell", DYNAMIC, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (5, 2)], ids=str)
def test_agad_equals_the_oracle(cell, shape):
    """Reference, running mean, late start and choppers; every option by itself."""
    settings = {"fast_lr": 0.23, "in_chop_prob": 0.34, "transfer_lr": 5.0} | cell
    config = config_of(configs.DynamicTransferCompound, **settings)

    class Oracle(transfer.DynamicTransfer):
        def set_weights(self, weights: np.ndarray) -> None:
            self.c.set_weights(weights)

    tile, oracle = compare(config, Oracle, shape, batches=25)
    state = {
        key.rpartition(".")[2]: value.numpy() for key, value in tile.state_dict().items() if hasattr(value, "numpy")
    }
    lines = state["mean"].T if config.device.transfer_columns else state["mean"]
    assert lines == pytest.approx(oracle.mean, abs=1e-5)
    assert float(state["feedback"][0]) == pytest.approx(oracle.feedback, rel=1e-5)


def test_agad_waits_for_its_references():
    """No pulse reaches C in the first chopper period and one sweep more; then they come."""
    config = config_of(configs.DynamicTransferCompound, in_chop_prob=0.25, fast_lr=0.5, transfer_lr=50.0)
    tile = AnalogTile(2, 3, config, seed=1)
    for sweep in range(6):
        for _ in range(3):
            tile.update(torch.ones(1, 3), torch.ones(1, 2), 0.1)
        assert bool(tile.get_weights().any()) == (sweep > 4), f"sweep {sweep}"


def test_agad_flips_at_random_besides_its_regular_flips():
    """in_chop_prob 0.25: all lines in each fourth sweep, a quarter of them in the others; 12 sweeps of 500 lines."""
    config = config_of(configs.DynamicTransferCompound, in_chop_prob=0.25, in_chop_random=True)
    tile = AnalogTile(2, 500, config, seed=4)
    shares, before = [], tile.state_dict()["cell.in_chop"].clone()
    for _ in range(12):
        tile.update(torch.zeros(500, 500), torch.zeros(500, 2), 0.1)
        after = tile.state_dict()["cell.in_chop"].clone()
        shares.append(float((after != before).double().mean()))
        before = after
    assert shares[3::4] == [1.0, 1.0, 1.0]
    rest = np.mean([share for sweep, share in enumerate(shares) if sweep % 4 != 3])
    assert abs(rest - 0.25) < limit(1) * np.sqrt(0.25 * 0.75 / 4500)


def test_pulses_of_the_fast_array_count_in_its_own_steps():
    """A of 0.001 beside C of 0.01: E[A] = -lr sum outer(d, x), 400 tiles; an average would starve A 5.5 times."""
    fast = without_noise(configs.ConstantStepDevice, dw_min=0.001, w_max=2.0, w_min=-2.0)
    slow = without_noise(configs.ConstantStepDevice, dw_min=0.01, w_max=2.0, w_min=-2.0)
    for cls in (configs.TransferCompound, configs.DynamicTransferCompound):
        cell = cls(
            unit_cell_devices=[fast, slow], gamma=1.0, fast_lr=0.1, scale_fast_lr=False, transfer_every=1000.0,
            transfer_forward=PERFECT_READ,
        )  # fmt: skip
        x, d = torch.tensor([[0.9, -0.4, 0.2, 0.0]]), torch.tensor([[0.05, -0.01]])
        found = []
        for seed in range(400):
            tile = AnalogTile(2, 4, configs.UnitCellRPUConfig(device=cell), seed=seed)
            tile.update(x.repeat(4, 1), d.repeat(4, 1), 0.3)
            found.append(tile.get_weights().numpy().ravel())
        assert_mean(np.array(found), -0.4 * np.outer(d[0], x[0]).ravel(), "A")


def test_only_what_was_read_is_reset():
    """Two columns are read at a time: both arrive at C before they are reset, and the third keeps its value."""
    fast = without_noise(configs.ConstantStepDevice, dw_min=0.001, w_max=2.0, w_min=-2.0)
    cell = configs.TransferCompound(
        unit_cell_devices=[fast, fast], n_reads_per_transfer=2, with_reset_prob=1.0, gamma_vec=[10.0, 1.0],
        transfer_forward=PERFECT_READ, transfer_update=WRITE, scale_fast_lr=False, scale_transfer_lr=False,
    )  # fmt: skip
    config = configs.UnitCellRPUConfig(device=cell, update=configs.UpdateParameters(**COUNTED))
    tile = AnalogTile(1, 3, config, seed=1)
    tile.update(torch.ones(1, 3), torch.full((1, 1), 0.005), 1.0)
    assert tile.get_weights().numpy()[0] == pytest.approx([-0.005, -0.005, -0.05], abs=1e-6)


def test_pulses_after_a_reset_start_from_the_reset():
    """Certain pulses of 0.01: of six in a batch, columns are read and reset after the second, fourth and sixth."""
    fast = without_noise(configs.ConstantStepDevice, dw_min=0.01, w_max=2.0, w_min=-2.0, reset_std=0.0)
    certain = configs.UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
    cell = configs.TransferCompound(
        unit_cell_devices=[fast, fast], with_reset_prob=1.0, gamma=1.0, transfer_every=2.0, units_in_mbatch=False,
        transfer_lr=1e-9, scale_transfer_lr=False, transfer_forward=PERFECT_READ, transfer_update=WRITE,
    )  # fmt: skip
    tile = AnalogTile(9, 3, configs.UnitCellRPUConfig(device=cell, update=certain), seed=1)
    tile.update(torch.ones(6, 3), -torch.ones(6, 9), 0.01)
    assert tile.get_weights().numpy() == pytest.approx(np.tile([0.04, 0.02, 0.0], (9, 1)), abs=1e-6)


def test_resets_come_with_their_probability():
    """200 columns of 50 devices, each read once: the share of devices reset, 10000 draws."""
    fast = without_noise(configs.ConstantStepDevice, dw_min=0.001, w_max=2.0, w_min=-2.0)
    cell = configs.TransferCompound(
        unit_cell_devices=[fast, fast], n_reads_per_transfer=200, with_reset_prob=0.3, gamma=1.0, transfer_lr=1e-9,
        transfer_forward=PERFECT_READ, scale_fast_lr=False,
    )  # fmt: skip
    config = configs.UnitCellRPUConfig(device=cell, update=configs.UpdateParameters(**COUNTED))
    tile = AnalogTile(50, 200, config, seed=1)
    tile.update(torch.ones(1, 200), torch.full((1, 50), 0.005), 1.0)
    kept = float((tile.get_weights() < -0.004).float().mean())
    assert abs(kept - 0.7) < limit(1) * np.sqrt(0.21 / 10000)


def test_a_random_line_is_read_each_time():
    """Lines read at random are uniform: 2000 reads of 5 lines, each written as one visible step of C."""
    fast = without_noise(configs.ConstantStepDevice, dw_min=0.01, w_max=2.0, w_min=-2.0)
    slow = without_noise(configs.ConstantStepDevice, dw_min=1e-5, w_max=2.0, w_min=-2.0)
    cell = configs.BufferedTransferCompound(
        unit_cell_devices=[fast, slow], random_selection=True, units_in_mbatch=False, transfer_forward=PERFECT_READ,
        scale_transfer_lr=False, transfer_lr=1.0, scale_fast_lr=False, momentum=0.0,
    )  # fmt: skip
    config = configs.UnitCellRPUConfig(device=cell, update=configs.UpdateParameters(**COUNTED))
    tile = AnalogTile(1, 5, config, seed=1)
    tile.update(torch.ones(1, 5), torch.full((1, 1), 0.2), 1.0)
    before = tile.get_weights().numpy()[0]
    tile.update(torch.zeros(2000, 5), torch.zeros(2000, 1), 1.0)
    reads = np.rint((before - tile.get_weights().numpy()[0]) / 1e-5)
    assert reads.sum() == 2000
    assert np.abs(reads - 400).max() < limit(5) * np.sqrt(2000 * 0.2 * 0.8)


def test_reads_of_tiki_taka_carry_the_noise_of_their_periphery():
    """A = 0 is read with noise 0.06 and written at rate 1: C takes that noise, 10000 crosspoints."""
    read = configs.IOParameters(
        noise_management="None", bound_management="None", out_noise=0.06, out_res=-1.0, inp_res=-1.0
    )
    exact = configs.UpdateParameters(pulse_type="NoneWithDevice")
    config = config_of(
        configs.TransferCompound, transfer_forward=read, transfer_update=exact, scale_transfer_lr=False,
        n_reads_per_transfer=100,
    )  # fmt: skip
    tile = AnalogTile(100, 100, config, seed=4)
    tile.update(torch.zeros(1, 100), torch.zeros(1, 100), 0.1)
    noise = tile.get_weights().numpy().ravel()
    assert_mean(noise, 0.0, "written noise")
    assert_std(noise, 0.06, "written noise")


def test_slower_arrays_wait_for_a_sweep_of_their_lines():
    cell = config_of(configs.TransferCompound, n=3, transfer_every=2.0, n_reads_per_transfer=2).device
    assert cell.periods(8) == [2.0, 8.0, 0.0], "lines that are read, not outputs, over reads"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gamma_vec": [1.0]}, "gamma_vec must have one entry"),
        ({"gamma_vec": [1.0, 0.0]}, "gamma_vec must not end in 0"),
        ({"transfer_every_vec": [1.0]}, "transfer_every_vec must have one entry"),
        ({"transfer_every_vec": [-1.0, 0.0]}, "transfer_every_vec must not have negative"),
        ({"transfer_lr_vec": [1.0, 1.0, 1.0]}, "transfer_lr_vec must have 1 or 2"),
        ({"with_reset_prob": 0.1, "transfer_columns": False}, "with_reset_prob needs transfer_columns"),
        ({"transfer_forward": configs.IOParameters()}, "transfer_forward needs noise_management None"),
        ({"n_reads_per_transfer": 0}, "n_reads_per_transfer"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields, message):
    with pytest.raises(ParameterError, match=message):
        configs.TransferCompound(unit_cell_devices=devices(2), **fields)


def test_agad_needs_choppers_and_feedback_a_rate():
    with pytest.raises(ParameterError, match="in_chop_prob"):
        configs.DynamicTransferCompound(unit_cell_devices=devices(2), in_chop_prob=0.0)
    with pytest.raises(ParameterError, match="needs fast_lr above 0"):
        configs.DynamicTransferCompound(unit_cell_devices=devices(2), experimental_fast_lr_feedback=True, fast_lr=0.0)
