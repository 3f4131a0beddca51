"""Bringing a measurement into normalised weight units by ``w = (g - offset) / scale``.

| name | offset | scale |
| --- | --- | --- |
| tutorial | mean of all samples | distance of the mean of the last tenth of the up ramp |
| symmetry-point | mean of the last 50 alternating samples | distance of the median of the last tenth of the up ramp |
| min-max | middle of the range | half the range, so that the data spans -1 to 1 |
| none | 0 | 1 |

One map serves all records of a measurement, so that differences between devices and ramps remain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.record import AffineMap, Measurement, MeasurementError, Record, runs_of

NORMALISATIONS: dict[str, str] = {
    "tutorial": "mean of all samples to 0, plateau of the up ramp to 1",
    "symmetry-point": "symmetry point to 0, plateau of the up ramp to 1",
    "min-max": "lowest sample to -1, highest to 1",
    "none": "numbers as they are",
}


FORMULAS: dict[str, str] = {
    "tutorial": "w = (g − mean of all g) / |mean of the last tenth of the up ramp − mean of all g|",
    "symmetry-point": "w = (g − g_sp) / |median of the last tenth of the up ramp − g_sp|, "
    "g_sp the mean of the last 50 alternating samples",
    "min-max": "w = (g − (max + min) / 2) / ((max − min) / 2)",
    "none": "w = g",
}


def normalise(measurement: Measurement, how: str = "tutorial") -> Measurement:
    """The measurement in normalised weight units; ``affine`` leads back to the original numbers.

    Raises:
        MeasurementError: unknown rule, or the record lacks what the rule needs (an up ramp, alternating pulses).
    """
    if how == "auto":
        how = suggested_normalisation(measurement)
    rule = _RULES.get(how)
    if rule is None:
        raise MeasurementError(f"unknown normalisation {how!r}; known: auto, {', '.join(NORMALISATIONS)}")
    offset, scale = rule(measurement)
    if not (np.isfinite(scale) and scale > 0):
        raise MeasurementError(f"normalisation {how!r}: the plateau of the up ramp lies at the zero point")
    if (offset, scale) == (0.0, 1.0):
        return measurement
    before = measurement.affine
    original_unit = before.unit or measurement.unit
    affine = AffineMap(before.offset + before.scale * offset, before.scale * scale, original_unit)
    records = tuple(replace(r, response=(r.response - offset) / scale) for r in measurement.records)
    note = f"Normalised by the {how} rule: {affine.formula()}."
    return replace(measurement, records=records, unit="", affine=affine, notes=[*measurement.notes, note])


def suggested_normalisation(measurement: Measurement) -> str:
    """The rule that fits a measurement: ``none`` where the numbers are normalised already."""
    samples = measurement.all_samples()
    low, high = np.quantile(samples, [0.02, 0.98])
    if not measurement.unit and low < -0.1 and high > 0.1 and 0.3 < (high - low) / 2 < 3:
        return "none"
    falls = any(direction < 0 for record in measurement.records for _, _, direction in runs_of(record.pulses))
    return "tutorial" if falls and any(True for _ in _up_plateaus(measurement)) else "min-max"


def _up_plateaus(measurement: Measurement) -> Iterator[NDArray[np.float64]]:
    """The last tenth of every long up ramp."""
    ramps = [
        (record, start, stop)
        for record in measurement.records
        for start, stop, direction in runs_of(record.pulses)
        if direction > 0 and stop - start >= 10
    ]
    longest = max((stop - start for _, start, stop in ramps), default=0)
    for record, start, stop in ramps:
        if stop - start >= longest / 2:
            yield record.response[stop - max((stop - start) // 10, 1) : stop]


def _alternating(measurement: Measurement) -> NDArray[np.float64] | None:
    """The last 50 samples of each alternating section of at least 20 pulses."""
    found = []
    for record in measurement.records:
        section = alternating_section(record)
        if section is not None:
            start, stop = section
            found.append(record.response[max(start, stop - 50) : stop])
    return np.concatenate(found) if found else None


def alternating_section(record: Record) -> tuple[int, int] | None:
    """Start and stop of the last stretch of at least 20 alternating pulses, or None."""
    change = np.diff(record.pulses) != 0
    stop = len(change)
    while stop > 0:
        while stop > 0 and not change[stop - 1]:
            stop -= 1
        start = stop
        while start > 0 and change[start - 1]:
            start -= 1
        if stop - start >= 20:
            return start, stop + 1
        stop = start
    return None


def _tutorial(measurement: Measurement) -> tuple[float, float]:
    plateaus = list(_up_plateaus(measurement))
    if not plateaus:
        raise MeasurementError("normalisation 'tutorial' needs an up ramp of at least 10 pulses; choose 'min-max'")
    offset = float(np.mean(measurement.all_samples()))
    return offset, abs(float(np.mean([np.mean(plateau - offset) for plateau in plateaus])))


def _symmetry_point(measurement: Measurement) -> tuple[float, float]:
    settled, plateaus = _alternating(measurement), list(_up_plateaus(measurement))
    if settled is None:
        raise MeasurementError(
            "normalisation 'symmetry-point' needs a stretch of at least 20 alternating pulses; "
            "choose 'tutorial' or 'min-max'"
        )
    if not plateaus:
        raise MeasurementError("normalisation 'symmetry-point' needs an up ramp of at least 10 pulses")
    offset = float(np.mean(settled))
    return offset, abs(float(np.mean([np.median(plateau) for plateau in plateaus])) - offset)


def _min_max(measurement: Measurement) -> tuple[float, float]:
    samples = measurement.all_samples()
    low, high = float(samples.min()), float(samples.max())
    return (low + high) / 2, (high - low) / 2


def _none(measurement: Measurement) -> tuple[float, float]:
    return 0.0, 1.0


_RULES: dict[str, Callable[[Measurement], tuple[float, float]]] = {
    "tutorial": _tutorial,
    "symmetry-point": _symmetry_point,
    "min-max": _min_max,
    "none": _none,
}
