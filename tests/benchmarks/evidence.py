"""What the yardsticks record: a grid of cases and seeds as JSON, and means over the seeds with their intervals."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from tilewright.data import Dataset
from tilewright.parameters import Parameters
from tilewright.runs import RunSpec, train

RESULTS = Path(__file__).resolve().parent / "results"
TENTHS = 10
WRITE_EVERY = 2.0  # seconds between writes of the results, at least

Entry = dict[str, Any]
Results = dict[str, list[Entry]]


def mean_and_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Mean, and half the width of its t interval: the true mean lies within with probability ``level``.

    The half width is nan for fewer than two values.
    """
    found = np.asarray(values, dtype=float)
    if found.size < 2:
        return float(found.mean()), float("nan")
    error = float(found.std(ddof=1)) / found.size**0.5
    return float(found.mean()), float(stats.t.ppf(0.5 + level / 2, found.size - 1)) * error


def as_text(values: Sequence[float], digits: int = 1, scale: float = 1.0) -> str:
    """``mean ± half width`` of values times ``scale``."""
    mean, half = mean_and_interval([scale * value for value in values])
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")


def digest_of(*parts: object) -> str:
    """SHA-256 of what decides a figure; every field of parameters counts, so that a new default asks for new runs."""
    texts = [part.to_yaml(full=True) if isinstance(part, Parameters) else repr(part) for part in parts]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def run_digest(spec: RunSpec, dataset: Dataset) -> str:
    """:func:`digest_of` a run; the folder of the images does not count."""
    length = (spec.learning_rate, spec.epochs, spec.batch_size, spec.train_limit)
    return digest_of(spec.rpu_config, spec.network, spec.lr_schedule, length, spec.seeds, dataset.checksum)


def training_run(spec: RunSpec, dataset: Dataset) -> Entry:
    """Test accuracy after each epoch, mean loss of each tenth of the run, and the time it took.

    A run whose loss stops being finite counts as a test accuracy of 0.
    """
    start = time.process_time()
    accuracy: list[float] = []
    losses: list[tuple[int, float]] = []
    failed = ""
    for event in train(spec, dataset, checkpoint_seconds=1e9):
        if event.kind == "step":
            losses.append((event.step, event.values["loss"]))
        elif event.kind == "epoch":
            accuracy.append(event.values["test_accuracy"])
        elif event.kind == "failed":
            failed = event.message
    entry: Entry = {
        "seed": spec.seeds.weights,
        "digest": run_digest(spec, dataset),
        "test_accuracy": accuracy or [0.0],
        "loss_by_tenth": by_tenth(losses),
        "cpu_seconds": round(time.process_time() - start, 1),
    }
    return entry | ({"failed": failed, "test_accuracy": [0.0]} if failed else {})


def by_tenth(losses: list[tuple[int, float]]) -> list[float]:
    """Mean loss of each tenth of a run, from (step, loss) pairs with steps counted from 1."""
    if not losses:
        return []
    steps = np.array([step for step, _ in losses])
    values = np.array([loss for _, loss in losses])
    tenth = np.minimum((steps - 1) * TENTHS // steps[-1], TENTHS - 1)
    return [round(float(values[tenth == k].mean()), 3) for k in range(TENTHS) if (tenth == k).any()]


def stored(name: str) -> Results:
    """What a yardstick recorded under a name; nothing before its first run."""
    path = RESULTS / f"{name}.json"
    found: Results = json.loads(path.read_text()) if path.is_file() else {}
    return found


def last_accuracies(entries: Iterable[Entry]) -> list[float]:
    """Test accuracy at the end of each run."""
    return [float(entry["test_accuracy"][-1]) for entry in entries]


def record(
    cases: Sequence[str],
    seeds: Sequence[int],
    digest: Callable[[str, int], str],
    run: Callable[[str, int], Entry],
    out: Path | None,
) -> Results:
    """Run every case with every seed, seed by seed, and write the results as they come.

    What ``out`` already holds under the same case, seed and digest of the settings is kept and not run again.
    """
    results: Results = json.loads(out.read_text()) if out is not None and out.is_file() else {}
    written = time.monotonic()
    try:
        for seed in seeds:
            for case in cases:
                wanted = digest(case, seed)
                entries = results.setdefault(case, [])
                if any(entry["seed"] == seed and entry["digest"] == wanted for entry in entries):
                    continue
                found = run(case, seed)
                brief = {key: value for key, value in found.items() if not isinstance(value, list) and key != "digest"}
                brief |= {"test_accuracy": found["test_accuracy"]} if "test_accuracy" in found else {}
                print(f"{case}: {json.dumps(brief)}", flush=True)
                others = [entry for entry in entries if entry["seed"] != seed]
                results[case] = sorted([*others, found], key=lambda entry: int(entry["seed"]))
                if out is not None and time.monotonic() - written > WRITE_EVERY:
                    out.write_text(as_json(results))
                    written = time.monotonic()
    finally:
        if out is not None:
            out.write_text(as_json(results))
    return {case: [entry for entry in results[case] if entry["seed"] in seeds] for case in cases}


def record_runs(found: argparse.Namespace, specification: Callable[[str, int], RunSpec], data: Dataset) -> Results:
    """:func:`record` training runs as the command line asks, and print a table of their test accuracies."""
    results = record(
        found.cases,
        found.seeds,
        lambda case, seed: run_digest(specification(case, seed), data),
        lambda case, seed: training_run(specification(case, seed), data),
        found.out,
    )
    print_accuracies(results)
    return results


def outside(means: dict[str, float], bars: dict[str, tuple[float, float]], unit: str = "") -> list[str]:
    """The means that are not between the lowest and highest of their bar, one sentence each."""
    return [
        f"{case}: {means[case]:.3g}{unit} is not within {low:g} to {high:g}{unit}"
        for case, (low, high) in bars.items()
        if case in means and not low <= means[case] <= high
    ]


def mean_accuracies(results: Results) -> dict[str, float]:
    """Mean over the seeds of the test accuracy at the end of each case that was run."""
    return {case: mean_and_interval(last_accuracies(entries))[0] for case, entries in results.items() if entries}


def short_of_seeds(results: Results, cases: Iterable[str], least: int = 3) -> list[str]:
    """Which cases have fewer seeds behind their mean than asked, one sentence each; none at all counts too."""
    seeds = {case: len({entry["seed"] for entry in results.get(case, [])}) for case in cases}
    return [f"{case}: {n} seeds stand behind the mean, not {least}" for case, n in seeds.items() if n < least]


def as_json(results: Results) -> str:
    """Results as JSON with one run a line."""
    cases = []
    for case, entries in results.items():
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        cases.append(f" {json.dumps(case)}: [\n{lines}\n ]")
    return "{\n" + ",\n".join(cases) + "\n}\n"


def options(
    description: str | None,
    name: str,
    cases: Sequence[str],
    seeds: Sequence[int] = (1, 2, 3),
    **extra: dict[str, Any],
) -> argparse.Namespace:
    """Command line of a yardstick: ``--seeds``, ``--cases``, ``--quick``, ``--out`` and what it adds itself."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    parser.add_argument("--cases", nargs="+", choices=cases, default=list(cases), metavar="CASE", help=", ".join(cases))
    parser.add_argument("--quick", action="store_true", help="a size for a first look; not comparable with the bars")
    parser.add_argument("--out", type=Path, help=f"JSON file; results/{name}.json unless --quick")
    for flag, settings in extra.items():
        parser.add_argument(f"--{flag}", **settings)
    found = parser.parse_args()
    if found.out is None and not found.quick:
        found.out = RESULTS / f"{name}.json"
    torch.set_num_threads(1)
    return found


def print_accuracies(results: Results) -> None:
    """A Markdown table of test accuracies in percent."""
    print("\n| case | test accuracy in %, mean of seeds | each seed | CPU s |\n|---|---|---|---|")
    for case, entries in results.items():
        last = last_accuracies(entries)
        each = ", ".join(f"{100 * value:.1f}" for value in last)
        seconds = np.mean([float(entry["cpu_seconds"]) for entry in entries])
        print(f"| {case} | {as_text(last, scale=100)} | {each} | {seconds:.0f} |")
