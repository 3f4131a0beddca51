"""Readings that tell how the tiles of a network fare, and a sentence when something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tilewright.devices.array import DeviceArray
from tilewright.tile import AnalogTile

NEAR_BOUND = 0.01  # of a device's range
# From here on a reading is worth a sentence.
MANY_SATURATED = 0.10
MANY_TRUNCATED = 0.25
MANY_EMPTY = 0.95
DENSE = 0.5  # pulses per crosspoint and sample
STUCK_LOSS = 0.98  # of the loss a run began with
RISEN_LOSS = 1.25  # times the lowest loss so far


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


@dataclass
class UpdateCounts:
    """What the tiles of a network were sent. Zero ``samples`` means that nothing counts."""

    pulses: int = 0
    truncated: int = 0
    empty: int = 0
    samples: int = 0
    crosspoints: int = 0

    @classmethod
    def of(cls, tiles: Sequence[AnalogTile]) -> UpdateCounts:
        """All that these tiles were sent since they were made or loaded."""
        found = cls()
        for tile in tiles:
            sent = tile.cell.totals
            found.pulses += sent.pulses
            found.truncated += sent.truncated
            found.empty += sent.empty
            found.samples += sent.samples
            found.crosspoints += sent.samples * tile.out_size * tile.in_size
        return found

    def added(self, other: UpdateCounts, sign: int = 1) -> UpdateCounts:
        """Sum with other counts, or with ``sign`` -1 what is left without them."""
        return UpdateCounts(
            self.pulses + sign * other.pulses,
            self.truncated + sign * other.truncated,
            self.empty + sign * other.empty,
            self.samples + sign * other.samples,
            self.crosspoints + sign * other.crosspoints,
        )

    def readings(self) -> dict[str, float]:
        """``pulse_density`` (per crosspoint and sample), ``truncated_updates`` and ``empty_updates`` (shares of them).

        An update is truncated when its strongest crosspoint asked for more pulses than a train holds, and empty when
        no pulse was sent for a sample.
        """
        if not self.samples:
            return {}
        return {
            "pulse_density": self.pulses / self.crosspoints,
            "truncated_updates": self.truncated / self.samples,
            "empty_updates": self.empty / self.samples,
        }


def concerns(last: dict[str, float], losses: Sequence[float], progress: float) -> list[str]:
    """What is wrong with a run, a sentence each with a remedy; empty when nothing is.

    Args:
        last: the newest value of each metric.
        losses: the training losses so far, in order.
        progress: share of the steps done, 0 to 1.
    """
    found = []
    if (saturated := last.get("saturated_weights", 0.0)) > MANY_SATURATED:
        found.append(
            f"{saturated:.0%} of the devices sit at a bound and cannot hold the weights the network asks for: lower "
            "the learning rate, or take a device with a wider range."
        )
    if (truncated := last.get("truncated_updates", 0.0)) > MANY_TRUNCATED:
        found.append(
            f"In {truncated:.0%} of the updates the strongest weight asked for more pulses than a train holds, so the "
            "step was cut: lower the learning rate, or raise update.desired_bl."
        )
    if (empty := last.get("empty_updates", 0.0)) > MANY_EMPTY:
        found.append(
            f"{empty:.0%} of the updates sent no pulse at all, so next to nothing is learned: raise the learning rate "
            "(or fast_lr), or take a device with smaller steps."
        )
    if last.get("pulse_density", 0.0) > DENSE:
        found.append(
            "Nearly every crosspoint is pulsed for every sample: the noise of the pulses outweighs the gradient. "
            "Lower the learning rate."
        )
    found += _about_the_loss(losses, progress)
    return found


def _about_the_loss(losses: Sequence[float], progress: float) -> list[str]:
    if len(losses) < 20:
        return []
    window = max(3, len(losses) // 20)
    means = [sum(losses[i : i + window]) / window for i in range(0, len(losses) - window + 1, window)]
    first, lowest, now = means[0], min(means), means[-1]
    if progress > 0.5 and now > STUCK_LOSS * first:
        return [
            f"The loss ({now:.3g}) has not fallen since the start ({first:.3g}): the network does not learn with these "
            "settings. Try another learning rate, or an algorithm that stands this device."
        ]
    if now > RISEN_LOSS * lowest and now - lowest > 0.1 * (first - lowest):
        return [
            f"The loss has risen from {lowest:.3g} to {now:.3g}: the steps are too large or too noisy. Lower the "
            "learning rate; with TTv2 and its kin raise auto_granularity."
        ]
    return []
