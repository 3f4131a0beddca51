"""Noise from the residuals of a fit: how much is renewed at each read, how much each pulse adds.

The residual of a noise-free fit has two parts: white noise of the visible state, and a random walk that every pulse
pushes and the device's own pull towards its bounds damps. The variogram ``V(h) = mean (r[k+h] - r[k])²`` separates
them: ``V(h) = 2 s_white² + 2 s_step² (1 - rho^h) / (1 - rho²)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit, nnls

from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.result import DeviceFit, FitError, value_with_error
from tilewright.measurement.normalisation import alternating_section
from tilewright.measurement.record import Measurement, Record

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseEstimate:
    """Cycle-to-cycle and write noise of one device.

    Attributes:
        dw_min_std: step noise in units of ``dw_min`` (of the current step where the device has ``mult_noise``).
        write_noise_std: noise of the visible weight in units of ``dw_min``; it includes the noise of reading.
        dw_min_std_error, write_noise_std_error: standard errors, from leaving out one part of the data at a time.
        white: standard deviation of the white part, in weight units.
        slow: standard deviation of a slow part that neither field can represent; 0 when there is none worth the name.
        correlation_pulses: correlation time of the slow part.
        explanation: sentences on what was done and what to mind.
        lags, measured, modelled: the variogram and the curve fitted to it.
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


@dataclass(frozen=True)
class _Section:
    """Residuals of one stretch, the gain of the step noise there and the pull per pulse."""

    residual: Samples
    gain: float
    pull: float


def variogram(parts: Sequence[Samples], lags: NDArray[np.int_]) -> tuple[Samples, NDArray[np.int_]]:
    """Mean squared difference of samples ``lag`` apart, over all parts, and the number of pairs."""
    values = np.full(len(lags), np.nan)
    counts = np.zeros(len(lags), dtype=int)
    for i, lag in enumerate(lags):
        differences = [part[lag:] - part[:-lag] for part in parts if len(part) > lag]
        counts[i] = sum(len(d) for d in differences)
        if counts[i]:
            values[i] = sum(float(d @ d) for d in differences) / counts[i]
    return values, counts


def estimate_noise(measurement: Measurement, fit: DeviceFit) -> NoiseEstimate:
    """Step noise and write noise of the device from the residuals of ``fit``.

    The settled half of the alternating pulses is used where there is one; otherwise all residuals, freed of their
    slow course, which is then a shortcoming of the model and not noise.

    Raises:
        FitError: fewer than 40 samples are left.
    """
    sections, settled = _sections(measurement, fit)
    if sum(len(s.residual) for s in sections) < 40:
        raise FitError("noise needs at least 40 samples after the transient")
    longest = max(len(s.residual) for s in sections)
    lags = np.unique(np.round(np.geomspace(1, max(min(longest // 4, 60), 4), 16)).astype(int))
    measured, pairs = variogram([s.residual for s in sections], lags)
    time = _memory(lags, measured, pairs, sections)
    (white, step, slow), errors = _with_errors(sections, lags, time)
    if slow <= 3 * errors[2]:  # no significant memory: one part less
        time = math.nan
        (white, step, slow), errors = _with_errors(sections, lags, time)
    modelled = 2 * white**2 + step**2 * np.mean([_shape(s, lags) for s in sections], axis=0)
    modelled += 2 * slow**2 * _levelling(lags, time)
    dw_min = fit.device.dw_min
    estimate = NoiseEstimate(
        dw_min_std=step, write_noise_std=white / dw_min, dw_min_std_error=float(errors[1]),
        write_noise_std_error=float(errors[0]) / dw_min, white=white, slow=slow, correlation_pulses=time,
        lags=lags, measured=measured, modelled=modelled,
    )  # fmt: skip
    estimate.explanation.extend(_explain(estimate, fit, settled))
    return estimate


# --- which residuals --------------------------------------------------------------------------------------------------


def _sections(measurement: Measurement, fit: DeviceFit) -> tuple[list[_Section], bool]:
    settled = []
    for record, model, residual in zip(measurement.records, fit.model, fit.residuals, strict=True):
        found = alternating_section(record)
        if found is not None and found[1] - found[0] >= 80:
            start, stop = found
            start += (stop - start) // 2
            part = residual[start:stop]
            settled.append(_section(fit.device, record, model, slice(start, stop), part - part.mean()))
    if settled:
        return settled, True
    sections = []
    for record, model, residual in zip(measurement.records, fit.model, fit.residuals, strict=True):
        k = np.linspace(-1, 1, len(residual))
        degree = int(np.clip(len(residual) // 60, 1, 7))
        course = np.polynomial.Polynomial.fit(k, residual, degree)(k)
        sections.append(_section(fit.device, record, model, slice(0, len(residual)), residual - course))
    return sections, False


def _section(device: PulsedDevice, record: Record, model: Samples, where: slice, residual: Samples) -> _Section:
    pulses = record.pulses[where]
    up, down = device.nominal_steps(model[where])
    current = np.abs(np.where(pulses > 0, up, down))
    scale_up, scale_down = device.steps
    # ConstantStepDevice has no choice: its noise always multiplies the step, which is the scale itself.
    multiplies = bool(getattr(device, "mult_noise", True))
    gains = current if multiplies else np.where(pulses > 0, scale_up, scale_down)
    small = 1e-4 * max(device.w_max - device.w_min, 1e-9)
    up_next, down_next = device.nominal_steps(model[where] + small)
    slope = np.where(pulses > 0, up_next - up, -(down_next - down)) / small
    return _Section(residual, float(np.sqrt(np.mean(gains**2))), float(np.clip(np.mean(-slope), 0.0, 0.9)))


def _split(section: _Section) -> list[_Section]:
    parts = max(2, min(10, len(section.residual) // 20))
    return [_Section(p, section.gain, section.pull) for p in np.array_split(section.residual, parts)]


def _leave_one_out(pieces: list[list[_Section]]) -> list[list[_Section]]:
    flat = [piece for group in pieces for piece in group]
    if len(flat) > 20:  # groups of pieces, to keep it quick for many records
        groups = [flat[i::20] for i in range(20)]
        return [[p for j, g in enumerate(groups) if j != i for p in g] for i in range(20)]
    return [[p for j, p in enumerate(flat) if j != i] for i in range(len(flat))]


# --- the variogram ----------------------------------------------------------------------------------------------------


def _shape(section: _Section, lags: NDArray[np.int_]) -> Samples:
    """Variogram of a damped random walk with unit step noise."""
    rho = 1 - section.pull
    growth = lags.astype(float) if section.pull < 1e-6 else (1 - rho**lags) / (1 - rho**2) * 2
    return np.asarray(section.gain**2 * growth)


def _with_errors(
    sections: list[_Section], lags: NDArray[np.int_], time: float
) -> tuple[tuple[float, float, float], Samples]:
    """White, step and slow deviation, and their jackknife errors over pieces of the data."""
    parts = _leave_one_out([_split(section) for section in sections])
    jackknife = np.array([_fit_parts(rest, lags, time) for rest in parts])
    count = len(jackknife)
    errors = np.sqrt((count - 1) / count * np.sum((jackknife - jackknife.mean(axis=0)) ** 2, axis=0))
    return _fit_parts(sections, lags, time), errors


def _levelling(lags: NDArray[np.int_], time: float) -> Samples:
    """Shape of a part that levels off with a correlation time; zero where there is none."""
    return 1 - np.exp(-lags / time) if math.isfinite(time) else np.zeros(len(lags))


def _fit_parts(sections: Sequence[_Section], lags: NDArray[np.int_], time: float) -> tuple[float, float, float]:
    """White deviation, step noise (in step gains) and slow deviation, by non-negative weighted least squares."""
    rows, values, weights = [], [], []
    for section in sections:
        measured, pairs = variogram([section.residual], lags)
        good = pairs > 0
        columns = [np.full(len(lags), 2.0), _shape(section, lags), 2 * _levelling(lags, time)]
        rows.append(np.stack(columns, axis=1)[good])
        values.append(measured[good])
        # neighbouring pairs overlap: about pairs / lag of them are independent
        weights.append(np.sqrt(pairs[good] / lags[good]))
    matrix, target, weight = np.concatenate(rows), np.concatenate(values), np.concatenate(weights)
    scale = np.linalg.norm(matrix * weight[:, None], axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(matrix * weight[:, None] / scale, target * weight)
    white, step, slow = np.sqrt(solution / scale)
    return float(white), float(step), float(slow)


def _slow_model(lag: Samples, white: float, slow: float, time: float) -> Samples:
    return np.asarray(2 * white + 2 * slow * (1 - np.exp(-lag / time)))


def _memory(lags: NDArray[np.int_], measured: Samples, pairs: NDArray[np.int_], sections: list[_Section]) -> float:
    """Correlation time of noise that levels off much faster than the device relaxes; NaN where there is none."""
    relaxation = 1 / max(float(np.mean([s.pull for s in sections])), 1e-9)
    top = float(np.nanmax(measured))
    if top <= 0 or len(lags) < 6 or sum(len(s.residual) for s in sections) < 400:
        return math.nan
    try:
        (white, slow, time), _ = curve_fit(
            _slow_model, lags.astype(float), measured, p0=(top / 4, top / 4, 10.0), sigma=np.sqrt(lags / pairs),
            bounds=([0, 0, 1.0], [top, top, 1e4]), max_nfev=2000,
        )  # fmt: skip
    except RuntimeError:
        return math.nan
    levels_off = slow >= 0.1 * white and 2 <= time <= min(relaxation / 4, lags[-1] / 2)
    return float(time) if levels_off else math.nan


def _explain(estimate: NoiseEstimate, fit: DeviceFit, settled: bool) -> list[str]:
    source = "the settled alternating pulses" if settled else "all residuals without their slow course"
    write = value_with_error(estimate.write_noise_std, estimate.write_noise_std_error)
    step = value_with_error(estimate.dw_min_std, estimate.dw_min_std_error)
    sentences = [
        f"Taken from {source}, by how differences grow with the pulses between two samples (variogram).",
        f"White noise of {estimate.white:.3g} gives write_noise_std = {write} (units of dw_min), reading included.",
        f"Growing differences give dw_min_std = {step}.",
    ]
    if estimate.slow > 0:
        sentences.append(
            f"A part of {estimate.slow:.3g} levels off within {estimate.correlation_pulses:.0f} pulses, much faster "
            "than the device relaxes: reading noise with memory (telegraph or 1/f), which neither field can stand for."
        )
    if estimate.dw_min_std <= 2 * estimate.dw_min_std_error:
        sentences.append("The step noise is not significant in this data.")
    if not fit.device.supports_write_noise and estimate.write_noise_std > 0:
        sentences.append(f"{fit.class_name} has no write noise: only dw_min_std can be set.")
    sentences.append("Spread from device to device cannot be known from one device: keep a preset's values.")
    return sentences
