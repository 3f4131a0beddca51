"""What the documentation states of the package is so."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks import layer_overhead

from tilewright.configs import PulsedDevice
from tilewright.parameters import Parameters
from tilewright.preset_table import preset_table

DOCS = Path(__file__).resolve().parents[2] / "assets" / "docs"
MODELS = (DOCS / "models.md").read_text(encoding="utf-8")
HEADER = "| preset | model | source | states | symmetry point | asymmetry | step over noise | write noise |"


def short(value):
    if math.isnan(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 6) + 0.0:.3g}"


def preset_lines():
    """The table of the page, as it has to be."""
    yield HEADER
    yield "| --- " * 8 + "|"
    for row in preset_table():
        if row.kind == "device":
            numbers = (row.states, row.symmetry_point, row.asymmetry, row.snr, row.write_noise)
            name, model = row.name.removesuffix("PresetDevice"), row.model.removesuffix("Device")
            yield f"| {name} | {model} | {row.source} | {' | '.join(map(short, numbers))} |"


def test_the_presets_of_the_page_are_those_of_the_package():
    for line in preset_lines():
        assert line in MODELS


def test_every_model_has_its_equation():
    for name, cls in Parameters._registry.items():
        concrete = issubclass(cls, PulsedDevice) and not cls._abstract
        if concrete and cls.__module__.startswith("tilewright.devices"):
            assert f"| `{name}` |" in MODELS


def test_the_script_behind_the_cost_of_a_layer_runs():
    """Its figures are measured by hand, side by side; here it only has to measure something for every contender."""
    times = layer_overhead.least_times(rounds=1, steps=1)
    assert times.keys() == layer_overhead.configurations().keys()
    assert all(math.isfinite(part) and part >= 0 for parts in times.values() for part in parts)
