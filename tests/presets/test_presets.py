"""Presets against the numbers of their specification: as given, and as derived by our own code."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from devices.recipes import without_spread

from tilewright import configs, presets
from tilewright.devices import device_distribution, number_of_states, step_curves, symmetry_point
from tilewright.parameters import Parameters
from tilewright.preset_table import preset_class, preset_table
from tilewright.presets import DEVICE_PRESETS, PERIPHERY_PRESETS, RECORDS, UPDATE_PRESETS
from tilewright.tile_presets import TILE_PRESETS

# Granularity, states, steps in units of dw_min (up at w_min, 0, w_max; down at w_max, 0, w_min), symmetry point of
# the nominal device, write noise in weight units, mean of the gain. Steps are noise-free and before the clip.
# Log-normal gains multiply the granularity by their mean: 0.0949 * 1.36 and 0.4622 * 1.29, so 15.5 and 3.4 states.
# ReRamES: the granularity is the mean of both steps, 0.001736, where the other rule counts the down step, 0.001991.
SPECIFIED = {
    "ReRamES": (0.001736, 1152, (2.18, 1.10, 1.01), (9.69, 1.48, 0.80), -0.217, 0.101, 1),
    "ReRamSB": (0.002, 1000, (1.6, 1, 0), (2.67, 1, 0), 0, 0.112, 1),
    "Capacitor": (0.005, 400, (1.05, 1, 0.95), (1.05, 1, 0.95), 0, 0, 1),
    "EcRam": (0.002, 1000, (1.08, 1, 0.885), (1.72, 1, 0.49), 0, 0, 1),
    "EcRamMO": (2.8214e-4, 7089, (1.29, 1, 0.585), (2.04, 1, 0.27), 0, 0, 1),
    "Idealized": (2e-4, 10000, (1, 1, 1), (1, 1, 1), math.nan, 0, 1),
    "GokmenVlasov": (0.0016, 1250, (1, 1, 1), (1, 1, 1), math.nan, 0, 1),
    "ReRamArrayOM": (0.0949 * 1.3587, 2 / (0.0949 * 1.3587), (2, 1, 0), (2, 1, 0), 0, 0.134, 1.36),
    "ReRamArrayHfO2": (0.4622 * 1.2890, 2 / (0.4622 * 1.2890), (2, 1, 0), (2, 1, 0), 0, 0.270, 1.29),
}


def nominal(name):
    return DEVICE_PRESETS[f"{name}PresetDevice"]()


@pytest.mark.parametrize("name", SPECIFIED)
def test_derived_numbers_of_a_device(name):
    grain, states, up, down, point, write_noise, _ = SPECIFIED[name]
    device = nominal(name)
    assert device.granularity == pytest.approx(grain, rel=2e-3)
    assert number_of_states(device) == pytest.approx(states, rel=2e-3)
    curves = step_curves(device, [device.w_min, 0.0, device.w_max])
    np.testing.assert_allclose(curves.up / device.dw_min, up, atol=6e-3)
    np.testing.assert_allclose(curves.down[::-1] / device.dw_min, down, atol=6e-3)
    assert symmetry_point(device) == pytest.approx(point, abs=2e-3, nan_ok=True)
    assert device.write_noise == pytest.approx(write_noise, abs=6e-4)


def test_derived_numbers_of_the_one_sided_device():
    """PCM moves up only: its granularity is the step at mid range, and the first step from 0 is nine times that."""
    device = nominal("PCM")
    assert device.granularity == pytest.approx(0.03235)
    assert number_of_states(device) == pytest.approx(62, abs=0.5)
    steps = step_curves(device, [0.0, 0.5, 1.0, 1.5, 1.9, 2.0]).up
    np.testing.assert_allclose(steps[:5], [0.28235, 0.08803, 0.03236, 0.01641, 0.01236], atol=1e-5)
    np.testing.assert_allclose(steps[[0, 2, 5]] / device.dw_min, [28.2, 3.24, 1.18], atol=0.04)
    assert device.write_noise == 0


def test_golden_steps_of_the_exponential_fit():
    device = nominal("ReRamES")
    curves = step_curves(device, [-1.0, -0.5, 0.0, 0.5, 1.0])
    np.testing.assert_allclose(curves.up[:4], [0.002949, 0.001808, 0.001481, 0.001388], atol=1e-6)
    np.testing.assert_allclose(curves.down[1:], [0.001284, 0.001991, 0.004461, 0.01308], atol=1e-5)


@pytest.mark.parametrize("name", SPECIFIED)
def test_mean_gain_of_drawn_devices(name):
    """Mean step at 0 of 200,000 devices: 8 standard errors, a false alarm in 10^14 (the log-normal tail: 10^9)."""
    device = nominal(name)
    gain = SPECIFIED[name][6]
    drawn = presets.DEVICE_PRESETS[f"{name}PresetDevice"](up_down=0.0, up_down_dtod=0.0)
    up = draw_up(drawn, 200_000)
    assert up.mean() / device.dw_min == pytest.approx(
        gain, abs=8 * up.std() / device.dw_min / math.sqrt(up.size) + 5e-3
    )


def draw_up(device, n):
    from tilewright.devices.distribution import drawn_arrays

    return drawn_arrays(device, n)["up"]


@pytest.mark.parametrize("name", DEVICE_PRESETS)
def test_a_drawn_device_without_spread_has_the_derived_numbers(name):
    cls = DEVICE_PRESETS[name]
    quiet = without_spread(cls)
    found = device_distribution(quiet, 1)
    (row,) = [row for row in preset_table() if row.name == name]
    mean_gain = cls().granularity / quiet.granularity
    assert found.states[0] == pytest.approx(row.states * mean_gain, rel=1e-4, nan_ok=True)
    assert found.symmetry_points[0] == pytest.approx(row.symmetry_point, abs=1e-5, nan_ok=True)
    assert found.snr[0] == pytest.approx(row.snr, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "adc_step", "noise_in_steps", "dac_step"),
    [
        ("IOParameters", 0.0471, 1.3, 1 / 63),
        ("PresetIOParameters", 0.0784, 1.3, 1 / 63),
        ("StandardIOParameters", 0.0787, 0.5, 1 / 127),
        ("WebComposerIOParameters", 0.0784, 1.3, 1 / 63),
    ],
)
def test_converters(name, adc_step, noise_in_steps, dac_step):
    io = (configs.IOParameters if name == "IOParameters" else PERIPHERY_PRESETS[name])()
    step = 2 * io.out_bound * io.out_res
    assert step == pytest.approx(adc_step, abs=6e-5)
    assert io.out_noise / step == pytest.approx(noise_in_steps, abs=0.03)
    assert 2 * io.inp_bound * io.inp_res == pytest.approx(dac_step)
    assert io.bound_management.value == "Iterative"
    assert io.noise_management.value == "AbsMax"
    assert not io.inp_sto_round
    assert io.w_noise == 0


def test_the_update_preset_repeats_the_defaults():
    made, plain = presets.PresetUpdateParameters(), configs.UpdateParameters()
    assert {k: getattr(made, k) for k in type(made).model_fields} == {
        k: getattr(plain, k) for k in type(plain).model_fields
    }


def test_every_record_has_its_class():
    assert {*DEVICE_PRESETS, *PERIPHERY_PRESETS, *UPDATE_PRESETS} == set(RECORDS)
    assert {f"{name}PresetDevice" for name in (*SPECIFIED, "PCM", "TutorialRRAM")} == set(DEVICE_PRESETS)


def test_every_class_takes_its_numbers_from_the_data():
    for name, cls in {**DEVICE_PRESETS, **PERIPHERY_PRESETS, **UPDATE_PRESETS}.items():
        record, made = RECORDS[name], cls()
        assert issubclass(cls, Parameters._registry[record.model])
        for field, value in record.values.items():
            held = getattr(made, field)
            assert getattr(held, "value", held) == value, f"{name}.{field}"
        assert set(record.adjusted) <= set(cls.model_fields)
        assert set(record.measured) <= set(record.adjusted)
        if record.kind == "device":
            assert record.source in cls.__doc__
            assert record.technology


def test_the_table_lists_every_preset_once():
    rows = preset_table()
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert {*DEVICE_PRESETS, *PERIPHERY_PRESETS, *UPDATE_PRESETS, *TILE_PRESETS} == set(names)
    for row in rows:
        assert issubclass(preset_class(row.name), Parameters)
        assert row.kind in ("device", "periphery", "update", "tile")
        assert all(isinstance(value, (str, float)) for value in asdict(row).values())


@pytest.mark.parametrize(("name", "share"), [("ReRamArrayOM", 0.1348), ("ReRamArrayHfO2", 0.0977)])
def test_measured_shares_of_stuck_devices(name, share):
    """Share of stuck among 40,000 drawn devices: 7 standard errors, a false alarm in 10^11."""
    device = presets.with_corrupt_devices(DEVICE_PRESETS[f"{name}PresetDevice"])
    assert device.corrupt_devices_prob == share
    stuck = np.mean(draw_up(device, 40_000) == 0)
    assert stuck == pytest.approx(share, abs=7 * math.sqrt(share * (1 - share) / 40_000))


def test_a_preset_without_a_measured_share_says_which_have_one():
    with pytest.raises(ValueError, match=r"EcRamPresetDevice has no measured share.*ReRamArrayOMPresetDevice"):
        presets.with_corrupt_devices(presets.EcRamPresetDevice)


def test_another_version_of_the_data_is_refused(tmp_path):
    (tmp_path / "presets.toml").write_text("version = 99\n")
    with pytest.raises(ValueError, match="version 99; this release reads 1"):
        presets._read(tmp_path / "presets.toml")
