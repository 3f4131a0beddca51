"""What to mind about a fit, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.fitting.ranges import growth_along_ramp
from tilewright.fitting.result import FittedParameter
from tilewright.fitting.uncertainty import Uncertainty, autocorrelation, strongly_correlated
from tilewright.measurement.quality import long_ramps
from tilewright.measurement.record import Measurement

PLAINLY_CORRELATED = 0.1  # neighbouring residuals


def remarks(
    measurement: Measurement,
    parameters: Sequence[FittedParameter],
    uncertainty: Uncertainty,
    residuals: Sequence[NDArray[np.float64]],
) -> list[str]:
    """Sentences on bounds, correlations, undetermined parameters, correlated residuals and missing directions."""
    notes = []
    for item in parameters:
        if item.at_bound:
            end = "upper" if abs(item.value - item.high) < abs(item.value - item.low) else "lower"
            limit = item.high if end == "upper" else item.low
            notes.append(
                f"{item.name} ran into its {end} limit ({limit:.4g}): the data does not determine it; "
                "widen the range or read it as a limit."
            )
    if uncertainty.silent:
        notes.append(
            f"The data says nothing about {' or '.join(uncertainty.silent)}: the model does not change with it."
        )
    if uncertainty.entangled:
        names = " and ".join(uncertainty.entangled)
        notes.append(f"{names} can be traded against each other without changing the fit: hold some of them fixed.")
    aside = {*uncertainty.silent, *uncertainty.entangled}
    fields = [name for name in uncertainty.correlation.columns if name not in aside]
    pairs = strongly_correlated(uncertainty.correlation.loc[fields, fields])
    for group in _joined(pairs):
        value = max((abs(v) for a, b, v in pairs if a in group and b in group), default=0.0)
        notes.append(
            f"{' and '.join(group)} are redundant (correlation up to {value:.3f}): one can make up for the other; hold "
            "one of them fixed to know the rest."
        )
    if uncertainty.inflation > 1.2:
        notes.append(_on_widened(uncertainty.inflation, autocorrelation(residuals)))
    directions = {direction for record in measurement.records for _, _, direction in long_ramps(record)}
    followed = {item.name for item in parameters if item.name.startswith("gamma") and item.value < 0}
    for direction, word in ((1, "up"), (-1, "down")):
        growth = growth_along_ramp(measurement, direction)
        if growth > 1.5 and f"gamma_{word}" not in followed:
            notes.append(
                f"The {word} step grows about {growth:.1f}-fold along the ramp; this model lets it shrink or stay: "
                "LinearStepDevice(allow_increasing=True) can follow."
            )
    if len(measurement.devices) > 1:
        count = len(measurement.devices)
        notes.append(f"One set of parameters describes {count} devices here; fit each alone to see their spread.")
    if len(directions) == 1:
        here, missing, bound = ("up", "down", "w_min") if directions == {1} else ("down", "up", "w_max")
        notes.append(
            f"Only {here} pulses were measured: up_down and {bound} are assumptions, the {missing} step is unknown."
        )
    return notes


def _on_widened(factor: float, between_neighbours: float) -> str:
    """Why standard errors are larger than those for independent residuals, which the residuals need not show."""
    text = (
        f"Standard errors are about {factor:.1f} times those for independent residuals: they allow for noise that "
        "stays in the device from one pulse to the next"
    )
    if between_neighbours > PLAINLY_CORRELATED:
        return f"{text}, as the correlation of {between_neighbours:.2f} between neighbouring residuals shows."
    return f"{text}. A fitted curve follows such noise, so residuals cannot rule it out that look independent."


def _joined(pairs: Sequence[tuple[str, str, float]]) -> list[list[str]]:
    """Names that hang together by pairs."""
    groups: list[list[str]] = []
    for first, second, _ in pairs:
        touched = [group for group in groups if first in group or second in group]
        merged = list(dict.fromkeys([name for group in touched for name in group] + [first, second]))
        groups = [group for group in groups if group not in touched] + [merged]
    return groups
