"""Noise-free pulse responses written as plainly as possible: what a fit must recover."""

from __future__ import annotations

import numpy as np

from tilewright.measurement import Measurement, Record


def steps(dw_min, up_down):
    """Step scales up and down: a positive imbalance shrinks the down step only, a negative one the up step only."""
    return dw_min * (1 + min(up_down, 0)), dw_min * (1 - max(up_down, 0))


def respond(pulses, w0, dw_min, up_down, w_max, w_min, gamma_up=1.0, gamma_down=1.0):
    """States before each pulse; gammas of 1 are soft bounds, of 0 constant steps."""
    up, down = steps(dw_min, up_down)
    state, states = min(max(w0, w_min), w_max), []
    for pulse in pulses:
        states.append(state)
        state += up * (1 - gamma_up * state / w_max) if pulse > 0 else -down * (1 - gamma_down * state / w_min)
        state = min(max(state, w_min), w_max)
    return np.array(states)


def measurement_of(*pairs, unit=""):
    """A measurement from (pulses, response) pairs."""
    return Measurement("made", unit, tuple(Record(np.asarray(p), np.asarray(r)) for p, r in pairs))


def correlated_noise(rng, n, white, slow, time):
    """White noise plus noise with a correlation time."""
    keep = np.exp(-1 / time)
    state, states = slow * rng.standard_normal(), []
    for kick in rng.standard_normal(n):
        state = keep * state + slow * np.sqrt(1 - keep**2) * kick
        states.append(state)
    return np.array(states) + white * rng.standard_normal(n)
