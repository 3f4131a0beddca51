"""What a tile does to products and updates, as numbers for the figures of a tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from tilewright.configs import RPUConfig
from tilewright.devices import visible_window
from tilewright.devices.pulsed import PulsedDevice
from tilewright.tile import AnalogTile

Array = NDArray[Any]

# Part of the weight range that the probe's updates ask for at most, and the rate they come with.
UPDATE_SHARE = 0.6
LEARNING_RATE = 0.1


@dataclass(frozen=True)
class TileProbe:
    """Wanted and delivered numbers of one tile; shapes (vectors, outputs), (vectors, inputs), (outputs, inputs)."""

    forward_wanted: Array
    forward: Array
    backward_wanted: Array
    backward: Array
    update_wanted: Array
    update: Array


def visible_device(config: RPUConfig) -> PulsedDevice | None:
    """The pulsed device whose weight a network sees, or None for a tile without device physics."""
    cell = getattr(config, "device", None)
    if isinstance(cell, PulsedDevice):
        return cell
    member = getattr(cell, "visible_device", None)
    return member if isinstance(member, PulsedDevice) else None


def probed_weights(config: RPUConfig) -> float:
    """Largest weight of the probe's products: half of what the device reaches in both directions."""
    device = visible_device(config)
    low, high = visible_window(device) if device is not None else (-1.0, 1.0)
    return 0.5 * (min(-low, high) if low < 0 < high else high - low)


def probe_tile(
    config: RPUConfig, n_out: int = 16, n_in: int = 24, n_vectors: int = 24, n_updates: int = 500, seed: int = 1
) -> TileProbe:
    """Send random vectors through a tile and one gradient onto it, ``n_updates`` times.

    Args:
        config: the tile.
        n_out: outputs of the tile.
        n_in: inputs of the tile.
        n_vectors: vectors of the products, entries uniform in [-1, 1].
        n_updates: repetitions of the same rank-one update; in sum they ask, from weight 0,
            for up to ``UPDATE_SHARE`` of the weight range.
        seed: of weights, vectors, devices and noise.
    """
    largest = probed_weights(config)
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(*shape, generator=draw) - 1

    # The global generator seeds what a tile draws; the studio's other users must not notice.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        tile = AnalogTile(n_out, n_in, config, seed=seed)
        tile.set_weights(largest * uniform(n_out, n_in))
        weights = tile.get_weights().detach().clone()
        x, d = uniform(n_vectors, n_in), uniform(n_vectors, n_out)
        forward, backward = tile.forward(x), tile.backward(d)
        tile.set_weights(torch.zeros(n_out, n_in))
        before = tile.get_weights().detach().clone()
        x_one, d_one = uniform(1, n_in), uniform(1, n_out)
        d_one *= UPDATE_SHARE * 2 * largest / (LEARNING_RATE * n_updates)
        for _ in range(n_updates):
            tile.update(x_one, d_one, LEARNING_RATE)
        change = tile.get_weights().detach() - before
    return TileProbe(
        forward_wanted=(x @ weights.T).numpy(),
        forward=forward.detach().numpy(),
        backward_wanted=(d @ weights).numpy(),
        backward=backward.detach().numpy(),
        update_wanted=(-LEARNING_RATE * n_updates * torch.outer(d_one[0], x_one[0])).numpy(),
        update=change.numpy(),
    )
