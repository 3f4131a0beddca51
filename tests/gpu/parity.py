"""The same work on the processor and on another machine, and whether both come to the same bits."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from kernels.digest import DEVICES, SHAPE, batch
from torch import nn

from tilewright import configs
from tilewright.nn import AnalogConv2d, AnalogLinear
from tilewright.optim import AnalogSGD
from tilewright.tile import AnalogTile

QUIET = {"dw_min_std": 0.0, "write_noise_std": 0.0}


def quieted(device: Any) -> Any:
    """The device without cycle and write noise; tables of jumps lose these."""
    jumps = {"quantile_levels": [], "quantiles_up": [], "quantiles_down": []}
    off = {name: value for name, value in (QUIET | jumps).items() if name in type(device).model_fields}
    return device.model_copy(update=off, deep=True)


def tile_of(
    device: Any, update: dict[str, Any] | None = None, shape: tuple[int, int] = SHAPE, **config: Any
) -> AnalogTile:
    whole = configs.SingleRPUConfig(device=device, update=configs.UpdateParameters(**(update or {})), **config)
    return AnalogTile(*shape, whole, seed=9)


def work(tile: AnalogTile, put: Any, rounds: int = 2) -> list[torch.Tensor]:
    """Products both ways, updates and time, as tests of equal bits do it."""
    rng = np.random.default_rng(3)
    tile.set_weights(put(torch.tensor(rng.uniform(-0.4, 0.4, size=SHAPE), dtype=torch.float32)))
    results = [tile.get_weights()]
    for _ in range(rounds):
        x, d = (put(vectors) for vectors in batch(rng))
        results += [tile.forward(x), tile.backward(d)]
        tile.update(x, d, 0.05)
        tile.pass_time()
        results.append(tile.get_weights())
    return [result.cpu() for result in results]


def assert_same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        different = int((a != b).sum())
        assert different == 0, f"result {number}: {different} of {a.numel()} differ, by {float((a - b).abs().max())}"


def both(tile: AnalogTile, machine: Any, rounds: int = 2) -> None:
    """A tile does the same on the processor and on the machine, and its state ends up the same."""
    other = copy.deepcopy(tile)
    expected = work(tile, lambda t: t, rounds)
    with machine.running():
        machine.put(other)
        found = work(other, machine.put, rounds)
    other.to("cpu")
    assert_same(found, expected)
    ours, theirs = other.state_dict(), tile.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(ours[name], value), name


def mapped_network() -> nn.Module:
    """Layers as they are trained: scales of a mapping, digital bias, masks of saturated outputs, convolution."""
    config = configs.SingleRPUConfig(
        device=quieted(DEVICES["soft"]),
        forward=configs.IOParameters(out_bound=2.0, bound_management="None"),
        mapping=configs.MappingParameter(weight_scaling_omega=0.6, learn_out_scaling=True),
    )
    torch.manual_seed(5)
    conv = AnalogConv2d(1, 4, 3, rpu_config=config)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), AnalogLinear(144, 5, rpu_config=config))


def trained(model: nn.Module, put: Any) -> list[torch.Tensor]:
    """The parameters of that network after three steps."""
    optimiser = AnalogSGD(model.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        x = put(torch.randn(4, 1, 8, 8, generator=generator))
        optimiser.zero_grad()
        (model(x) ** 2).sum().backward()
        optimiser.step()
    return [value.detach().cpu() for value in model.parameters()]


def quiet_configuration(config: Any) -> Any:
    """A copy of a configuration whose devices have no cycle and write noise."""
    copied = copy.deepcopy(config)
    holders = [copied]
    while holders:
        holder = holders.pop()
        for name in type(holder).model_fields:
            value = getattr(holder, name)
            if isinstance(value, configs.PulsedDevice):
                setattr(holder, name, quieted(value))
            elif isinstance(value, list) and value and isinstance(value[0], configs.PulsedDevice):
                setattr(holder, name, [quieted(device) for device in value])
            elif isinstance(value, configs.UnitCell):
                holders.append(value)
    return copied
