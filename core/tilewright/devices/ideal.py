"""Devices without pulses: the digital baselines that run through the same code."""

from __future__ import annotations

from tilewright.parameters import Parameters, parameter


class IdealDevice(Parameters):
    """Exact update without bounds; forward and backward still follow their periphery."""

    construction_seed: int = parameter(0, "accepted for symmetry with pulsed devices; nothing is drawn", ge=0)

    @property
    def granularity(self) -> float:
        """An ideal device has no step; 0."""
        return 0.0


class FloatingPointDevice(Parameters):
    """Exact forward, backward and update in floating point: the digital baseline."""

    @property
    def granularity(self) -> float:
        """A floating-point weight has no step; 0."""
        return 0.0
