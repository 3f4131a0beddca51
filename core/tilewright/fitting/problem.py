"""A fit set up again at its end: to fit it to other samples, along a profile, or with other noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lmfit
import numpy as np
from numpy.typing import NDArray

from tilewright.fitting.objective import Cancelled, Objective, Trace, Watch
from tilewright.fitting.result import DeviceFit
from tilewright.measurement.record import Measurement

Samples = NDArray[np.float64]


def straight_responses(measurement: Measurement, fit: DeviceFit) -> list[Samples]:
    """The responses without what noise adds to them on average, where the fit knows of that."""
    if not fit.bend:
        return list(measurement.responses)
    return [response - bend for response, bend in zip(measurement.responses, fit.bend, strict=True)]


def problem_of(
    measurement: Measurement,
    fit: DeviceFit,
    weights: Sequence[Samples] | None = None,
    cancelled: Cancelled | None = None,
) -> tuple[Objective, Any]:
    """The objective and the parameters (``lmfit.Parameters``) of a fit, at its best values.

    Args:
        measurement: what was fitted, or another response to the same pulses.
        fit: what came of it.
        weights: other factors of the deviations than those of the fit.
        cancelled: asked at every evaluation.
    """
    parameters = lmfit.Parameters()
    for item in fit.parameters:
        if item.vary:
            margin = 1e-6 * (item.high - item.low)
            value = float(np.clip(item.value, item.low + margin, item.high - margin))
            parameters.add(item.name, value=value, min=item.low, max=item.high)
        elif not item.expr:
            parameters.add(item.name, value=item.value, vary=False)
    for item in fit.parameters:
        if item.expr:
            parameters.add(item.name, expr=item.expr)
    traces = [
        Trace(record.pulses, response, weight)
        for record, response, weight in zip(
            measurement.records, straight_responses(measurement, fit),
            weights if weights is not None else fit.weights, strict=True,
        )
    ]  # fmt: skip
    known = type(fit.device).model_fields
    free = [name for name in parameters if name.startswith("w0") and name not in known]
    starts: list[float | str] = [*free] if free else [*fit.starts]
    device = fit.device.model_copy(deep=True)
    return Objective(device, traces, starts, Watch(cancelled=cancelled), fit.penalty), parameters
