from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tilewright.runs.paired import holm, paired_differences, two_way_interval


def test_paired_differences_are_scipys():
    generator = np.random.Generator(np.random.PCG64(3))
    a, b = generator.normal(1.0, 1.0, 9), generator.normal(0.2, 1.0, 9)
    settings = {"a": dict(enumerate(a)), "b": dict(enumerate(b)), "c": {0: 1.0, 99: 3.0}}
    first, second, _ = paired_differences(settings)
    assert (first.first, first.second, first.pairs) == ("a", "b", 9)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert (first.p, first.low, first.high) == pytest.approx((expected.pvalue, interval.low, interval.high), rel=1e-9)
    assert first.p_wilcoxon == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue)
    assert second.pairs == 1
    assert math.isnan(second.p)
    assert "too few" in second.verdict


def test_pairs_that_differ_alike_and_not_at_all():
    (same,) = paired_differences({"a": {1: 1.0, 2: 2.0}, "b": {1: 1.0, 2: 2.0}})
    assert (same.p, same.p_wilcoxon, same.verdict) == (1.0, 1.0, "no difference shown")
    (shifted,) = paired_differences({"a": {k: 2.0 for k in range(8)}, "b": {k: 1.0 for k in range(8)}})
    assert shifted.verdict == "a is higher"


def test_holms_correction_of_a_textbook_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [math.isnan(p) for p in holm([math.nan, 0.2])] == [True, False]


def test_the_two_way_interval_covers_new_seeds_and_new_devices():
    """4,000 tables of 4 seeds x 3 devices with known spreads: coverage 95 % within five standard errors and 4 points.

    The rows' effect is the larger; an interval that took the 12 values as independent would cover about two thirds.
    """
    generator = np.random.Generator(np.random.PCG64(7))
    hits, naive = 0, 0
    for _ in range(4000):
        table = generator.normal(0, 1.0, (4, 1)) + generator.normal(0, 0.6, (1, 3)) + generator.normal(0, 0.3, (4, 3))
        _, low, high = two_way_interval(table)
        hits += low <= 0 <= high
        half = stats.t.ppf(0.975, 11) * table.std(ddof=1) / math.sqrt(12)
        naive += abs(table.mean()) <= half
    assert 0.91 <= hits / 4000 <= 0.995
    assert naive / 4000 < 0.85
