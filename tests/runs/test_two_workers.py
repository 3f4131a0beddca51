"""A sweep over worker processes that were started from the command line, as other hosts would start them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from runs.recipes import small_spec
from tilewright.runs import DaskEngine, Grid, RunStore, Variation

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def started(*command, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def killed(process):
    for child in psutil.Process(process.pid).children(recursive=True):
        child.send_signal(signal.SIGKILL)
    process.kill()
    process.wait()


def is_training(store, process):
    """Whether the worker is in the middle of a run."""
    family = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    running = [row for row in store.list(["running"]) if 0 < row.step < row.total_steps]
    return any(int(row.worker.partition("@")[0]) in family for row in running)


def wait_until(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_sweep_of_forty_runs_survives_a_killed_worker(tmp_path, monkeypatch):
    place = tmp_path / "scheduler.json"
    scheduler = started(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
        "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(place),
    )  # fmt: skip
    wait_until(place.exists, 60)
    address = json.loads(place.read_text())["address"]
    workers = [started("tilewright.cli", "worker", address, "--workers", "1") for _ in range(2)]
    monkeypatch.setenv("TILEWRIGHT_SCHEDULER", address)
    store = RunStore(tmp_path / "workspace")
    plan = Grid(
        base=small_spec("mp", epochs=1, train_limit=500), seeds=5,
        variations=[
            Variation(field="learning_rate", values=[0.05, 0.1, 0.2, 0.4]),
            Variation(field="batch_size", values=[5, 10]),
        ],
    )  # fmt: skip
    try:
        with DaskEngine(store, checkpoint_seconds=0.2) as engine:
            begin = time.monotonic()
            runs = engine.submit_all(plan.specs(), "forty")
            wait_until(lambda: sum(row.state == "finished" for row in store.list()) >= 8)
            wait_until(lambda: is_training(store, workers[0]))
            killed(workers[0])
            rows = [engine.wait(run_id, 300) for run_id in runs]
            took = time.monotonic() - begin
        assert [row.state for row in rows] == ["finished"] * 40, "none is lost"
        assert len({row.digest for row in store.list()}) == len(store.list()) == 40, "none is there twice"
        for row in rows:
            counts = Counter((found.name, found.step) for found in store.metrics(row.id))
            assert set(counts.values()) == {1}
            assert [found.step for found in store.metrics(row.id, ["test_accuracy"])] == [row.total_steps]
        again = sum(row.attempt > 1 for row in rows)
        assert 1 <= again <= 2, "only what the killed worker was at begins again"
        spent = sum(row.results["cpu_seconds"] for row in rows)
        print(f"{took:.1f} s for 40 runs of {spent / 40:.2f} s each, {again} begun again")
    finally:
        for process in (*workers, scheduler):
            if process.poll() is None:
                killed(process)
        store.close()
