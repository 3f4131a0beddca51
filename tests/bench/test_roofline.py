from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch

from tilewright import cli, configs, kernels
from tilewright.bench import inputs
from tilewright.bench.cases import all_cases, device
from tilewright.bench.ours import build_tile
from tilewright.bench.roofline import table, work
from tilewright.tile import AnalogTile


def test_train_lengths_are_those_the_kernel_spends():
    """One sample at a time, so that the slots the kernel reports are its own."""
    x, d = inputs.vectors(12, 20, 20)
    config = configs.SingleRPUConfig(device=configs.ConstantStepDevice(dw_min_dtod=0.0))
    tile = AnalogTile(20, 20, config, seed=1)
    for lr in (0.002, 0.02, 0.5):
        lengths = work.train_lengths(x, d, lr, config.device.granularity, 31)
        for sample, length in enumerate(lengths):
            array = tile.cell.array
            stats = array.update(
                tile.weight.data,
                torch.from_numpy(x[sample : sample + 1]),
                torch.from_numpy(d[sample : sample + 1]),
                torch.tensor([lr]),
                config.update.compiled(config.device.granularity),
            )
            assert stats.slots == length


def test_a_sample_of_zeros_has_no_train():
    assert work.train_lengths(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32), 0.1, 0.001, 31) == [0]


def test_product_work_counts_every_multiplication():
    inputs_, outputs, batch = 5, 7, 3
    operations = sum(2 for _ in itertools.product(range(inputs_), range(outputs), range(batch)))
    operations += sum(work.INPUT_OPERATIONS for _ in itertools.product(range(inputs_), range(batch)))
    operations += sum(work.OUTPUT_OPERATIONS for _ in itertools.product(range(outputs), range(batch)))
    found = work.product_work(inputs_, outputs, batch)
    assert found.operations == operations
    assert found.moved == 4 * (inputs_ * outputs + batch * inputs_ + batch * outputs)
    assert found.normals == outputs * batch


def test_update_work_against_a_walk_over_everything():
    """Pulses laid down at random, everything a walk over them touches counted. Shares of touched lines are Poisson
    estimates: with 640 lines of 16 their count has a deviation below sqrt(640) / 2 < 13; seven of them allowed."""
    rows, cols, lengths, pulses = 64, 160, [3, 5, 8], 700
    draw = np.random.default_rng(1)
    hit = np.zeros(rows * cols, dtype=int)
    words = operations = normals = 0
    for length in lengths:
        for _line in range(rows + cols):
            words += length
    for place in draw.integers(0, rows * cols, pulses):
        hit[place] += 1
        normals += 1
        operations += work.PULSE_OPERATIONS["SoftBoundsDevice"]
    lines = int(hit.reshape(-1, work.LINE).any(axis=1).sum())
    trains = sum(8 for _line in range(rows + cols)) * sum(lengths) / 32
    found = work.update_work("SoftBoundsDevice", rows, cols, lengths, pulses, 5, 1)
    assert (found.words, found.normals) == (words, normals)
    search = found.operations - operations
    assert search == min(2 * pulses, 2 * rows * cols * sum(lengths) / 32)
    touched = (found.moved - trains) / (work.LINE * 4 * 6)
    assert touched == pytest.approx(lines, abs=7 * math.sqrt(640) / 2)


def test_counted_updates_need_fewer_normals_than_pulses():
    one_by_one = work.update_work("ConstantStepDevice", 32, 32, [7] * 64, 50_000, 5, 1)
    counted = work.counted_update_work(32, 32, [7] * 64, 50_000, 5)
    assert counted.normals <= 32 * 32 < one_by_one.normals
    assert counted.moved == one_by_one.moved
    assert counted.words == one_by_one.words


def test_trace_work_counts_pulse_by_pulse():
    devices, pulses = 11, 6
    steps = sum(1 for _ in itertools.product(range(devices), range(pulses)))
    found = work.trace_work("SoftBoundsDevice", devices, pulses, 5)
    assert found.normals == steps
    assert found.operations == work.PULSE_OPERATIONS["SoftBoundsDevice"] * steps
    assert found.moved == 4 * devices * (pulses + 1) + 4 * devices * 5


@pytest.mark.parametrize("mean", [0.05, 0.8, 3.6, 30.0])
def test_lanes_in_use_against_drawn_pulses(mean):
    """Largest of eight Poisson counts over 200,000 vectors: its mean has a relative deviation below 0.005 throughout,
    seven of which are allowed (false alarms below 1e-6)."""
    counts = np.random.default_rng(2).poisson(mean, (200_000, 8))
    assert work.lanes_in_use(mean) == pytest.approx(mean / counts.max(axis=1).mean(), rel=0.035)


def test_lanes_without_pulses_are_idle():
    assert work.lanes_in_use(0.0) == 0.0


@pytest.mark.parametrize(
    ("name", "spread", "planes"),
    [
        ("ConstantStepDevice", True, (5, 1)),
        ("ConstantStepDevice", False, (1, 1)),
        ("SoftBoundsReferenceDevice", True, (6, 2)),
    ],
)
def test_planes_are_the_tensors_a_crosspoint_has(name, spread, planes):
    fields = device(name)
    if not spread:
        fields |= {key: 0.0 for key in fields if key.endswith("_dtod")}
    assert table._planes(build_tile({"device": fields, "size": 8})) == planes


@pytest.mark.parametrize("kind", kernels.RATE_KINDS)
def test_exercises_do_their_work(kind):
    buffer = torch.full((4096,), -2.0)
    kernels.exercise(kind, buffer, 4096)
    changed = {"change": 2.0, "write": 1.0}.get(kind, -2.0)
    assert torch.equal(buffer, torch.full((4096,), changed))


def test_an_exercise_never_leaves_its_buffer():
    with pytest.raises(ValueError, match="holds 10 elements"):
        kernels.exercise("write", torch.zeros(10), 100)


def test_every_named_row_is_a_case():
    assert set(table.NAMES) <= {case.name for case in all_cases()}


def test_the_command_prints_a_row_for_a_kernel(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "NAMES", ("trace 5 devices x 400 pulses",))
    monkeypatch.setattr(table.standings, "__defaults__", (table.NAMES,))
    target = tmp_path / "roofline.json"
    assert cli.main(["bench", "--roofline", "--seconds", "0.01", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert "normal numbers/s" in out
    (row,) = json.loads(target.read_text())["rows"]
    assert row["bound"] == max(row["seconds"].values())
    assert row["fraction"] == pytest.approx(row["bound"] / row["measured"])
    assert row["fraction"] >= 0.5 or row["why"]
