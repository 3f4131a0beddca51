"""Readings that tell how the tiles of a network fare."""

from __future__ import annotations

import torch
from torch import nn

from tilewright.devices.array import DeviceArray
from tilewright.tile import AnalogTile

NEAR_BOUND = 0.01  # of a device's range


def tiles_of(model: nn.Module) -> list[AnalogTile]:
    """Every tile of a network."""
    return [module for module in model.modules() if isinstance(module, AnalogTile)]


@torch.no_grad()
def health_readings(model: nn.Module) -> dict[str, float]:
    """Metrics over all tiles of a network; empty for one without devices.

    ``saturated_weights`` is the share of the devices the network sees that sit within 1 % of their range from a bound.
    """
    near, count = 0, 0
    for tile in tiles_of(model):
        arrays = [array for array in tile.cell.device_arrays().values() if isinstance(array, DeviceArray)]
        if not arrays:
            continue
        visible = arrays[-1]  # a cell lists the array that the network sees last
        points = visible.crosspoints(tile.weight)
        state = points.visible if points.persistent is None else points.persistent
        margin = NEAR_BOUND * (points.max_bound - points.min_bound)
        stuck = (state >= points.max_bound - margin) | (state <= points.min_bound + margin)
        near, count = near + int(stuck.sum()), count + stuck.numel()
    return {"saturated_weights": near / count} if count else {}


def last_pulses(tiles: list[AnalogTile]) -> int | None:
    """Pulses that all tiles received in the last optimiser step; None when an algorithm does not count them."""
    total = 0
    for tile in tiles:
        counted = getattr(tile.cell, "last_update", {}).get("pulses")
        if counted is None:
            return None
        total += counted
    return total if tiles else None
