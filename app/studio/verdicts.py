"""Verdicts in the words of a colleague, from numbers the core computes."""

from __future__ import annotations

import math

import numpy as np

from studio.fits import Outcome
from tilewright.devices import number_of_states, step_curves, symmetry_point
from tilewright.devices.pulsed import PulsedDevice

FEW_STATES = 100
MANY_STATES = 600


def device_verdict(device: PulsedDevice) -> str:
    """What a device is good for, in two or three sentences."""
    return " ".join(part for part in (_states(device), _asymmetry(device), _noise(device)) if part)


def fit_verdict(outcome: Outcome) -> str:
    """What a fit is worth, in a few sentences."""
    fit, noise = outcome.fit, outcome.noise
    share = f"The model explains {100 * fit.r2:.1f} % of the variance."
    if fit.r2 < 0:
        share = "The model is worse than a constant: check the pulses on the Measure page, or choose another model."
    parts = [share]
    if noise is not None and fit.rms > 0:
        if noise.white > 0.85 * fit.rms:
            parts.append("What is left is noise: no other model can do much better.")
        elif noise.white > 0.5 * fit.rms:
            parts.append("Most of what is left is noise.")
        else:
            parts.append("What is left is more than noise: look at the residuals, or press Fit all models.")
    limits = [item.name for item in fit.parameters if item.at_bound]
    if limits:
        parts.append(f"{' and '.join(limits)} ran into a limit, so the value there is not an estimate.")
    return " ".join(parts)


def _states(device: PulsedDevice) -> str:
    states = number_of_states(device)
    if states < FEW_STATES:
        judgement = "coarse: plain SGD needs ten times as many"
    elif states < MANY_STATES:
        judgement = "usable with an algorithm made for analog devices"
    else:
        judgement = "fine enough for plain SGD, were it symmetric"
    return f"About {states:,.0f} states, {judgement}."


def _asymmetry(device: PulsedDevice) -> str:
    point = symmetry_point(device)
    if not math.isfinite(point):
        up, down = device.steps
        if math.isclose(up, down, rel_tol=1e-3):
            return "Up and down steps are equal at every weight."
        way = "up" if up > down else "down"
        return f"The {way} step is always the larger one, so weights drift {way} to the bound under plain SGD."
    curves = step_curves(device)
    span = float(curves.weights[-1] - curves.weights[0])
    up, down = np.abs(curves.up), np.abs(curves.down)
    slope = float(np.max(np.abs(up - down)) / max(float(np.max(up + down)) / 2, 1e-12))
    if slope < 0.2:
        return "Up and down steps are nearly equal at every weight."
    if abs(point) < 0.02 * span:
        return "Steps cancel at weight 0: well placed for Tiki-Taka algorithms, while plain SGD decays towards it."
    return (
        f"Steps cancel at {point:.2f}; plain SGD drifts there. Choose TTv2 or mixed precision, or shift the reference."
    )


def _noise(device: PulsedDevice) -> str:
    write = float(getattr(device, "write_noise_std", 0.0))
    if write > 1:
        return f"Write noise is {write:.2g} times the step: single reads are blurred, averages are not."
    if device.dw_min_std > 1:
        return f"Cycle noise is {device.dw_min_std:.1f} times the step: many pulses go the wrong way."
    return ""
