"""Every configuration class survives YAML, JSON and Python text unchanged, whatever its fields hold."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parameters.classes import CLASSES, instances
from tilewright import configs, presets
from tilewright.parameters import Parameters


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=15)
@given(data=st.data())
def test_every_text_form_returns_the_same_object(cls, data):
    original = data.draw(instances(cls))
    for full in (False, True):
        assert cls.from_yaml(original.to_yaml(full)) == original
        assert cls.from_json(original.to_json(full)) == original
        assert cls.from_dict(original.to_dict(full)) == original
    assert cls.from_python(original.to_python()) == original
    assert cls.from_python(repr(original)) == original
    assert copy.deepcopy(original) == original
    assert pickle.loads(pickle.dumps(original)) == original
    assert original.diff(original) == {}
    assert type(cls.from_yaml(original.to_yaml())) is type(original)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_printed_python_runs_in_a_users_session(cls, data_builder):
    """The lines a page shows can be pasted into a notebook: the imports exist and rebuild the object."""
    original = data_builder(cls)
    scope: dict[str, typing.Any] = {}
    exec(original.to_python("rebuilt"), scope)
    assert scope["rebuilt"] == original


@pytest.fixture
def data_builder():
    """The smallest object of a class: required fields hold the default of the first fitting class."""

    def build(cls: type[Parameters]) -> Parameters:
        values = {}
        for name, info in cls.model_fields.items():
            if info.is_required():
                kind = info.annotation
                if typing.get_origin(kind) is list:
                    values[name] = [configs.SoftBoundsDevice(dw_min=0.01), configs.SoftBoundsDevice()]
                else:
                    candidates = [c for c in CLASSES if issubclass(c, kind)]
                    values[name] = build(candidates[0])
        return cls(**values)

    return build


@given(value=st.floats(min_value=1e-300, max_value=1e300, allow_nan=False))
def test_numbers_keep_every_bit(value):
    """1e-5 without a point is a string to plain YAML 1.1; nothing may be lost or turned into text."""
    device = configs.ConstantStepDevice(dw_min=value)
    assert configs.ConstantStepDevice.from_yaml(device.to_yaml()).dw_min == value
    assert configs.ConstantStepDevice.from_json(device.to_json()).dw_min == value
    assert configs.ConstantStepDevice.from_python(device.to_python()).dw_min == value


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1e-05", "0.00001", "1.0e-5"])
def test_yaml_numbers_written_by_people_are_numbers(text):
    yaml = f"type: ConstantStepDevice\ndw_min: {text}\n"
    assert configs.ConstantStepDevice.from_yaml(yaml).dw_min == 1e-5


@pytest.mark.parametrize("algorithm", ["sgd", "ttv2", "c-ttv2", "mp"])
def test_assembled_configurations_round_trip(algorithm):
    config = configs.build_config(algorithm, presets.TutorialRRAMPresetDevice(), construction_seed=123)
    config.mapping.max_input_size = 256
    config.forward.out_noise = 0.1
    for text, reader in (
        (config.to_yaml(), type(config).from_yaml),
        (config.to_json(), type(config).from_json),
        (config.to_python(), type(config).from_python),
    ):
        assert reader(text) == config
    assert configs.RPUConfig.from_yaml(config.to_yaml()) == config, "a base class reads what its subclasses write"


def test_diff_names_paths_and_both_values():
    left = configs.SingleRPUConfig(device=configs.SoftBoundsDevice(dw_min=0.01))
    right = configs.SingleRPUConfig(device=configs.SoftBoundsDevice(dw_min=0.02))
    right.forward.out_noise = 0.5
    assert left.diff(right) == {"device.dw_min": (0.01, 0.02), "forward.out_noise": (0.06, 0.5)}
    other = configs.SingleRPUConfig(device=configs.ConstantStepDevice(dw_min=0.01))
    assert left.diff(other)["device.type"] == ("SoftBoundsDevice", "ConstantStepDevice")


def test_print_shows_only_what_differs():
    config = configs.SingleRPUConfig(device=configs.SoftBoundsReferenceDevice())
    assert repr(config) == "SingleRPUConfig(device=SoftBoundsReferenceDevice())"
    config.mapping.max_input_size = 256
    assert "max_input_size=256" in str(config)
    assert "max_output_size" not in str(config)
    assert configs.IOParameters(out_noise=0.06).changed() == {}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_says_what_it_means(cls):
    for row in cls.table():
        assert row["meaning"].strip(), f"{cls.__name__}.{row['field']} has no meaning"


def test_a_stored_preset_is_known_in_a_new_process():
    """Reading needs no import but that of the configurations."""
    text = configs.SingleRPUConfig(device=presets.TutorialRRAMPresetDevice()).to_json()
    code = f"from tilewright.configs import SingleRPUConfig; print(SingleRPUConfig.from_json({text!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "TutorialRRAMPresetDevice" in found.stdout
