"""Responses drawn anew from a fit, with the noise that was found in it, as the device would have given them.

Step noise goes through the device itself: a noisy state that meets a bound stops there, and a trace that lags behind
the nominal one reaches the bound later. The covariance of the residuals (:mod:`residual_noise`) knows neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from tilewright.devices import trace_pulses
from tilewright.fitting.objective import Cancelled
from tilewright.fitting.problem import problem_of
from tilewright.fitting.residual_noise import ResidualNoise
from tilewright.fitting.result import DeviceFit
from tilewright.fitting.search import downhill, values_of
from tilewright.measurement.record import Measurement, Record

Samples = NDArray[np.float64]
Share = Callable[[float], None]


def drawn_responses(records: Sequence[Record], fit: DeviceFit, repeats: int, seed: int) -> list[Samples]:
    """Responses (samples, repeats) of each record: the fitted device with its step noise, and noise of reading."""
    rng = np.random.default_rng(seed)
    device = fit.device.model_copy(deep=True)
    device.dw_min_std = float(fit.noise.step)
    drawn = []
    for number, (record, start) in enumerate(zip(records, fit.starts, strict=True)):
        states = trace_pulses(device, record.pulses[:-1], n_traces=repeats, seed=seed + number, w0=start)
        drawn.append(np.asarray(states, dtype=np.float64) + _read_noise(fit.noise, (len(record), repeats), rng))
    return drawn


def _read_noise(noise: ResidualNoise, shape: tuple[int, int], rng: np.random.Generator) -> Samples:
    """White noise, and noise with memory where there is some."""
    made = noise.white * rng.standard_normal(shape)
    if noise.slow > 0:
        kicks = noise.slow * math.sqrt(1 - noise.memory**2) * rng.standard_normal(shape)
        kicks[0] = noise.slow * rng.standard_normal(shape[1])
        made += lfilter([1.0], [1.0, -noise.memory], kicks, axis=0)
    return np.asarray(made)


def refitted(
    measurement: Measurement,
    fit: DeviceFit,
    repeats: int,
    seed: int = 1,
    cancelled: Cancelled | None = None,
    share: Share | None = None,
) -> Samples:
    """Varied parameters (repeats, parameters) fitted to responses drawn from the fit.

    Args:
        measurement: what was fitted.
        fit: what came of it.
        repeats: how many are drawn and fitted.
        seed: of the noise.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    names = [item.name for item in fit.parameters if item.vary]
    drawn = drawn_responses(measurement.records, fit, repeats, seed)
    rows = []
    for number in range(repeats):
        records = tuple(
            replace(record, response=response[:, number])
            for record, response in zip(measurement.records, drawn, strict=True)
        )
        objective, parameters = problem_of(replace(measurement, records=records), fit, cancelled=cancelled)
        best = values_of(downhill(objective, parameters, 200)[0])
        rows.append([best[name] for name in names])
        if share is not None:
            share((number + 1) / repeats)
    return np.array(rows)
