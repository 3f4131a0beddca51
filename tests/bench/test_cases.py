from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch

from tilewright import configs
from tilewright.bench import inputs, ours
from tilewright.bench.cases import (
    ALGORITHMS,
    BATCHES,
    DENSITIES,
    DEVICES,
    SIZES,
    STEP,
    all_cases,
    quick_cases,
    table_cases,
)
from tilewright.bench.goals import GOALS
from tilewright.tile import AnalogTile


def test_every_goal_has_cases_and_every_case_a_goal():
    assert {case.goal for case in all_cases()} | {"two threads"} == set(GOALS)
    assert any(case.two_threads for case in all_cases() if case.kind == "update")


def test_every_size_batch_and_density_is_listed_for_every_device():
    found = {
        (c.settings["device"]["class"], c.settings["size"], c.settings["batch"], c.settings["density"])
        for c in all_cases()
        if c.kind == "update"
    }
    assert found == set(product(DEVICES, SIZES, BATCHES, DENSITIES))


def test_names_are_unique_and_messages_survive_json():
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases)
    assert all(json.loads(json.dumps(case.message())) == case.message() for case in cases)


def test_the_quick_selection_is_small_and_touches_every_kind_but_the_long_one():
    kinds = {case.kind for case in quick_cases()}
    assert kinds == {case.kind for case in all_cases()} - {"trace memory"}
    assert sum(case.expected for case in quick_cases()) < 20


def test_the_table_shows_every_goal_and_takes_a_quarter_of_an_hour():
    assert {case.goal for case in table_cases()} == {case.goal for case in all_cases()}
    assert {case.name for case in quick_cases()} <= {case.name for case in table_cases()}
    # Three turns of the reference and one to warm up, a fifth of that for ours, and some seconds for each case.
    assert sum(4 * 1.2 * case.expected + 4 for case in table_cases()) < 900


def test_start_weights_do_not_resemble_the_inputs():
    """Correlation of 64 numbers: under 0.7 but for a chance below 1e-10."""
    weights = inputs.start_weights(64, 64)
    for batch in (1, 8):
        for vectors in inputs.vectors(batch, 64, 64):
            found = np.corrcoef(np.concatenate([vectors, weights]))[:batch, batch:]
            assert np.abs(found).max() < 0.7


@pytest.mark.parametrize("name", [name for name in DEVICES if hasattr(configs, name)])
def test_devices_of_the_list_are_devices_of_ours(name):
    case = next(c for c in all_cases() if c.kind == "update" and c.settings["device"]["class"] == name)
    ours.prepare(case.kind, {**case.settings, "size": 9, "batch": 2}).call()


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name in configs.algorithm_names()])
def test_a_training_step_of_the_list_runs(algorithm):
    case = next(c for c in all_cases() if c.name == f"training step {algorithm} B=5")
    ours.prepare(case.kind, {**case.settings, "layers": [12, 6, 5, 3], "batches": 2}).call()


@pytest.mark.parametrize("density", DENSITIES)
def test_the_learning_rate_sends_the_density_it_is_named_for(density):
    """Pulses delivered over pulses asked. With the sampled x and d given, their number at each crosspoint is binomial
    with variance below its mean, but lines are shared: at most 31 slots hold all of a sample, so the sum over samples
    has a relative deviation below about 1 / sqrt(256). Seven of them: false alarms below 1e-6."""
    size, batch = 96, 256
    x, d = inputs.vectors(batch, size, size)
    device = configs.ConstantStepDevice(dw_min=STEP, dw_min_dtod=0.0)
    tile = AnalogTile(size, size, configs.SingleRPUConfig(device=device), seed=3)
    tile.update(torch.from_numpy(x), torch.from_numpy(d), inputs.learning_rate(density, STEP))
    sent = tile.cell.totals.pulses / (size * size * batch)
    asked = density * np.abs(x).mean() * np.abs(d).mean() / (inputs.MEAN_ABS_X * inputs.MEAN_ABS_D)
    assert sent == pytest.approx(asked, rel=7 / np.sqrt(batch))


def test_inputs_depend_on_their_size_alone_and_fingerprints_tell_them_apart():
    once, again = inputs.vectors(3, 4, 5), inputs.vectors(3, 4, 5)
    assert inputs.fingerprint(*once) == inputs.fingerprint(*again)
    assert inputs.fingerprint(*once) != inputs.fingerprint(*inputs.vectors(3, 5, 4))


def test_ramps_go_up_and_come_back():
    pulses = inputs.ramps(400, 2)
    assert len(pulses) == 400
    assert pulses.cumsum().max() == 100
    assert pulses.sum() == 0
