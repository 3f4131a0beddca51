"""Every whole-tile preset against the tables of its specification."""

from __future__ import annotations

import pickle

import pytest
import torch

from tilewright import configs, presets
from tilewright.parameters import Parameters
from tilewright.tile import AnalogTile
from tilewright.tile_presets import TILE_PRESETS, with_corrupt_devices

SIX = ("ReRamES", "ReRamSB", "Capacitor", "EcRam", "EcRamMO", "Idealized")
ARRAYS = ("ReRamArrayOM", "ReRamArrayHfO2")
NAMES = (
    [f"{d}Preset" for d in (*SIX, "GokmenVlasov", "PCM", *ARRAYS)]
    + [f"{d}{n}Preset" for n in (2, 4) for d in SIX]
    + [f"TikiTaka{d}Preset" for d in SIX]
    + [f"{family}{d}Preset" for family in ("TTv2", "ChoppedTTv2", "AGAD") for d in (*SIX, *ARRAYS)]
    + [f"MixedPrecision{d}Preset" for d in (*SIX, "GokmenVlasov", "PCM")]
)
# fast_lr, auto_granularity, train; in_chop_prob first for the chopped ones; tail_weightening before the train for AGAD.
TTV2 = {
    "ReRamES": (0.5, 1000, 31), "ReRamSB": (0.5, 1000, 31), "Capacitor": (0.1, 1000, 31),
    "EcRam": (0.1, 500, 100), "EcRamMO": (0.1, 500, 100), "Idealized": (0.1, 500, 100),
}  # fmt: skip
CHOPPED = {
    "ReRamES": (0.01, 0.5, 1000, 31), "ReRamSB": (0.01, 0.5, 1000, 31), "Capacitor": (0.01, 0.1, 1000, 31),
    "EcRam": (0.01, 1.0, 500, 100), "EcRamMO": (0.001, 0.1, 500, 100), "Idealized": (0.001, 0.1, 500, 100),
}  # fmt: skip
AGAD = {
    "ReRamES": (0.02, 0.5, 1000, 5, 31), "ReRamSB": (0.02, 0.5, 1000, 5, 31), "Capacitor": (0.01, 0.1, 1000, 20, 31),
    "EcRam": (0.005, 0.1, 750, 50, 31), "EcRamMO": (0.005, 0.1, 500, 50, 100), "Idealized": (0.005, 0.1, 500, 50, 100),
}  # fmt: skip


def known(name: str) -> bool:
    """Whether the device of a preset is among the device presets."""
    devices = [key.removesuffix("PresetDevice") for key in presets.DEVICE_PRESETS]
    return any(name.endswith(device) or name[:-1].endswith(device) for device in devices)


def test_all_names_are_there():
    wanted = {name for name in NAMES if known(name.removesuffix("Preset"))}
    assert set(TILE_PRESETS) == wanted
    assert len(wanted) >= 50


def test_names_can_be_completed():
    assert set(TILE_PRESETS) | {"IdealizedPresetDevice", "TILE_PRESETS"} <= set(dir(presets))


@pytest.mark.parametrize("name", TILE_PRESETS)
def test_every_preset_is_what_its_tables_say(name):
    row = TILE_PRESETS[name]
    config = getattr(presets, name)()
    assert isinstance(config.forward, presets.PresetIOParameters)
    assert config.backward == config.forward == presets.PresetIOParameters()
    train = {"ttv2": TTV2, "c-ttv2": CHOPPED, "agad": AGAD}.get(row.family, {}).get(row.device, (31,))[-1]
    assert config.update == presets.PresetUpdateParameters(desired_bl=train)
    kind = presets.DEVICE_PRESETS[f"{row.device}PresetDevice"]
    transfer = row.family in ("tiki-taka", "ttv2", "c-ttv2", "agad")
    device = kind(subtract_symmetry_point=True) if transfer and row.device == "ReRamSB" else kind()
    cell = config.device
    if row.family == "single":
        assert isinstance(config, configs.SingleRPUConfig)
        assert cell == device
        return
    if row.family == "mp":
        assert isinstance(config, configs.DigitalRankUpdateRPUConfig)
        assert row.device == "PCM" or cell == configs.MixedPrecisionCompound(device=device)
        return
    assert isinstance(config, configs.UnitCellRPUConfig)
    assert cell.unit_cell_devices == [device] * len(cell.unit_cell_devices)
    if row.family in ("2 devices", "4 devices"):
        assert (len(cell.unit_cell_devices), cell.update_policy.value) == (int(row.family[0]), "SingleRandom")
        assert cell.gammas == [1 / len(cell.gammas)] * len(cell.gammas)
        return
    if row.family == "pair":
        assert (cell.refresh_every, cell.units_in_mbatch, cell.copy_inverted) == (1, True, False)
        assert (cell.refresh_upper_thres, cell.refresh_lower_thres) == (0.75, 0.25)
        return
    read = presets.PresetIOParameters(noise_management="None", bound_management="None")
    assert cell.transfer_forward == read
    assert (cell.transfer_every, cell.gamma, len(cell.unit_cell_devices)) == (1.0, 0.0, 2)
    if row.family == "tiki-taka":
        assert cell.transfer_update == presets.PresetUpdateParameters()
        assert (cell.units_in_mbatch, cell.scale_fast_lr) == (True, True)
        return
    single = presets.PresetUpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)
    assert cell.transfer_update == single
    assert (cell.units_in_mbatch, cell.auto_scale, cell.scale_fast_lr, cell.forget_buffer) == (False, True, False, True)
    assert (cell.momentum, cell.auto_momentum, cell.correct_gradient_magnitudes) == (0.0, 0.99, False)
    same = {"ReRamArrayOM": "ReRamES", "ReRamArrayHfO2": "ReRamES"}.get(row.device, row.device)
    if row.family == "ttv2":
        assert (cell.in_chop_prob, cell.fast_lr, cell.auto_granularity) == (0.0, *TTV2[same][:2])
    elif row.family == "c-ttv2":
        assert (cell.in_chop_prob, cell.fast_lr, cell.auto_granularity) == CHOPPED[same][:3]
        assert cell.in_chop_random
    else:
        found = (cell.in_chop_prob, cell.fast_lr, cell.auto_granularity, cell.tail_weightening)
        assert found == AGAD[same][:4]
        assert not cell.in_chop_random


@pytest.mark.parametrize("name", TILE_PRESETS)
def test_every_preset_prints_copies_and_builds_a_tile(name):
    config = getattr(presets, name)()
    assert repr(config) == f"{name}()"
    assert config.to_python().startswith(f"from tilewright.presets import {name}")
    assert configs.RPUConfig.from_yaml(config.to_yaml()) == config
    assert type(configs.RPUConfig.from_python(config.to_python())) is type(config)
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.device is not getattr(presets, name)().device, "objects share nothing"
    assert "Device:" in type(config).__doc__
    assert TILE_PRESETS[name].source
    tile = AnalogTile(2, 3, config, seed=1)
    tile.update(torch.ones(2, 3), torch.full((2, 2), 0.1), 0.1)
    assert bool(torch.isfinite(tile.get_weights()).all())


def test_nested_presets_are_remarked_on_where_they_are_odd():
    assert "ten times" in TILE_PRESETS["ChoppedTTv2EcRamPreset"].remark
    assert "none are published" in presets.AGADReRamArrayOMPreset.__doc__
    with pytest.raises(AttributeError, match="TikiTakaMagicPreset"):
        _ = presets.TikiTakaMagicPreset


@pytest.mark.parametrize(("device", "share"), [("ReRamArrayOM", 0.1348), ("ReRamArrayHfO2", 0.0977)])
@pytest.mark.parametrize("family", ["", "TTv2", "ChoppedTTv2", "AGAD"])
def test_array_tiles_with_their_measured_share_of_stuck_devices(device, share, family):
    config = getattr(presets, f"{family}{device}Preset")()
    stuck = with_corrupt_devices(config)
    members = getattr(stuck.device, "unit_cell_devices", [stuck.device])
    assert [member.corrupt_devices_prob for member in members] == [share] * len(members)
    assert stuck != config
    assert isinstance(stuck, Parameters)


def test_tiles_without_a_measured_share_say_so():
    with pytest.raises(ValueError, match="EcRamPresetDevice has no measured share"):
        with_corrupt_devices(presets.TTv2EcRamPreset())
