"""The optimiser does for digital parameters what torch's does, and pulses tiles when and as torch would step them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tilewright.configs import FloatingPointRPUConfig, MappingParameter, SingleRPUConfig
from tilewright.nn import AnalogLinear, AnalogLSTM, convert_to_analog, convert_to_digital
from tilewright.optim import AnalogSGD

PERFECT = FloatingPointRPUConfig()


def pair(seed=0):
    """A digital network and the same on exact tiles."""
    torch.manual_seed(seed)
    digital = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3))
    return digital, convert_to_analog(digital, PERFECT)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(4, 6, generator=generator)


def loss_of(model, step):
    return model(batch(step)).square().mean()


def weights(model):
    return [value for module in model for value in (getattr(module, "weight", None), getattr(module, "bias", None))]


def assert_alike(left, right, atol=1e-5):
    for one, other in zip(weights(left), weights(right), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=atol)


def split_groups(model, **digital_options):
    """Weights of linear layers at one rate, everything else at another with the given options."""
    heavy = [p for name, p in model.named_parameters() if name.split(".")[0] in "03" and name.endswith("weight")]
    light = [p for p in model.parameters() if not any(p is other for other in heavy)]
    return [{"params": heavy, "lr": 0.3}, {"params": light, "lr": 0.05, **digital_options}]


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1},
        {"weight_decay": 0.1, "foreach": True},
    ],
)
def test_groups_keep_their_rates_and_digital_options(options):
    digital, analog = pair()
    optimisers = torch.optim.SGD(split_groups(digital, **options)), AnalogSGD(split_groups(analog, **options))
    optimisers[1].regroup_param_groups(analog)
    for step in range(5):
        for model, optimiser in zip((digital, analog), optimisers, strict=True):
            optimiser.zero_grad()
            loss_of(model, step).backward()
            optimiser.step()
    assert_alike(digital, analog)


def test_momentum_and_decay_leave_tiles_alone():
    """Tiles of a group with both train as plain SGD; the digital parameters of the group use them."""
    digital, analog = pair()
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    plain = [p for name, p in digital.named_parameters() if name.split(".")[0] in "03" and name.endswith("weight")]
    rest = [p for p in digital.parameters() if not any(p is other for other in plain)]
    torchs = torch.optim.SGD([{"params": plain, "momentum": 0, "weight_decay": 0}, {"params": rest}], **options)
    ours = AnalogSGD(analog.parameters(), **options)
    for step in range(5):
        for model, optimiser in ((digital, torchs), (analog, ours)):
            optimiser.zero_grad()
            loss_of(model, step).backward()
            optimiser.step()
    assert_alike(digital, analog)


def test_a_closure_is_called_once_and_its_loss_returned():
    digital, analog = pair()
    results = []
    for model, optimiser in (
        (digital, torch.optim.SGD(digital.parameters(), lr=0.1)),
        (analog, AnalogSGD(analog.parameters(), lr=0.1)),
    ):
        for step in range(3):
            calls = []

            def closure(model=model, optimiser=optimiser, step=step, calls=calls):
                calls.append(1)
                optimiser.zero_grad()
                loss = loss_of(model, step)
                loss.backward()
                return loss

            results.append(optimiser.step(closure).item())
            assert len(calls) == 1
    assert results[:3] == pytest.approx(results[3:], abs=1e-6)
    assert_alike(digital, analog)


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 6),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=8),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1.0 if step < 3 else 0.0),
    ],
)
def test_schedulers_set_the_rate_of_tiles(scheduler):
    digital, analog = pair()
    optimisers = (
        torch.optim.SGD(digital.parameters(), lr=0.2, momentum=0.0),
        AnalogSGD(analog.parameters(), lr=0.2, momentum=0.0),
    )
    schedulers = [scheduler(optimiser) for optimiser in optimisers]
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        group["momentum"] = 0.0  # OneCycleLR cycles it, and tiles have none
    for step in range(6):
        for model, optimiser, plan in zip((digital, analog), optimisers, schedulers, strict=True):
            for group in optimiser.param_groups:
                group["momentum"] = 0.0
            optimiser.zero_grad()
            loss_of(model, step).backward()
            optimiser.step()
            plan.step()
    assert optimisers[0].param_groups[0]["lr"] == optimisers[1].param_groups[0]["lr"]
    assert_alike(digital, analog)


def test_plateau_schedulers_and_tensor_rates():
    _, analog = pair()
    optimiser = AnalogSGD(analog.parameters(), lr=torch.tensor(0.1))
    assert [rate for _, rate in optimiser.tiles()] == pytest.approx([0.1, 0.1])
    plan = torch.optim.lr_scheduler.ReduceLROnPlateau(AnalogSGD(analog.parameters(), lr=0.1), patience=0)
    for _ in range(3):
        plan.step(1.0)
    assert plan.optimizer.tiles()[0][1] == pytest.approx(0.001)


def test_gradients_accumulate_until_the_step():
    """Three backward passes and one step are torch's, and one update of the tile with all samples."""
    digital, analog = pair()
    for model, optimiser in (
        (digital, torch.optim.SGD(digital.parameters(), lr=0.1)),
        (analog, AnalogSGD(analog.parameters(), lr=0.1)),
    ):
        for _ in range(2):
            optimiser.zero_grad()
            for step in range(3):
                (loss_of(model, step) / 3).backward()
            optimiser.step()
    assert_alike(digital, analog)
    assert not any(tile.pending for tile in analog.analog_tiles())


@pytest.mark.parametrize("forget", ["optimiser", "set to zero", "model", "container of another kind"])
def test_zero_grad_forgets_records(forget):
    _, analog = pair()
    optimiser = AnalogSGD(analog.parameters(), lr=0.1)
    before = copy.deepcopy(analog.state_dict())
    loss_of(analog, 0).backward()
    if forget == "model":
        analog.zero_grad()
    elif forget == "container of another kind":
        for layer in nn.ModuleList(analog):
            layer.zero_grad()
    else:
        optimiser.zero_grad(set_to_none=forget == "optimiser")
    optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in analog.state_dict().items() if "weight" in name)


def test_a_rate_of_zero_changes_nothing_and_forgets():
    _, analog = pair()
    optimiser = AnalogSGD(analog.parameters(), lr=0.0)
    before = analog[0].weight.detach().clone()
    loss_of(analog, 0).backward()
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 0.1
    optimiser.step()
    assert torch.equal(analog[0].weight, before)


def test_clipping_acts_on_digital_gradients_only():
    _, analog = pair()
    optimiser = AnalogSGD(analog.parameters(), lr=1.0)
    expected = copy.deepcopy(analog)
    twin = AnalogSGD(expected.parameters(), lr=1.0)
    for model in (analog, expected):
        (100 * loss_of(model, 0)).backward()
    digital = [p for p in analog.parameters() if p.grad is not None]
    assert nn.utils.clip_grad_norm_(analog.parameters(), 1e-3) == pytest.approx(
        nn.utils.get_total_norm([p.grad for p in expected.parameters() if p.grad is not None]).item(), rel=1e-5
    )
    nn.utils.clip_grad_value_(analog.parameters(), 1e-4)
    assert max(p.grad.abs().max() for p in digital) <= 1e-4
    optimiser.step()
    twin.step()
    assert torch.equal(analog[0].weight, expected[0].weight)
    assert not torch.equal(analog[0].bias, expected[0].bias)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_digital_parameters_may_have_another_optimiser_beside(kind):
    digital, analog = pair()
    for model, other in ((digital, torch.optim.SGD), (analog, AnalogSGD)):
        heavy, light = (group["params"] for group in split_groups(model))
        optimisers = other(heavy, lr=0.1), kind(light, lr=0.01)
        for step in range(4):
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss_of(model, step).backward()
            for optimiser in optimisers:
                optimiser.step()
    assert_alike(digital, analog)


def test_state_of_the_optimiser_survives():
    runs = []
    for interrupted in (False, True):
        _, analog = pair()
        optimiser = AnalogSGD(split_groups(analog, momentum=0.9))
        for step in range(6):
            if interrupted and step == 3:
                saved = copy.deepcopy((analog.state_dict(), optimiser.state_dict()))
                _, analog = pair(seed=1)
                optimiser = AnalogSGD(split_groups(analog))
                analog.load_state_dict(saved[0])
                optimiser.load_state_dict(saved[1])
            optimiser.zero_grad()
            loss_of(analog, step).backward()
            optimiser.step()
        runs.append(analog.state_dict())
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


def test_groups_can_be_added_and_ascent_is_refused_there_too():
    _, analog = pair()
    optimiser = AnalogSGD(analog[0].parameters(), lr=0.1)
    optimiser.add_param_group({"params": analog[3].parameters(), "lr": 0.5})
    assert [rate for _, rate in optimiser.tiles()] == [0.1, 0.5]
    with pytest.raises(ValueError, match="sign of the loss"):
        optimiser.add_param_group({"params": analog[1].parameters(), "maximize": True})
    assert len(optimiser.param_groups) == 2
    with pytest.raises(ValueError, match="Invalid learning rate"):
        AnalogSGD(analog.parameters(), lr=-0.1)


def test_tiles_that_no_optimiser_steps_are_noticed(monkeypatch):
    monkeypatch.setattr("tilewright.tile._MANY_RECORDS", 20)
    layer = AnalogLinear(2, 2, rpu_config=PERFECT)
    for _ in range(19):
        layer(torch.ones(1, 2)).sum().backward()
    loss = layer(torch.ones(1, 2)).sum()
    with pytest.warns(UserWarning, match=r"20 products .* requires_grad_\(False\)"):
        loss.backward()


def test_an_optimiser_of_torch_alone_with_tiles_is_noticed_at_once():
    _, analog = pair()
    optimiser = torch.optim.Adam(analog.parameters(), lr=0.1)
    loss_of(analog, 0).backward()
    with pytest.warns(UserWarning, match=r"Adam passes over 2 analog tiles.*AnalogSGD\(model.parameters") as caught:
        optimiser.step()
    assert caught[0].filename == __file__
    optimiser.step()  # said once; further warnings are errors here


def test_an_optimiser_of_torch_may_list_tiles_that_are_pulsed_or_frozen():
    _, analog = pair()
    AnalogSGD(analog[0].parameters(), lr=0.1)
    analog[3].tile.weight.requires_grad_(False)
    loss_of(analog, 0).backward()
    torch.optim.Adam(analog.parameters(), lr=0.1).step()


def test_frozen_layers_and_frozen_tiles():
    digital, analog = pair()
    digital[0].weight.requires_grad_(False)
    analog[0].tile.weight.requires_grad_(False)
    analog[3].requires_grad_(False)
    digital[3].requires_grad_(False)
    for model, optimiser in (
        (digital, torch.optim.SGD(digital.parameters(), lr=0.1)),
        (analog, AnalogSGD(analog.parameters(), lr=0.1)),
    ):
        for step in range(3):
            optimiser.zero_grad()
            loss_of(model, step).backward()
            optimiser.step()
    assert_alike(digital, analog)
    assert not any(p.requires_grad for p in convert_to_digital(analog)[3].parameters())


def test_time_passes_once_a_step_also_without_a_record():
    config = SingleRPUConfig()
    config.device.lifetime, config.device.lifetime_dtod = 10.0, 0.0
    layer = AnalogLinear(3, 2, bias=False, rpu_config=config)
    optimiser = AnalogSGD(layer.parameters(), lr=0.1)
    before = layer.weight.detach()
    optimiser.step()
    assert torch.allclose(layer.weight, before * (1 - 1 / 10.0), atol=1e-6)


def test_autocast_runs_digital_layers_in_bfloat16_and_tiles_in_float32():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), AnalogLinear(6, 4, rpu_config=PERFECT), nn.Linear(4, 2))
    optimiser = AnalogSGD(model.parameters(), lr=0.1)
    before = model[1].weight.detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(batch(0))
        assert y.dtype is torch.bfloat16
        loss = y.float().square().mean()
    loss.backward()
    optimiser.step()
    assert not torch.equal(model[1].weight, before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lstm = AnalogLSTM(6, 4, rpu_config=PERFECT)
        lstm(nn.Linear(6, 6)(batch(0))[None])[0].sum().backward()
    assert all(tile.pending for tile in lstm.tiles())


# torch's own, from looking at tensors while it compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("mapping", [MappingParameter(), MappingParameter(max_input_size=3, learn_out_scaling=True)])
def test_compiled_models_train_alike(mapping):
    """Tiles stay outside the compiled graphs; a backend that runs graphs as they are shows it without a compiler."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    runs = []
    for compiled in (False, True):
        analog = convert_to_analog(model, FloatingPointRPUConfig(mapping=mapping), exclude=["0"])
        called = torch.compile(analog, backend="aot_eager") if compiled else analog
        optimiser = AnalogSGD(analog.parameters(), lr=0.1)
        x = torch.linspace(-1, 1, 24).reshape(4, 6)
        analog.insert(2, nn.Unflatten(1, (1, 6)))
        for _ in range(3):
            optimiser.zero_grad()
            called(x).square().mean().backward()
            optimiser.step()
        runs.append([*weights(analog)])
    for one, other in zip(*runs, strict=True):
        assert one is None or torch.allclose(one, other, atol=1e-6)
