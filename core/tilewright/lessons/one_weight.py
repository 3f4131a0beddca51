"""A single weight that learns: what asymmetric steps and a noisy gradient do to it."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from tilewright.configs import RPUConfig
from tilewright.kernels import derive_seed, normal_field
from tilewright.tile import AnalogTile


def learn_one_weight(
    config: RPUConfig, target: float, n_updates: int = 1000, noise: float = 0.0, lr: float = 0.1, seed: int = 1
) -> NDArray[np.float64]:
    """Weight of a 1 x 1 tile that descends ``(w - target)^2 / 2`` from 0 by noisy gradients.

    Args:
        config: the tile; its device and algorithm are what is looked at.
        target: minimum of the loss.
        n_updates: updates with one gradient each.
        noise: standard deviation of the gradient.
        lr: learning rate.
        seed: of the tile and of the noise; tiles of one seed see the same noise.

    Returns:
        The weight before the first and after each update (n_updates + 1,).
    """
    one = torch.ones(1, 1)
    added = noise * normal_field((n_updates,), derive_seed("one weight", seed))
    path = np.zeros(n_updates + 1)
    with torch.no_grad():
        tile = AnalogTile(1, 1, config, seed=seed)
        tile.set_weights(torch.zeros(1, 1))
        for k in range(n_updates):
            tile.update(one, tile.get_weights() - target + added[k], lr)
            path[k + 1] = float(tile.get_weights()[0, 0])
    return path


def balance_of_sgd(target: float, noise: float, w_max: float, w_min: float) -> float:
    """Where plain SGD comes to rest on a soft-bounds device, as ``learn_one_weight`` asks of it.

    The mean change ``g F(w) + |g| G(w)`` of a gradient ``g = w - target + noise`` is zero there, with the step curves
    ``q+ = 1 - w / w_max`` and ``q- = 1 - w / w_min``, ``F = (q- + q+) / 2`` and ``G = (q- - q+) / 2``; the learning
    rate drops out. Holds for steps that are small beside the range.
    """

    def mean_change(w: float) -> float:
        up, down = 1 - w / w_max, 1 - w / w_min
        off = w - target
        if noise == 0:
            size = abs(off)
        else:  # mean of the folded normal distribution
            z = off / noise
            size = noise * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + off * math.erf(z / math.sqrt(2))
        return off * (down + up) / 2 + size * (down - up) / 2

    low, high = w_min, w_max
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_change(middle) < 0 else (low, middle)
    return (low + high) / 2
