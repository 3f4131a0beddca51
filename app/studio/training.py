"""Runs as the pages show them: labels, curves, tables, and the specifications a choice of algorithms stands for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from studio.devices import as_model
from studio.numbers import duration
from studio.workspace import workspace
from tilewright.configs import RPUConfig
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import Curve, algorithm_label
from tilewright.figures.palette import algorithm_key
from tilewright.figures.probe import visible_device
from tilewright.parameters import ParameterError
from tilewright.runs import (
    DataSource,
    DropSchedule,
    Network,
    Perceptron,
    RunRow,
    RunSpec,
    Seeds,
    recommend,
)

STATE_ICONS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_arrow:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/stop_circle:",
}


def run_label(row: RunRow) -> str:
    """How a run is listed."""
    return f"{row.name} · {time.strftime('%d %b %H:%M', time.localtime(row.created))}"


def curves_of(rows: Iterable[RunRow], metric: str) -> list[Curve]:
    """One metric of several runs against the images seen; accuracies in per cent."""
    curves = []
    scale = 100.0 if metric.endswith("accuracy") else 1.0
    for row in rows:
        values = workspace().runs.metrics(row.id, names=[metric])
        images = row.spec.batch_size
        curves.append(
            Curve(row.name, row.algorithm, [v.step * images for v in values], [v.value * scale for v in values])
        )
    return curves


def accuracies(rows: Iterable[RunRow]) -> dict[str, list[float]]:
    """Test accuracy in per cent of the runs of each algorithm, by the algorithm's short name."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.test_accuracy is not None:
            found.setdefault(algorithm_key(row.algorithm), []).append(100 * row.test_accuracy)
    return found


def comparison_table(rows: Iterable[RunRow]) -> pd.DataFrame:
    """Loss, accuracy, time and settings of each run."""
    return pd.DataFrame([_table_row(row) for row in rows])


def _table_row(row: RunRow) -> dict[str, Any]:
    spec = row.spec
    device = visible_device(spec.rpu_config) if spec.rpu_config is not None else None
    return {
        "Run": row.name,
        "Algorithm": algorithm_label(row.algorithm),
        "State": row.state,
        "Test accuracy (%)": None if row.test_accuracy is None else round(100 * row.test_accuracy, 1),
        "Training loss": None if row.loss is None else float(f"{row.loss:.3g}"),
        "Time": duration(row.seconds),
        "Pulses": _pulses(row),
        "Device": type(device).__name__ if device is not None else "none",
        "Step": None if device is None else device.dw_min,
        "Data": spec.data.name,
        "Images": spec.train_limit or "all",
        "Network": spec.network.describe(),
        "Learning rate": spec.learning_rate,
        "Epochs": spec.epochs,
        "Batch": spec.batch_size,
        "Seed": spec.seeds.weights,
    }


def _pulses(row: RunRow) -> float | None:
    found = workspace().runs.metrics(row.id, names=["pulses"])
    return found[-1].value if found else None


def layer_sizes(text: str) -> list[int]:
    """``784-256-128-10`` as numbers."""
    parts = [part.strip() for part in text.replace(",", "-").split("-")]
    if len(parts) < 2 or not all(part.isdigit() for part in parts):
        raise ParameterError(f"layers {text!r}: write the neurons of each layer, for example 784-256-128-10")
    return [int(part) for part in parts]


def network_of(text: str, activation: str) -> Network:
    """A perceptron from its layers in words."""
    return Perceptron(layer_sizes=layer_sizes(text), activation=activation)


def make_specs(
    algorithms: Sequence[str],
    tiles: Sequence[str],
    device_name: str,
    device: PulsedDevice,
    *,
    data: DataSource,
    network: Network,
    epochs: int,
    batch_size: int,
    train_limit: int,
    n_seeds: int,
    learning_rate: float | None = None,
) -> list[RunSpec]:
    """A run for each algorithm or tile and each seed.

    Args:
        algorithms: short names; their settings are the recommended ones for ``device``.
        tiles: names of the workspace's own tiles.
        device_name: how the device is called in the names of the runs.
        device: what the algorithms run on.
        data: images.
        network: what is trained.
        epochs: passes over the images.
        batch_size: images per step.
        train_limit: images taken; 0 is all.
        n_seeds: repetitions of each, with other initial weights, devices and order of images.
        learning_rate: overrides the recommended one.
    """
    short = device_name.removesuffix("PresetDevice")
    entries: list[tuple[str, RPUConfig, float, Any]] = []
    for name in algorithms:
        advice = recommend(name, as_model(device))
        label = algorithm_label(name) if name == "fp" else f"{algorithm_label(name)}, {short}"
        entries.append((label, advice.rpu_config, advice.learning_rate, advice.lr_schedule))
    entries += [(name, workspace().tiles.load(name), 0.1, DropSchedule()) for name in tiles]
    if not entries:
        raise ParameterError("nothing is chosen to train; pick at least one algorithm or tile")
    specs = []
    for label, config, rate, schedule in entries:
        for seed in range(1, n_seeds + 1):
            specs.append(
                RunSpec(
                    name=f"{label}, seed {seed}" if n_seeds > 1 else label,
                    data=data,
                    network=network,
                    rpu_config=config,
                    learning_rate=learning_rate or rate,
                    lr_schedule=schedule,
                    epochs=epochs,
                    batch_size=batch_size,
                    train_limit=train_limit,
                    seeds=Seeds(data=seed, weights=seed, devices=seed),
                )
            )
    return specs
