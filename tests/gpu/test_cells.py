"""Every algorithm and cell of devices on a graphics processor, beside the processor: the same bits, state included."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from every_cell import CONFIGURATIONS
from gpu.parity import assert_same, both, quiet_configuration, quieted, work
from kernels.digest import DEVICES, SHAPE

from tilewright import configs
from tilewright.kernels.device_rate import DeviceRate
from tilewright.nn import AnalogLinear
from tilewright.optim import AnalogSGD
from tilewright.tile import AnalogTile

DEVICE = quieted(DEVICES["reference"])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_cell_is_the_same_bits(machine, name):
    """All cells there are, with everything random switched on but cycle and write noise."""
    both(AnalogTile(*SHAPE, quiet_configuration(CONFIGURATIONS[name]), seed=9), machine)


LINE_BY_LINE = {"transfer_columns": False, "n_reads_per_transfer": 4}
OFTEN = {"units_in_mbatch": False, "transfer_every": 2.0}
KEPT = {"forget_buffer": False, "buffer_cap": 2.0}
EASY = {"buffer_granularity": 0.02, "transfer_every": 1.0}
SWEEPS = {"n_reads_per_transfer": 53, "transfer_lr": 3.0}
OPTIONS = {
    "tiki-taka, rows": (configs.TransferCompound, LINE_BY_LINE),
    "buffered": (configs.BufferedTransferCompound, OFTEN | {"thres_scale": 0.02}),
    "buffered, rows": (configs.BufferedTransferCompound, LINE_BY_LINE | KEPT | {"thres_scale": 0.02}),
    "ttv2": (configs.ChoppedTransferCompound, {"in_chop_prob": 0.0, "units_in_mbatch": True, **EASY}),
    "c-ttv2": (configs.ChoppedTransferCompound, {"in_chop_prob": 0.3, "auto_scale": True, **EASY}),
    "c-ttv2, rows": (
        configs.ChoppedTransferCompound,
        KEPT | {"transfer_columns": False, "in_chop_random": False, "in_chop_prob": 0.4, **EASY, "transfer_every": 2.0},
    ),
    "agad": (configs.DynamicTransferCompound, {"in_chop_prob": 0.5, "transfer_columns": False, **EASY}),
    "agad, adaptive": (
        configs.DynamicTransferCompound,
        {"in_chop_prob": 1.0, "transfer_columns": False, "experimental_fast_lr_feedback": True,
         "experimental_correct_accumulation": True, "buffer_granularity": 1e-3, "transfer_every": 1.0},
    ),
    "mixed precision": (configs.MixedPrecisionCompound, {}),
    "mixed precision, few rows": (configs.MixedPrecisionCompound, {"n_rows_per_transfer": 5, "transfer_every": 2}),
    "residual": (
        configs.ResidualLearningCompound, OFTEN | {"auto_scale": True, "thres_scale": 0.1, "transfer_lr": 3.0}
    ),
    "rider": (configs.RiderCompound, SWEEPS),
    "e-rider": (configs.EnhancedRiderCompound, SWEEPS | {"chop_prob": 0.5, "auto_scale": True}),
    "multi-tile": (configs.MultiTileResidualCompound, OFTEN | {"gamma": 0.3, "transfer_every_vec": [2.0, 5.0]}),
}  # fmt: skip


def tile_with(name: str) -> AnalogTile:
    """A tile with options of an algorithm."""
    kind, options = OPTIONS[name]
    if kind is configs.MixedPrecisionCompound:
        config = configs.DigitalRankUpdateRPUConfig(device=kind(device=DEVICE, construction_seed=4, **options))
    else:
        devices = [DEVICE] * (3 if name == "multi-tile" else 2)
        config = configs.UnitCellRPUConfig(device=kind(unit_cell_devices=devices, construction_seed=4, **options))
    return AnalogTile(*SHAPE, config, seed=9)


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_algorithms_are_the_same_bits(machine, name):
    """Reads of lines with all their noise, buffers, writes of lines, and all that they leave in the state."""
    tile = tile_with(name)
    both(tile, machine, rounds=12 if name.startswith("agad") else 3)  # it writes after its first sweeps
    assert all(array.sent.pulses > 0 for array in tile.cell.pulsed_arrays().values()), "every array was written"
    if name == "agad, adaptive":
        assert float(tile.cell.feedback) != 1


SWEPT = {
    "random choppers": (
        configs.ChoppedTransferCompound,
        {"in_chop_prob": 0.4, "out_chop_prob": 0.5, "auto_scale": True},
    ),
    "regular choppers": (configs.ChoppedTransferCompound, {"in_chop_prob": 0.5, "in_chop_random": False}),
    "agad": (configs.DynamicTransferCompound, {"in_chop_prob": 0.6, "out_chop_prob": 0.3}),
}


@pytest.mark.parametrize("every", [1.0, 3.0])
@pytest.mark.parametrize(("shape", "samples"), [((3, 4), 50), ((140, 3), 300), ((3, 4), 1)])
@pytest.mark.parametrize("name", SWEPT)
def test_mini_batches_in_which_lines_are_read_several_times(machine, name, shape, samples, every):
    """Sweeps end and choppers flip within it, there are more reads than blocks to share them out, and also only one."""
    kind, options = SWEPT[name]
    compound = kind(
        unit_cell_devices=[DEVICE] * 2, construction_seed=4, transfer_every=every, transfer_columns=shape[0] < shape[1],
        buffer_granularity=0.02, **options,
    )  # fmt: skip
    tile = AnalogTile(*shape, configs.UnitCellRPUConfig(device=compound), seed=9)
    other, generator = copy.deepcopy(tile), torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(samples, shape[1], generator=generator), torch.randn(samples, shape[0], generator=generator) * 0.3)
        for _ in range(6)
    ]

    def train(one: AnalogTile, put: Any) -> list[torch.Tensor]:
        for x, d in batches:
            one.update(put(x), put(d), 0.05)
        return [one.weight.detach().cpu(), *(array.persistent.cpu() for array in one.cell.pulsed_arrays().values())]

    expected = train(tile, lambda t: t)
    with machine.running():
        found = train(machine.put(other), machine.put)
    assert_same(found, expected)
    ours, theirs = other.to("cpu").state_dict(), tile.state_dict()
    for key, value in theirs.items():
        # The processor takes many vectors in parts, and counts its calls.
        if isinstance(value, torch.Tensor) and (samples == 1 or not key.endswith("_extra_state")):
            assert torch.equal(ours[key], value), key
    if samples > 1:
        assert all(array.sent.pulses > 0 for array in tile.cell.pulsed_arrays().values()), "every array was written"


FULL_READS = configs.IOParameters(inp_noise=0.02, out_bound=0.6)
PAIRS = {
    "every mini-batch": {"refresh_every": 1},
    "between vectors": {"refresh_every": 3, "units_in_mbatch": False},
    "read as a whole": {"refresh_every": 1, "refresh_forward": FULL_READS},
}


def pair_of(name: str) -> configs.OneSidedUnitCell:
    """A one-sided pair with refreshes."""
    device = configs.SoftBoundsDevice(dw_min=0.02, dw_min_std=0.0, reset_std=0.05)
    return configs.OneSidedUnitCell(
        unit_cell_devices=[device], refresh_upper_thres=0.3, refresh_lower_thres=0.02, construction_seed=4,
        **PAIRS[name],
    )  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_refreshes_of_pairs_are_the_same_bits(machine, name):
    """Which pairs have come high, their resets, and what is written anew; in mixed precision too."""
    pair = pair_of(name)
    plain = AnalogTile(*SHAPE, configs.UnitCellRPUConfig(device=pair), seed=9)
    digital = configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=pair))
    for tile in (plain, AnalogTile(*SHAPE, digital, seed=9)):
        both(tile, machine)
        cell = getattr(tile.cell, "analog", tile.cell)
        assert cell.refreshed > 0


def test_refreshes_where_no_pair_is_high(machine):
    pair = configs.OneSidedUnitCell(unit_cell_devices=[DEVICE], refresh_every=1, refresh_upper_thres=1.0)
    tile = AnalogTile(*SHAPE, configs.UnitCellRPUConfig(device=pair), seed=9)
    both(tile, machine)
    assert tile.cell.refreshed == 0


@pytest.mark.parametrize("policy", ["All", "SingleSequential", "SingleRandom"])
def test_rows_of_mixed_precision_on_members(machine, policy):
    cell = configs.VectorUnitCell(
        unit_cell_devices=[DEVICE] * 2, gamma_vec=[0.7, -0.4], update_policy=policy, select_per_sample=policy != "All"
    )
    config = configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=cell))
    tile = AnalogTile(*SHAPE, config, seed=9)
    both(tile, machine)
    assert all(array.sent.pulses > 0 for array in tile.cell.pulsed_arrays().values())


def test_a_reference_is_set_and_the_device_updated(machine):
    tile = AnalogTile(*SHAPE, configs.UnitCellRPUConfig(device=configs.ReferenceUnitCell(unit_cell_devices=[DEVICE])))
    other = copy.deepcopy(tile)

    def train(one: AnalogTile, put: Any) -> list[torch.Tensor]:
        one.set_hidden_update_index(1)
        one.set_weights(put(torch.full(SHAPE, 0.1)))
        one.set_hidden_update_index(0)
        return work(one, put)

    expected = train(tile, lambda t: t)
    with machine.running():
        found = train(machine.put(other), machine.put)
    assert_same(found, expected)


def test_rates_for_each_vector_where_trains_grow(machine):
    """The members' rates are 0 where others are due, and the longest train goes by the largest."""
    update = configs.UpdateParameters(update_bl_management=False, update_management=False, fixed_bl=False)
    cell = configs.VectorUnitCell(
        unit_cell_devices=[DEVICE] * 2, update_policy="SingleSequential", select_per_sample=True
    )
    both(AnalogTile(*SHAPE, configs.UnitCellRPUConfig(device=cell, update=update), seed=9), machine)


RATES = (
    "sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp", "residual-v2", "e-rider", "one-sided", "vector All", "buffered",
    "floating point",
)  # fmt: skip


@pytest.mark.parametrize("name", RATES)
def test_rates_are_read_on_the_device(machine, name):
    """A learning rate in a tensor, changed in place, does what a number does: weights end at the same bits."""
    config = quiet_configuration(CONFIGURATIONS[name])
    for option in ("scale_fast_lr", "auto_scale"):  # rates of the fast array are settled from it too
        if option in type(config.device).model_fields:
            setattr(config.device, option, True)
    torch.manual_seed(3)
    number = AnalogLinear(SHAPE[1], SHAPE[0], rpu_config=config)
    tensor = copy.deepcopy(number)

    def train(layer: AnalogLinear, put: Any, in_tensor: bool) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(5)
        optimiser = AnalogSGD(layer.parameters(), lr=put(torch.tensor(0.125)) if in_tensor else 0.125)
        for rate in (0.125, 0.5):
            for group in optimiser.param_groups:
                if in_tensor:
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate
            optimiser.zero_grad()
            (layer(put(torch.randn(6, SHAPE[1], generator=generator))) ** 2).sum().backward()
            optimiser.step()
        return [layer.weight.detach().cpu(), layer.bias.detach().cpu()]

    with machine.running():
        expected = train(machine.put(number), machine.put, False)
        found = train(machine.put(tensor), machine.put, True)
    if machine.name == "cuda":  # bias: another of torch's kernels
        torch.testing.assert_close(found.pop(), expected.pop())
    assert_same(found, expected)


@pytest.mark.parametrize("name", ["sgd", "mp", "one-sided", "vector All", "floating point"])
def test_a_rate_of_zero_on_the_device_writes_nothing(machine, name):
    """Where an algorithm has no rate of its own; one that has goes on with it, as the optimiser says."""
    layer = AnalogLinear(SHAPE[1], SHAPE[0], bias=False, rpu_config=quiet_configuration(CONFIGURATIONS[name]))
    with machine.running():
        machine.put(layer)
        rate = machine.put(torch.tensor(0.0))
        x, d = machine.put(torch.rand(6, SHAPE[1])), machine.put(torch.rand(6, SHAPE[0]))
        before = layer.weight.detach().clone()
        layer.tile.update(x, d, DeviceRate(rate))
        assert torch.equal(layer.weight.detach(), before)
        rate.fill_(0.5)
        for _ in range(3):  # mixed precision does not write after every mini-batch
            layer.tile.update(x, d, DeviceRate(rate))
        assert not torch.equal(layer.weight.detach(), before)


def test_schedulers_change_rates_in_place():
    layer = AnalogLinear(4, 3, rpu_config=configs.FloatingPointRPUConfig())
    optimiser = AnalogSGD(layer.parameters(), lr=torch.tensor(0.5))
    rate = optimiser.param_groups[0]["lr"]
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1, gamma=0.5)
    optimiser.step()
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] is rate
    assert optimiser.tiles()[0][1] == float(rate) == 0.25


def test_arithmetic_of_rates():
    at = torch.tensor(0.5)
    rate = DeviceRate(at)
    assert float(-(3 * rate) / 2) == -0.75
    assert float(abs(-rate)) == 0.5
    assert rate != 0
    assert torch.equal((2 * rate).tensor(), torch.tensor([1.0]))
    at.fill_(1.5)
    assert float(rate) == 1.5
    assert rate.tensor(torch.float64).dtype is torch.float64
