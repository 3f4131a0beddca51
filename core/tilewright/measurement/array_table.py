"""Arrays of NumPy and MATLAB files as tables. Nothing is unpickled; sizes are checked before memory is taken."""

from __future__ import annotations

import warnings
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.matlab_file import read_variables
from tilewright.measurement.options import ReadOptions
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.source import MAX_UNPACKED_BYTES
from tilewright.measurement.table import CellColumn, Table, check_size


def read_npy(data: bytes, options: ReadOptions) -> list[Table]:
    """The table of one NumPy array."""
    return _tables({"": _array(data, "the file")}, options)


def read_npz(data: bytes, options: ReadOptions) -> list[Table]:
    """The table of the arrays of a NumPy archive, each named."""
    arrays: dict[str, Any] = {}
    left = MAX_UNPACKED_BYTES
    with zipfile.ZipFile(BytesIO(data)) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            try:
                with archive.open(entry) as member:
                    raw = member.read(left + 1)
            except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
                raise MeasurementError(f"the array {name!r} is damaged ({error})") from None
            except Exception as error:  # zlib.error and its kin share no base class
                raise MeasurementError(f"the array {name!r} is damaged ({type(error).__name__})") from None
            left -= len(raw)
            if left < 0:
                raise MeasurementError(f"the archive unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB")
            arrays[name] = _array(raw, f"the array {name!r}")
    return _tables(arrays, options)


def read_mat(data: bytes, options: ReadOptions) -> list[Table]:
    """The table of the numeric variables of a MATLAB file."""
    return _tables(read_variables(data), options)


def _array(raw: bytes, what: str) -> Any:
    stream = BytesIO(raw)
    try:
        version = np.lib.format.read_magic(stream)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if reader is None:
            raise ValueError(f"format version {version}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers written by Python 2
            shape, fortran, dtype = reader(stream, max_header_size=10_000)
    except Exception as error:  # the header is parsed text; nearly anything can be wrong with it
        raise MeasurementError(f"{what} is no NumPy array that can be read ({str(error)[:100]})") from None
    if dtype.hasobject:
        raise MeasurementError(
            f"{what} holds Python objects, which are never opened; save numbers: np.save(name, array.astype(float))"
        )
    count = 1
    for length in shape:
        count *= int(length)
    if any(length < 0 for length in shape) or dtype.itemsize == 0 or count * dtype.itemsize > len(raw) - stream.tell():
        raise MeasurementError(f"{what} states the shape {shape}, but holds fewer numbers")
    flat = np.frombuffer(raw, dtype=dtype, count=count, offset=stream.tell())
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return text_of(array) if dtype.kind in "US" else array


def text_of(array: NDArray[Any]) -> str:
    """The first words of an array of texts; empty where they are no Unicode."""
    try:
        return " ".join(str(item) for item in array.reshape(-1)[:20])
    except (SystemError, UnicodeError):  # numpy passes on whatever code points the file holds
        return ""


def _tables(arrays: dict[str, Any], options: ReadOptions) -> list[Table]:
    """All arrays side by side as columns; texts and single numbers are remarks."""
    chosen = arrays
    if options.sheet:
        if options.sheet not in arrays:
            raise MeasurementError(f"there is no array {options.sheet!r}; there are {', '.join(map(repr, arrays))}")
        chosen = {options.sheet: arrays[options.sheet]}
    columns: list[tuple[str, NDArray[np.float64]]] = []
    comments: list[tuple[int, str]] = []
    notes: list[str] = []
    numeric: dict[str, NDArray[np.float64]] = {}
    for name, value in chosen.items():
        if isinstance(value, str):
            comments.append((0, f"{name}: {value}"))
        elif value.dtype.names:
            for field in value.dtype.names:
                _keep(numeric, notes, f"{name} {field}".strip(), value[field])
        else:
            _keep(numeric, notes, name, value)
    for name in [n for n, array in numeric.items() if array.size == 1]:
        comments.append((0, f"{name} = {float(numeric.pop(name).reshape(-1)[0]):g}"))
    vectors = {name: array.reshape(-1) for name, array in numeric.items() if _is_vector(array)}
    lengths = {len(vector) for vector in vectors.values()}
    for name, vector in vectors.items():
        columns.append((name, vector))
    for name, array in numeric.items():
        if name not in vectors:
            columns += _matrix_columns(name, array, lengths, notes)
    if not columns:
        raise MeasurementError("the file holds no numeric arrays")
    rows = max(len(values) for _, values in columns)
    check_size(rows, len(columns))
    cells = [_column(values, rows + 1, name) for name, values in columns]
    return [Table(cells, np.arange(rows + 1, dtype=np.int64), comments, "arrays", notes)]


def _keep(numeric: dict[str, NDArray[np.float64]], notes: list[str], name: str, value: Any) -> None:
    if value.dtype.kind not in "fiub" or value.size == 0 or value.ndim > 4:
        notes.append(f"The array {name!r} ({value.dtype}, {value.shape}) holds no table of numbers and was not read.")
        return
    with np.errstate(all="ignore"):
        numeric[name] = np.asarray(value, dtype=np.float64)


def _is_vector(array: NDArray[np.float64]) -> bool:
    return array.size == max(array.shape, default=1)


def _matrix_columns(
    name: str, array: NDArray[np.float64], lengths: set[int], notes: list[str]
) -> list[tuple[str, NDArray[np.float64]]]:
    """A matrix by columns of samples: along the axis that the vectors beside it have, else along the longer one."""
    if array.ndim > 2:
        notes.append(f"{name or 'The array'} has the shape {array.shape}: samples run along the last axis.")
        array = array.reshape(-1, array.shape[-1]).T
    elif array.shape[0] not in lengths and (array.shape[1] in lengths or array.shape[1] > array.shape[0]):
        notes.append(f"{name or 'The array'} has the shape {array.shape}: each row is one trace.")
        array = array.T
    width = array.shape[1]
    check_size(array.shape[0], width)
    return [(f"{name} {j + 1}" if name else "", array[:, j]) for j in range(width)]


def _column(values: NDArray[np.float64], rows: int, name: str) -> CellColumn:
    padded = np.full(rows, np.nan)
    padded[1 : len(values) + 1] = values
    return CellColumn(padded, {0: name} if name else {})
