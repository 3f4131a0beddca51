"""Devices whose steps take long to compute go through kernels of their own: many crosspoints of a row at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise, without_spread

from tilewright import configs
from tilewright.tile import AnalogTile

SHAPE = (3, 1100)  # longer than what is held together at a time, and not a multiple of what goes in lockstep
TABLE = {"piecewise_up": [2, 1, 0.3], "piecewise_down": [0.2, 1, 2]}
DEVICES: dict[str, Any] = {
    "exp": without_noise(configs.ExpStepDevice, dw_min=0.002, count_pulses=True),
    "pow": without_noise(configs.PowStepDevice, dw_min=0.002, pow_gamma=1.5, count_pulses=True),
    "pow-reference": without_noise(
        configs.PowStepReferenceDevice, dw_min=0.002, reference_mean=0.1, subtract_symmetry_point=True
    ),
    "piecewise": without_noise(configs.PiecewiseStepDevice, dw_min=0.002, count_pulses=True, **TABLE),
}


def tile_of(device: Any, **update: Any) -> AnalogTile:
    config = configs.SingleRPUConfig(device=device, update=configs.UpdateParameters(**update))
    return AnalogTile(*SHAPE, config, seed=3)


def vectors(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Errors of one row are ten times those of another, so that a call has rows with few and with many pulses."""
    rng = np.random.default_rng(0)
    d = rng.normal(size=(size, SHAPE[0])) * [0.1, 1, 3]
    return torch.tensor(rng.normal(size=(size, SHAPE[1])), dtype=torch.float32), torch.tensor(d, dtype=torch.float32)


@pytest.mark.parametrize("update", [{}, {"update_bl_management": False, "desired_bl": 40}], ids=["managed", "fixed"])
@pytest.mark.parametrize("lr", [0.0003, 0.003, 0.03])
@pytest.mark.parametrize("name", DEVICES)
def test_a_batch_of_long_rows_is_its_samples_in_order(name, lr, update):
    """From less than one to hundreds of pulses at a crosspoint; alone, a sample has a word or two of them."""
    together, apart = tile_of(DEVICES[name], **update), tile_of(DEVICES[name], **update)
    x, d = vectors(40)
    together.update(x, d, lr)
    for k in range(len(x)):
        apart.update(x[k : k + 1], d[k : k + 1], lr)
    assert torch.equal(together.get_weights(), apart.get_weights())
    assert together.get_weights().abs().max() > 0
    if DEVICES[name].count_pulses:
        for counted, expected in zip(*(next(iter(t.pulse_counts().values())) for t in (together, apart)), strict=True):
            assert torch.equal(counted, expected)
            assert expected.sum() > 0


@pytest.mark.parametrize("lr", [0.0003, 0.003, 0.03])
def test_each_pulse_has_noise_of_its_own(lr):
    """Steps of constant size tell their noise: the sum over n pulses, over its spread, is standard normal.

    Six figures over 3300 crosspoints, each a mean of independent numbers (1.4 for squares) over its standard error;
    one of them passes six once in 80 million runs of normal numbers.
    """
    step, noise = 2.0**-10, 0.3
    device = without_spread(
        configs.ExpStepDevice, dw_min=step, dw_min_std=noise, up_down=0.0, w_max=100.0, w_min=-100.0, A_up=0.0,
        A_down=0.0, write_noise_std=0.0, count_pulses=True,
    )  # fmt: skip
    tile = tile_of(device)
    x, d = vectors(40)
    tile.update(x, d, lr)
    up, down = (n.double() for n in next(iter(tile.pulse_counts().values())))
    moved = tile.get_weights().double() - step * (up - down)
    hit = (up + down) > 0
    z = torch.where(hit, moved / (step * noise * (up + down).clamp(min=1).sqrt()), torch.zeros(()).double())
    n = int(hit.sum())
    assert n > 300
    figures = {"mean": z.sum() / n**0.5, "variance": (z.square() - hit.double()).sum() / (2 * n) ** 0.5}
    for lag in (1, 16, 64, 256):
        pairs = hit[:, lag:] & hit[:, :-lag]
        figures[f"neighbours {lag} apart"] = (z[:, lag:] * z[:, :-lag]).sum() / max(int(pairs.sum()), 1) ** 0.5
    assert {name: float(value) for name, value in figures.items() if abs(value) > 6} == {}


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.5, 3.0])
def test_power_steps_against_double_precision(gamma):
    """One pulse at weights all over the window: steps are right to 3e-7 of the largest, 2.5 units of its last place."""
    step = 0.25
    device = without_noise(
        configs.PowStepDevice, dw_min=step, up_down=0.0, w_max=1.0, w_min=-1.0, pow_gamma=gamma, pow_gamma_dtod=0.0
    )
    tile = tile_of(device, update_bl_management=False, update_management=False, desired_bl=1)
    start = torch.linspace(-1, 1, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    tile.set_weights(start)
    tile.update(torch.full((1, SHAPE[1]), 1e3), torch.full((1, SHAPE[0]), -1e3), 1.0)
    before = start.double().clamp(-1, 1)
    expected = torch.minimum(before + step * ((1 - before) / 2) ** gamma, torch.ones(()).double())
    rounding = 2.0**-24  # of the sum
    assert (tile.get_weights().double() - expected).abs().max() < step * 3e-7 + rounding
