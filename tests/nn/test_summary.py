"""The summary counts what the definitions say, by hand, and leaves the model alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nn.networks import ResNet18
from tilewright.configs import FloatingPointRPUConfig, MappingParameter, SingleRPUConfig, build_config
from tilewright.nn import AnalogLSTM, analog_summary, convert_to_analog, convert_to_analog_mapped
from tilewright.presets import TutorialRRAMPresetDevice


def small():
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10))


MAPPING = MappingParameter(max_input_size=40, max_output_size=8, weight_scaling_omega=0.6, learn_out_scaling=True)


def test_layers_tiles_and_operations_are_counted():
    torch.manual_seed(0)
    model = convert_to_analog(small(), FloatingPointRPUConfig(mapping=MAPPING))
    summary = analog_summary(model, (5, 2, 6, 6))
    assert [layer.path for layer in summary.layers] == ["0", "1", "2", "3", "4"]
    conv, norm, relu, flatten, linear = summary.layers
    assert (conv.kind, conv.analog, conv.input_shape, conv.output_shape, conv.kernel_shape) == (
        "AnalogConv2d", True, (5, 2, 6, 6), (5, 6, 4, 4), (3, 3),
    )  # fmt: skip
    assert [(tile.logical, tile.physical) for tile in conv.tiles] == [((6, 18), (8, 40))]
    assert conv.tiles[0].utilisation == pytest.approx(6 * 18 / 320)
    vectors = 5 * 4 * 4
    assert conv.reuse == vectors
    assert (conv.analog_parameters, conv.digital_parameters) == (108, 6 + 1)
    assert conv.analog_operations == vectors * 108
    assert conv.digital_operations == vectors * 6 * (1 + 1 + 1), "bias, mapping scale, learned scale"
    assert conv.conversions == vectors * (6 + 18)
    assert [tile.logical for tile in linear.tiles] == [(5, 32)] * 6
    assert linear.digital_operations == 5 * 10 * (1 + 2 + 3 * 2), "bias, 2 additions of 3 partial sums, their scales"
    assert (norm.digital_parameters, norm.digital_operations) == (12, 5 * 6 * 16)
    assert (relu.digital_operations, flatten.digital_operations) == (480, 480)
    assert summary.analog_layers == 2
    assert len(summary.tiles) == 7
    assert summary.analog_parameters == 108 + 960
    assert summary.digital_parameters == sum(p.numel() for p in model.parameters()) - 1068
    assert summary.utilisation == pytest.approx(1068 / (7 * 320))
    assert summary.analog_operations == vectors * 108 + 5 * 960
    assert summary.conversions == vectors * 24 + 5 * 6 * 37


def test_a_digital_model_is_summarised_as_it_would_be_converted():
    torch.manual_seed(0)
    model, config = small(), build_config("ttv2", TutorialRRAMPresetDevice(), mapping=MAPPING)
    before = torch.get_rng_state()
    planned = analog_summary(model, (5, 2, 6, 6), config)
    assert torch.equal(before, torch.get_rng_state())
    assert type(model[0]) is nn.Conv2d
    assert planned == analog_summary(convert_to_analog(model, config), (5, 2, 6, 6))
    plain = analog_summary(model, (5, 2, 6, 6))
    assert plain.tiles == ()
    assert plain.layers[0].digital_operations == 5 * 16 * 108
    assert plain.layers[4].digital_operations == 5 * 960
    assert plain.totals()["utilisation (%)"] is None


def test_nothing_about_the_model_changes():
    torch.manual_seed(0)
    model = convert_to_analog(small(), build_config("c-ttv2", TutorialRRAMPresetDevice()))
    model[0].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    for _ in range(2):
        assert len(analog_summary(model, (5, 2, 6, 6)).layers) == 5
    with pytest.raises(ValueError, match=r"does not take an input of \(5, 3, 6, 6\): AnalogConv2d takes \(batch, 2"):
        analog_summary(model, (5, 3, 6, 6))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any("_affine" in module.__dict__ for module in model.modules())
    assert not any(tile.pending for tile in model.analog_tiles())


class Sentences(nn.Module):
    """Integers in, a tuple from a recurrent layer, attention, a product between the layers, a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(10, 4), nn.LSTM(4, 4, 2, bidirectional=True)
        self.shift = nn.Parameter(torch.zeros(8))
        self.head = nn.Linear(8, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, words, lengths):
        y, _ = self.lstm(self.embedding(words) * lengths)
        return self.head(y + self.shift) @ torch.ones(3, 3)


def test_recurrent_layers_several_inputs_and_functions():
    model = convert_to_analog(Sentences(), FloatingPointRPUConfig())
    words = torch.zeros(7, 2, dtype=torch.long)
    summary = analog_summary(model, [words, torch.ones(7, 2, 1)])
    rows = {layer.path: layer for layer in summary.layers}
    lstm = rows["lstm"]
    assert isinstance(model.lstm, AnalogLSTM)
    assert lstm.output_shape == (7, 2, 8)
    assert lstm.reuse == 14
    cells = 2 * (16 * 4 + 16 * 4) + 2 * (16 * 8 + 16 * 4)
    assert lstm.analog_parameters == cells
    assert lstm.analog_operations == 14 * cells
    assert lstm.digital_operations == 14 * (8 * 16 + 4 * 16), "biases of eight products, gates of four cells"
    assert rows["head"].digital_operations == 14 * 3
    assert rows["unused"].reuse == rows["unused"].analog_operations == 0
    assert rows[""].digital_operations == 14 * 9, "the product in the model's own forward"
    assert rows[""].digital_parameters == 8, "a parameter of the model itself"
    assert summary.digital_parameters == sum(p.numel() for p in model.parameters()) - summary.analog_parameters


class Similarity(nn.Module):
    """A product that belongs to no layer."""

    def __init__(self):
        super().__init__()
        self.side = nn.Linear(4, 2)

    def forward(self, x):
        y = self.side(x)
        return y @ y.t()


def test_functions_between_the_layers_are_counted():
    summary = analog_summary(Similarity(), (3, 4), FloatingPointRPUConfig())
    assert summary.layers[-1].path == "between the layers"
    assert summary.layers[-1].digital_operations == 3 * 3 * 2


def test_shared_layers_count_once_in_tiles_and_twice_in_operations():
    layer = nn.Linear(4, 4)
    model = convert_to_analog(nn.Sequential(layer, nn.Tanh(), layer), FloatingPointRPUConfig())
    summary = analog_summary(model, (3, 4))
    assert [row.kind for row in summary.layers] == ["AnalogLinear", "Tanh"]
    assert summary.layers[0].reuse == 6
    assert len(summary.tiles) == 1
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    summary = analog_summary(convert_to_analog(tied, FloatingPointRPUConfig()), (3, 4))
    assert [row.reuse for row in summary.layers] == [3, 3]
    assert len(summary.tiles) == 1
    assert (summary.analog_parameters, summary.digital_parameters) == (16, 8)


@pytest.mark.parametrize("mapping", [MappingParameter(max_input_size=0, max_output_size=0), MappingParameter()])
def test_unlimited_and_overfull_tiles(mapping):
    mapping.digital_bias = False
    config = SingleRPUConfig(mapping=mapping)
    summary = analog_summary(nn.Linear(512, 512), (1, 512), config)
    assert [tile.physical for tile in summary.tiles] == [(512, 513)]
    assert summary.utilisation == 1.0


def test_resnet18():
    summary = analog_summary(convert_to_analog_mapped(ResNet18(), FloatingPointRPUConfig()), (1, 3, 224, 224))
    assert summary.analog_layers == 21
    assert summary.analog_parameters + summary.digital_parameters == 11_689_512
    assert summary.analog_operations == 1_814_073_344, "the published number of multiply-accumulates"
    assert max(summary.layers, key=lambda row: row.reuse).reuse == 112 * 112


def test_it_prints_and_exports():
    summary = analog_summary(small(), (5, 2, 6, 6), FloatingPointRPUConfig(mapping=MAPPING))
    lines = str(summary).splitlines()
    for name in ("layer", "logical", "physical", "used (%)", "analog params", "reuse", "analog ops", "digital ops"):
        assert name in lines[0]
    assert "6 of 5x32" in str(summary)
    assert any(line.startswith("analog parameters") and line.endswith("1,068") for line in lines)
    frame = summary.to_frame()
    assert frame["layer"].tolist() == ["0", "1", "2", "3", "4"]
    assert frame["analog ops"].sum() == summary.analog_operations
    tiles = summary.tiles_frame()
    assert tiles["logical"].tolist() == ["6x18"] + ["5x32"] * 6
    assert summary._repr_html_() == summary.to_html()
    assert "<td>AnalogConv2d</td>" in summary.to_html()
    assert "<dt>tiles</dt><dd>7</dd>" in summary.to_html()
