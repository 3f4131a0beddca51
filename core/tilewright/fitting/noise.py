"""Noise fields of a device from the residuals of a fit: what each pulse adds, what each write and read adds.

See :mod:`residual_noise` for the model and its likelihood; the variogram ``V(h) = mean (r[k+h] - r[k])²`` shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.residual_noise import RecordShape, ResidualNoise, fit_noise, record_shape
from tilewright.fitting.result import DeviceFit, FitError, value_with_error
from tilewright.measurement.record import Measurement

Samples = NDArray[np.float64]

FEWEST_SAMPLES = 40


@dataclass(frozen=True)
class NoiseEstimate:
    """Cycle-to-cycle and write noise of one device.

    Attributes:
        dw_min_std: step noise in units of ``dw_min`` (of the current step where the device has ``mult_noise``).
        write_noise_std: noise of the visible weight in units of ``dw_min``; it includes the noise of reading.
        dw_min_std_error, write_noise_std_error: standard errors, from the curvature of the likelihood.
        white: standard deviation of the white part, in weight units.
        slow: standard deviation of a slow part that neither field can represent; 0 when there is none worth the name.
        correlation_pulses: correlation time of the slow part.
        explanation: sentences on what was done and what to mind.
        lags, measured, modelled: the variogram of the residuals and that of the noise found.
    """

    dw_min_std: float
    write_noise_std: float
    dw_min_std_error: float
    write_noise_std_error: float
    white: float
    slow: float = 0.0
    correlation_pulses: float = math.nan
    explanation: list[str] = field(default_factory=list)
    lags: NDArray[np.int_] = field(default_factory=lambda: np.empty(0, dtype=int))
    measured: Samples = field(default_factory=lambda: np.empty(0))
    modelled: Samples = field(default_factory=lambda: np.empty(0))

    @property
    def errors(self) -> dict[str, float]:
        """Standard errors by field name."""
        return {"dw_min_std": self.dw_min_std_error, "write_noise_std": self.write_noise_std_error}

    def apply(self, device: PulsedDevice) -> PulsedDevice:
        """A copy of ``device`` with the noise fields set; a device without write noise gets the step noise only."""
        noisy = device.model_copy(deep=True)
        noisy.dw_min_std = float(self.dw_min_std)
        if noisy.supports_write_noise:
            noisy.write_noise_std = float(self.write_noise_std)
        return noisy


def variogram(parts: Sequence[Samples], lags: NDArray[np.int_]) -> tuple[Samples, NDArray[np.int_]]:
    """Mean squared difference of samples ``lag`` apart, over all parts, and the number of pairs; NaN is no sample."""
    values = np.full(len(lags), np.nan)
    counts = np.zeros(len(lags), dtype=int)
    for i, lag in enumerate(lags):
        pairs = [part[lag:] - part[:-lag] for part in parts if len(part) > lag]
        differences = [found[np.isfinite(found)] for found in pairs]
        counts[i] = sum(len(d) for d in differences)
        if counts[i]:
            values[i] = sum(float(d @ d) for d in differences) / counts[i]
    return values, counts


def estimate_noise(
    measurement: Measurement, fit: DeviceFit, shapes: Sequence[RecordShape] | None = None
) -> NoiseEstimate:
    """Step noise and write noise of the device from the residuals of ``fit``.

    A slow course of the residuals (a polynomial along each record) is a shortcoming of the model and counts as none.
    Samples without weight in the fit, such as missing ones, are left out here too.

    Args:
        measurement: what was fitted.
        fit: what came of it.
        shapes: how step noise spreads along each record, where that is not by the device of the fit.

    Raises:
        FitError: fewer than 40 samples.
    """
    if fit.n_points < FEWEST_SAMPLES:
        raise FitError(f"noise needs at least {FEWEST_SAMPLES} samples, found {fit.n_points}")
    kept = fit.kept
    if shapes is None:
        shapes = [record_shape(fit.device, r, m) for r, m in zip(measurement.records, fit.model, strict=True)]
    full = [_slow_course(len(residual)) for residual in fit.residuals]
    courses = [course[mark] for course, mark in zip(full, kept, strict=True)]
    residuals = [residual[mark] for residual, mark in zip(fit.residuals, kept, strict=True)]
    cut = [shape.at(mark) for shape, mark in zip(shapes, kept, strict=True)]
    noise = fit_noise(cut, residuals, courses, apart=True)
    longest = max(len(residual) for residual in fit.residuals)
    lags = np.unique(np.round(np.geomspace(1, max(min(longest // 4, 60), 4), 16)).astype(int))
    levelled = [np.full(len(mark), math.nan) for mark in kept]
    for level, mark, r, c in zip(levelled, kept, residuals, courses, strict=True):
        level[mark] = r - c @ np.linalg.lstsq(c, r, rcond=None)[0]
    measured, _ = variogram(levelled, lags)
    dw_min = fit.device.dw_min
    estimate = NoiseEstimate(
        dw_min_std=noise.step, write_noise_std=noise.white / dw_min, dw_min_std_error=noise.step_error,
        write_noise_std_error=noise.white_error / dw_min, white=noise.white, slow=noise.slow,
        correlation_pulses=noise.time, lags=lags, measured=measured, modelled=_expected(noise, shapes, lags),
    )  # fmt: skip
    estimate.explanation.extend(_explain(estimate, fit))
    if len(measurement.devices) == 1:
        text = "Spread from device to device cannot be known from one device: keep a preset's values."
        estimate.explanation.append(text)
    return estimate


def _slow_course(n: int) -> Samples:
    degree = int(np.clip(n // 60, 1, 7))
    return np.asarray(np.polynomial.legendre.legvander(np.linspace(-1, 1, n), degree))


def _expected(noise: ResidualNoise, shapes: Sequence[RecordShape], lags: NDArray[np.int_]) -> Samples:
    """Variogram that the noise should have: the walk with the mean kick and damping of the records."""
    kick = math.sqrt(float(np.mean(np.concatenate([s.kick for s in shapes]) ** 2)))
    rho = min(float(np.mean(np.concatenate([s.damping for s in shapes]))), 1 - 1e-9)
    walk = 2 * (noise.step * kick) ** 2 * (1 - rho**lags) / (1 - rho**2)
    levelling = 1 - noise.memory**lags if noise.memory else np.zeros(len(lags))
    return np.asarray(2 * noise.white**2 + walk + 2 * noise.slow**2 * levelling)


def _explain(estimate: NoiseEstimate, fit: DeviceFit) -> list[str]:
    write = value_with_error(estimate.write_noise_std, estimate.write_noise_std_error)
    step = value_with_error(estimate.dw_min_std, estimate.dw_min_std_error)
    sentences = [
        "Noise is split by how it spreads from pulse to pulse (restricted maximum likelihood on the residuals).",
        f"White noise of {estimate.white:.3g} gives write_noise_std = {write} (units of dw_min); noise of writing "
        "and of reading cannot be told apart by one read per pulse.",
        f"What pulses add and the device forgets gives dw_min_std = {step}.",
    ]
    if estimate.slow > 0:
        sentences.append(
            f"A part of {estimate.slow:.3g} levels off within {estimate.correlation_pulses:.0f} pulses: reading noise "
            "with memory (telegraph or 1/f), which neither field can stand for."
        )
    if estimate.dw_min_std <= 2 * estimate.dw_min_std_error:
        sentences.append("The step noise is not significant in this data.")
    if not fit.device.supports_write_noise and estimate.write_noise_std > 0:
        sentences.append(f"{fit.class_name} has no write noise: only dw_min_std can be set.")
    return sentences
