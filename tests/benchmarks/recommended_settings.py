"""Whether the recommended settings learn: every algorithm on every published device, 8 x 8 digits.

    python tests/benchmarks/recommended_settings.py [--seeds 1 2 3] [--cases ...] [--quick] [--validation]

A 64-32-10 network (tanh) sees the 1,433 training digits for six epochs at batch 5, with what ``recommend``
gives for the algorithm and the device, and is then tested on 364 others on the same noisy hardware. ``--validation``
takes the last fifth of the training digits for testing instead and leaves the test digits alone: the rules of
``recommend`` were chosen that way.
"""

from __future__ import annotations

import dataclasses

from evidence import options, record_runs

from tilewright.data import Dataset, load_dataset
from tilewright.presets import DEVICE_PRESETS
from tilewright.runs import RunSpec
from tilewright.runs.networks import Perceptron
from tilewright.runs.recommended import Recommendation, recommend, recommended_names
from tilewright.runs.spec import DataSource, Seeds

PRESETS = {name.removesuffix("PresetDevice"): preset for name, preset in DEVICE_PRESETS.items()}
EPOCHS = 6
LEARNS = 0.80  # test accuracy from which a run counts as one that learned; floating point reaches 0.93
CASES = ["fp", *[f"{algorithm}, {preset}" for preset in PRESETS for algorithm in recommended_names()[1:]]]


def advice(case: str) -> Recommendation:
    """What is recommended for a case."""
    algorithm, _, preset = case.partition(", ")
    return recommend(algorithm, PRESETS[preset or "Idealized"])


def specification(found: Recommendation, seed: int, epochs: int = EPOCHS) -> RunSpec:
    """The run as data."""
    return RunSpec(
        name=f"{found.algorithm}, seed {seed}",
        data=DataSource(name="digits8x8"),
        network=Perceptron(layer_sizes=[64, 32, 10], activation="Tanh"),
        rpu_config=found.rpu_config,
        learning_rate=found.learning_rate,
        lr_schedule=found.lr_schedule,
        epochs=epochs,
        batch_size=5,
        seeds=Seeds(data=seed, weights=seed, devices=seed),
    )


def held_out(data: Dataset) -> Dataset:
    """The training digits alone: four fifths to learn from, the last fifth to choose settings by."""
    cut = len(data.train_labels) * 4 // 5
    return dataclasses.replace(
        data,
        train_images=data.train_images[:cut],
        train_labels=data.train_labels[:cut],
        test_images=data.train_images[cut:],
        test_labels=data.train_labels[cut:],
    )


def main() -> None:
    """Run the grid and print the table."""
    validation = {"action": "store_true", "help": "test on a fifth of the training digits"}
    found = options(__doc__, "recommended_settings", CASES, validation=validation)
    if found.validation:
        found.out = None
    data = load_dataset("digits8x8")
    data = held_out(data) if found.validation else data
    epochs = 2 if found.quick else EPOCHS

    record_runs(found, lambda case, seed: specification(advice(case), seed, epochs), data)


if __name__ == "__main__":
    main()
