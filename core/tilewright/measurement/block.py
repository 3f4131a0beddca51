"""Finding the block of numbers in a table: header rows, data columns, side notes, ragged ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.options import ReadOptions
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.table import Cell, Table
from tilewright.measurement.units import parse_unit, unit_in_header

MIN_SAMPLES = 20
LARGEST = 1e30  # no unit makes a reading larger; its inverse counts as 0


@dataclass
class Column:
    """One data column: its name, header, and values without the empty cells at its end.

    ``words`` holds the cells of a column of words (polarity, device names); ``values`` is then empty.
    """

    name: str
    header: str
    values: NDArray[np.float64]
    rows: list[int]
    words: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Header, or "column 2" where there is none."""
        return self.header or f"column {self.name}"

    def is_named(self, wanted: str) -> bool:
        """Whether the user means this column by header or number."""
        wanted = wanted.strip().lower()
        return wanted in (self.header.strip().lower(), self.name.lower())


@dataclass
class Block:
    """The data columns of a table."""

    columns: list[Column]
    comments: list[str]
    notes: list[str]

    @property
    def has_headers(self) -> bool:
        """Whether any column has a header."""
        return any(column.header for column in self.columns)


def find_block(table: Table, options: ReadOptions) -> Block:
    """The block of numbers in ``table``.

    Raises:
        MeasurementError: no numbers, too few rows, or a cell in the block that is not a number (row and column named).
    """
    width = max((len(row) for row in table.rows), default=0)
    skip = _rows_to_skip(table, options)
    numbers, words = _counts(table.rows[skip:], width)
    most = max(numbers, default=0)
    if most == 0:
        raise MeasurementError("no numbers were found" + _first_words(table))
    if most < MIN_SAMPLES:
        hint = "a table of step sizes or of results" if width > 1 else ""
        raise MeasurementError(
            f"only {most} rows of numbers; a pulse response needs at least {MIN_SAMPLES}", seems=hint
        )
    data = [j for j in range(width) if numbers[j] >= max(0.3 * most, 2) and numbers[j] >= words[j] / 4]
    texts = [j for j in range(width) if j not in data and words[j] >= 0.5 * most]
    first = skip if options.header_rows is not None else _first_row(table, data)
    last = max(i for i, row in enumerate(table.rows) if _numeric(row, data))
    notes = list(table.notes)
    headers = _headers(table, first, [*data, *texts])
    columns = [_number_column(table, j, first, last, headers.get(j, ""), data) for j in data]
    columns += [_word_column(table, j, first, last, headers.get(j, "")) for j in texts]
    notes += _side_notes(table, width, {*data, *texts}, numbers, words)
    if last + 1 < len(table.rows):
        notes.append(f"{len(table.rows) - last - 1} row(s) of text below the data were not read.")
    comments = table.comments + [" ".join(str(c) for c in row if isinstance(c, str)) for row in table.rows[:first]]
    order = {table.column_name(j): j for j in range(width)}
    columns.sort(key=lambda column: order[column.name])
    return Block(columns, comments, notes)


def _rows_to_skip(table: Table, options: ReadOptions) -> int:
    """Rows of the table that the user declared to be header; ``header_rows`` counts rows of the file."""
    if options.header_rows is None:
        return 0
    return sum(number <= options.header_rows for number in table.row_numbers)


def _counts(rows: list[list[Cell]], width: int) -> tuple[list[int], list[int]]:
    numbers, words = [0] * width, [0] * width
    for row in rows:
        for j, cell in enumerate(row):
            if isinstance(cell, float):
                numbers[j] += 1
            elif cell is not None:
                words[j] += 1
    return numbers, words


def _numeric(row: list[Cell], data: list[int]) -> int:
    return sum(j < len(row) and isinstance(row[j], float) for j in data)


def _first_row(table: Table, data: list[int]) -> int:
    need = max(1, (len(data) + 1) // 2)
    for i, row in enumerate(table.rows):
        below = table.rows[i + 1] if i + 1 < len(table.rows) else row
        if _numeric(row, data) >= need and _numeric(below, data) >= need:
            return i
    return 0


def _headers(table: Table, first: int, columns: list[int]) -> dict[int, str]:
    """Names above the columns; a row of units is joined with the row above it."""
    rows = []
    for row in reversed(table.rows[max(first - 3, 0) : first]):
        cells = {j: str(row[j]) for j in columns if j < len(row) and isinstance(row[j], str)}
        if len(cells) < max(1, len(columns) // 2):
            break
        rows.append(cells)
        if not all(parse_unit(text) for text in cells.values()):
            break
    joined: dict[int, str] = {}
    for cells in reversed(rows):
        for j, text in cells.items():
            text = text if j not in joined or unit_in_header(f"x {text}") == "" else f"({text.strip('()[]')})"
            joined[j] = f"{joined[j]} {text}" if j in joined else text
    return joined


def _number_column(table: Table, j: int, first: int, last: int, header: str, data: list[int]) -> Column:
    name = table.column_name(j)
    values: list[float] = []
    rows: list[int] = []
    gap: int | None = None
    for i in range(first, last + 1):
        row, number = table.rows[i], table.row_numbers[i]
        cell = row[j] if j < len(row) else None
        if isinstance(cell, float):
            if gap is not None:
                raise MeasurementError(
                    "the cell is empty between numbers; fill it in or remove the row", where=_place(gap, name, header)
                )
            if abs(cell) > LARGEST:
                raise MeasurementError(f"{cell:g} is too large for a reading", where=_place(number, name, header))
            values.append(cell if abs(cell) > 1 / LARGEST else 0.0)
            rows.append(number)
        elif cell is None:
            gap = number if gap is None else gap
        else:
            whole = "" if _numeric(row, data) else " and the whole row holds no numbers"
            raise MeasurementError(f"{str(cell)[:40]!r} is not a number{whole}", where=_place(number, name, header))
    return Column(name, header, np.array(values, dtype=np.float64), rows)


def _place(row: int, name: str, header: str) -> str:
    return f"row {row}, column {name}" + (f" ({header!r})" if header else "")


def _word_column(table: Table, j: int, first: int, last: int, header: str) -> Column:
    cells = [row[j] if j < len(row) else None for row in table.rows[first : last + 1]]
    words = ["" if c is None else (f"{c:g}" if isinstance(c, float) else c) for c in cells]
    return Column(table.column_name(j), header, np.empty(0), table.row_numbers[first : last + 1], words)


def _side_notes(table: Table, width: int, used: set[int], numbers: list[int], words: list[int]) -> list[str]:
    aside = [table.column_name(j) for j in range(width) if j not in used and numbers[j] + words[j] > 0]
    if not aside:
        return []
    return [f"Column(s) {', '.join(aside)} hold notes beside the data and were not read."]


def _first_words(table: Table) -> str:
    words = Counter(str(cell) for row in table.rows[:3] for cell in row if isinstance(cell, str))
    shown = ", ".join(repr(word[:30]) for word in list(words)[:3])
    return f"; the file starts with {shown}" if shown else ""
