"""A user's own table: a CSV file with one sample a row, columns of numbers, and what is to be learned of them.

The order of the rows decides nothing: which of them are kept for testing is drawn by a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tilewright.data.dataset import CLASSES, VALUES, Dataset, checksum_of
from tilewright.data.idx import DataError

LARGEST_TABLE = 512 * 2**20  # bytes
MOST_CLASSES = 1000
SPLIT_SEED = 1


@dataclass(frozen=True)
class TableLayout:
    """What the columns of a table are.

    Attributes:
        file: path of the CSV file, with a line of column names.
        targets: columns to learn, separated by commas; empty takes the last one.
        task: ``classes``, ``values``, or empty to tell from the column: text and whole numbers are classes.
        test_share: share of the rows kept for testing.
    """

    file: str
    targets: str = ""
    task: str = ""
    test_share: float = 0.2


def read_table(layout: TableLayout) -> Dataset:
    """Read a table; inputs are scaled to mean 0 and standard deviation 1 over the training rows.

    Raises:
        DataError: the file cannot be read, a column is missing, holds no numbers, or is empty in some row.
    """
    path = Path(layout.file).expanduser()
    frame = _frame(path)
    targets = [name.strip() for name in layout.targets.split(",") if name.strip()] or [str(frame.columns[-1])]
    missing = [name for name in targets if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))}")
    inputs = frame.drop(columns=targets)
    if inputs.shape[1] == 0:
        raise DataError(f"{path} has only the columns to learn; inputs are needed beside them")
    values = np.column_stack([_numbers(inputs[name], path) for name in inputs.columns])
    wanted = _targets(frame, targets, layout.task, path)
    return _split(path, values, wanted, layout.test_share)


def _frame(path: Path) -> pd.DataFrame:
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}; name a CSV file")
        if path.stat().st_size > LARGEST_TABLE:
            raise DataError(f"{path} is larger than {LARGEST_TABLE // 2**20} MiB")
        frame = pd.read_csv(path, sep=None, engine="python", skipinitialspace=True, comment="#")
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path} is not a table of comma-separated values: {str(error).splitlines()[0]}") from None
    except Exception as error:  # the csv module raises an error class of its own when it cannot guess a separator
        raise DataError(f"{path} is not a table of comma-separated values: {error}") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    if len(frame) < 5:
        raise DataError(f"{path} has {len(frame)} rows; at least 5 are needed to train and to test")
    if frame.columns.duplicated().any():
        raise DataError(f"{path} has two columns of the name {frame.columns[frame.columns.duplicated()][0]!r}")
    return frame


def _numbers(column: Any, path: Path) -> Any:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        found = column.iloc[bad[0]]
        words = "nothing" if pd.isna(found) else repr(str(found))
        raise DataError(f"{path}: column {column.name!r} has {words} in row {bad[0] + 2} where a number is needed")
    return numbers


def _targets(frame: pd.DataFrame, names: list[str], task: str, path: Path) -> Any:
    column = frame[names[0]]
    if not task:
        numbers = pd.to_numeric(column, errors="coerce")
        whole = bool(np.all(np.isfinite(numbers)) and np.all(numbers == np.round(numbers)))
        few = column.nunique() <= min(MOST_CLASSES, max(2, len(column) // 5))
        task = CLASSES if len(names) == 1 and few and (whole or not np.isfinite(numbers).any()) else VALUES
    if task == VALUES:
        return np.column_stack([_numbers(frame[name], path) for name in names]).astype(np.float32)
    if len(names) > 1:
        raise DataError(f"{path}: classes are one column, {len(names)} were named")
    if column.isna().any():
        raise DataError(f"{path}: column {names[0]!r} is empty in row {int(np.flatnonzero(column.isna())[0]) + 2}")
    kinds, labels = np.unique(column.astype(str).to_numpy(dtype=str), return_inverse=True)
    if len(kinds) > MOST_CLASSES:
        raise DataError(f"{path}: column {names[0]!r} has {len(kinds)} classes; is it meant as values?")
    return labels.astype(np.int64)


def _split(path: Path, values: Any, wanted: Any, test_share: float) -> Dataset:
    n = len(values)
    n_test = min(max(1, round(test_share * n)), n - 2)
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(n)
    test, train = np.sort(order[:n_test]), np.sort(order[n_test:])
    if wanted.dtype == np.int64 and len(np.unique(wanted[train])) < len(np.unique(wanted)):
        raise DataError(f"{path}: a class has so few rows that all of them fell into the test part; add rows of it")
    mean, std = values[train].mean(axis=0), values[train].std(axis=0)
    scaled = ((values - mean) / np.where(std > 0, std, 1.0)).astype(np.float32)[:, None, :]
    return Dataset(
        name=path.stem,
        train_images=torch.from_numpy(scaled[train]),
        train_labels=torch.from_numpy(wanted[train]),
        test_images=torch.from_numpy(scaled[test]),
        test_labels=torch.from_numpy(wanted[test]),
        checksum=checksum_of([values, wanted]),
    )
