"""The algebra of device responses: what an update asked for becomes on an asymmetric device, as one formula.

With step curves in units of the granularity (the expected step at weight 0, unless a device sets its own), ``q_plus``
up and ``q_minus`` down, and

    F = (q_minus + q_plus) / 2,      G = (q_minus - q_plus) / 2,

a wanted change ``dW`` moves the weight to ``W + dW F(W) - |dW| G(W)``: F carries it out, G pulls to the symmetry point.
Source: arXiv 2406.12774.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.devices.analysis import step_curves, visible_window
from tilewright.devices.pulsed import PulsedDevice

Array = NDArray[Any]


@dataclass(frozen=True)
class ResponseFunctions:
    """Step curves of the nominal device over its granularity, at visible ``weights``; all of one shape, no units."""

    weights: Array
    q_plus: Array
    q_minus: Array

    @property
    def symmetric(self) -> Array:
        """F = (q_minus + q_plus) / 2."""
        return np.asarray((self.q_minus + self.q_plus) / 2)

    @property
    def asymmetric(self) -> Array:
        """G = (q_minus - q_plus) / 2."""
        return np.asarray((self.q_minus - self.q_plus) / 2)


def response_functions(device: PulsedDevice, weights: ArrayLike | None = None) -> ResponseFunctions:
    """Normalised step curves of a device, over its whole window unless visible ``weights`` are given."""
    curves = step_curves(device, weights)
    unit = device.granularity
    return ResponseFunctions(curves.weights, curves.up / unit, curves.down / unit)


def analog_update(device: PulsedDevice, weights: ArrayLike, change: ArrayLike) -> Array:
    """Where a wanted change takes the nominal device: ``W + dW F(W) - |dW| G(W)``, within its window.

    This is the mean of a pulsed update while the weight stays near ``W``: exact for one pulse, and to first order in
    the change for many.

    Args:
        device: its parameters.
        weights: visible weights, any shape.
        change: wanted changes, of a shape that fits.

    Returns:
        visible weights after the update.
    """
    w, dw = np.broadcast_arrays(np.asarray(weights, dtype=float), np.asarray(change, dtype=float))
    response = response_functions(device, w)
    moved = w + dw * response.symmetric - np.abs(dw) * response.asymmetric
    return np.asarray(np.clip(moved, *visible_window(device)))
