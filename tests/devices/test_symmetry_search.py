"""Searching symmetry points by pulses: it converges to the true points, reports its cost, and fills a reference."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from devices.recipes import without_noise

from tilewright import configs
from tilewright.devices import search_symmetry_points, symmetry_point
from tilewright.tile import AnalogTile

QUIET = without_noise(configs.SoftBoundsReferenceDevice, dw_min=0.01, up_down=0.3, w_max=1.0, w_min=-1.0)
SPREAD = configs.SoftBoundsReferenceDevice(
    dw_min=0.01, w_max=1.0, w_min=-1.0, w_max_dtod=0.2, w_min_dtod=0.2, up_down_dtod=0.1, reference_std=0.3,
    subtract_symmetry_point=True,
)  # fmt: skip


@pytest.mark.parametrize("method", ["alternating", "random"])
def test_quiet_devices_come_to_their_point(method):
    """Without noise the in-turn search ends within a step of the point, the random one within its walk of steps."""
    found = search_symmetry_points(QUIET, 3000, method, n_devices=3, n_reads=400)
    allowed = 0.006 if method == "alternating" else 0.08
    assert np.abs(found.estimate - symmetry_point(QUIET)).max() < allowed
    assert found.true == pytest.approx(symmetry_point(QUIET), abs=1e-5)
    assert found.pulses == 3000
    assert found.reads == 400
    assert found.total_pulses == 9000
    assert found.error[0] > 1.0
    assert found.error[-1] < 0.1


def test_the_distance_falls_at_the_rate_of_the_curvature():
    """A pair of pulses closes the gap by dw (1/w_max + 1/|w_min|) = 0.02 of it: a tenth after ln 10 / 0.01 pulses."""
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-1.0)
    found = search_symmetry_points(device, 1000, "alternating", n_devices=1, w0=0.8)
    assert found.pulses_to_reach(0.08) == pytest.approx(np.log(10) / 0.01, rel=0.1)
    assert found.pulses_to_reach(1e-9) is None


def test_more_reads_and_pulses_miss_by_less():
    """Cycle noise and spread, 400 devices: longer searches and more reads come nearer, in turn nearer than random."""
    short = search_symmetry_points(SPREAD, 100, n_devices=400)
    long = search_symmetry_points(SPREAD, 3000, n_devices=400)
    single = search_symmetry_points(SPREAD, 3000, n_devices=400, n_reads=1, read_noise=0.1)
    many = search_symmetry_points(SPREAD, 3000, n_devices=400, n_reads=64, read_noise=0.1)
    walk = search_symmetry_points(SPREAD, 3000, "random", n_devices=400)
    assert long.rms_residual < 0.5 * short.rms_residual
    # Noise of 0.1 a read: 64 of them leave 1/64 of its variance; 400 devices know a variance to 7 %.
    assert single.rms_residual**2 - many.rms_residual**2 == pytest.approx(0.1**2 * (1 - 1 / 64), rel=0.4)
    assert long.rms_residual < walk.rms_residual
    assert long.rms_residual < 0.1


def test_devices_without_a_point_are_said_to_have_none():
    found = search_symmetry_points(without_noise(configs.ConstantStepDevice, up_down=0.1), 50, n_devices=2)
    assert np.isnan(found.true).all()
    assert np.isnan(found.rms_residual)


def tile_of(device: configs.PulsedDevice, seed: int = 3) -> AnalogTile:
    config = configs.build_config("e-rider", device, construction_seed=7)
    return AnalogTile(12, 9, config, seed=seed)


@pytest.mark.parametrize("method", ["alternating", "random"])
def test_programming_a_reference_takes_its_offset_away(method):
    """The symmetry point that pulses find again afterwards lies at 0, not at the reference error of 0.3."""
    tile = tile_of(SPREAD)
    before = tile.program_reference("P", n_pulses=2000, method=method)
    again = tile.program_reference("P", n_pulses=2000)
    assert before.estimate.std() > 0.2
    assert again.estimate.std() < (0.06 if method == "alternating" else 0.25)
    assert before.pulses == 2000
    assert before.total_pulses == 2000 * 108


def test_pulses_of_the_search_are_sent_and_counted():
    """Every device takes every pulse: equal counts up and down in turn, and independent signs at random."""
    counted = SPREAD.model_copy(update={"count_pulses": True})
    tile = tile_of(counted)
    tile.program_reference("P", n_pulses=500)
    up, down = (counts.clone() for counts in tile.cell.pulse_counts()["P"])
    assert bool((up == 250).all())
    assert bool((down == 250).all())
    tile.program_reference("P", n_pulses=400, method="random")
    up, down = (after - before for after, before in zip(tile.cell.pulse_counts()["P"], (up, down), strict=True))
    assert bool((up + down == 400).all())
    assert 0 < float((up - 200).abs().max()) < 120  # 12 standard deviations


def test_a_programmed_reference_is_saved():
    """Also where devices were drawn with one reference for all: reload and go on bit for bit."""
    device = without_noise(configs.SoftBoundsReferenceDevice, dw_min=0.02, reference_mean=0.1, up_down=0.2)
    tile = tile_of(device)
    tile.program_reference("P", n_pulses=100, write_noise=0.1)
    file = io.BytesIO()
    torch.save(tile.state_dict(), file)
    file.seek(0)
    other = tile_of(device, seed=11)
    other.load_state_dict(torch.load(file, weights_only=True))
    for each in (tile, other):
        each.update(torch.ones(3, 9), torch.ones(3, 12), 0.1)
    assert torch.equal(tile.weight.data, other.weight.data)
    assert torch.equal(tile.cell.inner, other.cell.inner)


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match="no array 'Q'; it has P, W"):
        tile_of(SPREAD).program_reference("Q")
    constant = AnalogTile(2, 2, configs.SingleRPUConfig(device=configs.ConstantStepDevice()), seed=1)
    with pytest.raises(ValueError, match="ConstantStepDevice has no reference"):
        constant.program_reference("W")
    with pytest.raises(ValueError, match="method must be one of alternating, random"):
        search_symmetry_points(QUIET, method="both")
    with pytest.raises(ValueError, match="at least 1"):
        search_symmetry_points(QUIET, n_pulses=0)
