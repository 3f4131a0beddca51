"""Saving in the middle of training and going on elsewhere gives the bits of an uninterrupted run."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from every_cell import CONFIGURATIONS
from torch import nn

from tilewright.nn import AnalogLinear, convert_to_analog_mapped
from tilewright.optim import AnalogSGD


def build(config: Any, seed: int) -> tuple[nn.Module, AnalogSGD]:
    torch.manual_seed(seed)
    model = convert_to_analog_mapped(nn.Sequential(nn.Linear(13, 9), nn.Sigmoid(), nn.Linear(9, 4)), config)
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    optimizer.regroup_param_groups(model)
    return model, optimizer


def train(model: nn.Module, optimizer: AnalogSGD, steps: range) -> list[float]:
    losses = []
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x, target = torch.randn(5, 13, generator=generator), torch.randint(4, (5,), generator=generator)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        optimizer.note_loss(loss.item())
        losses.append(loss.item())
    return losses


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}


def assert_same(left: nn.Module, right: nn.Module) -> None:
    one, other = bits(left), bits(right)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_resumed_training_is_the_uninterrupted_run(name):
    """The resumed model is built with another seed, so everything that matters has to come from the checkpoint."""
    model, optimizer = build(CONFIGURATIONS[name], seed=1)
    train(model, optimizer, range(7))
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, file)
    expected = train(model, optimizer, range(7, 14))

    resumed, fresh = build(CONFIGURATIONS[name], seed=99)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed.load_state_dict(saved["model"])
    fresh.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])
    assert train(resumed, fresh, range(7, 14)) == expected
    assert_same(model, resumed)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_copies_go_on_alike_and_apart(name):
    """A deep copy and a pickled copy train to the same bits, and share no memory with the original."""
    model, optimizer = build(CONFIGURATIONS[name], seed=1)
    train(model, optimizer, range(3))
    before = bits(model)
    twin, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    losses = []
    for other in (twin, pickled):
        own = AnalogSGD(other.parameters(), lr=0.1)
        losses.append(train(other, own, range(3, 6)))
    assert [key for key, value in before.items() if not torch.equal(value, bits(model)[key])] == []
    assert losses[0] == losses[1] == train(model, optimizer, range(3, 6))
    assert_same(model, twin)
    assert_same(model, pickled)


@pytest.mark.parametrize("name", ["sgd", "ttv2", "mp"])
def test_a_checkpoint_of_another_kind_is_refused(name):
    model, _ = build(CONFIGURATIONS[name], seed=1)
    other, _ = build(CONFIGURATIONS["c-ttv2"], seed=1)
    with pytest.raises(RuntimeError):
        other.load_state_dict(model.state_dict())


def test_seeds_govern_everything():
    """torch.manual_seed alone reproduces a run whose configuration names no seed; another seed gives another run."""
    runs = []
    for seed in (5, 5, 6):
        model, optimizer = build(CONFIGURATIONS["unseeded"], seed=seed)
        runs.append(train(model, optimizer, range(4)))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_construction_seed_fixes_the_devices_only():
    """Equal construction seeds draw equal devices in equal places and different ones in different layers."""
    devices = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        layer = AnalogLinear(6, 5, rpu_config=CONFIGURATIONS["sgd"])
        devices.append({k: v for k, v in bits(layer).items() if k.rpartition(".")[2] in ("up", "down", "max_bound")})
    assert devices[0]
    assert all(torch.equal(devices[0][k], devices[1][k]) for k in devices[0])
    model, _ = build(CONFIGURATIONS["sgd"], seed=1)
    drawn = [v for k, v in bits(model).items() if k.endswith(".up")]
    assert len(drawn) == 2
    assert not torch.equal(drawn[0][:4, :4], drawn[1][:4, :4])
