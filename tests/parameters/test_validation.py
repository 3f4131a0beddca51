"""Bad values are refused at assignment, in words, and leave the object as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parameters.classes import CLASSES
from tilewright import configs
from tilewright.parameters import ParameterError, Parameters, field_bounds, field_choice
from tilewright.presets import DEVICE_PRESETS, TutorialRRAMPresetDevice

FIELDS = [
    (cls, name)
    for cls in CLASSES
    if not any(info.is_required() for info in cls.model_fields.values())
    for name in cls.model_fields
]
ROOT_FIELDS = [  # the class that declares the field; its subclasses inherit the rule
    (cls, name)
    for cls, name in FIELDS
    if not any(name in base.model_fields for base in cls.__mro__[1:] if issubclass(base, Parameters))
    or cls.__name__ in ("ConstantStepDevice",)
]


def outside(cls: type[Parameters], name: str) -> list[object]:
    """Values a field must refuse: wrong kind, and just past each bound."""
    info = cls.model_fields[name]
    bad: list[object] = [None, "surely not", [1.0, "x"], object()]
    whole = info.annotation is int
    if info.annotation in (int, float):
        bad += [float("nan"), float("inf"), -float("inf"), True] if not whole else [0.5, True]
        for key, bound in field_bounds(info).items():
            if key in ("gt", "lt"):
                bad.append(int(bound) if whole else float(bound))
            else:
                past = bound - 1 if key == "ge" else bound + 1
                bad.append(int(past) if whole else float(past))
    elif info.annotation is bool:
        bad += [1, 0.0, "True"]
    elif field_choice(info) is not None:
        bad += [0, "", "NoSuchMember"]
    return bad


@pytest.mark.parametrize(("cls", "name"), ROOT_FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_bad_values_are_refused_and_nothing_changes(cls, name):
    target = cls()
    before = copy.deepcopy(target)
    for value in outside(cls, name):
        with pytest.raises(ParameterError) as caught:
            setattr(target, name, value)
        message = str(caught.value)
        assert name in message, f"{message!r} does not name the field"
        assert cls.__name__ in message, f"{message!r} does not name the class"
        assert target == before
        with pytest.raises(ParameterError, match=name):
            cls(**{name: value})


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls.model_fields], ids=lambda cls: cls.__name__)
def test_unknown_names_are_refused_with_a_suggestion(cls):
    fields = sorted(cls.model_fields)
    wrong = fields[0] + "x"
    with pytest.raises(ParameterError) as caught:
        cls(**{wrong: 1})
    assert wrong in str(caught.value)
    assert fields[0] in str(caught.value)


def test_unknown_names_are_refused_at_assignment():
    device = configs.SoftBoundsDevice()
    with pytest.raises(ParameterError, match=r"dw_minn.*did you mean.*dw_min"):
        device.dw_minn = 0.1
    with pytest.raises(ParameterError, match="writenoise"):
        device.writenoise = 0.1
    assert device == configs.SoftBoundsDevice()


def test_messages_say_value_and_what_is_allowed():
    device = configs.ConstantStepDevice()
    with pytest.raises(ParameterError, match=r"dw_min = -1.*greater than 0"):
        device.dw_min = -1.0
    with pytest.raises(ParameterError, match=r"up_down = 1.5.*less than 1"):
        device.up_down = 1.5
    io = configs.IOParameters()
    with pytest.raises(ParameterError, match=r"AbsMin.*'AbsMax'"):
        io.noise_management = "AbsMin"


@pytest.mark.parametrize(
    ("cls", "start", "name", "value", "words"),
    [
        (configs.IOParameters, {}, "inp_bound", 2.0, "noise_management"),
        (configs.UpdateParameters, {}, "res", 1.5, "from 2"),
        (
            configs.UpdateParameters,
            {"fixed_bl": False, "update_bl_management": False, "update_management": False},
            "update_management",
            True,
            "fixed_bl",
        ),
        (configs.LinearStepDevice, {"mult_noise": False}, "reverse_up", True, "mult_noise"),
        (configs.SoftBoundsReferenceDevice, {"w_max": 0.0}, "subtract_symmetry_point", True, "w_min < 0 < w_max"),
    ],
)
def test_rules_over_several_fields_leave_the_object_unchanged(cls, start, name, value, words):
    target = cls(**start)
    before = copy.deepcopy(target)
    with pytest.raises(ParameterError, match=words):
        setattr(target, name, value)
    assert target == before
    assert getattr(target, name) != value


def test_management_needs_a_unit_dac_only_where_it_scales():
    """Without noise management the DAC range is free; an unlimited range turns the DAC off and needs no rule."""
    configs.IOParameters(noise_management="None", inp_bound=2.0)
    configs.IOParameters(inp_bound=0.0)


@given(low=st.floats(-2, 0), high=st.floats(0, 2))
def test_accepted_values_are_kept_exactly(low, high):
    device = configs.ConstantStepDevice(w_min=low, w_max=high)
    assert (device.w_min, device.w_max) == (low, high)


def test_numpy_numbers_and_whole_numbers_are_accepted():
    device = configs.ConstantStepDevice(dw_min=np.float64(0.25), w_max=np.float32(0.5), construction_seed=np.int64(3))
    assert device == configs.ConstantStepDevice(dw_min=0.25, w_max=0.5, construction_seed=3)
    assert configs.ConstantStepDevice(w_max=1).w_max == 1.0


@pytest.mark.parametrize("spelling", ["AbsMax", "ABS_MAX", "absmax", "NoiseManagementType.ABS_MAX"])
def test_enumerations_are_accepted_by_any_of_their_names(spelling):
    assert configs.IOParameters(noise_management=spelling).noise_management is configs.NoiseManagementType.ABS_MAX


def test_a_base_device_or_cell_is_not_a_device():
    """An abstract class has no physics: using one must fail with words, where it is assigned."""
    with pytest.raises((ParameterError, TypeError)):
        configs.SingleRPUConfig(device=configs.PulsedDevice())
    with pytest.raises((ParameterError, TypeError)):
        configs.UnitCellRPUConfig(device=configs.UnitCell())


def test_wrong_kind_of_cell_is_refused():
    with pytest.raises(ParameterError, match="device"):
        configs.SingleRPUConfig(device=configs.IOParameters())
    with pytest.raises(ParameterError, match="device"):
        configs.DigitalRankUpdateRPUConfig(device=configs.ConstantStepDevice())
    with pytest.raises(ParameterError, match="device"):
        configs.UnitCellRPUConfig(device=configs.ConstantStepDevice())
    with pytest.raises(ParameterError, match="unit_cell_devices"):
        configs.ChoppedTransferCompound(unit_cell_devices=[configs.ConstantStepDevice()])


def test_transfer_reads_may_not_be_managed():
    members = [configs.ConstantStepDevice(), configs.ConstantStepDevice()]
    with pytest.raises(ParameterError, match="transfer_forward"):
        configs.ChoppedTransferCompound(unit_cell_devices=members, transfer_forward=configs.IOParameters())
    with pytest.raises(ParameterError, match="transfer_every"):
        configs.ChoppedTransferCompound(unit_cell_devices=members, transfer_every=0.0)


def test_build_config_names_what_it_does_not_know():
    with pytest.raises(ParameterError, match=r"tikitaka9.*sgd"):
        configs.build_config("tikitaka9", configs.ConstantStepDevice)
    with pytest.raises(ParameterError, match="fast_lrr"):
        configs.build_config("ttv2", configs.ConstantStepDevice, cell={"fast_lrr": 1.0})
    with pytest.raises(ParameterError, match="mappingg"):
        configs.build_config("sgd", configs.ConstantStepDevice, mappingg=1)
    with pytest.raises(ParameterError, match="sgd has no cell"):
        configs.build_config("sgd", configs.ConstantStepDevice, cell={"gamma": 1.0})


def test_build_config_copies_the_device():
    device = configs.SoftBoundsDevice(dw_min=0.01)
    config = configs.build_config("ttv2", device, construction_seed=5)
    members = config.device.unit_cell_devices
    assert members[0] == members[1] == device
    assert members[0] is not members[1]
    assert members[0] is not device
    single = configs.build_config("sgd", device, construction_seed=5)
    assert single.device.construction_seed == 5
    assert device.construction_seed == 0


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("ttv2", {"in_chop_prob": 0.0, "units_in_mbatch": False, "auto_scale": False, "fast_lr": 1.0, "momentum": 0.0}),
        ("c-ttv2", {"in_chop_prob": 0.1, "units_in_mbatch": False, "auto_scale": True, "fast_lr": 0.1}),
    ],
)
def test_build_config_presets_mean_what_the_field_means(algorithm, expected):
    config = configs.build_config(algorithm.upper(), configs.ConstantStepDevice)
    assert {name: getattr(config.device, name) for name in expected} == expected
    assert config.update.desired_bl == 5
    assert config.device.transfer_update.desired_bl == 1
    assert not config.device.transfer_update.update_management
    assert not config.device.transfer_update.update_bl_management
    assert config.device.transfer_every == 1.0
    assert configs.build_config("mp", configs.ConstantStepDevice).update.desired_bl == 31
    assert configs.build_config("sgd", configs.ConstantStepDevice).update.desired_bl == 31


def test_presets_differ_only_in_defaults():
    for name, cls in DEVICE_PRESETS.items():
        assert cls.__name__ == name
        assert cls() == cls.from_yaml(cls().to_yaml())
        assert cls().changed() == {}
    tutorial = TutorialRRAMPresetDevice()
    assert (tutorial.dw_min, tutorial.up_down, tutorial.w_max, tutorial.w_min) == (0.0116, -0.24, 2.0, -0.777)
    assert tutorial.write_noise_std == 6.5
    assert tutorial.subtract_symmetry_point


def test_cautions_speak_about_odd_but_allowed_settings():
    assert configs.ConstantStepDevice().cautions() == []
    assert any("lifetime" in text for text in configs.ConstantStepDevice(lifetime=0.5).cautions())
    assert any("dw_min_dtod" in text for text in configs.ConstantStepDevice(dw_min_dtod=0.8).cautions())
    assert any("two steps" in text for text in configs.ConstantStepDevice(dw_min=1.0).cautions())
    assert any("Max" in text for text in configs.IOParameters(noise_management="Max").cautions())
    lopsided = configs.SoftBoundsReferenceDevice(reference_mean=0.59)
    assert any("reference" in text for text in lopsided.cautions())
    nested = configs.SingleRPUConfig(device=configs.ConstantStepDevice(lifetime=0.5))
    assert any(text.startswith("device:") for text in nested.cautions())
