"""Layers on ideal tiles are torch's layers; every mapping option keeps the logical update."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tilewright.configs import (
    ConstantStepDevice,
    FloatingPointRPUConfig,
    IdealDevice,
    IOParameters,
    MappingParameter,
    PulseType,
    SingleRPUConfig,
    SoftBoundsReferenceDevice,
    UpdateParameters,
    build_config,
)
from tilewright.nn import (
    AnalogLinear,
    AnalogLinearMapped,
    AnalogSequential,
    convert_to_analog,
    convert_to_analog_mapped,
    convert_to_digital,
)
from tilewright.optim import AnalogSGD
from tilewright.parameters import ParameterError
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.tile import AnalogTile
from tilewright.tile_array import TileArray, split_sizes


def perfect_config(**mapping):
    return FloatingPointRPUConfig(mapping=MappingParameter(**mapping))


mappings = st.fixed_dictionaries(
    {
        "digital_bias": st.booleans(),
        "weight_scaling_omega": st.sampled_from([0.0, 0.6, 1.0]),
        "weight_scaling_columnwise": st.booleans(),
        "weight_scaling_lr_compensation": st.booleans(),
        "max_input_size": st.sampled_from([0, 3, 512]),
        "max_output_size": st.sampled_from([0, 4, 512]),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    mapping=mappings,
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    batch=st.integers(1, 4),
    bias=st.booleans(),
    layer=st.sampled_from([AnalogLinear, AnalogLinearMapped]),
    seed=st.integers(0, 1000),
)
def test_a_perfect_layer_learns_as_torch_does(mapping, inputs, outputs, batch, bias, layer, seed):
    torch.manual_seed(seed)
    digital = nn.Linear(inputs, outputs, bias)
    analog = layer(inputs, outputs, bias, perfect_config(**mapping))
    analog.set_weights(digital.weight, digital.bias)
    x = torch.randn(batch, inputs)
    left, right = x.clone().requires_grad_(), x.clone().requires_grad_()
    target = torch.randn(batch, outputs)
    optimisers = (torch.optim.SGD(digital.parameters(), lr=0.1), AnalogSGD(analog.parameters(), lr=0.1))
    for model, data, optimiser in zip((digital, analog), (left, right), optimisers, strict=True):
        loss = (model(data) - target).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.allclose(digital(x), analog(x), atol=2e-5)
    assert torch.allclose(left.grad, right.grad, atol=2e-5)
    assert torch.allclose(digital.weight, analog.weight, atol=2e-5)
    if bias:
        assert torch.allclose(digital.bias, analog.get_weights()[1], atol=2e-5)


@pytest.mark.parametrize("columnwise", [False, True])
def test_a_learned_output_scale_is_trained_in_digital(columnwise):
    torch.manual_seed(0)
    mapping = {"learn_out_scaling": True, "out_scaling_columnwise": columnwise, "weight_scaling_omega": 0.6}
    layer = AnalogLinear(6, 3, rpu_config=perfect_config(**mapping))
    assert layer.tile.out_scaling.shape == ((3,) if columnwise else (1,))
    before = layer.weight
    x = torch.randn(5, 6)
    layer(x).square().sum().backward()
    expected = 2 * (x @ before.t() + layer.bias).detach() * (x @ before.t())
    expected = expected.sum(0) if columnwise else expected.sum().reshape(1)
    assert torch.allclose(layer.tile.out_scaling.grad, expected, atol=1e-4)
    with torch.no_grad():
        layer.tile.out_scaling.fill_(2.0)
    assert torch.allclose(layer.weight, 2 * before, atol=1e-6)


def test_matrices_are_split_in_balance():
    assert split_sizes(784, 512) == [392, 392]
    assert split_sizes(10, 4) == [4, 3, 3]
    assert split_sizes(7, 0) == [7]
    layer = AnalogLinear(784, 600, rpu_config=FloatingPointRPUConfig())
    assert isinstance(layer.tile, TileArray)
    assert [(t.out_size, t.in_size) for t in layer.tiles()] == [(300, 392)] * 4
    assert isinstance(AnalogLinear(8, 8).tile, AnalogTile)
    assert isinstance(AnalogLinearMapped(8, 8).tile, TileArray)


def test_inputs_that_tiles_share_are_copied_once():
    """For the product and for the update after it."""
    layer = AnalogLinear(784, 60, rpu_config=SingleRPUConfig(device=SoftBoundsReferenceDevice()))
    optimiser, copies = AnalogSGD(layer.parameters(), lr=0.1), []

    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.clone.default:
                copies.append(args[0].shape)
            return function(*args, **(kwargs or {}))

    with Copies():
        layer(torch.rand(5, 784)).sum().backward()
        optimiser.step()
    assert copies.count((5, 392)) == 2


def test_a_layer_refuses_the_wrong_width():
    with pytest.raises(ValueError, match=r"takes \(\.\.\., 4\), found \(2, 5\)"):
        AnalogLinear(4, 2)(torch.zeros(2, 5))


def test_an_unread_dtype_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"float32, found torch.float64; convert it with .float\(\)"):
        AnalogLinear(4, 2)(torch.zeros(2, 4, dtype=torch.float64))


class _Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(6, 6)
        self.head = nn.ModuleDict({"a": nn.Sequential(nn.Linear(6, 4), nn.Tanh()), "b": nn.Linear(6, 4, bias=False)})
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.shared(self.act(self.shared(x))))
        return self.head["a"](x) + self.head["b"](x)


def test_conversion_reaches_every_linear_and_back():
    torch.manual_seed(1)
    model = _Branching().eval()
    x = torch.randn(3, 6)
    analog = convert_to_analog(model, FloatingPointRPUConfig())
    assert sum(isinstance(m, AnalogLinear) for m in analog.modules()) == 3
    assert not any(type(m) is nn.Linear for m in analog.modules())
    assert not any(m.training for m in analog.modules())
    assert torch.allclose(model(x), analog(x), atol=1e-6)
    back = convert_to_digital(analog)
    assert not any(isinstance(m, AnalogLinear) for m in back.modules())
    assert torch.allclose(model(x), back(x), atol=1e-6)
    assert all(type(m) is not AnalogLinear for m in model.modules()), "the original stays digital"


def test_a_module_used_twice_stays_one_module():
    torch.manual_seed(2)
    act, layer = nn.ReLU(), nn.Linear(5, 5)
    model = nn.Sequential(layer, act, layer, act, nn.Linear(5, 2))
    analog = convert_to_analog_mapped(model, FloatingPointRPUConfig())
    assert isinstance(analog, AnalogSequential)
    assert len(analog) == 5
    assert analog[0] is analog[2]
    x = torch.randn(4, 5)
    assert torch.allclose(model(x), analog(x), atol=1e-6)


def test_unknown_exclusions_are_named():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    analog = convert_to_analog(model, SingleRPUConfig(), exclude=["1"])
    assert isinstance(analog[0], AnalogLinear)
    assert type(analog[1]) is nn.Linear
    with pytest.raises(ParameterError, match="no module named '7'"):
        convert_to_analog(model, SingleRPUConfig(), exclude=["7"])


def test_layers_with_one_construction_seed_differ_by_their_place():
    config = SingleRPUConfig()
    config.device.construction_seed = 123
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        models.append(convert_to_analog(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), config))
    first, second = (m[0].tile.cell.array.up for m in models)
    assert torch.equal(first, second), "the construction seed decides, not torch's"
    assert not torch.equal(models[0][0].tile.cell.array.up, models[0][1].tile.cell.array.up)


def test_torch_seed_governs_the_rest():
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        layer = AnalogLinear(4, 4)
        outputs.append(layer(torch.ones(2, 4)).detach())
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_pulse_type_none_is_the_ideal_device():
    torch.manual_seed(0)
    ideal = SingleRPUConfig(device=IdealDevice(), forward=IOParameters(is_perfect=True))
    unpulsed = SingleRPUConfig(
        forward=IOParameters(is_perfect=True), update=UpdateParameters(pulse_type=PulseType.NONE)
    )
    x, d = torch.randn(3, 4), torch.randn(3, 2)
    for config in (ideal, unpulsed):
        tile = AnalogTile(2, 4, config, seed=1)
        tile.set_weights(torch.ones(2, 4))
        tile.update(x, d, 0.1)
        assert torch.allclose(tile.get_weights(), 1 - 0.1 * d.t() @ x, atol=1e-6)


def test_saturated_outputs_pass_no_error():
    io_parameters = IOParameters(out_noise=0.0, inp_res=-1.0, out_res=-1.0, out_bound=1.0, bound_management="None")
    config = SingleRPUConfig(device=IdealDevice(), forward=io_parameters, backward=IOParameters(is_perfect=True))
    layer = AnalogLinear(2, 2, bias=False, rpu_config=config)
    layer.set_weights(torch.tensor([[3.0, 0.0], [0.0, 0.5]]))
    x = torch.tensor([[1.0, 1.0]], requires_grad=True)
    y = layer(x)
    assert torch.allclose(y, torch.tensor([[1.0, 0.5]]))
    y.sum().backward()
    assert torch.allclose(x.grad, torch.tensor([[0.0, 0.5]]))
    ((_, d),) = layer.tile.pending
    assert torch.equal(d, torch.tensor([[0.0, 1.0]]))


def test_zero_grad_forgets_what_tiles_recorded():
    layer = AnalogLinear(3, 2)
    optimiser = AnalogSGD(layer.parameters(), lr=0.1)
    before = layer.weight
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.zero_grad()
    optimiser.step()
    assert torch.equal(layer.weight, before)


def test_groups_keep_their_learning_rate_and_closures_run():
    torch.manual_seed(0)
    first, second = (AnalogLinear(3, 2, rpu_config=FloatingPointRPUConfig()) for _ in range(2))
    groups = [{"params": first.parameters(), "lr": 0.5}, {"params": second.parameters()}]
    optimiser = AnalogSGD(groups, lr=0.05)
    optimiser.regroup_param_groups(nn.ModuleList([first, second]))
    before = [layer.weight for layer in (first, second)]

    def closure():
        optimiser.zero_grad()
        loss = first(torch.ones(1, 3)).sum() + second(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    assert torch.isfinite(optimiser.step(closure))
    assert torch.allclose(before[0] - first.weight, torch.full((2, 3), 0.5))
    assert torch.allclose(before[1] - second.weight, torch.full((2, 3), 0.05))


def test_frozen_tiles_are_not_updated():
    layer = AnalogLinear(3, 2)
    layer.tile.weight.requires_grad_(False)
    optimiser = AnalogSGD(layer.parameters(), lr=0.1)
    before = layer.weight
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("algorithm", ["sgd", "ttv2", "mp"])
def test_copies_and_pickles_go_on_like_the_original(algorithm):
    torch.manual_seed(3)
    config = build_config(algorithm, TutorialRRAMPresetDevice())
    layer = AnalogLinear(6, 5, rpu_config=config)
    saved = io.BytesIO()
    torch.save(layer, saved)
    saved.seek(0)
    twins = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(saved, weights_only=False)]
    results = []
    for model in [layer, *twins]:
        optimiser = AnalogSGD(model.parameters(), lr=0.1)
        assert len(optimiser.tiles()) == 1
        generator = torch.Generator().manual_seed(0)
        for _ in range(4):
            optimiser.zero_grad()
            model(torch.rand(3, 6, generator=generator)).square().sum().backward()
            optimiser.step()
        results.append(model.weight)
    assert not torch.equal(results[0], torch.zeros_like(layer.weight))
    for other in results[1:]:
        assert torch.equal(results[0], other)


@pytest.mark.parametrize("change", [torch.nn.Module.double, torch.nn.Module.half, lambda model: model.to("meta")])
def test_what_tiles_cannot_become_is_refused_and_nothing_changes(change):
    layer = AnalogLinear(4, 3, rpu_config=SingleRPUConfig(device=ConstantStepDevice()))
    before = layer.state_dict()
    with pytest.raises((TypeError, RuntimeError), match="tiles c"):
        change(layer)
    assert all(value.dtype is before[name].dtype for name, value in layer.state_dict().items())
    assert layer(torch.ones(2, 4)).shape == (2, 3)


def test_float_leaves_the_counters_of_a_cell_alone():
    layer = AnalogLinear(4, 3, rpu_config=build_config("c-ttv2", SoftBoundsReferenceDevice()))
    types = {name: value.dtype for name, value in layer.state_dict().items()}
    assert torch.float64 in types.values()
    layer.float().to(torch.float32).to("cpu")
    assert {name: value.dtype for name, value in layer.state_dict().items()} == types


def test_a_scaled_loss_and_ascent_are_refused():
    layer = AnalogLinear(4, 3, rpu_config=SingleRPUConfig(device=ConstantStepDevice()))
    with pytest.raises(ValueError, match="sign of the loss"):
        AnalogSGD(layer.parameters(), lr=0.1, maximize=True)
    optimiser, scaler = AnalogSGD(layer.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
    scaler.scale(layer(torch.ones(2, 4)).sum()).backward()
    before = layer.get_weights()[0].clone()
    with pytest.raises(RuntimeError, match="GradScaler"):
        scaler.step(optimiser)
    assert torch.equal(layer.get_weights()[0], before)


@pytest.mark.parametrize("columnwise", [False, True])
@pytest.mark.parametrize("omega", [0.0, 0.6])
@pytest.mark.parametrize("bias", ["digital", "analog", "none"])
@pytest.mark.parametrize("limit", [0, 3])
def test_learned_output_scales_train_with_their_weights(columnwise, omega, bias, limit):
    """Against torch, with a scale and the scaled weights of each tile as parameters: scales and weights move alike."""
    torch.manual_seed(0)
    layer = AnalogLinear(
        7, 5, bias != "none",
        perfect_config(
            digital_bias=bias != "analog", weight_scaling_omega=omega, weight_scaling_columnwise=columnwise,
            learn_out_scaling=True, out_scaling_columnwise=columnwise, max_input_size=limit, max_output_size=limit,
        ),
    )  # fmt: skip
    blocks = list(layer.tile.blocks()) if limit else [(layer.tile, slice(0, 5), slice(0, layer.tile.in_size))]
    scales = [torch.nn.Parameter(tile.out_scaling.detach().clone()) for tile, _, _ in blocks]
    parts = [torch.nn.Parameter(tile.get_weights()) for tile, _, _ in blocks]
    offset = nn.Parameter(layer.bias.detach().clone()) if bias == "digital" or (limit and bias == "analog") else None
    own = [*scales, *parts] + ([] if offset is None else [offset])
    optimisers = torch.optim.SGD(own, lr=0.02), AnalogSGD(layer.parameters(), lr=0.02)
    for step in range(3):
        x, target = torch.randn(4, 7), torch.randn(4, 5)
        wide = torch.cat([x, torch.ones(4, 1)], dim=1) if layer.analog_bias else x
        expected = torch.zeros(4, 5) if offset is None else offset.expand(4, 5)
        for (_, rows, cols), scale, part in zip(blocks, scales, parts, strict=True):
            expected = expected + nn.functional.pad(scale * (wide[:, cols] @ part.t()), (rows.start, 5 - rows.stop))
        found = layer(x)
        assert torch.allclose(found, expected, atol=1e-5), step
        for output, optimiser in zip((expected, found), optimisers, strict=True):
            optimiser.zero_grad()
            (output - target).square().sum().backward()
            optimiser.step()
    for (tile, _, _), scale, part in zip(blocks, scales, parts, strict=True):
        assert torch.allclose(tile.out_scaling, scale, atol=1e-5)
        assert torch.allclose(tile.get_weights(), scale[:, None] * part, atol=1e-5)
