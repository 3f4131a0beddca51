"""Any tree of modules converts to the same function and back; what stays digital is listed."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nn.networks import ResNet18
from tilewright.configs import FloatingPointRPUConfig, MappingParameter, SingleRPUConfig
from tilewright.nn import (
    AnalogConv2dMapped,
    AnalogLinear,
    convert_to_analog,
    convert_to_analog_mapped,
    convert_to_digital,
)
from tilewright.optim import AnalogSGD
from tilewright.parameters import ParameterError

PERFECT = FloatingPointRPUConfig()


def trained(model, x, analog):
    optimiser = (AnalogSGD if analog else torch.optim.SGD)(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()
    return model(x).detach()


class Tied(nn.Module):
    """One weight in two layers, one used by itself, transposed, and one shared with an embedding."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight
        self.embedding, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        y = self.second(torch.tanh(self.first(x))) + self.embedding(torch.arange(len(x)) % 5)
        y = F.linear(self.third(y), self.third.weight.t()) + F.linear(y, self.first.weight, self.second.bias)
        return self.head(y)


@pytest.mark.parametrize("limit", [2, 512])
def test_tied_and_functional_weights_train_as_in_torch(limit):
    torch.manual_seed(0)
    model, x = Tied(), torch.randn(3, 4)
    config = FloatingPointRPUConfig(
        mapping=MappingParameter(max_input_size=limit, max_output_size=limit, weight_scaling_omega=0.6)
    )
    analog = convert_to_analog(model, config)
    assert analog.first.tile is analog.second.tile
    assert type(analog.head) is nn.Linear
    assert "shares its weight with 'embedding'" in str(analog.analog_conversion)
    assert torch.allclose(trained(analog, x, True), trained(model, x, False), atol=1e-5)
    back = convert_to_digital(analog)
    assert back.first.weight is back.second.weight
    assert back.head.weight is back.embedding.weight
    assert torch.allclose(back(x), model(x), atol=1e-5)


def test_analog_biases_are_shared_only_with_their_weight():
    torch.manual_seed(0)
    config = FloatingPointRPUConfig(mapping=MappingParameter(digital_bias=False))
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), torch.randn(3, 4)
    model[1].weight = model[0].weight
    kept = convert_to_analog(model, config)
    assert type(kept[0]) is nn.Linear
    assert torch.allclose(kept(x), model(x), atol=1e-6)
    model[1].bias = model[0].bias
    analog = convert_to_analog(model, config)
    assert analog[0].tile is analog[1].tile
    assert torch.allclose(trained(analog, x, True), trained(model, x, False), atol=1e-5)


def test_unknown_modules_stay_digital_and_are_listed():
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    old_style = nn.Linear(3, 3)
    nn.utils.parametrizations.spectral_norm(old_style)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), normed, old_style, nn.Bilinear(3, 3, 3))
    report = convert_to_analog(model, PERFECT).analog_conversion
    assert [m.path for m in report.converted] == ["0"]
    reasons = {m.path: m.reason for m in report.digital}
    assert reasons["1"] == reasons["4"] == "no analog counterpart"
    assert "2" in reasons
    assert "3" in reasons
    assert "1 modules on 1 tiles" in str(report)


def test_exclusions_by_name_pattern_and_type():
    model = nn.ModuleDict(
        {"a": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]), "b": nn.Conv1d(1, 1, 1), "c": nn.Linear(2, 2)}
    )
    analog = convert_to_analog(model, PERFECT, exclude=["a.*", nn.Conv1d])
    assert [m.path for m in analog.analog_conversion.converted] == ["c"]
    assert {m.reason for m in analog.analog_conversion.digital} == {"excluded"}
    with pytest.raises(ParameterError, match="no module named 'd"):
        convert_to_analog(model, PERFECT, exclude=["d*"])
    with pytest.raises(ParameterError, match="names and module classes, found 3"):
        convert_to_analog(model, PERFECT, exclude=[3])


def test_a_module_excluded_in_one_place_stays_digital_in_all():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    analog = convert_to_analog(model, PERFECT, exclude=["2"])
    assert analog[0] is analog[2]
    assert type(analog[0]) is nn.Linear


def test_each_layer_can_have_its_own_configuration():
    def choose(name, module, config):
        config.mapping.weight_scaling_omega = 0.6 if name == "1" else 0.0
        return config

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    analog = convert_to_analog(model, PERFECT, specific_rpu_config_fun=choose)
    assert [layer.rpu_config.mapping.weight_scaling_omega for layer in analog] == [0.0, 0.6]


def test_what_the_devices_cannot_hold_is_told():
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[5.0, 0.1], [-5.0, 0.1]]))
    (module,) = convert_to_analog(layer, SingleRPUConfig()).analog_conversion.converted
    assert module.clipped == 0.5


def test_mode_gradients_hooks_and_attributes_are_kept():
    seen = []
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: seen.append("called"))
    layer.bias.requires_grad_(False)
    layer.label = "first"
    frozen = nn.Linear(2, 2).requires_grad_(False)
    model = nn.Sequential(layer, frozen)
    layer.eval()
    for converted in (analog := convert_to_analog(model, PERFECT), convert_to_digital(analog)):
        assert converted.training
        assert not converted[0].training
        assert converted[0].label == "first"
        assert not converted[0].bias.requires_grad
        assert converted[0].weight.requires_grad
        assert not converted[1].weight.requires_grad
        seen.clear()
        converted(torch.zeros(1, 2))
        assert seen == ["called"]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_transformer_keeps_its_analog_layers_in_evaluation():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(2, 3, 8)
    analog = convert_to_analog(model, PERFECT)
    assert isinstance(analog.layers[0].linear1, AnalogLinear)
    calls = []
    analog.layers[0].linear1.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        assert torch.allclose(analog(x), model(x), atol=1e-5)
    assert calls, "torch's fused kernel passes the tiles by"
    back = convert_to_digital(analog)
    assert back.layers[0].activation_relu_or_gelu == layer.activation_relu_or_gelu
    assert torch.allclose(back(x), model(x), atol=1e-5)
    assert len(analog.analog_conversion.digital) == 8, "attention and norms"


def test_resnet18_runs_forward_and_backward():
    torch.manual_seed(0)
    model = ResNet18()
    assert sum(p.numel() for p in model.parameters()) == 11_689_512
    x = torch.randn(1, 3, 224, 224)
    analog = convert_to_analog_mapped(model, PERFECT)
    assert sum(isinstance(m, AnalogConv2dMapped) for m in analog.modules()) == 20
    model.eval(), analog.eval()
    y = analog(x)
    assert torch.allclose(y, model(x), atol=1e-3)
    y.square().mean().backward()
    assert all(tile.pending for tile in AnalogSGD(analog.parameters()).tiles() for tile in tile[:1])


def test_noisy_tiles_convert_what_they_hold():
    torch.manual_seed(0)
    model = convert_to_analog(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)), SingleRPUConfig())
    twin = convert_to_digital(copy.deepcopy(model))
    assert torch.equal(twin[0].weight, model[0].weight)
    assert torch.equal(twin[2].weight, model[2].weight)
