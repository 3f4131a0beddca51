"""Cells of an uploaded table by column: numbers as arrays, words beside them, with the row each stands in."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.record import MeasurementError

Cell = float | str | None

MAX_CELLS = 20_000_000
MAX_COLUMNS = 10_000
MISSING = "\0missing"  # a cell that says that there is no reading, as opposed to an empty one

_GROUPED_COMMA = re.compile(r"[-+]?\d{1,3}(,\d{3})+\.\d+$")
_GROUPED_POINT = re.compile(r"[-+]?\d{1,3}(\.\d{3})+,\d+$")
_GROUPED_TWICE = re.compile(r"[-+]?\d{1,3}(?:(?:,\d{3}){2,}|(?:\.\d{3}){2,}|(?: \d{3})+(?:[.,]\d+)?)$")
_GROUPED_ONCE = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}$")
_FORTRAN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[dD][-+]?\d{1,4}$")
_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?$")
_EMPTY = {"", "-", "--", "none", "null"}
_NO_READING = {
    "nan", "na", "n/a", "#n/a", "#nv", "inf", "+inf", "-inf", "infinity", "-infinity", "overflow", "ovld", "ovfl",
    "overload", "ol", "o.l", "#div/0!", "#value!", "#num!", "#ref!", "#name?", "#null!", "err", "error", "1.#inf",
    "1.#qnan", "-1.#ind", "missing", "invalid", "timeout", "n.a.", "n.d.", "nd", "no data", "over", "under",
    "overrange", "over range", "out of range", "saturated", "clipped", "fail", "failed", "bad", "skipped",
}  # fmt: skip


@dataclass
class CellColumn:
    """One column: ``values`` (rows,) is NaN where the cell is not a number; ``words`` holds the texts by row."""

    values: NDArray[np.float64]
    words: dict[int, str] = field(default_factory=dict)


@dataclass
class Table:
    """Rows and columns of cells.

    Attributes:
        columns: the cells, all columns of the same length.
        row_numbers: line or sheet row of each row, from 1.
        comments: comment lines without their sign, each with its line.
        separator: what stands between cells, in words.
        notes: assumptions made.
        letters: columns are named A, B, C (a workbook) instead of 1, 2, 3.
        name: name of the sheet or variable; empty for a text file.
    """

    columns: list[CellColumn]
    row_numbers: NDArray[np.int64]
    comments: list[tuple[int, str]] = field(default_factory=list)
    separator: str = ""
    notes: list[str] = field(default_factory=list)
    letters: bool = False
    name: str = ""

    def __len__(self) -> int:
        return len(self.row_numbers)

    def cell(self, i: int, j: int) -> Cell:
        """The cell in row ``i`` and column ``j``, both from 0."""
        value = float(self.columns[j].values[i])
        return self.columns[j].words.get(i) if math.isnan(value) else value

    def texts(self, i: int) -> dict[int, str]:
        """The texts of row ``i`` by column."""
        return {j: c.words[i] for j, c in enumerate(self.columns) if i in c.words and c.words[i] != MISSING}

    def column_name(self, j: int) -> str:
        """Name of column ``j`` (from 0) as the user sees it."""
        if not self.letters:
            return str(j + 1)
        name, j = "", j + 1
        while j:
            j, rest = divmod(j - 1, 26)
            name = chr(ord("A") + rest) + name
        return name


class TableBuilder:
    """Collects rows, in blocks of numbers or one by one, into columns."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.float64]] = []
        self._words: dict[int, dict[int, str]] = {}
        self._rows: list[list[float]] = []
        self._n = 0
        self._width = 0

    def __len__(self) -> int:
        return self._n

    def add_numbers(self, block: NDArray[np.float64]) -> None:
        """Rows of nothing but numbers, (rows, columns)."""
        self._flush()
        self._blocks.append(block)
        self._grow(len(block), block.shape[1])

    def add_row(self, cells: Sequence[Cell]) -> None:
        """One row of numbers, words and empty cells."""
        row = []
        for j, cell in enumerate(cells):
            if isinstance(cell, float):
                row.append(cell)
                continue
            row.append(math.nan)
            if cell is not None:
                self._words.setdefault(j, {})[self._n] = cell
        self._rows.append(row)
        self._grow(1, len(row))
        if len(self._rows) >= 4096:
            self._flush()

    def _grow(self, rows: int, width: int) -> None:
        self._n += rows
        self._width = max(self._width, width)
        check_size(self._n, self._width)

    def _flush(self) -> None:
        if not self._rows:
            return
        width = max(map(len, self._rows))
        block = np.full((len(self._rows), width), np.nan)
        for i, row in enumerate(self._rows):
            block[i, : len(row)] = row
        self._blocks.append(block)
        self._rows = []

    def columns(self) -> list[CellColumn]:
        """What was collected."""
        self._flush()
        made = []
        for j in range(self._width):
            parts = [b[:, j] if j < b.shape[1] else np.full(len(b), np.nan) for b in self._blocks]
            made.append(CellColumn(np.concatenate(parts), self._words.get(j, {})))
        return made


def parse_cell(text: str, decimal_comma: bool, grouped: bool = False) -> Cell:
    """A number, None for an empty cell, ``MISSING`` for one that says there is no reading, or the stripped text.

    Args:
        text: of the cell.
        decimal_comma: the comma is the decimal sign, so that points group thousands.
        grouped: ``"1,234"`` is one thousand, because the comma cannot be the decimal sign.
    """
    word = text.strip()
    if word[:1] in {'"', "'"}:
        word = word.strip("\"'").strip()
    if decimal_comma and _GROUPED_ONCE.match(word) and "." in word:
        plain = word.replace(".", "")
    elif decimal_comma and "," in word:
        if _GROUPED_POINT.match(word):
            word = word.replace(".", "")
        plain = word.replace(",", ".") if word.count(",") == 1 and "." not in word else word
    else:
        plain = word
    if _PLAIN.match(plain):
        value = float(plain)
        return value if math.isfinite(value) else MISSING
    lowered = word.lower()
    if lowered in _EMPTY:
        return None
    if lowered in _NO_READING or lowered[0] in "<>" or not any(sign.isalnum() for sign in word):
        return MISSING
    plain = plain.replace("\u2212", "-").replace("'", "").replace("\u00a0", "").replace("\u202f", "")
    if _GROUPED_COMMA.match(plain) or (grouped and _GROUPED_ONCE.match(plain)):
        plain = plain.replace(",", "")
    elif _GROUPED_TWICE.match(plain):
        *groups, last = re.split(r"[ ,.]", plain)
        plain = "".join(groups) + ("." if len(last) != 3 or (plain[-4] in ".," and " " in plain) else "") + last
    if _FORTRAN.match(plain):
        plain = plain.lower().replace("d", "e")
    if _PLAIN.match(plain):
        value = float(plain)
        return value if math.isfinite(value) else MISSING
    return word


def check_size(rows: int, columns: int) -> None:
    """Raise where a table is too large to be a pulse response."""
    if columns > MAX_COLUMNS:
        raise MeasurementError(f"the table has more than {MAX_COLUMNS} columns; keep only the columns you need")
    if rows * columns > MAX_CELLS:
        raise MeasurementError(f"the table has more than {MAX_CELLS} cells; keep only the columns you need")
