"""What only a GPU can show: nothing waits for it, captured graphs draw new numbers, streams are torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from gpu.test_replays import ALIKE, Training
from torch import nn

from tilewright import configs
from tilewright.kernels import gpu
from tilewright.nn import AnalogLinear, capture_step
from tilewright.optim import AnalogSGD
from tilewright.tile import AnalogTile


class OnDevice(Training):
    """The same steps, with a rate on the device as users have it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimiser = AnalogSGD(model.parameters(), lr=0.125)
        self.optimiser.keep_rates_on_device()
        self.x = torch.empty(6, 20, device="cuda")


@pytest.mark.parametrize("name", ALIKE)
def test_a_step_does_not_wait_for_the_device(cuda, name):
    training = OnDevice(AnalogLinear(20, 9, rpu_config=ALIKE[name]).to("cuda"))
    training.go(training.step, range(2))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ALIKE)
def test_replays_of_a_graph_are_steps_like_any_other(cuda, name):
    """Three steps to warm up and four replays, with another rate, end where seven plain steps end, to the last bit."""
    torch.manual_seed(1)
    captured = AnalogLinear(20, 9, rpu_config=ALIKE[name]).to("cuda")
    plain = copy.deepcopy(captured)
    training = OnDevice(captured)
    training.go(lambda: None, range(3))
    graph = capture_step(training.step, training.optimiser)  # what is captured does not run
    training.go(graph.replay, range(3, 7))
    every = OnDevice(plain)
    for number in range(7):
        every.go(every.step, range(max(number, 2), max(number, 2) + 1))  # the warm-up had the inputs of the third
    assert torch.equal(captured.weight, plain.weight)
    ours, theirs = captured.state_dict(), plain.state_dict()
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor) and not name.endswith("_extra_state"):
            assert torch.equal(ours[name], value), name
    assert captured.tile.positions() == plain.tile.positions() == [42, 0]


def test_schedulers_change_the_rate_of_a_graph(cuda):
    torch.manual_seed(1)
    captured = AnalogLinear(20, 9, rpu_config=ALIKE["floating point"]).to("cuda")
    training = OnDevice(captured)
    training.go(lambda: None, range(1))
    replay = capture_step(training.step, training.optimiser).replay
    scheduler = torch.optim.lr_scheduler.LambdaLR(training.optimiser, lambda step: 0.0 if step else 1.0)
    replay()
    scheduler.step()
    before = captured.weight.detach().clone()
    replay()
    assert torch.equal(captured.weight, before)


def test_work_on_a_stream_of_its_own(cuda):
    tile = AnalogTile(30, 40, ALIKE["sgd"], seed=1)
    other, x, d = copy.deepcopy(tile).to("cuda"), torch.rand(5, 40), torch.rand(5, 30)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        other.update(x.to("cuda"), d.to("cuda"), 0.1)
        y = other.forward(x.to("cuda"))
    stream.synchronize()
    tile.update(x, d, 0.1)
    assert torch.equal(y.cpu(), tile.forward(x))


def test_vectors_may_begin_anywhere(cuda):
    """Four numbers are loaded at once where they lie so that they can be."""
    tile = AnalogTile(64, 40, configs.FloatingPointRPUConfig(), seed=1)
    flat, other = torch.rand(1 + 5 * 64), copy.deepcopy(tile).to("cuda")
    for begin in (0, 1):
        found = other.backward(flat.to("cuda")[begin : begin + 5 * 64].view(5, 64))
        assert torch.equal(found.cpu(), tile.backward(flat[begin : begin + 5 * 64].view(5, 64)))


def test_tensors_of_different_devices_are_refused(cuda):
    tile = AnalogTile(3, 4, configs.SingleRPUConfig()).to("cuda")
    with pytest.raises(RuntimeError, match=r"x is on cpu and the tile on cuda"):
        tile.forward(torch.rand(2, 4))
    assert gpu.state()["devices"]
