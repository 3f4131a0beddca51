"""A second pass that knows of the noise: hard bounds clip noisy states, which pulls the mean response inward.

The noise-free model fitted to such a response puts the bounds too far in. Here the mean of many simulated noisy
responses is fitted instead: what it differs by from the noise-free one is subtracted from the data, until nothing
moves any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.devices import nominal_response, trace_pulses
from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.device_fit import outcome
from tilewright.fitting.noise import NoiseEstimate
from tilewright.fitting.objective import Cancelled
from tilewright.fitting.problem import problem_of, straight_responses
from tilewright.fitting.result import DeviceFit
from tilewright.fitting.search import downhill
from tilewright.measurement.record import Measurement

Samples = NDArray[np.float64]

ROUNDS = 6
TRACES = 256
SETTLED = 0.05  # standard errors of a move that no longer matters
LEAST_NOISE = 3.0  # steps; at less, records that meet a hard bound early or late move it more than the pull does


def fit_with_noise(
    measurement: Measurement,
    fit: DeviceFit,
    noise: NoiseEstimate,
    cancelled: Cancelled | None = None,
    share: Callable[[float], None] | None = None,
) -> DeviceFit:
    """The fit of the mean noisy response, started from a noise-free fit.

    The same random numbers are used in every round, so that the rounds converge. A response that runs into a hard
    bound with less than three steps of noise is left as it is: its one trace has a sharp corner where the mean has
    none, and that would move the bound further than the pull of a fraction of a step.

    Args:
        measurement: what was fitted.
        fit: the noise-free fit.
        noise: of the device.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        share: told the part of the work that is done.
    """
    began = time.perf_counter()
    if noise.dw_min_std < LEAST_NOISE and _meets_a_bound(fit):
        note = f"Second pass: noise of {noise.dw_min_std:.2g} steps hardly pulls the bounds; nothing was moved."
        return replace(fit, notes=[note, *fit.notes])
    now = fit
    for number in range(ROUNDS):
        bend = [
            _bend(noise.apply(now.device), r.pulses, s) for r, s in zip(measurement.records, now.starts, strict=True)
        ]
        bent = replace(now, bend=tuple(bend))
        responses = straight_responses(measurement, bent)
        records = tuple(replace(r, response=s) for r, s in zip(measurement.records, responses, strict=True))
        straight = replace(measurement, records=records)
        objective, parameters = problem_of(measurement, bent, cancelled=cancelled)
        best, _ = downhill(objective, parameters, precise=True)
        found = outcome(straight, objective, parameters, best, time.perf_counter() - began)
        moves = [
            abs(item.value - now[item.name].value) / item.stderr
            for item in found.parameters
            if item.vary and item.stderr > 0
        ]
        now = replace(found, bend=bent.bend, model=tuple(m + b for m, b in zip(found.model, bend, strict=True)))
        if share is not None:
            share((number + 1) / ROUNDS)
        if max(moves, default=0.0) < SETTLED:
            break
    changed = [
        f"{item.name} {fit[item.name].value:.4g} → {item.value:.4g}"
        for item in now.parameters
        if item.vary and item.stderr > 0 and abs(item.value - fit[item.name].value) > 0.1 * item.stderr
    ]
    note = "Second pass with the noise in the model: " + (", ".join(changed) if changed else "nothing moved") + "."
    return replace(now, notes=[note, *now.notes])


def _meets_a_bound(fit: DeviceFit) -> bool:
    device, small = fit.device, 1e-6 * (fit.device.w_max - fit.device.w_min)
    raw = np.concatenate(fit.model) + device.nominal_reference
    return bool(np.any((raw >= device.w_max - small) | (raw <= device.w_min + small)))


def _bend(device: PulsedDevice, pulses: NDArray[np.int8], start: float) -> Samples:
    """Mean of noisy responses less the noise-free one, at each sample."""
    noisy = trace_pulses(device, pulses[:-1], n_traces=TRACES, seed=1, w0=start)
    return np.asarray(noisy.mean(axis=1, dtype=np.float64) - nominal_response(device, pulses[:-1], start))
