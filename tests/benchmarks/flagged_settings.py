"""Do settings that are warned about fail, and the others learn? Every whole-tile preset, trained on a toy.

    python tests/benchmarks/flagged_settings.py [--seeds 1 2 3] [--epochs 4] [--only TTv2] [--out FILE]

A 64-16-10 network with tanh on the 8 x 8 digits, batch 5, learning rate 0.1 (SGD also 0.01), and the tutorial device
with its recommended settings over a range of ``auto_granularity``. For each setting: what ``advise_run`` says, and the
test accuracy after the last epoch, mean and range over the seeds. Prints a Markdown table; ``--out`` keeps every figure
as JSON. About three minutes of CPU time a seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tilewright.configs import FloatingPointRPUConfig, RPUConfig
from tilewright.data import load_dataset
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import DataSource, Perceptron, RunSpec, Seeds, advise_run, recommend, train
from tilewright.tile_presets import TILE_PRESETS

GRADES = ("cannot learn", "poor")
EPOCHS = 4
GRANULARITIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 100_000.0)


def settings() -> Iterator[tuple[str, RPUConfig, float]]:
    """Name, tile and learning rate of everything that is trained."""
    yield "floating point", FloatingPointRPUConfig(), 0.1
    for rate in (0.1, 0.01):
        yield f"SGD, tutorial device, rate {rate:g}", recommend("sgd", TutorialRRAMPresetDevice()).rpu_config, rate
    for granularity in GRANULARITIES:
        config = recommend("ttv2", TutorialRRAMPresetDevice()).rpu_config
        config.device.auto_granularity = granularity  # type: ignore[attr-defined]
        yield f"TTv2, tutorial device, granularity {granularity:g}", config, 0.1
    for name, preset in TILE_PRESETS.items():
        if preset.family in ("2 devices", "4 devices"):
            continue  # as with one device
        yield name, preset.config(), 0.1
        if preset.family in ("single", "pair"):
            yield f"{name}, rate 0.01", preset.config(), 0.01


def specification(config: RPUConfig, rate: float, seed: int, epochs: int) -> RunSpec:
    """The run as data."""
    return RunSpec(
        data=DataSource(name="digits8x8"),
        network=Perceptron(layer_sizes=[64, 16, 10], activation="Tanh"),
        rpu_config=config,
        learning_rate=rate,
        epochs=epochs,
        seeds=Seeds(data=seed, weights=seed, devices=seed),
    )


def said_of(spec: RunSpec) -> dict[str, list[str]]:
    """Names of the findings on a run, by grade."""
    found = [item.finding for item in advise_run(spec)]
    return {grade: sorted({f.check for f in found if f.severity.value == grade}) for grade in ("cannot learn", "poor")}


def accuracy_of(spec: RunSpec) -> float:
    """Test accuracy after the last epoch; chance when it diverged."""
    last = 0.1
    for event in train(spec, load_dataset("digits8x8")):
        last = event.values.get("test_accuracy", last)
        if event.kind == "failed":
            return 0.1
    return last


def main() -> None:
    """Train everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--only", default="", help="names that hold this text")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = []
    print("| setting | test accuracy, % | cannot learn | poor |\n| --- | --- | --- | --- |")
    for name, config, rate in settings():
        if options.only not in name:
            continue
        specs = [specification(config, rate, seed, options.epochs) for seed in options.seeds]
        values = [100 * accuracy_of(spec) for spec in specs]
        said = said_of(specs[0])
        spread = f" ({min(values):.0f}-{max(values):.0f})" if len(values) > 1 else ""
        print(
            f"| {name} | {np.mean(values):.0f}{spread} | {' | '.join(', '.join(said[g]) for g in said)} |", flush=True
        )
        kept.append({"setting": name, "accuracy": values, **said})
    if options.out:
        options.out.write_text(
            json.dumps({"epochs": options.epochs, "seeds": options.seeds, "settings": kept}, indent=1)
        )


if __name__ == "__main__":
    main()
