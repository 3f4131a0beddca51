"""Inputs of the cases, made from seeds alone, so that two processes hold the same without sending them.

Imports nothing of this package: the reference side runs it in another interpreter.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SEED = 20_240_703
MEAN_ABS_X = 0.5  # of U(-1, 1)
MEAN_ABS_D = 0.1 * np.sqrt(2 / np.pi)  # of N(0, 0.1)
SPARSITY = 0.19  # share of lit pixels in handwritten digits


def vectors(batch: int, inputs: int, outputs: int) -> tuple[Array, Array]:
    """``x ~ U(-1, 1)`` (batch, inputs) and ``d ~ N(0, 0.1)`` (batch, outputs), float32."""
    draw = np.random.default_rng([SEED, batch, inputs, outputs])
    x = draw.uniform(-1, 1, (batch, inputs)).astype(np.float32)
    return x, (0.1 * draw.standard_normal((batch, outputs))).astype(np.float32)


def start_weights(outputs: int, inputs: int, largest: float = 0.2) -> Array:
    """Weights ``U(-largest, largest)`` (outputs, inputs), float32, inside the window of almost every device."""
    draw = np.random.default_rng([SEED, 0, outputs, inputs])  # no batch is empty: independent of every input
    return draw.uniform(-largest, largest, (outputs, inputs)).astype(np.float32)


def digits(batches: int, batch: int, pixels: int, classes: int) -> tuple[Array, Array]:
    """Images (batches, batch, pixels) float32 as sparse as handwritten digits, and labels (batches, batch) int64.

    Labels are random: there is nothing to learn, so errors, and with them pulses, do not fade from step to step.
    """
    draw = np.random.default_rng([SEED, 2, batches, batch, pixels])
    lit = draw.uniform(size=(batches, batch, pixels)) < SPARSITY
    images = np.where(lit, draw.uniform(0.2, 1, lit.shape), 0).astype(np.float32)
    return images, draw.integers(0, classes, (batches, batch))


def ramps(n_pulses: int, loops: int) -> Array:
    """``loops`` up and down ramps of ``n_pulses`` single pulses in all, int8."""
    quarter = n_pulses // (2 * loops)
    return np.tile(np.repeat(np.array([1, -1], dtype=np.int8), quarter), loops)


def measured_response(pulses: Array, step: float, imbalance: float, w_max: float, w_min: float) -> Array:
    """State before each pulse (float64) of a soft-bounds device, with a little noise, to fit."""
    draw = np.random.default_rng([SEED, 3, len(pulses)])
    w, states = w_min, np.empty(len(pulses))
    for k, pulse in enumerate(pulses):
        states[k] = w
        if pulse > 0:
            w += step * (1 + min(imbalance, 0.0)) * (1 - w / w_max)
        else:
            w -= step * (1 - max(imbalance, 0.0)) * (1 - w / w_min)
    return np.asarray(states + 0.01 * draw.standard_normal(len(pulses)))


def learning_rate(density: float, step: float) -> float:
    """Rate at which ``vectors`` send ``density`` pulses per crosspoint and sample: ``lr E|x| E|d| / step``."""
    return float(density * step / (MEAN_ABS_X * MEAN_ABS_D))


def fingerprint(*arrays: Array) -> str:
    """Short digest of arrays, by which two processes compare what they hold."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
