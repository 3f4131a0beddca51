from __future__ import annotations

import pytest

from tilewright.configs import SoftBoundsReferenceDevice
from tilewright.data import load_dataset
from tilewright.parameters import ParameterError
from tilewright.presets import DEVICE_PRESETS, TutorialRRAMPresetDevice
from tilewright.runs import RunSpec, Seeds, recommend, recommended_config, recommended_names, train


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
    assert recommended_config("c-ttv2", TutorialRRAMPresetDevice).device.in_chop_prob == 0.05
    assert recommended_config("sgd", TutorialRRAMPresetDevice).update.desired_bl == 10
    assert recommend("sgd", TutorialRRAMPresetDevice).learning_rate == 0.01


def test_a_quiet_device_may_write_earlier():
    quiet = SoftBoundsReferenceDevice(dw_min=0.01, dw_min_std=0.3)
    assert recommended_config("ttv2", quiet).device.auto_granularity == 200.0


def test_what_is_given_is_not_changed():
    device = TutorialRRAMPresetDevice(construction_seed=9)
    before = device.to_yaml(full=True)
    config = recommended_config("sgd", device)
    assert device.to_yaml(full=True) == before
    assert config.device.construction_seed == 9


def test_an_unknown_algorithm():
    with pytest.raises(ParameterError, match="known: fp, sgd, mp, tiki-taka, ttv2, c-ttv2, agad, residual-v2, rider"):
        recommend("adam", TutorialRRAMPresetDevice)


BARS = {"fp": 0.80, "mp": 0.84, "ttv2": 0.75, "c-ttv2": 0.75, "agad": 0.75}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", BARS)
def test_recommended_settings_learn_on_the_noisy_device(algorithm):
    """Three epochs of mnist-small, mean of two seeds: 0.86, 0.89, 0.83, 0.84 and 0.84 are to be expected."""
    data = load_dataset("mnist-small")
    accuracies = []
    for seed in (1, 2):
        advice = recommend(algorithm, TutorialRRAMPresetDevice(construction_seed=123))
        spec = RunSpec(
            rpu_config=advice.rpu_config,
            learning_rate=advice.learning_rate,
            lr_schedule=advice.lr_schedule,
            seeds=Seeds(data=seed, weights=seed, devices=seed),
        )
        epochs = [event for event in train(spec, data) if event.kind == "epoch"]
        accuracies.append(epochs[-1].values["test_accuracy"])
    assert sum(accuracies) / 2 > BARS[algorithm]
