"""Cells of an uploaded table, each a number, a word or empty, with the row it stands in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from tilewright.measurement.record import MeasurementError

Cell = float | str | None

MAX_CELLS = 3_000_000
MAX_COLUMNS = 2_000

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d{1,4})?$")
_EMPTY = {"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--"}


@dataclass
class Table:
    """Rows of cells.

    Attributes:
        rows: cells of each row that holds anything.
        row_numbers: line or sheet row of each, from 1.
        comments: comment lines, without their sign.
        separator: what stands between cells, in words.
        notes: assumptions made.
        letters: columns are named A, B, C (a workbook) instead of 1, 2, 3.
    """

    rows: list[list[Cell]]
    row_numbers: list[int]
    comments: list[str] = field(default_factory=list)
    separator: str = ""
    notes: list[str] = field(default_factory=list)
    letters: bool = False

    def column_name(self, j: int) -> str:
        """Name of column ``j`` (from 0) as the user sees it."""
        if not self.letters:
            return str(j + 1)
        name, j = "", j + 1
        while j:
            j, rest = divmod(j - 1, 26)
            name = chr(ord("A") + rest) + name
        return name


def parse_cell(text: str, decimal_comma: bool) -> Cell:
    """A number, None for an empty cell, or the stripped text."""
    word = text.strip().strip('"').strip()
    if word.lower() in _EMPTY:
        return None
    plain = word.replace("\u2212", "-")
    if decimal_comma:
        plain = plain.replace(",", ".") if plain.count(",") == 1 and "." not in plain else plain
    if _NUMBER.match(plain):
        value = float(plain.replace("d", "e").replace("D", "e"))
        return value if math.isfinite(value) else word
    return word


def check_size(cells: int, columns: int) -> None:
    """Raise where a table is too large to be a pulse response."""
    if cells > MAX_CELLS:
        raise MeasurementError(f"the table has more than {MAX_CELLS} cells; keep only the columns you need")
    if columns > MAX_COLUMNS:
        raise MeasurementError(f"the table has more than {MAX_COLUMNS} columns; keep only the columns you need")
