"""Which device class describes a measurement best, judged by samples the fit has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tilewright.devices.pow_step import PowStepDevice, PowStepReferenceDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice, SoftBoundsReferenceDevice
from tilewright.fitting.device_fit import FITTABLE_CLASSES, fit_device
from tilewright.fitting.objective import Cancelled, Progress
from tilewright.fitting.problem import problem_of
from tilewright.fitting.result import DeviceFit, value_with_error
from tilewright.fitting.search import downhill, values_of
from tilewright.fitting.specification import rebuilt
from tilewright.measurement.record import Measurement

FOLDS = 5
BLOCK = 20
DEALS = 2  # ways of dealing the blocks to the folds; a single one leaves too much to chance
GROUP = 5  # neighbouring blocks whose errors count as one: noise with memory reaches over a block
DEVICES_JUDGED = 8  # of many, to rank classes by
DISTINCT = 2.0  # standard errors of the paired difference from which on two classes are told apart

# The second has the equation of the first, read against a reference: one fit serves both.
SAME_EQUATION: dict[type[PulsedDevice], type[PulsedDevice]] = {
    SoftBoundsReferenceDevice: SoftBoundsDevice,
    PowStepReferenceDevice: PowStepDevice,
}


@dataclass(frozen=True)
class RankingRow:
    """One device class: its fit, its error on samples left out, and the standard error of that.

    Attributes:
        place: from 1; classes that the data cannot tell from the best all have place 1.
        bic: Bayesian information criterion with the number of samples that are worth an independent one, the same
            number for every class; smaller is better.
        block_errors: squared error of each left-out block, in the same order for every class.
    """

    class_name: str
    held_out_rms: float
    held_out_stderr: float
    fit: DeviceFit
    block_errors: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    place: int = 1
    bic: float = math.nan

    @property
    def held_out_text(self) -> str:
        """The error on samples left out with its standard error."""
        return value_with_error(self.held_out_rms, self.held_out_stderr)

    @property
    def at_bound(self) -> list[str]:
        """Parameters that ran into a limit."""
        return [item.name for item in self.fit.parameters if item.at_bound]

    @property
    def undetermined(self) -> list[str]:
        """Varied parameters the data does not determine: at a limit, or without a standard error below the range."""
        return [item.name for item in self.fit.parameters if item.vary and not item.determined]


@dataclass(frozen=True)
class Ranking:
    """Device classes, best first; those tied with the best in order of BIC."""

    rows: list[RankingRow]
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[RankingRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, class_name: str) -> RankingRow:
        """The row of a class."""
        for row in self.rows:
            if row.class_name == class_name:
                return row
        raise KeyError(f"{class_name!r} was not ranked; known: {', '.join(row.class_name for row in self.rows)}")

    @property
    def best(self) -> RankingRow:
        """The row with the smallest held-out error."""
        return min(self.rows, key=lambda row: row.held_out_rms)

    def table(self) -> pd.DataFrame:
        """One row per device class."""
        return pd.DataFrame(
            [
                {
                    "place": row.place,
                    "device": row.class_name,
                    "held-out rms": row.held_out_rms,
                    "standard error": row.held_out_stderr,
                    "rms": row.fit.rms,
                    "R²": row.fit.r2,
                    "BIC": row.bic,
                    "varied": row.fit.n_varied,
                    "not determined": ", ".join(row.undetermined),
                    "seconds": row.fit.seconds,
                }
                for row in self.rows
            ]
        )

    @property
    def ties(self) -> list[RankingRow]:
        """All rows on place 1, the best among them."""
        return [row for row in self.rows if row.place == 1]

    @property
    def recommended(self) -> RankingRow:
        """The first row: of those the data cannot tell from the best, the one with the smallest BIC."""
        return self.rows[0]

    def verdict(self) -> str:
        """The choice in a sentence or two."""
        first, tied = self.rows[0], self.ties[1:]
        text = f"{first.class_name} predicts left-out samples with an rms error of {first.held_out_rms:.4g}"
        if tied:
            names = ", ".join(row.class_name for row in tied)
            return (
                f"{text}. A tie: this data cannot tell {names} from it; {first.class_name} explains it with the best "
                "balance of error and parameters (BIC)."
            )
        rest = self.rows[1:]
        return f"{text}, ahead of {rest[0].class_name} ({rest[0].held_out_rms:.4g})." if rest else f"{text}."


def fit_all_devices(
    measurement: Measurement,
    classes: Sequence[type[PulsedDevice]] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    seed: int = 0,
    begun: Callable[[type[PulsedDevice]], None] | None = None,
    weights: Sequence[float | NDArray[np.float64]] | None = None,
    free_start: bool | None = None,
) -> Ranking:
    """Fit several device classes and rank them by held-out error, BIC and what is determined.

    The error is that of five folds: in each, a fifth of the blocks of 20 samples is left out of the fit (the whole
    pulse sequence is still simulated) and predicted. Classes whose error differs from that of the best by less than two
    standard errors of the paired difference are tied; ties are put in order of BIC, and of the number of parameters
    that the data does not determine where BIC differs by less than two.

    Of many devices, a few are fitted jointly: a class that follows the noise of single records gains nothing by that.

    Args:
        measurement: in normalised weight units.
        classes: device classes; None takes :data:`FITTABLE_CLASSES`.
        progress: told (evaluation, best rms, best values) of the class being fitted.
        cancelled: asked at every evaluation; True stops with :class:`FitCancelled`.
        seed: deals the blocks to the folds; 0 deals them in turn. Also of the starts of the fits.
        begun: told of each class before it is fitted.
        weights: factor of the deviations of each record, as for :func:`fit_device`; they judge left-out samples too.
        free_start: as for :func:`fit_device`.
    """
    judges = set(ranked_devices(measurement))
    own = [k for k, record in enumerate(measurement.records) if record.device in judges]
    weights = None if weights is None else [weights[k] for k in own]
    measurement = replace(measurement, records=tuple(measurement.records[k] for k in own))
    chosen = list(classes) if classes is not None else list(FITTABLE_CLASSES)
    fits: dict[type[PulsedDevice], tuple[DeviceFit, tuple[float, float, NDArray[np.float64]]]] = {}
    for device_class in chosen:
        kind = SAME_EQUATION.get(device_class, device_class)
        if kind not in fits:
            if begun is not None:
                begun(kind)
            fit = fit_device(
                measurement, kind, progress=progress, cancelled=cancelled, seed=seed, weights=weights,
                free_start=free_start,
            )  # fmt: skip
            fits[kind] = fit, held_out_error(measurement, fit, cancelled, seed)
    rows = []
    for device_class in chosen:
        fit, (rms, stderr, errors) = fits[SAME_EQUATION.get(device_class, device_class)]
        rows.append(RankingRow(device_class.__name__, rms, stderr, as_class(fit, device_class), errors))
    notes = [
        f"{cls.__name__} and {base.__name__} have the same noise-free equation; the first is read against a reference, "
        "which Tiki-Taka type training needs."
        for cls, base in SAME_EQUATION.items()
        if {cls, base} <= set(chosen)
    ]
    return Ranking(_in_order(rows), notes)


def ranked_devices(measurement: Measurement) -> list[str]:
    """The devices that classes are judged by: all, or a few evenly chosen."""
    return list(measurement.devices)[:: -(-len(measurement.devices) // DEVICES_JUDGED)]


def as_class(fit: DeviceFit, device_class: type[PulsedDevice]) -> DeviceFit:
    """The same fit as that of a class with the same equation."""
    if type(fit.device) is device_class:
        return fit
    device = device_class()
    quiet = {name: 0.0 for name in type(device).model_fields if name.endswith(("dtod", "std"))}
    shared = {name: getattr(fit.device, name) for name in type(device).model_fields if hasattr(fit.device, name)}
    return replace(fit, device=rebuilt(device.model_copy(update=quiet | shared)), class_name=device_class.__name__)


def _in_order(rows: list[RankingRow]) -> list[RankingRow]:
    best = min(rows, key=lambda row: (row.held_out_rms, row.fit.n_varied))
    made, tied_so_far = [], True
    for row in sorted(rows, key=lambda row: row.held_out_rms):
        tied_so_far = tied_so_far and _tied(row, best)  # none is tied that predicts worse than one that is not
        made.append(replace(row, place=1 if tied_so_far else 2))
    # What a sample is worth belongs to the data; each class of the tied estimates it, flexible ones too high.
    correlated = float(np.median([row.fit.correlated_samples for row in made if row.place == 1]))
    worth = max(best.fit.n_points / correlated, 2.0)
    made = [
        replace(row, bic=worth * math.log(max(row.fit.rms**2, 1e-300)) + row.fit.n_varied * math.log(worth))
        for row in made
    ]
    lowest = min((row.bic for row in made if row.place == 1), default=0.0)

    def key(row: RankingRow) -> tuple[float, ...]:
        if row.place == 1:  # BICs within 2 of each other say nothing
            near = row.bic <= lowest + 2
            return 1, 0.0 if near else row.bic - lowest, len(row.undetermined), row.fit.n_varied, row.bic
        return 2, row.held_out_rms, row.fit.n_varied

    made.sort(key=key)
    tied = sum(row.place == 1 for row in made)
    return [row if row.place == 1 else replace(row, place=tied + k) for k, row in enumerate(made, start=1 - tied)]


def _tied(row: RankingRow, best: RankingRow) -> bool:
    difference = row.block_errors - best.block_errors
    groups = np.add.reduceat(difference, np.arange(0, len(difference), GROUP))
    spread = float(np.std(groups, ddof=1)) * math.sqrt(len(groups)) if len(groups) > 1 else math.inf
    return float(np.sum(difference)) <= DISTINCT * spread + 1e-9 * float(np.sum(best.block_errors))


def held_out_error(
    measurement: Measurement, fit: DeviceFit, cancelled: Cancelled | None = None, seed: int = 0
) -> tuple[float, float, NDArray[np.float64]]:
    """Root mean square error on left-out blocks, its standard error over blocks, and each block's squared error.

    Starts from the full fit; parameters at a limit stay free. ``seed`` deals the blocks to the folds.
    """
    rng = np.random.default_rng(seed) if seed else None
    errors: dict[tuple[int, int], float] = {}
    sizes: dict[tuple[int, int], float] = {}
    for _ in range(DEALS if rng is not None or len(measurement.records[0]) > FOLDS * BLOCK else 1):
        masks = [_folds(len(record), rng) for record in measurement.records]
        for fold in range(FOLDS):
            kept = [mask != fold for mask in masks]
            models = _refit(measurement, fit, kept, cancelled)
            rows = zip(measurement.records, models, masks, fit.weights, strict=True)
            for number, (record, model, mask, weight) in enumerate(rows):
                deviation = (weight * (record.response - model)) ** 2
                size = _block_size(len(record))
                for block in np.unique(np.flatnonzero(mask == fold) // size):
                    where, key = slice(block * size, (block + 1) * size), (number, int(block))
                    errors[key] = errors.get(key, 0.0) + float(np.sum(deviation[where]))
                    sizes[key] = sizes.get(key, 0.0) + float(np.sum(weight[where] ** 2))
        rng = rng or np.random.default_rng(1)
    total, count = sum(errors.values()), sum(sizes.values())
    mean = total / count
    spread = math.sqrt(sum((errors[key] - mean * sizes[key]) ** 2 for key in errors)) / count
    rms = math.sqrt(mean)
    return rms, spread / (2 * rms) if rms > 0 else 0.0, np.array([errors[key] for key in sorted(errors)])


def _block_size(n: int) -> int:
    return BLOCK if n >= BLOCK * FOLDS else max(n // FOLDS, 1)


def _folds(n: int, rng: np.random.Generator | None) -> NDArray[np.int_]:
    """Fold of each sample: blocks in turn, or every five neighbouring blocks in a random order."""
    block = np.arange(n) // _block_size(n)
    count = int(block[-1]) + 1
    if rng is None:
        return np.asarray(block % FOLDS)
    rounds = [rng.permutation(FOLDS) for _ in range(-(-count // FOLDS))]
    return np.asarray(np.concatenate(rounds)[block])


def _refit(
    measurement: Measurement, fit: DeviceFit, kept: list[NDArray[np.bool_]], cancelled: Cancelled | None
) -> list[NDArray[np.float64]]:
    weights = [weight * keep for weight, keep in zip(fit.weights, kept, strict=True)]
    objective, parameters = problem_of(measurement, fit, weights, cancelled)
    best, _ = downhill(objective, parameters, 60)
    return objective.model(values_of(best))
