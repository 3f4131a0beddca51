"""Which device class describes a measurement best, judged by samples the fit has not seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import lmfit
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.device_fit import FITTABLE_CLASSES, fit_device
from tilewright.fitting.objective import Cancelled, Objective, Progress, Trace, Watch, minimise
from tilewright.fitting.result import DeviceFit
from tilewright.measurement.record import Measurement

FOLDS = 5
BLOCK = 20


@dataclass(frozen=True)
class RankingRow:
    """One device class: its fit, its error on samples left out, and the standard error of that.

    ``block_errors`` holds the squared error of each left-out block, in the same order for every class.
    """

    class_name: str
    held_out_rms: float
    held_out_stderr: float
    fit: DeviceFit
    block_errors: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    @property
    def at_bound(self) -> list[str]:
        """Parameters that ran into a limit."""
        return [item.name for item in self.fit.parameters if item.at_bound]


@dataclass(frozen=True)
class Ranking:
    """Device classes, best first."""

    rows: list[RankingRow]
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[RankingRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def best(self) -> RankingRow:
        """The row with the smallest held-out error."""
        return self.rows[0]

    def table(self) -> pd.DataFrame:
        """One row per device class."""
        return pd.DataFrame(
            [
                {
                    "device": row.class_name,
                    "held-out rms": row.held_out_rms,
                    "standard error": row.held_out_stderr,
                    "rms": row.fit.rms,
                    "R²": row.fit.r2,
                    "BIC": row.fit.bic,
                    "varied": row.fit.n_varied,
                    "at a limit": ", ".join(row.at_bound),
                    "seconds": row.fit.seconds,
                }
                for row in self.rows
            ]
        )

    def equals_of_best(self) -> list[RankingRow]:
        """Rows whose held-out error exceeds the best by less than two standard errors of the paired difference."""
        best = self.rows[0].block_errors
        near = []
        for row in self.rows[1:]:
            difference = row.block_errors - best
            if float(np.sum(difference)) <= 2 * float(np.std(difference)) * math.sqrt(len(difference)):
                near.append(row)
        return near

    @property
    def recommended(self) -> RankingRow:
        """The row with the fewest parameters among the best and those that cannot be told apart from it."""
        return min([self.rows[0], *self.equals_of_best()], key=lambda row: row.fit.n_varied)

    def verdict(self) -> str:
        """The choice in a sentence or two."""
        best, near = self.rows[0], self.equals_of_best()
        text = f"{best.class_name} predicts left-out samples best (rms {best.held_out_rms:.4g})"
        if near:
            text += f"; this data cannot tell {' and '.join(row.class_name for row in near)} apart from it."
            if self.recommended is not best:
                text += f" {self.recommended.class_name} needs fewer parameters and is the safer choice."
            return text
        others = f", ahead of {self.rows[1].class_name} ({self.rows[1].held_out_rms:.4g})" if len(self.rows) > 1 else ""
        return f"{text}{others}."


def fit_all_devices(
    measurement: Measurement,
    classes: Sequence[type[PulsedDevice]] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Ranking:
    """Fit several device classes and rank them by held-out error.

    The error is that of five folds: in each, every fifth block of 20 samples is left out of the fit (the whole pulse
    sequence is still simulated) and predicted. A tie goes to the class with fewer parameters.

    Args:
        measurement: in normalised weight units.
        classes: device classes; None takes :data:`FITTABLE_CLASSES`.
        progress: told (evaluation, best rms, best values) of the class being fitted.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
    """
    chosen = list(classes) if classes is not None else list(FITTABLE_CLASSES)
    rows = []
    for device_class in chosen:
        fit = fit_device(measurement, device_class, progress=progress, cancelled=cancelled)
        rms, stderr, errors = held_out_error(measurement, fit, cancelled)
        rows.append(RankingRow(fit.class_name, rms, stderr, fit, errors))
    order = {cls.__name__: i for i, cls in enumerate(chosen)}
    rows.sort(key=lambda row: (float(f"{row.held_out_rms:.5g}"), row.fit.n_varied, order[row.class_name]))
    notes = []
    names = {row.class_name: row.held_out_rms for row in rows}
    soft = [names.get("SoftBoundsDevice"), names.get("SoftBoundsReferenceDevice")]
    if None not in soft:
        notes.append(
            "SoftBoundsDevice and SoftBoundsReferenceDevice have the same noise-free equation; the second is read "
            "against a reference, which Tiki-Taka type training needs."
        )
    return Ranking(rows, notes)


def held_out_error(
    measurement: Measurement, fit: DeviceFit, cancelled: Cancelled | None = None
) -> tuple[float, float, NDArray[np.float64]]:
    """Root mean square error on left-out blocks, its standard error over blocks, and each block's squared error.

    Starts from the full fit; parameters at a limit stay free.
    """
    masks = [_folds(len(record)) for record in measurement.records]
    errors: list[float] = []
    sizes: list[int] = []
    for fold in range(FOLDS):
        kept = [mask != fold for mask in masks]
        if not all(k.any() for k in kept):
            continue
        models = _refit(measurement, fit, kept, cancelled)
        for record, model, mask, keep in zip(measurement.records, models, masks, kept, strict=True):
            deviation = (record.response - model)[~keep] ** 2
            for block in _blocks(np.flatnonzero(mask == fold)):
                errors.append(float(np.sum(deviation[block])))
                sizes.append(len(block))
    total, count = sum(errors), sum(sizes)
    mean = total / count
    spread = math.sqrt(sum((e - mean * s) ** 2 for e, s in zip(errors, sizes, strict=True))) / count
    rms = math.sqrt(mean)
    return rms, spread / (2 * rms) if rms > 0 else 0.0, np.array(errors)


def _folds(n: int) -> NDArray[np.int_]:
    size = BLOCK if n >= BLOCK * FOLDS else max(n // FOLDS, 1)
    return (np.arange(n) // size) % FOLDS


def _blocks(index: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    """Positions within ``index`` of each stretch of neighbours."""
    if not len(index):
        return []
    return np.split(np.arange(len(index)), np.flatnonzero(np.diff(index) > 1) + 1)


def _refit(
    measurement: Measurement, fit: DeviceFit, kept: list[NDArray[np.bool_]], cancelled: Cancelled | None
) -> list[NDArray[np.float64]]:
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
        Trace(record.pulses, record.response, keep.astype(np.float64))
        for record, keep in zip(measurement.records, kept, strict=True)
    ]
    free = [name for name in parameters if name.startswith("w0")]
    starts: list[float | str] = [*free] if free else [*fit.starts]
    objective = Objective(fit.device.model_copy(deep=True), traces, starts, Watch(cancelled=cancelled))
    result = minimise(
        objective, parameters, method="least_squares", x_scale="jac", max_nfev=60, ftol=1e-7, calc_covar=False
    )
    return objective.model({name: float(item.value) for name, item in result.params.items()})
