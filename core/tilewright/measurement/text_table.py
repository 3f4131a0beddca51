"""Splitting text into cells: comments, separator, decimal sign, quotes."""

from __future__ import annotations

import csv
import functools
import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.options import Decimal, ReadOptions, Separator
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.table import MAX_COLUMNS, Table, TableBuilder, parse_cell

_COMMENT_SIGNS = ("#", "%", "//", "!", "*")
_SEPARATORS = {
    Separator.TAB: ("\t", "tab"),
    Separator.SEMICOLON: (";", "semicolon"),
    Separator.COMMA: (",", "comma"),
    Separator.SPACE: (None, "spaces"),
    Separator.BAR: ("|", "vertical bar"),
}
_WHOLE = "\x00"  # a separator that never occurs: the line is one cell
_CHUNK = 8192
_RULE = re.compile(r"[\s|+:=_-]{3,}")
_NUMBER_FIRST = re.compile(r"[\s|\"']*[-+]?[.,]?\d")
_LONGEST_LINE = 2_000_000


def split_text(text: str, options: ReadOptions) -> Table:
    """Cells of a text table; separator and decimal sign are found unless given."""
    lines, numbers, comments = _without_comments(text)
    if not lines:
        raise MeasurementError("the file holds no data, only comments or blank lines")
    separator, decimal_comma, notes = _choose(lines, options)
    builder = TableBuilder()
    # Words repeat, row after row.
    parse = functools.lru_cache(maxsize=4096)(functools.partial(parse_cell, grouped=separator == ","))
    for start in range(0, len(lines), _CHUNK):
        chunk = lines[start : start + _CHUNK]
        block = _numbers_only(chunk, separator, decimal_comma)
        if block is not None:
            builder.add_numbers(block)
            continue
        for number, line in zip(numbers[start : start + _CHUNK], chunk, strict=True):
            builder.add_row([parse(part, decimal_comma) for part in _split(line, separator, number)])
    word = next((name for sign, name in _SEPARATORS.values() if sign == separator), "")
    if decimal_comma:
        notes.append("Numbers are written with a decimal comma.")
    return Table(
        builder.columns(), np.array(numbers, dtype=np.int64), comments, word if separator != _WHOLE else "", notes
    )


def _numbers_only(lines: list[str], separator: str | None, decimal_comma: bool) -> NDArray[np.float64] | None:
    """(lines, columns) where every cell of every line is a finite number, else None: the quick way for long files."""
    if decimal_comma:
        if any("." in line for line in lines):
            return None
        lines = [line.replace(",", ".") for line in lines]
    # numpy takes an empty or odd cell for an error; then the cells are read one by one.
    try:
        block = np.loadtxt(lines, delimiter="\t" if separator == _WHOLE else separator, comments=None, ndmin=2)
    except (ValueError, IndexError, UnicodeError):
        return None
    return block if np.all(np.isfinite(block)) and len(block) == len(lines) else None


def _without_comments(text: str) -> tuple[list[str], list[int], list[tuple[int, str]]]:
    lines: list[str] = []
    numbers: list[int] = []
    comments: list[tuple[int, str]] = []
    begun = False  # with the numbers; above them a line of dashes is a rule below the names
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip(" \ufeff\x00")
        if not line or not line.strip():
            continue
        if len(line) > _LONGEST_LINE:
            raise MeasurementError(
                f"the line has {len(line):,} characters; a table has one sample or one device a line",
                where=f"line {number}",
            )
        first = line.lstrip()[0]
        if first in "#%/!*":
            sign = next((s for s in _COMMENT_SIGNS if line.lstrip().startswith(s)), None)
            # "#;G" and "# , G" are headers of an index column, not comments.
            if sign == "#" and line.lstrip()[1:2] in {",", ";", "\t"}:
                sign = None
            if sign:
                comments.append((number, line.lstrip().lstrip(sign).strip()))
                continue
        # Excel's own hint about the separator.
        if not lines and line.lower().startswith("sep=") and len(line) <= 5:
            continue
        if not begun:
            if _RULE.fullmatch(line):
                continue
            begun = bool(_NUMBER_FIRST.match(line))
        lines.append(line)
        numbers.append(number)
    return lines, numbers, comments


def _split(line: str, separator: str | None, number: int = 0) -> list[str]:
    if separator == _WHOLE:
        return [line]
    if separator is None:
        return line.split()
    if separator == "|":
        line = line.strip().strip("|")
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator))
    except (csv.Error, StopIteration) as error:
        raise MeasurementError(
            f"quotes are not closed or a cell is too long ({error})", where=f"row {number}"
        ) from None


def _choose(lines: list[str], options: ReadOptions) -> tuple[str | None, bool, list[str]]:
    """The separator and decimal sign under which most cells are numbers in rows of equal length."""
    # Long headers must not outvote the data, so most of the sample comes from the whole length of the file.
    sample = lines if len(lines) <= 400 else lines[:20] + lines[20 :: max(1, len(lines) // 300)]
    if sum(map(len, sample)) > 4_000_000:
        sample = sample[:40]
    if options.separator is Separator.AUTO:
        separators: list[str | None] = ["\t", ";", ",", None, "|", _WHOLE]
    else:
        separators = [_SEPARATORS[options.separator][0]]
    decimals = {Decimal.AUTO: [False, True], Decimal.POINT: [False], Decimal.COMMA: [True]}[options.decimal]
    candidates = []
    for order, separator in enumerate(separators):
        parts = [_split(line, separator, number)[: MAX_COLUMNS + 1] for number, line in enumerate(sample, start=1)]
        if separator != _WHOLE and sum(len(cells) > 1 for cells in parts) < len(parts) / 2:
            continue  # it hardly occurs
        for comma in decimals:
            if comma and separator == ",":
                continue
            candidates.append((_score(parts, comma, separator == ","), -order, separator, comma))
    if not candidates:
        raise MeasurementError("the stated separator does not occur, or the comma is to be separator and decimal sign")
    best = max(candidates, key=lambda item: (item[0], item[1], not item[3]))
    separator, comma = best[2], best[3]
    automatic = options.decimal is Decimal.AUTO and options.separator is Separator.AUTO
    if separator == "," and automatic and _comma_is_decimal(sample):
        return _WHOLE, True, ["One column with decimal commas, told by the leading zeros after the comma."]
    return separator, comma, []


def _score(parts: list[list[str]], decimal_comma: bool, grouped: bool) -> tuple[float, float]:
    numeric = 0.0
    widths: Counter[int] = Counter()
    for cells in parts:
        filled = [c for c in (parse_cell(cell, decimal_comma, grouped) for cell in cells[:200]) if c is not None]
        share = sum(isinstance(c, float) for c in filled) / len(filled) if filled else 0.0
        numeric += share
        widths[len(cells)] += 1
    equal = widths.most_common(1)[0][1] / len(parts)
    return round(numeric / len(parts), 2), round(equal, 2)


def _comma_is_decimal(sample: list[str]) -> bool:
    pairs = [line.strip().split(",") for line in sample]
    pairs = [p for p in pairs if len(p) == 2 and p[0].lstrip("+-").isdigit() and p[1].isdigit()]
    if len(pairs) < 0.9 * len(sample) or len(pairs) < 2:
        return False
    return any(len(tail) > 1 and tail.startswith("0") for _, tail in pairs)
