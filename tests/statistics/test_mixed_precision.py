"""Mixed precision against the one-vector-at-a-time oracle, and its conservation of gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import FAMILIES, without_noise
from oracle import cells
from oracle.statistics import assert_mean

from tilewright import configs
from tilewright.tile import AnalogTile

EPS = 0.0117


def config_of(device: Any = None, update: dict[str, Any] | None = None, **cell: Any) -> Any:
    device = device or without_noise(configs.ConstantStepDevice, dw_min=EPS, w_max=3.0, w_min=-3.0)
    return configs.DigitalRankUpdateRPUConfig(
        device=configs.MixedPrecisionCompound(device=device, **cell), update=configs.UpdateParameters(**(update or {}))
    )


def compare(config: Any, shape: tuple[int, int], lr: float, seed: int, batches: int = 60) -> None:
    """Weights after each batch, for gradients small enough that every transfer is at most one pulse."""
    rng = np.random.default_rng(seed)
    tile = AnalogTile(*shape, config, seed=1)
    oracle = cells.MixedPrecision(config.device, *shape, config.device.device.granularity)
    start = rng.uniform(-0.2, 0.2, size=shape).astype(np.float32)
    tile.set_weights(torch.tensor(start))
    oracle.array.set_weights(start)
    moved = 0.0
    for batch in range(batches):
        x = rng.uniform(-1, 1, size=(3, shape[1])).astype(np.float32)
        d = rng.uniform(-1, 1, size=(3, shape[0])).astype(np.float32)
        tile.update(torch.tensor(x), torch.tensor(d), lr)
        oracle.run(x, d, lr)
        found = tile.get_weights().numpy()
        assert found == pytest.approx(oracle.weights, abs=2e-5), f"after batch {batch}"
        moved = max(moved, float(np.abs(oracle.weights - start).max()))
    assert moved > EPS / 2, "the run reached the array"


@pytest.mark.parametrize(
    "cell",
    [
        {},
        {"transfer_every": 2},
        {"transfer_every": 3, "n_rows_per_transfer": 2},
        {"n_rows_per_transfer": 1},
        {"granularity": 0.02},
        {"n_x_bins": 7, "stoc_round_x": False},
        {"n_d_bins": 5, "stoc_round_d": False},
        {"n_x_bins": 7, "n_d_bins": 5, "stoc_round_x": False, "stoc_round_d": False},
        {"n_x_bins": 4, "stoc_round_x": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)], ids=str)
def test_runs_equal_the_oracle(cell, shape):
    """The transfer falls at the end of the due batch, and only one of x and d may be quantised."""
    if "granularity" in cell:
        cell = cell | {"transfer_lr": EPS / 0.02}  # one pulse a step of chi
    compare(config_of(**cell), shape, lr=0.0031, seed=2)


@pytest.mark.parametrize("cls", FAMILIES)
def test_other_devices(cls):
    device = without_noise(cls, dw_min=EPS, w_max=0.8, w_min=-0.9, up_down=0.2 if cls is FAMILIES[2] else 0.0)
    compare(config_of(device), (4, 4), lr=0.0031, seed=4)


def test_the_first_batch_is_transferred_at_its_end():
    """No vector is left over: a gradient of 1.5 steps sends one step after the first batch."""
    tile = AnalogTile(1, 1, config_of(), seed=1)
    tile.update(torch.ones(3, 1), torch.full((3, 1), 0.5), EPS)
    assert tile.get_weights().item() == pytest.approx(-EPS, rel=1e-5)
    tile.update(torch.ones(1, 1), torch.full((1, 1), 0.5), EPS * 1.001)
    assert tile.get_weights().item() == pytest.approx(-2 * EPS, rel=1e-5)


def test_what_could_not_be_sent_is_not_forgotten():
    """A gradient of 100 steps meets trains of 10: batches without gradient send the rest, to within one step a row's
    largest entry, and within the binomial noise of the others on average; 200 columns."""
    config = config_of(update={"desired_bl": 10})
    tile = AnalogTile(1, 200, config, seed=3)
    x = torch.linspace(0.3, 1.0, 200)[None]
    tile.update(x, torch.ones(1, 1), 100.5 * EPS)
    first = tile.get_weights().numpy()[0] / -EPS
    assert first.max() <= 10 + 1e-3, "a train holds 10 pulses"
    for _ in range(60):
        tile.update(torch.zeros(1, 200), torch.zeros(1, 1), 0.1)
    sent = tile.get_weights().numpy()[0] / -EPS
    wanted = 100.5 * x.numpy()[0]
    assert sent[-1] == pytest.approx(100, abs=1.01)
    assert_mean(sent - wanted, -0.5, "steps sent minus steps asked", rounding=0.6)


def test_stochastic_levels_are_unbiased():
    """x quantised to 5 levels with stochastic rounding keeps its mean; 4000 gradients."""
    config = config_of(n_x_bins=5, granularity=1e9)
    tile = AnalogTile(1, 3, config, seed=3)
    x = torch.tensor([[1.0, 0.3, -0.62]]).repeat(4000, 1)
    tile.update(x, torch.ones(4000, 1), 1.0)
    chi = next(value for key, value in tile.state_dict().items() if key.endswith("chi")).numpy()[0] / 4000
    spread = np.array([0.0, 0.5 * np.sqrt(0.6 * 0.4), 0.5 * np.sqrt(0.24 * 0.76)]) / np.sqrt(4000)
    assert np.all(np.abs(chi - x[0].numpy()) <= 5.5 * spread + 1e-4), "false-alarm rate 1e-7"
