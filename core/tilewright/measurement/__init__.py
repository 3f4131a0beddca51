"""Reading what people measured: layouts, units, pulse protocols, normalisation, quality."""

from tilewright.measurement.examples import example_names, load_example
from tilewright.measurement.normalisation import FORMULAS, NORMALISATIONS, suggested_normalisation
from tilewright.measurement.options import Decimal, Layout, ReadOptions, Sampling, Separator
from tilewright.measurement.protocol import TUTORIAL_PROTOCOL, parse_protocol, tutorial_pulses
from tilewright.measurement.quality import Finding, quality_report
from tilewright.measurement.reader import inspect_file, read_measurement
from tilewright.measurement.reading import Guess, Reading
from tilewright.measurement.record import AffineMap, Measurement, MeasurementError, Record, describe_pulses, runs_of
from tilewright.measurement.roles import ColumnGuess
from tilewright.measurement.storage import measurement_from_csv, measurement_to_csv

__all__ = [
    "FORMULAS",
    "NORMALISATIONS",
    "TUTORIAL_PROTOCOL",
    "AffineMap",
    "ColumnGuess",
    "Decimal",
    "Finding",
    "Guess",
    "Layout",
    "Measurement",
    "MeasurementError",
    "ReadOptions",
    "Reading",
    "Record",
    "Sampling",
    "Separator",
    "describe_pulses",
    "example_names",
    "inspect_file",
    "load_example",
    "measurement_from_csv",
    "measurement_to_csv",
    "parse_protocol",
    "quality_report",
    "read_measurement",
    "runs_of",
    "suggested_normalisation",
    "tutorial_pulses",
]
