"""Cells of an Excel workbook. Formulas are not computed: their stored results are read."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

from openpyxl import load_workbook

from tilewright.measurement.options import ReadOptions
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.table import Cell, Table, check_size, parse_cell


def read_workbook(data: bytes, options: ReadOptions) -> Table:
    """Cells of the chosen sheet, or of the first one with at least twenty rows of numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = load_workbook(BytesIO(data), read_only=True, data_only=True)
            return _choose_sheet(book, options)
    except MeasurementError:
        raise
    except Exception as error:  # openpyxl raises nearly anything on a damaged file
        raise MeasurementError(
            f"the workbook cannot be read ({type(error).__name__}: {error}); save it as CSV"
        ) from None


def _choose_sheet(book: Any, options: ReadOptions) -> Table:
    names = list(book.sheetnames)
    if options.sheet:
        if options.sheet not in names:
            raise MeasurementError(f"the workbook has no sheet {options.sheet!r}; it has {', '.join(map(repr, names))}")
        return _cells(book[options.sheet])
    first: Table | None = None
    for name in names:
        if not hasattr(book[name], "iter_rows"):
            continue  # a chart sheet
        table = _cells(book[name])
        if sum(any(isinstance(c, float) for c in row) for row in table.rows) >= 20:
            if len(names) > 1:
                table.notes.append(f"Read sheet {name!r} of {len(names)}.")
            return table
        first = first or table
    if first is None or not first.rows:
        raise MeasurementError("the workbook holds no numbers")
    return first


def _cells(sheet: Any) -> Table:
    sheet.reset_dimensions()  # the stated size may be wrong
    rows: list[list[Cell]] = []
    numbers: list[int] = []
    cells = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells += len(values) + 1
        check_size(cells, len(values))
        row = [_cell(value) for value in values]
        if any(cell is not None for cell in row):
            rows.append(row)
            numbers.append(number)
    return Table(rows, numbers, separator="cells of a workbook", letters=True)


def _cell(value: Any) -> Cell:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return parse_cell(repr(float(value)), False)
    return parse_cell(str(value), False)
