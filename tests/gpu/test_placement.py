"""What lies on a GPU and what on the CPU, shown on the host by a GPU that is pretended."""

from __future__ import annotations

import copy
import io
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from every_cell import CONFIGURATIONS
from gpu import first_run
from gpu.conftest import Machine
from gpu.parity import assert_same, mapped_network, quiet_configuration, quieted, tile_of, trained, work
from gpu.pretended import GPU, pretended_gpu
from gpu.test_cells import OPTIONS, PAIRS, pair_of, tile_with
from kernels.digest import DEVICES, PERIPHERIES, SHAPE, UPDATES, batch
from torch import nn

from tilewright import configs
from tilewright.devices import trace_pulses
from tilewright.kernels import gpu
from tilewright.kernels.device_rate import DeviceRate
from tilewright.ledger import ledger
from tilewright.nn import AnalogLinear, analog_summary, convert_to_digital
from tilewright.tile import AnalogTile
from tilewright.weight_access import program_weights, read_weights, remap_weights


def keeps_to_its_device(tile: AnalogTile, monkeypatch: pytest.MonkeyPatch, rounds: int = 2) -> None:
    other = copy.deepcopy(tile)
    expected = work(tile, lambda t: t, rounds)
    with pretended_gpu(monkeypatch):
        moved = other.to(GPU)
        assert moved.weight.device == GPU
        found = work(moved, lambda t: t.to(GPU), rounds)
        assert moved.passes == tile.passes
        moved.to("cpu")
    assert_same(found, expected)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_cell(name, monkeypatch):
    keeps_to_its_device(AnalogTile(*SHAPE, quiet_configuration(CONFIGURATIONS[name]), seed=9), monkeypatch)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_rates_that_are_read_on_the_device(name, monkeypatch):
    tile = AnalogTile(*SHAPE, quiet_configuration(CONFIGURATIONS[name]), seed=9)
    x, d = batch(np.random.default_rng(0))
    with pretended_gpu(monkeypatch):
        tile.to(GPU)
        rate = DeviceRate(torch.tensor(0.05, device=GPU))
        before = tile.get_weights()
        for _ in range(3):
            tile.update(x.to(GPU), d.to(GPU), rate)
            tile.pass_time()
        assert not torch.equal(tile.get_weights().cpu(), before.cpu())


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_algorithms(name, monkeypatch):
    keeps_to_its_device(tile_with(name), monkeypatch, rounds=3)


@pytest.mark.parametrize("name", PAIRS)
def test_refreshes_of_pairs(name, monkeypatch):
    keeps_to_its_device(AnalogTile(*SHAPE, configs.UnitCellRPUConfig(device=pair_of(name)), seed=9), monkeypatch)


@pytest.mark.parametrize("name", PERIPHERIES)
def test_peripheries(name, monkeypatch):
    io = configs.IOParameters(**PERIPHERIES[name])
    keeps_to_its_device(tile_of(quieted(DEVICES["soft"]), forward=io, backward=io), monkeypatch)


@pytest.mark.parametrize("name", [name for name in UPDATES if name != "signed"])
def test_pulse_schemes(name, monkeypatch):
    keeps_to_its_device(tile_of(quieted(DEVICES["jumps"]), UPDATES[name]), monkeypatch)


def test_time_resets_drift_and_counts(monkeypatch):
    device = configs.SoftBoundsReferenceDevice(
        dw_min=0.02, dw_min_std=0.0, diffusion=0.01, lifetime=20.0, reset_std=0.05, reference_std=0.05,
        drift=configs.DriftParameters(nu=0.1, nu_std=0.1, w_noise_std=0.01), count_pulses=True,
    )  # fmt: skip
    tile = tile_of(device)
    other = copy.deepcopy(tile)

    def live(one: AnalogTile, put: Any) -> list[torch.Tensor]:
        results = work(one, put)
        one.drift_weights(30.0)
        results.append(one.get_weights())
        one.reset_columns(3, 20, 0.5)
        up, down = one.pulse_counts()["W"]
        report = one.observe(put(torch.ones(2, SHAPE[1])))
        return [value.cpu() for value in (*results, one.get_weights(), up, down, report.output, report.exact)]

    expected = live(tile, lambda t: t)
    with pretended_gpu(monkeypatch):
        found = live(other.to(GPU), lambda t: t.to(GPU))
    assert_same(found, expected)


def test_traces(monkeypatch):
    pulses, device = np.repeat([1, -1], 20), quieted(DEVICES["pow"])
    with pretended_gpu(monkeypatch):
        found = trace_pulses(device, pulses, 40, 7, 0.05, on="cuda:0")
    assert np.array_equal(found, trace_pulses(device, pulses, 40, 7, 0.05))


def test_layers_optimisers_and_checkpoints(monkeypatch):
    model = mapped_network()
    other = copy.deepcopy(model)
    expected = trained(model, lambda t: t)
    with pretended_gpu(monkeypatch):
        found = trained(other.to(GPU), lambda t: t.to(GPU))
        state = {key: v.cpu() if isinstance(v, torch.Tensor) else v for key, v in other.state_dict().items()}
    assert_same(found, expected)
    model.load_state_dict(state)


def test_references_are_programmed(monkeypatch):
    """To the same bits as on the processor, and with other random orders each time."""
    tile = tile_of(quieted(DEVICES["reference"]))
    other = copy.deepcopy(tile)

    def programmed(one: AnalogTile) -> list[torch.Tensor]:
        given = {"n_pulses": 30, "method": "random", "read_noise": 0.01, "write_noise": 0.01}
        found = [torch.from_numpy(one.program_reference("W", **given).estimate) for _ in range(2)]
        return [*found, one.get_weights().cpu(), one.cell.array.reference.cpu()]

    expected = programmed(tile)
    assert not torch.equal(expected[0], expected[1])
    with pretended_gpu(monkeypatch):
        found = programmed(other.to(GPU))
    assert_same(found, expected)


USES = {
    "read": lambda layer: read_weights(layer.tile),
    "program": lambda layer: program_weights(layer.tile, torch.rand(9, 20) * 0.1, max_iterations=2),
    "remap": lambda layer: remap_weights(layer.tile),
    "summary": lambda layer: str(analog_summary(layer, (3, 20))),
    "digital": lambda layer: convert_to_digital(nn.Sequential(layer)),
    "copy": copy.deepcopy,
    "save": lambda layer: torch.save(layer.state_dict(), io.BytesIO()),
    "load": lambda layer: layer.load_state_dict(AnalogLinear(20, 9, rpu_config=layer.tile.rpu_config).state_dict()),
    "set weights": lambda layer: layer.set_weights(torch.zeros(9, 20), torch.zeros(9)),
}


@pytest.mark.parametrize("name", USES)
def test_what_else_is_done_with_layers(name, monkeypatch):
    config = configs.SingleRPUConfig(
        device=quieted(DEVICES["soft"]), mapping=configs.MappingParameter(weight_scaling_omega=0.6)
    )
    with pretended_gpu(monkeypatch):
        layer = AnalogLinear(20, 9, rpu_config=config).to(GPU)
        USES[name](layer)
        assert layer.weight.device == GPU


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_ledgers_count_alike(name, monkeypatch):
    tile = AnalogTile(*SHAPE, quiet_configuration(CONFIGURATIONS[name]), seed=9)
    other, (x, d) = copy.deepcopy(tile), batch(np.random.default_rng(0))
    tile.update(x, d, 0.1)
    with pretended_gpu(monkeypatch):
        other.to(GPU).update(x.to(GPU), d.to(GPU), 0.1)
        assert ledger(other).to_json() == ledger(tile).to_json()


class Pretended(Machine):
    """The pretended GPU, as the checks of the first run take a machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name, self.device, self._monkeypatch = "pretended", GPU, monkeypatch

    def running(self) -> AbstractContextManager[Any]:
        return pretended_gpu(self._monkeypatch)


def test_the_first_run(monkeypatch, capsys):
    assert first_run.run(Pretended(monkeypatch))
    assert capsys.readouterr().out.count(": agrees") > 60


def test_what_is_left_on_the_cpu_is_refused(monkeypatch):
    """The pretence finds mistakes: tensors that mix, and addresses that no GPU could use."""
    tile = tile_of(DEVICES["soft"])
    with pretended_gpu(monkeypatch):
        tile.to(GPU)
        x, d = batch(np.random.default_rng(0))
        with pytest.raises(RuntimeError, match="x is on cpu and the tile on cuda:0"):
            tile.forward(x)
        with pytest.raises(RuntimeError, match="two devices"):
            x + x.to(GPU)
        assert (x.to(GPU) + torch.tensor(1.0)).device == GPU
        tile.cell.array.up = tile.cell.array.up.cpu()
        with pytest.raises(RuntimeError, match="an address of the CPU"):
            tile.update(x.to(GPU), d.to(GPU), 0.1)
        assert gpu.problem() == ""
