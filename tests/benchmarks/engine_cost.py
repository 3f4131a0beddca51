"""What the engine adds to a run, and how long it takes to draw what a store holds.

    python tests/benchmarks/engine_cost.py [--runs 40] [--workers 2]

Runs of one epoch over ten of the bundled 8x8 digits train in no time: handed to the engine together, they show what
handing over, starting, storing and finishing cost, against the same runs trained one after the other in this process.
Then 100,000 stored values of 25 runs are read and drawn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing

import numpy as np
import torch

from tilewright.configs import FloatingPointRPUConfig
from tilewright.figures import Curve, plot_losses
from tilewright.runs import DataSource, RunSpec, RunStore
from tilewright.runs.dask_engine import DaskEngine
from tilewright.runs.execution import execute_run
from tilewright.runs.spec import Perceptron, Seeds

RUNS_DRAWN, VALUES = 25, 4000


def short_run(seed: int) -> RunSpec:
    """A run whose training takes no time."""
    return RunSpec(
        data=DataSource(name="digits8x8"),
        network=Perceptron(layer_sizes=[64, 10]),
        rpu_config=FloatingPointRPUConfig(),
        epochs=1,
        train_limit=10,
        seeds=Seeds(weights=seed),
    )


def seconds_in_this_process(n: int) -> float:
    """Seconds a run, trained one after the other with the same store and nothing between."""
    with tempfile.TemporaryDirectory() as folder, closing(RunStore(folder)) as store:
        ids = [store.add(short_run(seed).completed()).id for seed in range(n)]
        start = time.perf_counter()
        for run_id in ids:
            if execute_run(store, run_id, "benchmark") != "finished":
                raise RuntimeError(store.get(run_id).message)
        return (time.perf_counter() - start) / n


def seconds_by_the_engine(n: int, workers: int) -> tuple[float, float]:
    """Seconds until an engine that starts has trained its first run, and seconds a run of the n after it."""
    with tempfile.TemporaryDirectory() as folder, closing(RunStore(folder)) as store:
        engine = DaskEngine(store, n_workers=workers)
        try:
            start = time.perf_counter()
            _finished(engine, engine.submit_all([short_run(1000 + k) for k in range(workers)]))
            started = time.perf_counter() - start
            start = time.perf_counter()
            _finished(engine, engine.submit_all([short_run(seed) for seed in range(n)]))
            return started, (time.perf_counter() - start) / n
        finally:
            engine.close()
            engine.stop_cluster()


def _finished(engine: DaskEngine, ids: list[str]) -> None:
    for run_id in ids:
        row = engine.wait(run_id, 300)
        if row.state != "finished":
            raise RuntimeError(f"{row.state}: {row.message}")


def seconds_to_draw() -> float:
    """Seconds to read 100,000 values of 25 runs and make the figure of the Train page."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder, closing(RunStore(folder)) as store:
        ids = []
        for seed in range(RUNS_DRAWN):
            ids.append(store.add(short_run(seed).completed()).id)
            claim = store.claim(ids[-1], "benchmark", {})
            assert claim is not None
            losses = 2.3 * np.exp(-np.arange(VALUES) / VALUES) + 0.1 * random.random(VALUES)
            store.record(claim, [("loss", step, float(loss)) for step, loss in enumerate(losses)])
        start = time.perf_counter()
        curves = []
        for run_id in ids:
            values = store.metrics(run_id, ["loss"])
            curves.append(Curve(run_id, "sgd", [v.step for v in values], [v.value for v in values]))
        plot_losses(curves, smooth=15, log_y=True).to_json()
        return time.perf_counter() - start


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    found = parser.parse_args()
    torch.set_num_threads(1)
    here = seconds_in_this_process(found.runs)
    started, engine = seconds_by_the_engine(found.runs, found.workers)
    print(f"a run in this process: {1e3 * here:.0f} ms")
    print(
        f"a run by the engine: {1e3 * engine:.0f} ms with {found.workers} workers; its first ones after {started:.1f} s"
    )
    print(f"{RUNS_DRAWN * VALUES:,} values read and drawn: {seconds_to_draw():.2f} s")


if __name__ == "__main__":
    main()
