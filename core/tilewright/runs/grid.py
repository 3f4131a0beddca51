"""A comparison as data: contenders x settings x seeds x device instances, and the runs that it stands for."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from pydantic import model_validator

from tilewright.configs import RPUConfig
from tilewright.parameters import ParameterError, Parameters, parameter
from tilewright.runs.schedules import Schedule
from tilewright.runs.spec import RunSpec, Seeds

MOST_RUNS = 10_000


class Contender(Parameters):
    """One algorithm on one device: a tile with the learning rate and schedule it is to be run with."""

    name: str = parameter(..., "how its runs are called", min_length=1, max_length=80)
    rpu_config: RPUConfig | None = parameter(None, "tile of every layer; None trains in plain digital torch")
    learning_rate: float | None = parameter(None, "learning rate; None keeps that of the base", gt=0)
    lr_schedule: Schedule | None = parameter(None, "schedule; None keeps that of the base")


class Variation(Parameters):
    """A field of the run and the values it takes."""

    field: str = parameter(
        ..., "path of a field, such as learning_rate, data.validation or rpu_config.device.fast_lr", min_length=1
    )
    values: list[float | int | str | bool] = parameter(..., "what it takes, one after the other", min_length=1)


class Grid(Parameters):
    """Every contender with every combination of values, each with every seed and device instance.

    A seed sets the order of the data and the initial weights. With one device instance per seed, seed ``s`` also
    draws the devices; with several, instance ``i`` does, the same ones for every seed: seeds and devices are crossed,
    so that a comparison can tell their spreads apart.
    """

    name: str = parameter("sweep", "name of the comparison", min_length=1, max_length=80)
    base: RunSpec = parameter(factory=RunSpec, meaning="what the runs share")
    contenders: list[Contender] = parameter(
        factory=list, meaning="algorithms on devices; empty takes the tile of the base"
    )
    variations: list[Variation] = parameter(factory=list, meaning="fields that take several values")
    seeds: int = parameter(3, "repetitions with other data order and initial weights", ge=1, le=1000)
    first_seed: int = parameter(1, "number of the first seed", ge=0, le=2**30)
    device_instances: int = parameter(1, "draws of the devices for each seed", ge=1, le=1000)

    @model_validator(mode="after")
    def _size_is_sensible(self) -> Grid:
        if self.size > MOST_RUNS:
            raise ValueError(f"the grid has {self.size:,} runs, more than {MOST_RUNS:,}; take fewer values or seeds")
        return self

    @property
    def size(self) -> int:
        """How many runs it has."""
        settings = max(1, len(self.contenders))
        for variation in self.variations:
            settings *= len(variation.values)
        return settings * self.seeds * self.device_instances

    def settings(self) -> list[RunSpec]:
        """One run of each setting, with the first seed.

        Raises:
            ParameterError: a variation names no field, or a value is not allowed there.
        """
        found = []
        contenders: list[Contender | None] = [*self.contenders] or [None]
        for contender in contenders:
            start = copy.deepcopy(self.base)
            if contender is not None:
                start.name, start.rpu_config = contender.name, copy.deepcopy(contender.rpu_config)
                start.learning_rate = contender.learning_rate or start.learning_rate
                start.lr_schedule = contender.lr_schedule or start.lr_schedule
            for values in itertools.product(*(variation.values for variation in self.variations)):
                found.append(self._varied(start, values))
        return found

    def specs(self) -> list[RunSpec]:
        """All runs: seed by seed, so that a sweep that is stopped early still compares every setting."""
        settings = self.settings()
        found = []
        for seed in range(self.first_seed, self.first_seed + self.seeds):
            for instance in range(1, self.device_instances + 1):
                for setting in settings:
                    spec = copy.deepcopy(setting)
                    devices = seed if self.device_instances == 1 else instance
                    spec.seeds = Seeds(data=seed, weights=seed, devices=devices)
                    if self.seeds > 1 or self.device_instances > 1:
                        last = f", seed {seed}" + (f", devices {instance}" if self.device_instances > 1 else "")
                        spec.name = spec.name[: 120 - len(last)] + last
                    found.append(spec)
        return found

    def _varied(self, spec: RunSpec, values: tuple[Any, ...]) -> RunSpec:
        if not values:
            return spec
        fields, words = spec.to_dict(full=True), []
        for variation, value in zip(self.variations, values, strict=True):
            _set(fields, variation.field, value)
            words.append(f"{variation.field.rpartition('.')[2]} {_text(value)}")
        varied = RunSpec.from_dict(fields)
        varied.name = f"{spec.name}, {', '.join(words)}"[:120]
        return varied


def _set(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set a field of plain data by its path; one that is not there is an error that lists what is."""
    *parents, last = path.split(".")
    place: Any = fields
    for depth, name in enumerate(parents):
        place = _inside(place, name, ".".join(parents[: depth + 1]), path)
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict) and last in place and not isinstance(place[last], dict):
        wanted = place[last]
        whole = isinstance(value, int) and not isinstance(value, bool) and isinstance(wanted, float)
        place[last] = float(value) if whole else value
    else:
        raise ParameterError(_missing(place, last, path))


def _inside(place: Any, name: str, so_far: str, path: str) -> Any:
    if isinstance(place, list) and name.isdigit() and int(name) < len(place):
        return place[int(name)]
    if isinstance(place, dict) and isinstance(place.get(name), (dict, list)):
        return place[name]
    raise ParameterError(_missing(place, name, path))


def _missing(place: Any, name: str, path: str) -> str:
    if isinstance(place, dict):
        known = ", ".join(key for key in place if key != "type")
        return f"variation {path!r}: {name!r} is not one of {known}"
    if isinstance(place, list):
        return f"variation {path!r}: {name!r} is not a number from 0 to {len(place) - 1}"
    return f"variation {path!r}: there is nothing within it to set"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def read_plan(text: str) -> RunSpec | Grid:
    """A run or a grid from YAML; which it is says its ``type``, a run when there is none.

    Raises:
        ParameterError: it is neither.
    """
    words = next((line.split(":", 1)[1] for line in text.splitlines() if line.startswith("type:")), "")
    return Grid.from_yaml(text) if words.strip(" '\"") == "Grid" else RunSpec.from_yaml(text)
