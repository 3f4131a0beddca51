"""Intervals hold what they promise: 95 % intervals of noisy fits contain the truth about as often."""

from __future__ import annotations

import math

import pytest
from truths import NAMES, TRUTHS, fitted_to, noisy, value_of

NOISE = {"step": 1.0, "write": 2.0}


def share_inside(name, simulations):
    """Share of 95 % intervals that contain the truth, over parameters that the data determines, and its standard error.

    The parameters of a fit miss together, so the error is that of the mean over simulations.
    """
    device = TRUTHS[name][0]
    noise = NOISE if device.supports_write_noise else {"step": 1.0, "read": 0.02}
    hits, counts = [], []
    for seed in range(1, simulations + 1):
        fit = fitted_to(name, noisy(name, seed, **noise))
        known = [field for field in NAMES[name] if fit[field].determined]
        ends = [(value_of(device, field), fit[field].interval) for field in known]
        hits.append(sum(low <= value <= high for value, (low, high) in ends))
        counts.append(len(known))
    share = sum(hits) / sum(counts)
    off = [hit - share * count for hit, count in zip(hits, counts, strict=True)]
    return share, math.sqrt(sum(value**2 for value in off)) / sum(counts), sum(counts)


@pytest.mark.parametrize("name", ["SoftBoundsDevice"])
def test_a_few_intervals_hold(name):
    """20 simulations, four parameters of a fit counted as one: with a true share of 0.9, p < 1e-6 for 10 or fewer."""
    share, _, count = share_inside(name, 20)
    assert count > 40
    assert share > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TRUTHS))
def test_coverage_of_200_simulations(name):
    """The share over 200 simulations agrees with a true one between 0.90 and 0.98.

    Rejected from 4.76 standard errors off (p < 1e-6), about 0.05 where the parameters of a fit miss together. It fails
    where errors are called a third too small. Of three classes tried, power steps
    are the lowest with 0.881, short of the aim but not proven so at this rate.
    """
    share, error, _ = share_inside(name, 200)
    assert share + 4.76 * error > 0.90
    assert share - 4.76 * error < 0.98
