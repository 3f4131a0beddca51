"""What only a GPU can show: nothing waits for it, captured graphs draw new numbers, streams are torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tilewright import configs
from tilewright.kernels import gpu
from tilewright.nn import AnalogLinear, capture_step
from tilewright.optim import AnalogSGD
from tilewright.tile import AnalogTile

ALGORITHMS = ("sgd", "ttv2", "c-ttv2", "agad", "mp")


def quiet(name: str = "sgd") -> configs.RPUConfig:
    device = configs.SoftBoundsDevice(dw_min=0.01, dw_min_std=0.0, lifetime=100.0, diffusion=0.001)
    cell = {} if name in ("sgd", "mp") else {"units_in_mbatch": True, "transfer_every": 1.0}
    return configs.build_config(name, device, construction_seed=3, **({"cell": cell} if cell else {}))


def training(model: nn.Module):
    optimiser = AnalogSGD(model.parameters(), lr=0.1)
    x, y = torch.rand(6, 40, device="cuda"), torch.rand(6, 7, device="cuda")

    def step() -> None:
        optimiser.zero_grad()
        ((model(x) - y) ** 2).sum().backward()
        optimiser.step()

    return step


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_step_does_not_wait_for_the_device(cuda, name):
    step = training(AnalogLinear(40, 7, rpu_config=quiet(name)).to("cuda"))
    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_replays_of_a_graph_are_steps_like_any_other(cuda, name):
    """Three steps to warm up and four replays end where seven plain steps end, to the last bit."""
    torch.manual_seed(1)
    captured = AnalogLinear(40, 7, rpu_config=quiet(name)).to("cuda")
    plain = copy.deepcopy(captured)
    torch.manual_seed(2)
    graph = capture_step(training(captured))  # what is captured does not run
    for _ in range(4):
        graph.replay()
    torch.manual_seed(2)
    step = training(plain)
    for _ in range(7):
        step()
    assert torch.equal(captured.weight, plain.weight)
    ours, theirs = captured.state_dict(), plain.state_dict()
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor) and not name.endswith("_extra_state"):
            assert torch.equal(ours[name], value), name
    assert captured.tile.positions() == plain.tile.positions() == [42, 0]


def test_work_on_a_stream_of_its_own(cuda):
    tile = AnalogTile(30, 40, quiet(), seed=1)
    other, x, d = copy.deepcopy(tile).to("cuda"), torch.rand(5, 40), torch.rand(5, 30)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        other.update(x.to("cuda"), d.to("cuda"), 0.1)
        y = other.forward(x.to("cuda"))
    stream.synchronize()
    tile.update(x, d, 0.1)
    assert torch.equal(y.cpu(), tile.forward(x))


def test_tensors_of_different_devices_are_refused(cuda):
    tile = AnalogTile(3, 4, quiet()).to("cuda")
    with pytest.raises(RuntimeError, match=r"x is on cpu and the tile on cuda"):
        tile.forward(torch.rand(2, 4))
    assert gpu.state()["devices"]
