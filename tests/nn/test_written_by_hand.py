"""Values written into the raw weight of a tile, as any parameter of a network can be: they reach the devices."""

from __future__ import annotations

import copy

import pytest
import torch
from every_cell import CONFIGURATIONS
from torch import nn

from tilewright.configs import SingleRPUConfig, SoftBoundsReferenceDevice
from tilewright.nn import AnalogLinear
from tilewright.optim import AnalogSGD


def fill(parameter):
    with torch.no_grad():
        parameter.fill_(0.25)


def init(parameter):
    nn.init.constant_(parameter, 0.25)


def through_data(parameter):
    parameter.data.fill_(0.25)


def through_a_view_of_data(parameter):
    parameter.data[:] = 0.25


def assigned(parameter):
    parameter.data = torch.full_like(parameter, 0.25)


def from_a_vector(parameter):
    nn.utils.vector_to_parameters(torch.full((parameter.numel(),), 0.25), [parameter])


WAYS = [fill, init, through_data, through_a_view_of_data, assigned, from_a_vector]


def layer_of(name="noisy"):
    if name == "noisy":  # a state of its own behind the visible weight, with offsets and write noise
        device = SoftBoundsReferenceDevice(reference_std=0.1, write_noise_std=1.0, w_max=0.8, w_min=-0.8)
        config = SingleRPUConfig(device=device)
    else:
        config = CONFIGURATIONS[name]
    torch.manual_seed(1)
    return AnalogLinear(6, 4, rpu_config=config)


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__)
def test_the_devices_take_the_values(write):
    by_hand, proper = layer_of(), layer_of()
    write(by_hand.tile.weight)
    proper.tile.set_weights(torch.full((4, 6), 0.25))
    x = torch.rand(3, 6)
    assert torch.equal(by_hand(x), proper(x))
    for layer in (by_hand, proper):  # pulses go on from there
        layer.tile.update(x, torch.full((3, 4), 0.5), 0.1)
    ours, wanted = by_hand.tile.state_dict(), proper.tile.state_dict()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)
    assert float((ours["weight"] - 0.25).abs().max()) > 0


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_of_every_cell_and_in_copies_and_states(name):
    by_hand, proper = layer_of(name), layer_of(name)
    x = torch.rand(5, 6)
    for layer in (by_hand, proper):
        layer.tile.update(x, torch.full((5, 4), 0.5), 0.1)
    by_hand.tile.weight.data.mul_(0.5)
    proper.tile.settle()
    raw = proper.tile.weight.detach().clone()
    with proper.tile._devices() as weight:
        proper.tile.cell.set_weights(weight, 0.5 * raw)
    twin = copy.deepcopy(by_hand)
    wanted = proper.tile.state_dict()
    for layer in (by_hand, twin):
        found = layer.tile.state_dict()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_nothing_is_taken_for_written_that_was_not(name):
    """Training, looking, copying, loading, freezing: the devices are left alone."""
    torch.manual_seed(0)
    layer = layer_of(name)
    written = []
    layer.tile.cell.set_weights = lambda *args: written.append(args)
    optimiser = AnalogSGD(layer.parameters(), lr=0.1)
    x = torch.rand(5, 6)
    kept = layer.tile.weight.data
    for _ in range(3):
        optimiser.zero_grad()
        layer(x).square().sum().backward()
        optimiser.step()
        layer.tile.get_weights(), layer.weight.sum(), layer.tile.weight.data.sum(), kept.sum()
    layer.load_state_dict(layer.state_dict())
    layer.to("cpu").requires_grad_(False).float()
    layer.tile.reset_columns(0, 1), layer.tile.drift_weights(1.0)
    layer(x)
    nn.utils.parameters_to_vector(layer.parameters())
    layer(x)
    assert not written


def test_what_cannot_be_held_is_clipped_and_nan_refused():
    layer = layer_of()
    nn.init.constant_(layer.tile.weight, 5.0)
    assert float(layer.tile.get_weights().max()) < 2.0
    nn.init.constant_(layer.tile.weight, float("nan"))
    with pytest.raises(ValueError, match="nan or infinite entries were written"):
        layer(torch.rand(2, 6))
