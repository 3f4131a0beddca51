"""Cells of an Excel workbook. Formulas are not computed: their stored results are read; links are not followed."""

from __future__ import annotations

import warnings
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from openpyxl import load_workbook

from tilewright.measurement.options import ReadOptions
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.table import Cell, Table, TableBuilder, parse_cell

MAX_SHEETS = 100


def read_workbook(data: bytes, options: ReadOptions) -> list[Table]:
    """Cells of the chosen sheet, or of every sheet that holds numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _sheets(data, options)
    except MeasurementError:
        raise
    except Exception as error:  # openpyxl raises nearly anything on a damaged file
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise MeasurementError(f"the workbook cannot be read ({reason}); save it as CSV") from None


def _sheets(data: bytes, options: ReadOptions) -> list[Table]:
    book = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    names = list(book.sheetnames)
    if len(names) > MAX_SHEETS:
        raise MeasurementError(f"the workbook has {len(names)} sheets; at most {MAX_SHEETS} are read")
    if options.sheet and options.sheet not in names:
        raise MeasurementError(f"the workbook has no sheet {options.sheet!r}; it has {', '.join(map(repr, names))}")
    # A chart sheet has no rows.
    chosen = [n for n in ([options.sheet] if options.sheet else names) if hasattr(book[n], "iter_rows")]
    tables = [_cells(book[name], name) for name in chosen]
    filled = [table for table in tables if any(np.any(np.isfinite(c.values)) for c in table.columns)]
    if not filled:
        if _has_formulas(data, chosen):
            raise MeasurementError(
                "its cells hold formulas without stored results; open it in a spreadsheet program and save it again"
            )
        raise MeasurementError("the workbook holds no numbers")
    if len(filled) == 1 and len(names) > 1:
        filled[0].notes.append(f"Read sheet {filled[0].name!r} of {len(names)}.")
    return filled


def _cells(sheet: Any, name: str) -> Table:
    sheet.reset_dimensions()  # the stated size may be wrong
    builder = TableBuilder()
    numbers = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        row = [_cell(value) for value in values]
        while row and row[-1] is None:
            row.pop()
        if row:
            builder.add_row(row)
            numbers.append(number)
    return Table(
        builder.columns(), np.array(numbers, dtype=np.int64), separator="cells of a workbook", letters=True, name=name
    )


def _cell(value: Any) -> Cell:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
        return number if np.isfinite(number) else parse_cell("nan", False)
    if isinstance(value, (bool, date, datetime, time, timedelta)):
        return str(value)
    text = str(value)
    cell = parse_cell(text, False)
    # Numbers kept as text in a German workbook.
    return parse_cell(text, True) if isinstance(cell, str) and "," in text else cell


def _has_formulas(data: bytes, names: list[str]) -> bool:
    book = load_workbook(BytesIO(data), read_only=True, data_only=False, keep_links=False)
    for name in names:
        for number, row in enumerate(book[name].iter_rows(values_only=True)):
            if number > 200:
                break
            if any(isinstance(value, str) and value.startswith("=") for value in row):
                return True
    return False
