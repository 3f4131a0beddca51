"""How a file was understood: every guess with its confidence and reason, whether the file was accepted or declined."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.measurement.record import Measurement, MeasurementError
from tilewright.measurement.roles import ColumnGuess


@dataclass(frozen=True)
class Guess:
    """One thing that the reader found out about a file.

    Attributes:
        what: ``"layout"``, ``"pulses"``, ``"unit"`` ...
        found: in words.
        confidence: 0 to 1.
        reason: why, in words.
    """

    what: str
    found: str
    confidence: float
    reason: str


@dataclass(frozen=True)
class Reading:
    """What :func:`tilewright.measurement.inspect_file` found in a file.

    Attributes:
        measurement: the pulse response; None where the file was declined.
        declined: why there is none; None where there is one.
        columns: what each column of the (first) table was taken for.
        guesses: what else was found out.
        sheets: the sheets of a workbook that hold numbers, or the tables of another file.
    """

    measurement: Measurement | None
    declined: MeasurementError | None
    columns: tuple[ColumnGuess, ...] = ()
    guesses: tuple[Guess, ...] = ()
    sheets: tuple[str, ...] = ()

    def accepted(self) -> Measurement:
        """The measurement; raises the :class:`MeasurementError` where there is none."""
        if self.measurement is None:
            raise self.declined or MeasurementError("the file holds no measurement")
        return self.measurement
