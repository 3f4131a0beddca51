"""From learning rate to pulses: schedule, probabilities, bits, counts, one sample at a time."""

from __future__ import annotations

import math

import numpy as np

from oracle import devices
from oracle.devices import Crosspoint


def step_width(res: float) -> float:
    """Bin width of a probability: up to 1 a width, above a number of steps, else off (0)."""
    if res > 1:
        return 1.0 / res
    return max(res, 0.0)


def quantise(values: np.ndarray, res: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """Round to multiples of the bin width, half to even; stochastically when ``rng`` is given."""
    width = step_width(res)
    if width == 0:
        return values
    shift = rng.uniform(size=np.shape(values)) - 0.5 if rng is not None else 0.0
    return np.rint(values / width + shift) * width


def schedule(x: np.ndarray, d: np.ndarray, lr: float, granularity: float, up: object) -> tuple[int, float, float]:
    """Train length and the factors of error and input lines: ``(BL, A, B)``; BL = 0 sends nothing."""
    lr = abs(lr)
    if lr == 0:
        return 0, 0.0, 0.0
    managed = up.update_management or up.update_bl_management
    if up.fixed_bl or up.update_bl_management or not granularity * up.desired_bl < lr:
        bl = up.desired_bl
        a = b = math.sqrt(lr / (granularity * bl))
    else:
        bl = max(math.ceil(lr / granularity), 1)
        a = b = 1.0
    if not managed:
        return bl, a, b
    x_max, d_max = float(np.max(np.abs(x))), float(np.max(np.abs(d)))
    if x_max == 0 or d_max == 0:
        return 0, 0.0, 0.0
    d_max *= up.um_grad_scale
    k = lr * x_max * d_max / granularity
    if up.update_bl_management:
        bl = min(math.ceil(k), up.desired_bl)
        a = b = math.sqrt(lr / (granularity * bl))
    if k > up.desired_bl:
        d_max *= up.desired_bl / k
    return bl, a * math.sqrt(x_max / d_max), b * math.sqrt(d_max / x_max)


def probabilities(
    x: np.ndarray, d: np.ndarray, lr: float, granularity: float, up: object
) -> tuple[int, np.ndarray, np.ndarray]:
    """``(BL, p of inputs, q of errors)`` of the stochastic trains, without stochastic rounding."""
    bl, a, b = schedule(x, d, lr, granularity, up)
    p = np.minimum(quantise(np.abs(x) * b, up.res), 1.0)
    q = np.minimum(quantise(np.abs(d) * a, up.res), 1.0)
    return bl, p, q


def mean_counts(x: np.ndarray, d: np.ndarray, lr: float, granularity: float, up: object) -> np.ndarray:
    """Pulses per crosspoint of MeanCount, shape (out, in)."""
    bl, p, q = probabilities(x, d, lr, granularity, up)
    if bl == 0:
        return np.zeros((len(d), len(x)))
    n_x = np.clip(np.rint(bl * p), 0, bl)
    n_d = np.clip(np.rint(bl * q), 0, bl)
    return np.rint(np.outer(n_d, n_x) / bl)


def implicit_counts(x: np.ndarray, d: np.ndarray, lr: float, granularity: float, up: object) -> np.ndarray:
    """Pulses per crosspoint of DeterministicImplicit, shape (out, in)."""
    bl, a, b = schedule(x, d, lr, granularity, up)
    p = np.minimum(quantise(np.abs(x) * b, up.x_res_implicit), 1.0)
    q = np.minimum(quantise(np.abs(d) * a, up.d_res_implicit), 1.0)
    return np.rint(bl * np.outer(q, p))


def deterministic_counts(x: np.ndarray, d: np.ndarray, lr: float, granularity: float, up: object) -> np.ndarray:
    """Counts of a deterministic pulse type, or of stochastic trains whose lines fire always or never."""
    kind = up.pulse_type.value
    if kind == "MeanCount":
        return mean_counts(x, d, lr, granularity, up)
    if kind == "DeterministicImplicit":
        return implicit_counts(x, d, lr, granularity, up)
    bl, p, q = probabilities(x, d, lr, granularity, up)
    if not set(np.unique(np.concatenate([p, q]))) <= {0.0, 1.0}:
        raise ValueError(f"{kind} is random unless every line fires always or never")
    return bl * np.outer(q, p)


def apply_counts(
    point: Crosspoint, raw: np.ndarray, counts: np.ndarray, x: np.ndarray, d: np.ndarray, lr: float
) -> np.ndarray:
    """Raw weights after ``counts`` noise-free pulses at every crosspoint, each delivered one after the other."""
    result = np.array(raw, dtype=float)
    for i in range(len(d)):
        for j in range(len(x)):
            sign = np.sign(x[j]) * np.sign(d[i]) * np.sign(lr)
            for _ in range(int(counts[i, j])):
                result[i, j] = devices.pulse(point, result[i, j], -1 if sign > 0 else +1)
    return result


def stochastic_update(
    point: Crosspoint,
    raw: np.ndarray,
    x: np.ndarray,
    d: np.ndarray,
    lr: float,
    granularity: float,
    up: object,
    rng: np.random.Generator,
) -> np.ndarray:
    """One stochastic update of independent repeats.

    Args:
        raw: (repeats, out, in) raw weights.

    Returns:
        raw weights afterwards; bits are shared along lines within a repeat, noise is fresh for each pulse.
    """
    raw = np.array(raw, dtype=float)
    repeats = len(raw)
    bl, a, b = schedule(x, d, lr, granularity, up)
    chance = rng if up.sto_round else None
    for _ in range(1 if bl else 0):
        p = quantise(np.tile(np.abs(x) * b, (repeats, 1)), up.res, chance)
        q = quantise(np.tile(np.abs(d) * a, (repeats, 1)), up.res, chance)
        x_bits = p[:, None, :] > rng.uniform(size=(repeats, bl, len(x)))
        d_bits = q[:, None, :] > rng.uniform(size=(repeats, bl, len(d)))
        for slot in range(bl):
            for i in range(len(d)):
                for j in range(len(x)):
                    sign = np.sign(x[j]) * np.sign(d[i]) * np.sign(lr)
                    hit = x_bits[:, slot, j] & d_bits[:, slot, i]
                    moved = devices.pulse(point, raw[:, i, j], -1 if sign > 0 else +1, rng.standard_normal(repeats))
                    raw[:, i, j] = np.where(hit, moved, raw[:, i, j])
    return raw
