"""The published cost model, from operations counted in small runs of every algorithm.

Nat. Commun. 15:7133 (2024), Table 1: time of an update per sample at N = 512, n_s = 2, five slots of 5 ns, 40 ns for
a product, 0.175 TFLOPS beside each array, mini-batches of 100.
"""

from __future__ import annotations

import pytest
import torch

from tilewright.configs import ConstantStepDevice, UpdateParameters, build_config
from tilewright.ledger import CostConstants, ledger
from tilewright.tile import AnalogTile

N, BATCH = 512, 100
PUBLISHED = {"sgd": 30.9, "ttv2": 56.3, "c-ttv2": 56.3, "agad": 62.1, "mp": 3024.5}


def counted(algorithm, size=N, batches=1):
    train = UpdateParameters(desired_bl=5, update_bl_management=False, update_management=False)
    cell = {"transfer_every": 2.0} if algorithm in ("ttv2", "c-ttv2", "agad") else None
    config = build_config(algorithm, ConstantStepDevice(dw_min_std=0.0), cell=cell)
    config.update = train
    tile = AnalogTile(size, size, config, seed=3)
    generator = torch.Generator().manual_seed(7)
    for _ in range(batches):
        x, d = (torch.rand((BATCH, size), generator=generator) for _ in range(2))
        tile.forward(x)
        tile.backward(d)
        tile.update(x, d, 1e-4)
    return ledger(tile)


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_counted_operations_give_the_published_time(algorithm):
    book = counted(algorithm)
    (row,) = book.time_table().to_dict("records")
    assert round(row["update"], 1) == PUBLISHED[algorithm]
    assert row["products"] == 80.0  # 40 ns forward and 40 ns backward, for all algorithms alike


@pytest.mark.parametrize(
    ("algorithm", "operations", "slots", "reads"),
    [
        ("sgd", 2 * 64, 5, 0),
        ("ttv2", 2 * 64 + 2 * 64 / 2, 5.5, 0.5),
        ("c-ttv2", 2 * 64 + 2 * 64 / 2, 5.5, 0.5),
        ("agad", 2 * 64 + 6 * 64 / 2, 5.5, 0.5),
        ("mp", 2 * 64**2 + 64, 64 / BATCH, 0),
    ],
)
def test_every_term_of_the_published_formulas(algorithm, operations, slots, reads):
    (tile,) = counted(algorithm, size=64, batches=3).tiles
    assert tile.vectors == 3 * BATCH
    assert tile.batches == 3
    assert tile.digital == operations * tile.vectors
    assert tile.slots == slots * tile.vectors
    assert tile.line_reads == reads * tile.vectors
    assert tile.digital_all > tile.digital or algorithm == "sgd"  # without management, SGD has nothing else to do


def test_constants_are_the_only_other_input():
    book = counted("ttv2", size=64)
    slow = CostConstants(pulse_time=10.0, product_time=100.0, digital_rate=0.0175)
    spent = book.time(slow)["tile"]
    assert spent.pulses == pytest.approx(5.5 * 10 * BATCH)
    assert spent.reads == pytest.approx(0.5 * 100 * BATCH)
    assert spent.digital == pytest.approx(3 * 64 / 0.0175e3 * BATCH)
    assert spent.total == pytest.approx(spent.pulses + spent.reads + spent.digital)
    assert book.update_time(slow) == spent.total
