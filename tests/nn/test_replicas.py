"""Two processes that train replicas of one model over gloo: what they hold stays equal to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nn.replica_worker import STEPS, build, cases, train
from tilewright.nn import prepare_for_ddp

WORKER = Path(__file__).with_name("replica_worker.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(WORKER.parents[1]), environment.get("PYTHONPATH", "")])
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(folder)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


CASES = {name: (config, digital) for name, config, digital in cases()}


def stripped(state):
    """Without the places in the random numbers of reads, and the prefix of DistributedDataParallel."""
    return {
        name.removeprefix("module."): value for name, value in state.items() if not name.endswith("tile._extra_state")
    }


@pytest.mark.parametrize("name", CASES)
def test_replicas_hold_the_same_bits_after_every_step(results, name):
    left, right = (result[name] for result in results)
    assert len(left) == len(right) == STEPS
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []
    weights = [key for key in left[0] if key.endswith("weight")]
    assert all(not torch.equal(left[0][key], left[-1][key]) for key in weights), "nothing was trained"


@pytest.mark.parametrize("name", [name for name, (_, digital) in CASES.items() if not digital])
def test_replicas_are_one_process_with_the_whole_batch_where_reads_are_exact(results, name):
    config, digital = CASES[name]
    whole = train(build(config, digital, seed=0), 0, 1)
    for one, other in zip(whole, results[1][name], strict=True):
        one, other = stripped(one), stripped(other)
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_replicas_of_exact_tiles_train_as_one_process(results):
    config, digital = CASES["floating point"]
    whole = stripped(train(build(config, digital, seed=0), 0, 1)[-1])
    parts = stripped(results[0]["floating point"][-1])
    for key, value in whole.items():
        assert torch.allclose(value.float(), parts[key].float(), atol=1e-5), key


def test_uneven_batches_and_idle_processes(results):
    for one, other in zip(results[0]["uneven"], results[1]["uneven"], strict=True):
        assert torch.equal(one, other)


def test_each_process_reads_with_noise_of_its_own(results):
    assert not torch.equal(results[0]["reads"], results[1]["reads"])


def test_forgetting_to_prepare_is_told_and_independent_models_may_train(results):
    assert "2 processes train, and 2 tiles are not prepared" in results[0]["unprepared"]
    ends = [result["independent"][-1]["0.tile.weight"] for result in results]
    assert not torch.equal(*ends)


def test_there_must_be_processes():
    with pytest.raises(RuntimeError, match="init_process_group"):
        prepare_for_ddp(build(CASES["floating point"][0], False, 0))
