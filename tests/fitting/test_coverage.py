"""Intervals hold what they promise: 95 % intervals of noisy fits contain the truth about as often."""

from __future__ import annotations

import math

import pytest
from truths import NAMES, TRUTHS, fitted_to, noisy, value_of

NOISE = {"step": 1.0, "write": 2.0}


def share_inside(name, simulations):
    """Share of 95 % intervals that contain the truth, over parameters that the data determines, and their number."""
    device = TRUTHS[name][0]
    noise = NOISE if device.supports_write_noise else {"step": 1.0, "read": 0.02}
    hits = []
    for seed in range(1, simulations + 1):
        fit = fitted_to(name, noisy(name, seed, **noise))
        for field in NAMES[name]:
            if fit[field].determined:
                low, high = fit[field].interval
                hits.append(low <= value_of(device, field) <= high)
    return sum(hits) / len(hits), len(hits)


@pytest.mark.parametrize("name", ["SoftBoundsDevice"])
def test_a_few_intervals_hold(name):
    """20 simulations, four parameters of a fit counted as one: with a true share of 0.9, p < 1e-6 for 10 or fewer."""
    share, count = share_inside(name, 20)
    assert count > 40
    assert share > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TRUTHS))
def test_coverage_of_200_simulations(name):
    """The share lies between 0.90 and 0.98, give or take six standard errors of a share of dependent parameters."""
    share, _ = share_inside(name, 200)
    allowance = 6 * math.sqrt(0.95 * 0.05 / 200)
    assert 0.90 - allowance < share <= 1.0
    assert share < 0.98 + allowance
