"""What keeping a run costs: a training step of a run with its store, metrics, events and checkpoints, over a bare loop.

Both sides train the tutorial network at batch 5 for three epochs of the 6,000 bundled digits, as the studio does when
nothing else is asked for, on one thread, with the same kernels and the same images; they take turns. The bare loop is
the shortest that trains: batch, forward, loss, backward, step. The run's side is everything between its start and its
end but the evaluation on the test images, which a bare loop would need as well: what it takes to note metrics, look
for a wish to stop, count pulses, and write snapshots, ledger and checkpoint.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from statistics import median
from unittest import mock

import torch
from torch import nn

from tilewright.data import Dataset
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import DataSource, RunSpec, RunStore, build_network, recommended_config, trainer
from tilewright.runs.execution import execute_run
from tilewright.runs.trainer import epoch_order, make_optimizer

BATCH = 5
ALGORITHMS = ("fp", "sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp")


def specification(algorithm: str, epochs: int = 3) -> RunSpec:
    """The tutorial network on the bundled digits."""
    return RunSpec(
        data=DataSource(name="mnist-small"),
        rpu_config=recommended_config(algorithm, TutorialRRAMPresetDevice()),
        epochs=epochs,
        batch_size=BATCH,
    )


def bare_loop(spec: RunSpec, dataset: Dataset) -> float:
    """Seconds of CPU of a loop that does nothing but train."""
    model = build_network(spec)
    optimizer = make_optimizer(model, spec)
    start = time.thread_time()
    for epoch in range(spec.epochs):
        order = epoch_order(spec.seeds.data, epoch, len(dataset.train_labels))
        for first in range(0, len(order), spec.batch_size):
            batch = order[first : first + spec.batch_size]
            optimizer.zero_grad()
            output = model(dataset.train_images[batch])
            nn.functional.nll_loss(output, dataset.train_labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return time.thread_time() - start


class _Watch:
    """CPU time between the first and the last event of a run, without evaluations."""

    def __init__(self) -> None:
        self.evaluating = 0.0
        self.began = 0.0

    def evaluate(self, call: Callable[..., dict[str, float]], *args: object) -> dict[str, float]:
        start = time.thread_time()
        found = call(*args)
        self.evaluating += time.thread_time() - start
        return found


def kept_run(spec: RunSpec, store: RunStore) -> float:
    """Seconds of CPU of the same training as a run of a store."""
    watch, evaluate, events = _Watch(), trainer.evaluate, trainer._Training.events
    run = store.add(spec.completed())

    def begun(training: trainer._Training):  # type: ignore[no-untyped-def]
        watch.began = time.thread_time()
        yield from events(training)

    with (
        mock.patch.object(trainer, "evaluate", lambda *args: watch.evaluate(evaluate, *args)),
        mock.patch.object(trainer._Training, "events", begun),
    ):
        state = execute_run(store, run.id, "benchmark")
    spent = time.thread_time() - watch.began - watch.evaluating
    if state != "finished":
        raise RuntimeError(f"the run ended as {state}: {store.get(run.id).message}")
    return spent


def overhead(algorithm: str, rounds: int, epochs: int = 3) -> tuple[float, float]:
    """Milliseconds of a step, bare and kept: medians over the rounds."""
    spec = specification(algorithm, epochs)
    dataset = spec.data.load()
    steps = spec.steps_per_epoch(len(dataset.train_labels)) * spec.epochs
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(folder)
        times = [(bare_loop(spec, dataset), kept_run(spec, store)) for _ in range(rounds)]
        store.close()
    bare, kept = (median(side) / steps * 1e3 for side in zip(*times, strict=True))
    return bare, kept


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(ALGORITHMS), choices=ALGORITHMS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| algorithm | bare step, ms | step of a run, ms | overhead |")
    print("|---|---|---|---|")
    for name in options.only:
        bare, kept = overhead(name, options.rounds)
        print(f"| {name} | {bare:.3f} | {kept:.3f} | {100 * (kept / bare - 1):.1f} % |", flush=True)


if __name__ == "__main__":
    main()
