"""The verdict's constants are those of the recorded trainings; the documentation says how it did on other devices."""

from __future__ import annotations

import fit_verdict
import pytest
import verdict_against_training as benchmark
from evidence import short_of_seeds, stored

from tilewright.assets import asset_path
from tilewright.fitting.verdict import COSTS, SPREAD


@pytest.fixture(scope="module")
def results():
    return stored(benchmark.NAME)


def cases_of(part):
    return [f"{algorithm}, {device}" for device in benchmark.PARTS[part] for algorithm in benchmark.ALGORITHMS]


def test_every_algorithm_was_trained_on_every_device(results):
    assert sorted(results) == sorted(benchmark.CASES)
    assert short_of_seeds(results, cases_of("chosen-by"), 2) == []
    assert short_of_seeds(results, cases_of("judged-on"), 3) == []


def test_the_constants_are_those_of_the_fit(results):
    devices = list(benchmark.PARTS["chosen-by"])
    assert fit_verdict.fitted_costs(results, devices) == COSTS
    assert fit_verdict.spread(results, fit_verdict.left_out(results, devices)) == pytest.approx(SPREAD, rel=0.03)


def test_the_documentation_says_how_often_it_was_right_on_devices_held_out(results):
    lines = benchmark.rows(results, benchmark.PARTS["judged-on"])
    right = sum(" behind" not in line for line in lines)
    text = asset_path("docs", "fitting.md").read_text(encoding="utf-8")
    assert f"The verdict is the best or within its interval for {right} of these {len(lines)}." in text
