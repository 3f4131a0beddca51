"""Small runs that tests train, and how their results are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import DataSource, MetricRow, Perceptron, RunSpec, Seeds, recommend

ALGORITHMS = ("digital", "fp", "sgd", "mp", "ttv2", "c-ttv2")


def small_spec(algorithm: str = "digital", **fields: Any) -> RunSpec:
    """A 64-16-10 network on the 8 x 8 digits; two epochs take about a second."""
    settings: dict[str, Any] = {
        "name": algorithm,
        "data": DataSource(name="digits8x8"),
        "network": Perceptron(layer_sizes=[64, 16, 10]),
        "learning_rate": 0.5,
        "epochs": 2,
        "seeds": Seeds(data=3, weights=4, devices=5),
    }
    if algorithm != "digital":
        advice = recommend(algorithm, TutorialRRAMPresetDevice())
        settings |= {"rpu_config": advice.rpu_config, "lr_schedule": advice.lr_schedule}
    return RunSpec(**(settings | fields))


def history(rows: list[MetricRow]) -> list[tuple[str, int, float]]:
    """Metrics in order, without the one that depends on the clock."""
    return sorted((row.name, row.step, row.value) for row in rows if row.name != "throughput")


def same_state(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states hold the same names and the same bits."""
    if one.keys() != other.keys():
        return False
    return all(torch.equal(one[k], other[k]) if torch.is_tensor(one[k]) else one[k] == other[k] for k in one)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)
