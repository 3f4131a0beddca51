"""What runs have cost, side by side: accuracy against pulses, reads, digital operations, memory and time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tilewright.ledger import CostConstants
from tilewright.runs.store import RunStore

COLUMNS = [
    "run_id", "name", "algorithm", "test_accuracy", "pulses", "mean_pulses", "most_pulses", "line_reads", "products",
    "writes", "digital_operations", "digital_operations_simulated", "digital_memory", "devices", "update_time",
    "update_time_per_vector",
]  # fmt: skip


def cost_table(store: RunStore, run_ids: Sequence[str], constants: CostConstants | None = None) -> pd.DataFrame:
    """One row per run that has a ledger, in the given order.

    Columns: ``run_id``, ``name``, ``algorithm``, ``test_accuracy`` (0 to 1), ``pulses`` (all), ``mean_pulses`` and
    ``most_pulses`` (per crosspoint), ``line_reads``, ``products`` (passes), ``writes`` (vectors and lines),
    ``digital_operations`` (of the updates, as published), ``digital_operations_simulated``, ``digital_memory``
    (bytes), ``devices``, ``update_time`` (s, of the busiest tile over the run), ``update_time_per_vector`` (ns, the
    same per rank-one update), and ``energy_pulses``, ``energy_line_reads``, ``energy_products``, ``energy_digital``,
    ``energy_total`` (mJ) as far as their constants are given.

    Raises:
        StoreError: there is no run of one of the ids.
        LedgerError: a ledger is damaged.
    """
    chosen = constants or CostConstants()
    rows = [row for run_id in run_ids if (row := _row(store, run_id, chosen)) is not None]
    kinds = [name for name in (f"energy_{kind}" for kind in _ENERGIES) if any(name in row for row in rows)]
    return pd.DataFrame(rows, columns=[*COLUMNS, *kinds])


_ENERGIES = ("pulses", "line_reads", "products", "digital", "total")


def _row(store: RunStore, run_id: str, constants: CostConstants) -> dict[str, Any] | None:
    row, book = store.get(run_id), store.ledger(run_id)
    if book is None:
        return None
    totals = book.totals()
    spent, busiest = max((time.total, name) for name, time in book.time(constants).items())
    vectors = next(tile.vectors for tile in book.tiles if tile.name == busiest)
    return {
        "run_id": row.id,
        "name": row.name,
        "algorithm": row.algorithm,
        "test_accuracy": math.nan if row.test_accuracy is None else row.test_accuracy,
        "pulses": totals["pulses"],
        "mean_pulses": totals["mean_pulses"],
        "most_pulses": totals.get("most_pulses", math.nan),
        "line_reads": totals["line_reads"],
        "products": totals["passes"],
        "writes": totals["writes"],
        "digital_operations": totals["digital"],
        "digital_operations_simulated": totals["digital_all"],
        "digital_memory": totals["digital_memory"],
        "devices": totals["crosspoints"],
        "update_time": spent * 1e-9,
        "update_time_per_vector": spent / max(vectors, 1),
        **{f"energy_{kind}": value * 1e-6 for kind, value in book.energy(constants).items()},
    }
