"""Declining data that is not a pulse response, and saying what it seems to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES, Block
from tilewright.measurement.protocol import trend_share
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.roles import Roles, is_log
from tilewright.measurement.units import words_of

# Share of the variance that a response owes to its slow course; white noise alone gives about 0.05 to 0.2.
LEAST_TREND = 0.35
_OVERRIDE = " If it is one after all, state its layout or protocol."


def screen_columns(roles: Roles, block: Block) -> None:
    """Raise for tables that are known other kinds of measurement, whatever their numbers look like."""
    if not roles.values:
        raise MeasurementError("no column holds a response: every column is an index, a time, a polarity or constant")
    for column in roles.values:
        if len(column.values) < MIN_SAMPLES:
            raise MeasurementError(
                f"only {len(column.values)} samples; a pulse response needs at least {MIN_SAMPLES}",
                where=f"column {column.name}" + (f" ({column.header!r})" if column.header else ""),
            )
        if np.ptp(column.values) == 0:
            raise MeasurementError(f"every value is {column.values[0]:g}: nothing to fit", where=column.title)
    _screen_headers(roles, block)
    _screen_axes(roles, block)
    if len(roles.values) == 1 and roles.polarity is None and _counts(roles.values[0].values):
        raise MeasurementError(
            f"its only column of numbers, {roles.values[0].title!r}, counts {roles.values[0].values[0]:g}, "
            f"{roles.values[0].values[1]:g}, {roles.values[0].values[2]:g} ...: no column holds a response"
        )
    if roles.swept_voltage is not None and roles.polarity is None:
        raise MeasurementError(
            f"{roles.swept_voltage.title!r} takes {len(np.unique(roles.swept_voltage.values))} different voltages "
            "without pulses of both signs",
            seems=f"a {_swept_quantity(block)}–voltage sweep",
        )
    if roles.time is not None and roles.polarity is None and _log_spaced(roles.time.values):
        raise MeasurementError(
            "its times are spaced over several decades and no pulses are given", seems="a retention or drift record"
        )


def _swept_quantity(block: Block) -> str:
    words = {word for column in block.columns for word in words_of(column.header)}
    return "capacitance" if words & {"capacitance", "cap", "kapazität", "cp", "cs"} else "current"


_MOST_MISSING = 0.2


def screen_missing(roles: Roles) -> None:
    """Raise where too many readings are missing; rows without a reading are usual only in logs of pulses and reads."""
    if roles.polarity is not None and is_log(roles.polarity == 0):
        return
    for column in roles.values:
        share = len(column.missing) / len(column.values)
        if share > _MOST_MISSING:
            raise MeasurementError(
                f"{100 * share:.0f} % of its {len(column.values)} cells hold no reading, the first in row "
                f"{column.rows[column.missing[0]]}; at most {100 * _MOST_MISSING:.0f} % may be missing",
                where=column.title,
            )


_LOW_STATE = {"lrs", "rlrs", "ron", "low", "on"}
_HIGH_STATE = {"hrs", "rhrs", "roff", "high", "off"}
_TRAINING = {"loss", "accuracy", "acc", "epoch", "epochs", "val", "lr"}


_AXES = {
    "wavelength": "a spectrum", "lambda": "a spectrum", "wavenumber": "a spectrum", "raman": "a spectrum",
    "energy": "a spectrum", "frequency": "a frequency sweep", "freq": "a frequency sweep", "hz": "a frequency sweep",
    "theta": "a diffraction pattern", "2theta": "a diffraction pattern", "angle": "a scan over angles",
    "position": "a scan over places", "thickness": "a study of thickness", "year": "a record over years",
    "years": "a record over years", "jahr": "a record over years", "month": "a record over months",
}  # fmt: skip


def _screen_axes(roles: Roles, block: Block) -> None:
    """Raise where a column that goes one way all the time names what was swept instead of pulses."""
    if roles.polarity is not None:
        return
    for column in block.columns:
        named = [word for word in words_of(column.header) if word in _AXES]
        steps = np.diff(column.values)
        if named and len(steps) and (np.all(steps > 0) or np.all(steps < 0)):
            raise MeasurementError(f"{column.title!r} is swept and no pulses are given", seems=_AXES[named[0]])


def _screen_headers(roles: Roles, block: Block) -> None:
    words = {word for column in block.columns for part in words_of(column.header) for word in part.split("_")}
    said = " ".join(block.comments).lower()
    if words & _LOW_STATE and words & _HIGH_STATE and roles.polarity is None and len(roles.values) == 2:
        raise MeasurementError(
            f"its columns {' and '.join(repr(c.title) for c in roles.values)} are a low and a high state",
            seems="an endurance record of binary switching, not a pulse response." + _OVERRIDE.rstrip("."),
        )
    if {"loss", "accuracy", "acc"} & words and len(words & _TRAINING) >= 2:
        raise MeasurementError(f"its columns are named {', '.join(sorted(words & _TRAINING))}", seems="a training log")
    if roles.polarity is None and roles.time is not None and "retention" in said:
        raise MeasurementError("its remarks speak of retention and no pulses are given", seems="a retention record")


def screen_response(roles: Roles, certain: bool) -> float:
    """The median trend share of the value columns; raises where the values do not follow a course of pulses.

    Args:
        roles: the columns.
        certain: the user stated layout or protocol, or a polarity column gives the pulses: do not decline.
    """
    shares = [trend_share(column.values) for column in roles.values[:: max(1, len(roles.values) // 100)]]
    middle = float(np.median(shares))
    if certain or middle >= LEAST_TREND:
        return middle
    columns = roles.values
    share = f"{100 * (1 - middle):.0f} % of the variation is from one sample to the next"
    random = f"{share}, so the values follow no course of pulses."
    if len(columns) == 2 and _two_levels(columns[0].values, columns[1].values):
        ratio = float(np.median(_ratio(columns[0].values, columns[1].values)))
        counted = ""
        if roles.index is not None:
            counted = f" against a count of {roles.index.values[0]:g} to {roles.index.values[-1]:g}"
        raise MeasurementError(
            f"two columns hold a low and a high state (apart by a factor of about {ratio:.2g}){counted}; {random}",
            seems="an endurance record of binary switching, not a pulse response." + _OVERRIDE.rstrip("."),
        )
    if len(columns) == 1 and _jumps_between_two(columns[0].values):
        raise MeasurementError(
            f"the values jump between two levels; {random}",
            seems="a record of binary switching, not a pulse response." + _OVERRIDE.rstrip("."),
        )
    many = f"a table of {len(columns)} unrelated columns" if len(columns) > 4 else "noise or a list of results"
    if len(columns) >= 16 and all(_is_picture(column.values) for column in columns[:: max(1, len(columns) // 16)]):
        many = f"pixels of pictures ({len(columns)} columns of whole numbers)"
    raise MeasurementError(
        random[0].upper() + random[1:], seems=many + ", not a pulse response." + _OVERRIDE.rstrip(".")
    )


def _is_picture(values: NDArray[np.float64]) -> bool:
    return bool(np.all(values == np.round(values)) and values.min() >= 0 and values.max() <= 65535)


def _counts(values: NDArray[np.float64]) -> bool:
    return bool(values[0] in (0.0, 1.0) and np.all(np.diff(values) == 1))


def _log_spaced(times: NDArray[np.float64]) -> bool:
    positive = times[times > 0]
    if len(positive) < MIN_SAMPLES or positive[-1] / positive[0] < 1e3:
        return False
    return bool(np.median(positive) < 0.1 * positive[-1])


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    n = min(len(a), len(b))
    low, high = np.minimum(a[:n], b[:n]), np.maximum(a[:n], b[:n])
    return np.asarray(high / np.where(low == 0, np.nan, low))


def _two_levels(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    n = min(len(a), len(b))
    if n == 0 or np.any(a[:n] <= 0) or np.any(b[:n] <= 0):
        return False
    above = float(np.mean(b[:n] > a[:n]))
    return max(above, 1 - above) > 0.95 and float(np.median(_ratio(a, b))) > 1.3


def _jumps_between_two(values: NDArray[np.float64]) -> bool:
    if np.all(values > 0) and np.quantile(values, 0.95) > 5 * np.quantile(values, 0.05):
        values = np.log(values)
    low, high = np.quantile(values, [0.05, 0.95])
    middle = np.abs(values - (low + high) / 2) < 0.2 * (high - low)
    return float(np.mean(middle)) < 0.05 and float(np.mean(np.abs(np.diff(values)) > 0.5 * (high - low))) > 0.3
