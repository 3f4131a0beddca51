"""Numeric variables of a MATLAB file (versions 5 to 7.2), unpacked within limits before anything interprets them.

A file is a header of 128 bytes and a row of elements: a type, a size, that many bytes. Compressed elements hold one
element. Source: "MAT-File Format", The MathWorks.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from scipy.io import loadmat

from tilewright.measurement.record import MeasurementError
from tilewright.measurement.source import MAX_UNPACKED_BYTES

_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)  # double, single, int8 .. uint64
_DEEPEST = 6
MAX_VARIABLES = 1000


def read_variables(data: bytes) -> dict[str, Any]:
    """Arrays and texts of a file by name; fields of structures as ``"name.field"``.

    Raises:
        MeasurementError: the file is damaged or unpacks to too much.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise MeasurementError("the MATLAB file is damaged: its header names no byte order")
    try:
        elements = list(_safe_elements(data, order))
        if not elements:
            raise MeasurementError("the MATLAB file holds no numeric variables")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = loadmat(BytesIO(data[:128] + b"".join(elements)), chars_as_strings=True, squeeze_me=False)
    except MeasurementError:
        raise
    except Exception as error:  # scipy raises many kinds on a damaged file
        raise MeasurementError(
            f"the MATLAB file is damaged ({type(error).__name__}: {str(error)[:120]}); save it again"
        ) from None
    found: dict[str, Any] = {}
    for name, value in loaded.items():
        if not name.startswith("__"):
            _collect(found, name, value, 0)
    return found


def _safe_elements(data: bytes, order: str) -> Iterator[bytes]:
    """The top-level matrices that may be read: unpacked, of a known class, complete and not nested too deep."""
    total, count, position = 0, 0, 128
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, position)
        body = data[position + 8 : position + 8 + size]
        if len(body) < size:
            raise MeasurementError("the MATLAB file is cut off; copy it again")
        position += 8 + size
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            element = unpacker.decompress(body, MAX_UNPACKED_BYTES - total)
            if unpacker.unconsumed_tail:
                raise MeasurementError(f"the MATLAB file unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB")
        elif kind == _MATRIX:
            element = struct.pack(order + "II", kind, size) + body
        else:
            continue
        total, count = total + len(element), count + 1
        if count > MAX_VARIABLES:
            raise MeasurementError(f"the MATLAB file holds more than {MAX_VARIABLES} variables")
        if len(element) >= 8 and _is_safe(element, order, 0):
            yield element


def _is_safe(element: bytes, order: str, depth: int) -> bool:
    """Whether an element is a complete numeric, text or structure array whose parts are the same."""
    kind, size = struct.unpack_from(order + "II", element)
    if kind != _MATRIX or size != len(element) - 8:
        return False
    parts = list(_parts(element, order))
    if len(parts) < 3 or parts[0][0] != 6 or len(parts[0][1]) != 8 or parts[1][0] != 5:
        return False
    flags = struct.unpack(order + "I", parts[0][1][:4])[0]
    kind = flags & 0xFF
    if flags & 0x0800 and kind not in {_CELL, _STRUCT}:
        return False  # complex numbers are no response
    cells = 1
    if not 2 <= len(parts[1][1]) // 4 <= 8:
        return False
    for (length,) in struct.iter_unpack(order + "i", parts[1][1][: len(parts[1][1]) // 4 * 4]):
        cells *= max(length, 0)
    if kind in _NUMERIC or kind == _CHAR:
        # Every number takes at least one byte in the file.
        return len(parts) == 4 and cells <= max(len(parts[3][1]), 0)
    if kind not in {_CELL, _STRUCT} or depth >= _DEEPEST:
        return False
    inner = parts[3:]
    if kind == _STRUCT:
        if len(parts) < 5 or len(parts[3][1]) != 4:
            return False
        length = struct.unpack(order + "i", parts[3][1])[0]
        cells *= len(parts[4][1]) // length if length > 0 else 0
        inner = parts[5:]
    # Every entry is in the file: what states more entries than it holds is a lie.
    return len(inner) == cells <= MAX_VARIABLES and all(
        not body or _is_safe(struct.pack(order + "II", part_kind, len(body)) + body, order, depth + 1)
        for part_kind, body in inner
    )


def _parts(element: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of the parts of a matrix; short parts keep both and up to four bytes in one word."""
    position = 8
    while position + 8 <= len(element):
        kind, size = struct.unpack_from(order + "II", element, position)
        if kind >> 16:
            small = kind >> 16
            if small > 4:
                return
            yield kind & 0xFFFF, element[position + 4 : position + 4 + small]
            position += 8
            continue
        body = element[position + 8 : position + 8 + size]
        if len(body) < size:
            return
        yield kind, body
        position += 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)


def _collect(found: dict[str, Any], name: str, value: Any, depth: int) -> None:
    if not isinstance(value, np.ndarray) or depth > _DEEPEST or len(found) >= MAX_VARIABLES:
        return
    if value.dtype.names:
        for k, entry in enumerate(value.reshape(-1), start=1):
            for field in value.dtype.names:
                _collect(found, f"{_numbered(name, k, value.size)}.{field}", entry[field], depth + 1)
    elif value.dtype == object:
        for k, entry in enumerate(value.reshape(-1), start=1):
            _collect(found, _numbered(name, k, value.size), entry, depth + 1)
    elif value.dtype.kind in "US":
        found[name] = " ".join(str(item) for item in value.reshape(-1)[:20])
    elif value.dtype.kind in "fiub":
        found[name] = value


def _numbered(name: str, k: int, count: int) -> str:
    """Name of one of several entries of a structure or cell array."""
    return f"{name} {k}" if count > 1 else name
