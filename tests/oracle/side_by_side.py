"""A tile and its one-vector-at-a-time oracle on the same random mini-batches.

With a deterministic pulse type and exact reads a run has one right answer, whatever the batches it arrives in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise

from tilewright import configs
from tilewright.tile import AnalogTile

EPS = (0.0107, 0.0043, 0.0031)
COUNTED = {"pulse_type": "MeanCount", "desired_bl": 20}
PERFECT_READ = configs.IOParameters(is_perfect=True, noise_management="None", bound_management="None")


def fast_and_slower(n: int, fast_class: type, **fields: Any) -> list[Any]:
    """A fast device of the class, and ``n - 1`` slower ones of constant steps; no two steps alike, no noise."""
    fast = without_noise(fast_class, dw_min=EPS[0], w_max=0.9, w_min=-0.7, up_down=0.1, **fields)
    slower = [without_noise(configs.ConstantStepDevice, dw_min=eps, w_max=2.0, w_min=-2.0) for eps in EPS[1:n]]
    return [fast, *slower]


def compare(
    config: Any,
    oracle_of: type,
    shape: tuple[int, int],
    lr: float = 0.1973,
    seed: int = 3,
    batches: int = 8,
    after_batch: Callable[[AnalogTile, Any, np.random.Generator], None] | None = None,
) -> tuple[AnalogTile, Any]:
    """Run both on the same random batches of any size and compare the visible weights after each."""
    rng = np.random.default_rng(seed)
    tile = AnalogTile(*shape, config, seed=1)
    oracle = oracle_of(config.device, config.update, *shape, [d.granularity for d in config.device.unit_cell_devices])
    start = rng.uniform(-0.3, 0.3, size=shape).astype(np.float32)
    tile.set_weights(torch.tensor(start))
    oracle.set_weights(start)
    before = slow_weights(oracle).copy()
    for batch in range(batches):
        size = int(rng.integers(1, 8))
        x = rng.uniform(-1, 1, size=(size, shape[1])).astype(np.float32)
        d = rng.uniform(-1, 1, size=(size, shape[0])).astype(np.float32)
        x[rng.uniform(size=x.shape) < 0.2] = 0.0
        tile.update(torch.tensor(x), torch.tensor(d), lr)
        oracle.run(x, d, lr)
        if after_batch is not None:
            after_batch(tile, oracle, rng)
        assert tile.get_weights().numpy() == pytest.approx(oracle.weights, abs=3e-5), f"after batch {batch}"
    assert np.abs(slow_weights(oracle) - before).max() > EPS[-1] / 2, "the run reached the slow array"
    return tile, oracle


def slow_weights(oracle: Any) -> np.ndarray:
    """Weights of the last array; the visible ones of an oracle that has only those."""
    return oracle.arrays[-1].weights if hasattr(oracle, "arrays") else oracle.weights
