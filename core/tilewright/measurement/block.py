"""Finding the block of numbers in a table: header rows, data columns, side notes, ragged ends, stacked blocks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.options import ReadOptions
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.table import MISSING, Table, parse_cell
from tilewright.measurement.units import parse_unit, split_number_and_unit, without_power_of_ten

MIN_SAMPLES = 20
SHORTEST_BLOCK = 10  # rows, of several blocks stacked in a table
LARGEST = 1e30  # no unit makes a reading larger; instruments write 9.9e37 for an overflow
_BLOCK_TITLE = re.compile(
    r"\b(cycle|zyklus|run|loop|sweep|trial|device|dev|dut|cell|bauteil|chip|sample|block|scan)\b[\s#:_-]*(\w+)?",
    re.IGNORECASE,
)
_TITLE_ALONE = re.compile(
    r"^\s*(cycle|zyklus|run|loop|sweep|trial|device|dev|dut|cell|bauteil|chip|sample|block|scan)[\s#:_-]*\d+\s*$",
    re.IGNORECASE,
)
_DEVICE_TITLES = {"device", "dev", "dut", "cell", "bauteil", "chip", "sample"}


@dataclass
class Column:
    """One data column: its name, header, and values without the empty cells at its end.

    Attributes:
        name: number or letter of the column.
        header: what stands above it.
        values: float64 (n,); cells without a reading are interpolated and listed in ``missing``.
        rows: int64 (n,), the row of the file of each value.
        words: the cells of a column of words (polarity, device names); ``values`` is then empty.
        missing: int64 (k,), positions of ``values`` that were not read.
    """

    name: str
    header: str
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    words: list[str] = field(default_factory=list)
    missing: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

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
    """The data columns of a table.

    Attributes:
        columns: of numbers or words.
        comments: comment lines, rows above the block and notes beside it.
        notes: what was assumed.
        segments: number of the stacked block of each row, from 1; empty where there is one block only.
        segment_titles: what stands above each stacked block.
        segments_are_devices: the titles name devices, not cycles.
    """

    columns: list[Column]
    comments: list[str]
    notes: list[str]
    segments: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    segment_titles: list[str] = field(default_factory=list)
    segments_are_devices: bool = False


def find_block(table: Table, options: ReadOptions) -> Block:
    """The block of numbers in ``table``.

    Raises:
        MeasurementError: no numbers, too few rows, or a cell in the block that is not a number (row and column named).
    """
    notes = list(table.notes)
    table = _with_units_in_cells(table, notes)
    width = len(table.columns)
    skip = int(np.sum(table.row_numbers <= options.header_rows)) if options.header_rows is not None else 0
    numbers = [int(np.sum(np.isfinite(column.values[skip:]))) for column in table.columns]
    words = [sum(i >= skip and word != MISSING for i, word in column.words.items()) for column in table.columns]
    absent = [sum(i >= skip and word == MISSING for i, word in column.words.items()) for column in table.columns]
    most = max(numbers, default=0)
    if most == 0:
        raise MeasurementError("no numbers were found" + _first_words(table))
    if most < MIN_SAMPLES:
        hint = "a table of step sizes or of results" if width > 1 else ""
        raise MeasurementError(
            f"only {most} rows of numbers; a pulse response needs at least {MIN_SAMPLES}", seems=hint
        )
    data = [
        j for j in range(width)
        if numbers[j] + absent[j] >= max(0.3 * most, 2) and numbers[j] >= words[j] / 4 and numbers[j] >= 2
    ]  # fmt: skip
    if not data:
        raise MeasurementError("no column holds more numbers than words" + _first_words(table))
    texts = [j for j in range(width) if j not in data and words[j] >= 0.5 * most]
    filled, wrong = _fill(table, data)
    first, last = _first_row(filled, wrong, len(data)), _last_row(filled, wrong)
    last = _without_results(table.row_numbers, first, last)
    first = skip if options.header_rows is not None else min(first, last)
    headers = _headers(table, first, [*data, *texts])
    rows, segments, titles = _without_titles(table, first, last, data, headers)
    columns = [_number_column(table, j, rows, headers.get(j, "")) for j in data]
    columns = [_without_power(column, notes) for column in columns]
    columns += [_word_column(table, j, rows, headers.get(j, "")) for j in texts]
    asides = _side_notes(table, {*data, *texts}, numbers, words)
    if asides:
        names = ", ".join(table.column_name(j) for j in asides)
        notes.append(f"Column(s) {names} hold notes beside the data and were not read.")
    if last + 1 < len(table):
        notes.append(f"{len(table) - last - 1} row(s) below the data were not read.")
    comments = [text for _, text in table.comments] + _remarks(table, first, last, data, asides)
    order = {table.column_name(j): j for j in range(width)}
    columns.sort(key=lambda column: order[column.name])
    devices = [title for title in titles if (m := _BLOCK_TITLE.search(title)) and m[1].lower() in _DEVICE_TITLES]
    return Block(columns, comments, notes, segments, titles, segments_are_devices=len(devices) > len(titles) / 2)


def _with_units_in_cells(table: Table, notes: list[str]) -> Table:
    """Columns of cells such as ``"1.25 µS"`` as numbers in the unit without prefix, which goes into the header."""
    for j, column in enumerate(table.columns):
        words = {i: word for i, word in column.words.items() if word != MISSING}
        if len(words) < MIN_SAMPLES or np.sum(np.isfinite(column.values)) > len(words) / 4:
            continue
        sample = list(words.items())
        read = [split_number_and_unit(word) for _, word in sample[:: max(1, len(sample) // 50)]]
        if sum(item is not None for item in read) < 0.9 * len(read) - 2:
            continue
        units: Counter[str] = Counter()
        for i, word in sample:
            item = split_number_and_unit(word)
            if item is not None:
                column.values[i] = item[0]
                units[item[1]] += 1
                del column.words[i]
        unit = units.most_common(1)[0][0]
        if not unit:
            notes.append(f"Column {table.column_name(j)} has a prefix in every cell, such as {sample[0][1]!r}.")
            continue
        notes.append(f"Column {table.column_name(j)} gives a unit in every cell; its numbers are in {unit}.")
        above = [i for i in column.words if i < min(i for i, _ in sample if i not in column.words)]
        if above:
            column.words[max(above)] = f"{column.words[max(above)]} ({unit})"
        else:
            table.comments.append((0, f"values in {unit}"))
    return table


def _fill(table: Table, data: list[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Data cells with a number in each row, and whether one of them holds a word."""
    filled = np.zeros(len(table), dtype=np.int64)
    wrong = np.zeros(len(table), dtype=bool)
    for j in data:
        column = table.columns[j]
        filled += np.isfinite(column.values)
        for i, word in column.words.items():
            if word == MISSING:
                filled[i] += 1
            else:
                wrong[i] = True
    return filled, wrong


def _first_row(filled: NDArray[np.int64], wrong: NDArray[np.bool_], columns: int) -> int:
    """The first row from which on nearly all rows hold numbers in most data columns and words in none."""
    n = len(filled)
    need = max(1, int(np.ceil(0.6 * columns)))
    good = (filled >= 1) & ~wrong
    before = np.concatenate([[0], np.cumsum(good)])
    names = np.flatnonzero(wrong & (filled == 0))
    for i in np.flatnonzero(good & (filled >= need)).tolist():
        end = min(i + MIN_SAMPLES, n)
        if before[end] - before[i] < 0.8 * (end - i):
            continue
        # Names so soon below: what stands above them are settings. Stacked blocks are longer.
        below = names[(names > i) & (names < i + SHORTEST_BLOCK)]
        if not len(below):
            return int(i)
    return int(np.flatnonzero(filled)[0])


def _last_row(filled: NDArray[np.int64], wrong: NDArray[np.bool_]) -> int:
    """The last row of numbers that closes a stretch of them; single rows of results below are not data."""
    good = (filled >= 1) & ~wrong
    before = np.concatenate([[0], np.cumsum(good)])
    for i in np.flatnonzero(good)[::-1].tolist():
        start = max(i + 1 - MIN_SAMPLES, 0)
        if before[i + 1] - before[start] >= 0.6 * (i + 1 - start):
            return int(i)
    return int(np.flatnonzero(filled)[-1])


def _without_results(rows: NDArray[np.int64], first: int, last: int) -> int:
    """The last row of data, where up to three rows stand apart below it, as sums and means do."""
    gaps = np.diff(rows[first : last + 1])
    if len(gaps) < MIN_SAMPLES or gaps[-3:].max() <= gaps[:-3].max():
        return last
    return last - len(gaps[-3:]) + int(np.argmax(gaps[-3:]))


def _headers(table: Table, first: int, columns: list[int]) -> dict[int, str]:
    """Names above the columns; rows of units and rows that span several columns are joined with the row of names."""
    joined: dict[int, str] = {}
    named = False
    for i in range(first - 1, max(first - 7, -1), -1):
        texts = table.texts(i)
        if len(columns) > 1 and _numbered_title(table, i):
            break
        cells = {j: texts.get(j) or _written(table, i, j) for j in columns}
        cells = {j: text for j, text in cells.items() if text}
        if not any(j in texts for j in columns):
            break
        units = bool(cells) and all(_is_unit(text) for text in cells.values())
        if named and units and any(parse_unit(text) for text in cells.values()):
            joined, named = {}, False  # names stand above units: what stands below them were comments
        if named:
            if not _spans(cells, columns):
                break
            current = ""
            for j in columns:
                current = cells.get(j, current)
                joined[j] = f"{current} {joined.get(j, '')}".strip()
            continue
        if len(cells) < max(1, len(columns) // 2):
            break
        for j, text in cells.items():
            unit = joined.get(j, "")
            joined[j] = f"{text} {unit}".strip() if not units else f"({text.strip('()[] ')})"
        named = not units
    return joined or _headers_in_comment(table, first, columns)


def _is_number(text: str) -> bool:
    return isinstance(parse_cell(text, False), float)


def _is_unit(text: str) -> bool:
    return bool(parse_unit(text)) or text.strip("()[] ") in {"", "-", "1", "a.u.", "arb. u.", "#"}


def _headers_in_comment(table: Table, first: int, columns: list[int]) -> dict[int, str]:
    """Names from the comment right above the numbers, where it has one for each column."""
    if len(columns) < 2 or first >= len(table):
        return {}
    above = [text for line, text in table.comments if line < int(table.row_numbers[first])]
    for split in (r"[\t;,|]", r"\s+"):
        words = [word.strip() for word in re.split(split, above[-1].strip())] if above else []
        if len(words) == len(table.columns) and all(words) and not any(word[0].isdigit() for word in words):
            return {j: words[j] for j in columns}
    return {}


def _spans(cells: dict[int, str], columns: list[int]) -> bool:
    """Whether a row above the names gives one title for several columns, as merged cells do."""
    if len(columns) < 3 or len(cells) < 2 or any(":" in text or "=" in text for text in cells.values()):
        return False
    if list(cells) == columns[: len(cells)] and len(cells) < len(columns):
        return False  # "Delay, 0.01, s": a setting with its value
    if len([text for text in cells.values() if not _is_number(text)]) < 2 and len(set(cells.values())) < 3:
        return False  # "Dimension, 120, 120": the same of all columns
    return len(cells) < len(columns) or len(set(cells.values())) < len(cells)


def _written(table: Table, i: int, j: int) -> str:
    value = table.cell(i, j)
    return f"{value:g}" if isinstance(value, float) else ""


def _without_titles(
    table: Table, first: int, last: int, data: list[int], headers: dict[int, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Rows of the block without repeated headers and titles between stacked blocks, and the block of each row."""
    rows = np.arange(first, last + 1)
    filled = np.zeros(len(table), dtype=bool)
    for j in data:
        filled |= np.isfinite(table.columns[j].values)
    titles = {
        int(i): _row_text(table, int(i), range(len(table.columns)))
        for i in {i for j in data for i in table.columns[j].words if first <= i <= last}
        if not filled[i] or _numbered_title(table, int(i))
    }
    titles = {i: text for i, text in titles.items() if _is_title(text, headers)}
    keep = np.ones(len(rows), dtype=bool)
    for i in titles:
        keep[i - first] = False
    rows = rows[keep]
    # A block ends where a title, a comment or blank lines stand between two rows.
    gaps = np.diff(table.row_numbers[rows]) > 1
    starts = np.concatenate([[0], np.flatnonzero(gaps) + 1, [len(rows)]]).astype(np.int64)
    lengths = np.diff(starts)
    if len(lengths) < 2 or lengths.min() < SHORTEST_BLOCK or len(lengths) > 2000:
        return rows, np.empty(0, dtype=np.int64), []
    segments = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    spoken = [(int(table.row_numbers[i]), text) for i, text in titles.items()] + table.comments
    spoken += [(int(table.row_numbers[i]), " ".join(table.texts(i).values())) for i in range(first)]
    names = []
    for k, start in enumerate(starts[:-1].tolist()):
        end_line = int(table.row_numbers[rows[start]])
        start_line = int(table.row_numbers[rows[start - 1]]) if start else 0
        between = [text for line, text in sorted(spoken) if start_line < line < end_line]
        above = [text for text in between if _BLOCK_TITLE.search(text) and not _repeats(text, headers)]
        names.append(above[-1] if above else f"block {k + 1}")
    return rows, segments, names


def _numbered_title(table: Table, i: int) -> bool:
    """Whether a row is a title whose words and number stand in cells of their own, such as ``Cycle 2``."""
    return bool(_TITLE_ALONE.match(_row_text(table, i, range(len(table.columns)))))


def _is_title(text: str, headers: dict[int, str]) -> bool:
    return bool(_BLOCK_TITLE.search(text)) or _repeats(text, headers)


def _repeats(text: str, headers: dict[int, str]) -> bool:
    """Whether a row says again what stands above the columns."""
    known = " ".join(headers.values())
    words = [word for word in text.split() if len(word) > 1] or text.split()
    return bool(words) and all(word.strip("()[]") in known for word in words)


def _number_column(table: Table, j: int, rows: NDArray[np.int64], header: str) -> Column:
    name = table.column_name(j)
    cells = table.columns[j]
    chosen = set(rows.tolist()) if cells.words else set()
    wrong = sorted(i for i, word in cells.words.items() if word != MISSING and i in chosen)
    if wrong:
        numeric = any(np.isfinite(column.values[wrong[0]]) for column in table.columns)
        whole = "" if numeric else " and the whole row holds no numbers"
        raise MeasurementError(
            f"{cells.words[wrong[0]][:40]!r} is not a number{whole}",
            where=_place(int(table.row_numbers[wrong[0]]), name, header),
        )
    values = cells.values[rows]
    read = np.isfinite(values) & (np.abs(np.nan_to_num(values)) < LARGEST)
    there = np.flatnonzero(read)
    if not len(there):
        return Column(name, header, np.empty(0), np.empty(0, dtype=np.int64))
    end = int(there[-1]) + 1
    values, read = values[:end].copy(), read[:end]
    missing = np.flatnonzero(~read)
    if len(missing):
        values[missing] = np.interp(missing, there, values[there])
    values[np.abs(values) < 1 / LARGEST] = 0.0
    return Column(name, header, values, table.row_numbers[rows[:end]], missing=missing.astype(np.int64))


def _without_power(column: Column, notes: list[str]) -> Column:
    """A column whose header names a power of ten, in a unit with a prefix."""
    header, factor = without_power_of_ten(column.header)
    if header == column.header:
        return column
    notes.append(f"{column.header!r} was read as {header!r}" + (f", times {factor:g}." if factor != 1 else "."))
    return replace(column, header=header, values=column.values * factor)


def _place(row: int, name: str, header: str) -> str:
    return f"row {row}, column {name}" + (f" ({header!r})" if header else "")


def _word_column(table: Table, j: int, rows: NDArray[np.int64], header: str) -> Column:
    cells = (table.cell(i, j) for i in rows.tolist())
    words = ["" if c is None or c == MISSING else (f"{c:g}" if isinstance(c, float) else c) for c in cells]
    return Column(table.column_name(j), header, np.empty(0), table.row_numbers[rows], words)


def _side_notes(table: Table, used: set[int], numbers: list[int], words: list[int]) -> list[int]:
    return [j for j in range(len(table.columns)) if j not in used and numbers[j] + words[j] > 0]


def _remarks(table: Table, first: int, last: int, data: list[int], asides: list[int]) -> list[str]:
    """Rows above and below the block, and the notes beside it, each as one text."""
    rows = [*range(min(first, 200)), *range(last + 1, min(last + 20, len(table)))]
    found = [_row_text(table, i, range(len(table.columns))) for i in rows]
    if asides:
        found += [_row_text(table, i, asides) for i in range(first, min(first + 50, len(table)))]
        # A name with its value below it.
        for i in range(min(first + 50, len(table) - 1)):
            for j in asides:
                word, below = table.columns[j].words.get(i), table.columns[j].values[i + 1]
                if word and np.isfinite(below):
                    found.append(f"{word} {below:g}")
    return [text for text in found if text]


def _row_text(table: Table, i: int, columns: object) -> str:
    cells = [table.cell(i, j) for j in columns]  # type: ignore[attr-defined]
    return " ".join(f"{c:g}" if isinstance(c, float) else c for c in cells if c is not None and c != MISSING)


def _first_words(table: Table) -> str:
    words = [word for i in range(min(3, len(table))) for word in table.texts(i).values()]
    shown = ", ".join(repr(word[:30]) for word in words[:3])
    return f"; the file starts with {shown}" if shown else ""
