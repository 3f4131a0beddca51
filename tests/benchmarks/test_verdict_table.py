"""The documentation's table of verdicts against training holds what was recorded, and nothing else."""

from __future__ import annotations

import verdict_against_training as benchmark
from evidence import stored

from tilewright.assets import asset_path


def test_the_table_shows_the_recorded_runs():
    """Means, spreads, what the verdict says today and whether it was right; broken by a change of the verdict too."""
    results = stored(benchmark.NAME)
    assert sorted(results) == sorted(benchmark.CASES)
    assert all([entry["seed"] for entry in entries] == [1, 2, 3] for entries in results.values())
    text = asset_path("docs", "fitting.md").read_text(encoding="utf-8")
    table = text[text.index(benchmark.HEADER) :].split("\n\n")[0].splitlines()[2:]
    assert table == benchmark.rows(results)
    right = sum(not line.endswith("missed |") for line in table)
    assert f"the best or within its interval for {right} of these {len(table)}" in text
