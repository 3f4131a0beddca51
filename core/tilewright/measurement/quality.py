"""What a measurement is good for, in words a colleague would use, with the samples each remark is about."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.normalisation import alternating_section
from tilewright.measurement.protocol import smooth
from tilewright.measurement.record import Measurement, Record, runs_of

Severity = Literal["good", "info", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One remark on a measurement.

    Attributes:
        severity: ``good``, ``info``, ``warning`` or ``problem``.
        text: a sentence.
        where: the place in words; empty when it is the whole measurement.
        record: index of the record, for marks on a plot; None when it is the whole measurement.
        samples: indices of the samples meant.
    """

    severity: Severity
    text: str
    where: str = ""
    record: int | None = None
    samples: tuple[int, ...] = ()


def quality_report(measurement: Measurement) -> list[Finding]:
    """Remarks on a measurement, most serious first: coverage, noise, resolution, outliers, clipping, drift."""
    found = [finding for check in _CHECKS for finding in check(measurement)]
    order = {"problem": 0, "warning": 1, "info": 2, "good": 3}
    return sorted(found, key=lambda finding: order[finding.severity])


def long_ramps(record: Record, least: int = 10) -> list[tuple[int, int, int]]:
    """Ramps of at least ``least`` equal pulses as ``(start, stop, direction)``."""
    return [(start, stop, direction) for start, stop, direction in runs_of(record.pulses) if stop - start >= least]


def read_noise(measurement: Measurement) -> float:
    """Standard deviation of sample-to-sample noise, from second differences within ramps (they remove the slope)."""
    parts = []
    for record in measurement.records:
        for start, stop, _ in long_ramps(record):
            if stop - start >= 12:
                parts.append(np.diff(record.response[start:stop], 2))
    if not parts:
        parts = [np.diff(record.response, 2) for record in measurement.records if len(record) > 3]
    if not parts:
        return 0.0
    joined = np.concatenate(parts)
    spread = float(np.median(np.abs(joined - np.median(joined)))) / 0.6745
    return (spread or float(np.std(joined))) / math.sqrt(6)


def mean_step(measurement: Measurement) -> float:
    """Mean change per pulse over the long ramps, in the units of the response."""
    changes, counts = 0.0, 0
    for record in measurement.records:
        for start, stop, _ in long_ramps(record):
            tenth = max((stop - start) // 10, 1)
            part = record.response[start:stop]
            changes += abs(float(np.mean(part[-tenth:]) - np.mean(part[:tenth])))
            counts += stop - start - tenth
    return changes / counts if counts else 0.0


# --- checks -----------------------------------------------------------------------------------------------------------


def _coverage(measurement: Measurement) -> list[Finding]:
    directions = {direction for record in measurement.records for _, _, direction in long_ramps(record)}
    found = []
    if directions == {1} or directions == {-1}:
        here, missing = ("up", "down") if directions == {1} else ("down", "up")
        text = (
            f"Only {here} pulses were measured: the {missing} step and the symmetry point cannot be known; "
            "up_down must be held fixed in a fit."
        )
        found.append(Finding("warning", text))
    elif directions:
        found.append(Finding("good", "Both directions were measured."))
    if not any(alternating_section(record) for record in measurement.records):
        text = "No alternating pulses: the symmetry point follows from the model only."
        found.append(Finding("info", text))
    lengths = [stop - start for record in measurement.records for start, stop, _ in long_ramps(record)]
    if lengths and max(lengths) < 50:
        text = f"The longest ramp has {max(lengths)} pulses; noise and bounds will be uncertain."
        found.append(Finding("warning", text))
    return found


def _noise(measurement: Measurement) -> list[Finding]:
    noise, step = read_noise(measurement), mean_step(measurement)
    unit = f" {measurement.unit}" if measurement.unit else ""
    if step == 0:
        return [Finding("problem", "The response does not change along its ramps.")]
    ratio = noise / step
    if ratio < 0.5:
        return [Finding("good", f"Low noise: {noise:.2g}{unit} from sample to sample, {ratio:.1g} of a mean step.")]
    severity: Severity = "warning" if ratio > 20 else "info"
    text = (
        f"Noise from sample to sample is {noise:.2g}{unit}, {ratio:.1f} mean steps ({step:.2g}{unit}). "
        "The state at the start is better fitted than read from the first sample."
    )
    return [Finding(severity, text)]


def _resolution(measurement: Measurement) -> list[Finding]:
    samples = measurement.all_samples()
    values = np.unique(samples)
    if len(values) < 2 or len(values) > 0.7 * len(samples):
        return []
    grid = float(np.quantile(np.diff(values), 0.25))
    step = mean_step(measurement)
    if step == 0 or grid < 0.3 * step:
        return []
    unit = f" {measurement.unit}" if measurement.unit else ""
    severity: Severity = "warning" if grid > 5 * step and grid > 2 * read_noise(measurement) else "info"
    text = f"The read-out is digitised in steps of about {grid:.2g}{unit}, {grid / step:.1f} mean pulse steps."
    return [Finding(severity, text)]


def _outliers(measurement: Measurement) -> list[Finding]:
    found = []
    for number, record in enumerate(measurement.records):
        bad = outlying_samples(record)
        if not len(bad):
            continue
        shown = ", ".join(str(k) for k in bad[:5]) + (" ..." if len(bad) > 5 else "")
        severity: Severity = "warning" if len(bad) > 0.01 * len(record) else "info"
        text = f"{len(bad)} of {len(record)} samples lie far from their neighbours."
        found.append(
            Finding(severity, text, f"{record.label or f'record {number + 1}'}, samples {shown}", number, tuple(bad))
        )
    return found


def outlying_samples(record: Record, sigmas: float = 6.0) -> list[int]:
    """Samples further than ``sigmas`` robust deviations from the median of their neighbours on the same ramp."""
    bad: list[int] = []
    for start, stop, _ in long_ramps(record, 15):
        part = record.response[start:stop]
        padded = np.pad(part, 3, mode="reflect", reflect_type="odd")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 7)
        rest = part - np.median(windows, axis=1)
        spread = float(np.median(np.abs(rest))) / 0.6745
        spread = max(spread, float(np.std(part)) * 1e-3, float(np.quantile(np.abs(np.diff(part)), 0.5)))
        bad += [int(start + k) for k in np.flatnonzero(np.abs(rest) > sigmas * spread)]
    return bad


def _clipping(measurement: Measurement) -> list[Finding]:
    found = []
    samples = measurement.all_samples()
    for level, word in ((float(samples.max()), "highest"), (float(samples.min()), "lowest")):
        share = max(_longest_run(record.response == level) / len(record) for record in measurement.records)
        if share > 0.05:
            text = (
                f"{100 * share:.0f} % of a record sits at the {word} value in one piece: the read-out may be clipped."
            )
            found.append(Finding("warning", text))
    return found


def _longest_run(mask: NDArray[np.bool_]) -> int:
    longest = current = 0
    for item in mask.tolist():
        current = current + 1 if item else 0
        longest = max(longest, current)
    return longest


def _drift(measurement: Measurement) -> list[Finding]:
    """Whether the ends of the up ramps move from cycle to cycle."""
    found = []
    for device in measurement.devices:
        ends: dict[int, list[float]] = {1: [], -1: []}
        for record in measurement.records:
            if record.device != device:
                continue
            for start, stop, direction in long_ramps(record):
                ends[direction].append(float(np.mean(record.response[stop - max((stop - start) // 10, 1) : stop])))
        for direction, levels in ends.items():
            span = float(np.ptp(measurement.all_samples()))
            if len(levels) < 3 or span == 0:
                continue
            slope = np.polyfit(np.arange(len(levels)), levels, 1)[0] * (len(levels) - 1)
            rest = float(np.std(np.array(levels) - smooth(np.array(levels), len(levels))))
            if abs(slope) > 0.05 * span and abs(slope) > rest:
                word = "up" if direction > 0 else "down"
                change = f"{100 * slope / span:+.0f} % of the range"
                text = f"The ends of the {len(levels)} {word} ramps move by {change}: the device drifts."
                found.append(Finding("warning", text, device))
    return found


_CHECKS: tuple[Callable[[Measurement], list[Finding]], ...] = (
    _coverage,
    _noise,
    _resolution,
    _outliers,
    _clipping,
    _drift,
)
