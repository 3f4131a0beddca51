"""A model's state is torch's: strict, tensors only, in any format for tensors, and it says where it does not fit."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from every_cell import CONFIGURATIONS
from torch import nn

from tilewright.configs import ConstantStepDevice, MappingParameter, SoftBoundsReferenceDevice, build_config
from tilewright.nn import AnalogLinear, convert_to_analog
from tilewright.optim import AnalogSGD
from tilewright.saved_configuration import ConfigurationWarning


def a_model(config, seed=1):
    torch.manual_seed(seed)
    return convert_to_analog(nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)), config)


def train(model, steps=3):
    optimiser = AnalogSGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimiser.zero_grad()
        model(torch.rand(4, 7, generator=generator)).square().sum().backward()
        optimiser.step()
    return model


def same(left, right):
    left, right = left.state_dict(), right.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_state_survives_torch_files_and_safetensors(name, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is an extra of the tests")
    model = train(a_model(CONFIGURATIONS[name]))
    state = model.state_dict()
    assert all(type(value) is torch.Tensor for value in state.values())
    torch.save(state, tmp_path / "state.pt")
    safetensors.save_file(state, tmp_path / "state.safetensors")
    loaded = [
        torch.load(tmp_path / "state.pt", weights_only=True),
        safetensors.load_file(tmp_path / "state.safetensors"),
    ]
    expected = None
    for found in loaded:
        other = a_model(CONFIGURATIONS[name], seed=99)
        assert str(other.load_state_dict(found)) == "<All keys matched successfully>"
        assert same(model, other)
        after = train(other).state_dict()
        expected = expected or after
        assert all(torch.equal(after[key], expected[key]) for key in after)


def test_safetensors_files_of_a_whole_model_can_be_loaded_into_one(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is an extra of the tests")
    model = train(a_model(CONFIGURATIONS["ttv2"]))
    safetensors.save_model(model, str(tmp_path / "model.safetensors"))
    other = a_model(CONFIGURATIONS["ttv2"], seed=99)
    assert safetensors.load_model(other, str(tmp_path / "model.safetensors")) == (set(), [])
    assert same(train(model), train(other))


def test_keys_are_checked():
    model = a_model(CONFIGURATIONS["ttv2"])
    state = model.state_dict()
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "3.tile.weight"'):
        model.load_state_dict({key: value for key, value in state.items() if key != "3.tile.weight"})
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "3.tile.more"'):
        model.load_state_dict(state | {"3.tile.more": torch.zeros(1)})
    with pytest.raises(RuntimeError, match=r"size mismatch for 3.tile.weight"):
        model.load_state_dict(state | {"3.tile.weight": torch.zeros(1, 1)})
    older = {key: value for key, value in state.items() if not key.endswith("configuration")}
    model.load_state_dict(older)  # files without configurations, and those of parts of a model
    without_head = {key: value for key, value in state.items() if not key.startswith("3.")}
    assert len(model.load_state_dict(without_head, strict=False).missing_keys) > 3


def test_another_configuration_of_the_same_state_is_told_and_kept():
    saved = a_model(CONFIGURATIONS["ttv2"])
    config = copy.deepcopy(CONFIGURATIONS["ttv2"])
    config.forward.out_noise = 0.3
    config.device.unit_cell_devices[1].dw_min = 0.05
    other = a_model(config, seed=99)
    with pytest.warns(ConfigurationWarning, match="is kept; saved -> here") as told:
        other.load_state_dict(saved.state_dict())
    assert str(told[0].message).endswith(
        "forward.out_noise: 0.06 -> 0.3, device.unit_cell_devices.1.dw_min: 0.02 -> 0.05"
    )
    assert other[0].rpu_config.forward.out_noise == 0.3
    assert torch.equal(other[0].weight, saved[0].weight)


@pytest.mark.parametrize("strict", [True, False])
def test_state_of_another_configuration_that_does_not_fit_is_refused_with_what_differs(strict):
    saved = a_model(CONFIGURATIONS["ttv2"])
    other = a_model(build_config("mp", ConstantStepDevice()))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"0\.tile was saved from another configuration") as refusal:
        other.load_state_dict(saved.state_dict(), strict=strict)
    assert "type: UnitCellRPUConfig -> DigitalRankUpdateRPUConfig" in str(refusal.value)
    assert "device.type: ChoppedTransferCompound -> MixedPrecisionCompound" in str(refusal.value)
    assert len(str(refusal.value)) < 400
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_another_mapping_is_named():
    mapping = MappingParameter(weight_scaling_omega=0.6, weight_scaling_columnwise=True)
    saved = a_model(build_config("sgd", SoftBoundsReferenceDevice()))
    other = a_model(build_config("sgd", SoftBoundsReferenceDevice(), mapping=mapping))
    with pytest.raises(RuntimeError, match=r"mapping\.weight_scaling_omega: 0 -> 0\.6"):
        other.load_state_dict(saved.state_dict())


def test_a_damaged_configuration_is_told():
    model = a_model(CONFIGURATIONS["sgd"])
    state = model.state_dict()
    for broken in (
        torch.zeros(3, dtype=torch.uint8),
        torch.tensor(list(b'{"type": "NoSuchConfig"}'), dtype=torch.uint8),
    ):
        with pytest.warns(ConfigurationWarning, match="the saved configuration cannot be read"):
            model.load_state_dict(state | {"0.tile.configuration": broken})


@pytest.mark.parametrize(
    "change", [lambda m: m.to("cpu"), lambda m: m.float(), lambda m: m.cpu(), lambda m: m.share_memory()]
)
def test_placing_a_model_keeps_its_tiles_in_training(change):
    model = a_model(CONFIGURATIONS["ttv2"])
    expected = train(copy.deepcopy(model))
    assert same(train(change(model)), expected)


def test_loading_by_assignment_keeps_tiles_in_training():
    model, other = a_model(CONFIGURATIONS["ttv2"]), a_model(CONFIGURATIONS["ttv2"], seed=99)
    other.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    assert len(AnalogSGD(other.parameters()).tiles()) == 2
    assert same(train(model), train(other))


def test_state_hooks_and_prefixes_are_torchs():
    layer = AnalogLinear(3, 2, rpu_config=CONFIGURATIONS["sgd"])
    state = layer.state_dict(prefix="encoder.")
    assert all(name.startswith("encoder.") for name in state)
    wrapped = nn.ModuleDict({"encoder": AnalogLinear(3, 2, rpu_config=CONFIGURATIONS["sgd"])})
    wrapped.load_state_dict(state)
    assert torch.equal(wrapped["encoder"].weight, layer.weight)
    buffer = io.BytesIO()
    torch.save(layer.tile.state_dict(), buffer)
    buffer.seek(0)
    layer.tile.load_state_dict(torch.load(buffer, weights_only=True))
