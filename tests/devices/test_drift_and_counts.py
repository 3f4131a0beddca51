"""Drift since the last write, resets of columns, and counted pulses."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from tests.devices.recipes import without_noise

from tilewright.configs import (
    ConstantStepDevice,
    DriftParameters,
    SingleRPUConfig,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
    VectorUnitCell,
)
from tilewright.tile import AnalogTile


def drifting_tile(**drift):
    device = without_noise(
        ConstantStepDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, drift=DriftParameters(nu=0.1, **drift)
    )
    return AnalogTile(3, 4, SingleRPUConfig(device=device), seed=1)


def test_weights_fall_by_the_power_law_whatever_the_number_of_calls():
    once, often = drifting_tile(), drifting_tile()
    for tile in (once, often):
        tile.set_weights(torch.full((3, 4), 0.5))
    once.drift_weights(100.0)
    for _ in range(10):
        often.drift_weights(10.0)
    assert torch.allclose(once.weight.data, torch.full((3, 4), 0.5 * 100**-0.1), atol=1e-6)
    assert torch.equal(once.weight.data, often.weight.data)


def test_drift_acts_on_the_conductance():
    # g = w + 1: the weight falls towards -1, where the conductance is 0. The golden number of the specification.
    tile = drifting_tile(w_offset=-1.0)
    tile.set_weights(torch.full((3, 4), 0.4))
    tile.drift_weights(100.0)
    assert torch.allclose(tile.weight.data, torch.full((3, 4), 1.4 * 100**-0.1 - 1), atol=1e-6)
    assert tile.weight.data[0, 0] == pytest.approx(-0.117, abs=5e-4)


def test_the_exponent_may_depend_on_the_conductance_and_no_conductance_is_no_trouble():
    tile = drifting_tile(nu_k=0.02, log_g0=0.0)
    wanted = torch.full((3, 4), 0.5)
    wanted[0, 0] = -0.3
    tile.set_weights(wanted)
    tile.drift_weights(50.0)
    nu = 0.1 - 0.02 * np.log(0.5)
    assert tile.weight.data[1, 1] == pytest.approx(0.5 * 50**-nu, abs=1e-6)
    assert torch.isfinite(tile.weight.data).all()


def test_only_devices_that_are_pulsed_start_afresh():
    tile = drifting_tile()
    tile.set_weights(torch.full((3, 4), 0.5))
    tile.drift_weights(100.0)
    x, d = torch.zeros(1, 4), torch.zeros(1, 3)
    x[0, 2], d[0, 1] = 1.0, 1.0
    tile.update(x, d, 0.01)
    before = tile.weight.data.clone()
    tile.drift_weights(900.0)
    touched = torch.zeros(3, 4, dtype=torch.bool)
    touched[1, 2] = True
    assert torch.allclose(tile.weight.data[~touched], torch.tensor(0.5 * 1000**-0.1), atol=1e-6)
    assert tile.weight.data[1, 2] == pytest.approx(float(before[1, 2]) * 900**-0.1, abs=1e-6)


def test_a_reloaded_tile_drifts_on():
    tile = drifting_tile(nu_std=0.3, nu_dtod=0.2, w_noise_std=0.01)
    tile.set_weights(torch.full((3, 4), 0.5))
    tile.drift_weights(10.0)
    other = AnalogTile(3, 4, tile.rpu_config, seed=9)
    stored = io.BytesIO()
    torch.save(tile.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    for one in (tile, other):
        one.drift_weights(30.0)
    assert torch.equal(tile.weight.data, other.weight.data)


@pytest.mark.parametrize("time", [-1.0, float("nan"), float("inf")])
def test_a_time_that_cannot_pass_is_refused(time):
    with pytest.raises(ValueError, match="delta_t"):
        drifting_tile().drift_weights(time)


def counting_device(**fields):
    return without_noise(ConstantStepDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, count_pulses=True, **fields)


def test_pulses_are_counted_both_ways_and_kept_in_checkpoints():
    tile = AnalogTile(3, 4, SingleRPUConfig(device=counting_device()), seed=1)
    torch.manual_seed(0)
    for _ in range(5):
        tile.update(torch.randn(7, 4), torch.randn(7, 3), 0.02)
    up, down = tile.pulse_counts()["W"]
    assert int(up.sum()) > 0
    assert int(down.sum()) > 0
    # Without noise, spread or a bound reached, the weight is the balance of its pulses.
    assert torch.allclose(tile.weight.data, 0.01 * (up - down).float(), atol=1e-5)
    copied = copy.deepcopy(tile)
    assert torch.equal(copied.pulse_counts()["W"][0], up)
    fresh = AnalogTile(3, 4, tile.rpu_config, seed=2)
    fresh.load_state_dict(tile.state_dict())
    assert torch.equal(fresh.pulse_counts()["W"][1], down)


def test_counts_are_of_every_array_and_only_on_request():
    cell = VectorUnitCell(unit_cell_devices=[counting_device(), without_noise(ConstantStepDevice)])
    tile = AnalogTile(2, 2, UnitCellRPUConfig(device=cell), seed=1)
    tile.update(torch.ones(1, 2), torch.ones(1, 2), 0.05)
    assert list(tile.pulse_counts()) == ["W0"]


def test_a_reset_of_columns_wraps_round_and_leaves_the_others():
    device = without_noise(SoftBoundsReferenceDevice, w_max=1.0, w_min=-1.0, reset_std=0.0, reference_mean=0.2)
    tile = AnalogTile(3, 4, SingleRPUConfig(device=device), seed=1)
    tile.set_weights(torch.full((3, 4), 0.3))
    tile.reset_columns(3, 2)
    assert torch.allclose(tile.weight.data[:, [3, 0]], torch.zeros(3, 2), atol=1e-6)
    assert torch.allclose(tile.weight.data[:, [1, 2]], torch.full((3, 2), 0.3), atol=1e-6)
    with pytest.raises(ValueError, match="start"):
        tile.reset_columns(4)
