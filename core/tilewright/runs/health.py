"""Readings that tell how the tiles of a network fare."""

from __future__ import annotations

from torch import nn


def health_readings(model: nn.Module) -> dict[str, float]:
    """Metrics over all tiles of a network; empty for a digital one."""
    return {}
