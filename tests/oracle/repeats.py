"""Many repeats of one update, each from the same start."""

from __future__ import annotations

import numpy as np
import torch

from tilewright import configs
from tilewright.tile import AnalogTile


def weight_changes(
    config: configs.SingleRPUConfig, x: list[float], d: list[float], w0: float, lr: float, n: int
) -> np.ndarray:
    """Changes of the visible weights, shape (n, out * in); x has (in,) and d (out,) entries."""
    tile = AnalogTile(len(d), len(x), config, seed=17)
    start = torch.full((len(d), len(x)), w0)
    inputs, errors = torch.tensor([x]), torch.tensor([d])
    found = np.empty((n, len(d) * len(x)))
    for k in range(n):
        tile.set_weights(start)
        tile.update(inputs, errors, lr)
        found[k] = tile.get_weights().numpy().ravel()
    return found - w0
