from __future__ import annotations

import pytest

from tilewright.configs import OneSidedUnitCell, SoftBoundsReferenceDevice
from tilewright.parameters import ParameterError
from tilewright.presets import (
    DEVICE_PRESETS,
    GokmenVlasovPresetDevice,
    IdealizedPresetDevice,
    PCMPresetDevice,
    ReRamSBPresetDevice,
    TutorialRRAMPresetDevice,
)
from tilewright.runs import RunSpec, recommend, recommended_config, recommended_names


@pytest.mark.parametrize("algorithm", recommended_names())
@pytest.mark.parametrize("preset", DEVICE_PRESETS.values(), ids=DEVICE_PRESETS)
def test_every_preset_gets_settings_with_reasons(algorithm, preset):
    advice = recommend(algorithm, preset, construction_seed=123)
    assert advice.algorithm == algorithm
    assert 0 < advice.learning_rate <= 0.1
    assert advice.reasons
    assert all(reason.endswith(".") for reason in advice.reasons)
    spec = RunSpec(rpu_config=advice.rpu_config, learning_rate=advice.learning_rate, lr_schedule=advice.lr_schedule)
    assert RunSpec.from_yaml(spec.to_yaml()) == spec


def test_the_settings_of_a_noisy_device():
    config = recommended_config("ttv2", TutorialRRAMPresetDevice, construction_seed=123)
    cell = config.device
    assert (cell.auto_scale, cell.fast_lr, cell.auto_granularity) == (True, 1.0, 1000.0)
    assert (cell.transfer_columns, cell.units_in_mbatch, cell.transfer_every) == (False, False, 1.0)
    assert (cell.in_chop_prob, cell.construction_seed) == (0.0, 123)
    assert config.update.desired_bl == 5
    assert config.mapping.weight_scaling_omega == 0
    assert recommended_config("c-ttv2", TutorialRRAMPresetDevice).device.in_chop_prob == 0.02
    assert recommended_config("sgd", TutorialRRAMPresetDevice).update.desired_bl == 10
    assert recommend("sgd", TutorialRRAMPresetDevice).learning_rate == 0.01


def test_a_quiet_device_may_write_earlier():
    quiet = SoftBoundsReferenceDevice(dw_min=0.01, dw_min_std=0.3)
    assert recommended_config("ttv2", quiet).device.auto_granularity == 200.0
    silent = recommend("ttv2", SoftBoundsReferenceDevice(dw_min=0.01, dw_min_std=0.0)).reasons
    assert not [reason for reason in silent if "inf" in reason.split()]


def test_fine_steps_get_longer_trains():
    """What an array moves stays the same whatever its step: 0.05 per vector on the fast one, 0.01 per write."""
    for preset, trains in {"EcRam": (25, 5), "GokmenVlasov": (31, 6), "Idealized": (100, 20)}.items():
        config = recommended_config("ttv2", DEVICE_PRESETS[f"{preset}PresetDevice"])
        assert (config.update.desired_bl, config.device.transfer_update.desired_bl) == trains
    assert recommend("sgd", GokmenVlasovPresetDevice).learning_rate == 0.1
    assert recommended_config("sgd", GokmenVlasovPresetDevice).update.desired_bl == 62


def test_the_buffer_averages_where_trains_do_not_stand_out():
    """A train over its noise: 0.4 for the tutorial's device, 1.3 for ReRamSB, 6 and more for quiet devices."""
    found = [
        recommended_config("agad", DEVICE_PRESETS[f"{name}PresetDevice"]).device.auto_granularity
        for name in ("TutorialRRAM", "ReRamSB", "Capacitor")
    ]
    assert found == [1000.0, 300.0, 200.0]


def test_the_fast_array_is_read_against_its_symmetry_point():
    config = recommended_config("ttv2", ReRamSBPresetDevice)
    fast, slow = config.device.unit_cell_devices
    assert fast.subtract_symmetry_point
    assert not slow.subtract_symmetry_point


def test_devices_that_move_one_way_get_pairs():
    for algorithm in ("sgd", "mp"):
        cell = recommended_config(algorithm, PCMPresetDevice, construction_seed=5).device
        assert cell.construction_seed == 5
        pair = cell.device if algorithm == "mp" else cell
        assert isinstance(pair, OneSidedUnitCell)
        assert pair.refresh_every == 1
    for algorithm in ("tiki-taka", "ttv2", "c-ttv2", "agad", "rider", "residual-v2"):
        assert "moves one way" in recommend(algorithm, PCMPresetDevice).obstacle


def test_obstacles_name_what_to_take_instead():
    assert "take mixed precision" in recommend("sgd", TutorialRRAMPresetDevice).obstacle
    assert recommend("sgd", IdealizedPresetDevice).obstacle == ""
    assert recommend("ttv2", TutorialRRAMPresetDevice).obstacle == ""
    off = SoftBoundsReferenceDevice(dw_min=0.05, w_max=1.0, w_min=-1.0, reference_std=0.3)
    assert "take AGAD" in recommend("ttv2", off).obstacle
    assert recommend("agad", off).obstacle == ""
    few_states = DEVICE_PRESETS["ReRamArrayHfO2PresetDevice"]
    assert all("3 states" in recommend(name, few_states).obstacle for name in ("tiki-taka", "rider", "residual-v2"))
    assert recommend("agad", few_states).obstacle == ""


def test_what_is_given_is_not_changed():
    device = TutorialRRAMPresetDevice(construction_seed=9)
    before = device.to_yaml(full=True)
    config = recommended_config("sgd", device)
    assert device.to_yaml(full=True) == before
    assert config.device.construction_seed == 9


def test_an_unknown_algorithm():
    with pytest.raises(ParameterError, match="known: fp, sgd, mp, tiki-taka, ttv2, c-ttv2, agad, residual-v2, rider"):
        recommend("adam", TutorialRRAMPresetDevice)
