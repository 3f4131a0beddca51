"""The documentation's table of verdicts against training holds what was recorded, and nothing else."""

from __future__ import annotations

import verdict_against_training as benchmark
from evidence import stored

from tilewright.assets import asset_path


def table_after(heading):
    """The rows of the first table after a heading of the documentation."""
    text = asset_path("docs", "fitting.md").read_text(encoding="utf-8")
    part = text[text.index(heading) :]
    return part[part.index(benchmark.HEADER) :].split("\n\n")[0].splitlines()[2:]


def test_the_table_shows_the_recorded_runs():
    """Means, spreads, what the verdict says today and whether it was right; broken by a change of the verdict too."""
    results = stored(benchmark.NAME)
    assert sorted(results) == sorted(benchmark.CASES)
    assert all([entry["seed"] for entry in entries] == [1, 2, 3] for entries in results.values())
    table = table_after("settings recommended when the rule was first made")
    assert table == benchmark.rows(results)
    right = sum("missed" not in line for line in table)
    text = asset_path("docs", "fitting.md").read_text(encoding="utf-8")
    assert f"the best or within its interval for {right} of these {len(table)}" in text


def test_the_table_of_unseen_devices_shows_the_recorded_runs():
    results = stored(benchmark.UNSEEN_NAME)
    assert sorted(results) == sorted(benchmark.UNSEEN_CASES)
    table = table_after("drawn after the rule was made")
    assert table == benchmark.rows(results, benchmark.UNSEEN)
    right = sum("missed" not in line for line in table)
    text = asset_path("docs", "fitting.md").read_text(encoding="utf-8")
    assert f"the best or within its interval for {right} of those {len(table)}" in text
