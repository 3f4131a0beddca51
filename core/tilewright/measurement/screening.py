"""Declining data that is not a pulse response, and saying what it seems to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.block import MIN_SAMPLES
from tilewright.measurement.protocol import smooth
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.roles import Roles

# Share of the variance that a response owes to its slow course; white noise alone gives about 0.05 to 0.2.
LEAST_TREND = 0.35
_OVERRIDE = " If it is one after all, state its layout or protocol."


def trend_share(values: NDArray[np.float64]) -> float:
    """Share (0 to 1) of the variance that a running mean over a twentieth of the record explains, without outliers."""
    low, high = np.quantile(values, [0.005, 0.995])
    clipped = np.clip(values, low, high)
    total = float(np.var(clipped))
    if total == 0:
        return 0.0
    rest = clipped - smooth(clipped, max(5, len(values) // 20))
    return max(0.0, 1 - float(np.var(rest)) / total)


def screen_columns(roles: Roles) -> None:
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
    if roles.swept_voltage is not None and roles.polarity is None:
        raise MeasurementError(
            f"{roles.swept_voltage.title!r} takes {len(np.unique(roles.swept_voltage.values))} different voltages "
            "without pulses of both signs",
            seems="a current–voltage sweep",
        )
    if roles.time is not None and roles.polarity is None and _log_spaced(roles.time.values):
        raise MeasurementError(
            "its times are spaced over several decades and no pulses are given", seems="a retention or drift record"
        )


def screen_response(roles: Roles, certain: bool) -> float:
    """The median trend share of the value columns; raises where the values do not follow a course of pulses.

    Args:
        roles: the columns.
        certain: the user stated layout or protocol, or a polarity column gives the pulses: do not decline.
    """
    shares = [trend_share(column.values) for column in roles.values]
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
    raise MeasurementError(
        random[0].upper() + random[1:], seems=many + ", not a pulse response." + _OVERRIDE.rstrip(".")
    )


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
