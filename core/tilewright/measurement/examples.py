"""The example measurements that ship with Tilewright. All are synthetic: traces of our own device models."""

from __future__ import annotations

from tilewright.assets import asset_path
from tilewright.measurement.reader import read_measurement
from tilewright.measurement.record import Measurement, MeasurementError
from tilewright.parameters import unknown_name_message


def example_names() -> list[str]:
    """Names of the shipped examples, the tutorial's first."""
    names = sorted(path.stem for path in asset_path("examples").glob("*.csv"))
    return sorted(names, key=lambda name: not name.startswith("tutorial"))


def load_example(name: str) -> Measurement:
    """Read a shipped example by name.

    Raises:
        MeasurementError: there is no such example; lists the ones there are.
    """
    if name not in example_names():
        raise MeasurementError(unknown_name_message("there is no example", name, example_names()))
    return read_measurement(asset_path("examples", f"{name}.csv"))
