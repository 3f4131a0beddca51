"""Reading idx files, the format MNIST and its relatives are published in.

A file is a four-byte magic number (two zeros, the type of the values, the number of dimensions), one big-endian
32-bit size per dimension, then the values. Plain and gzip-compressed files are read; only unsigned bytes are, since
that is what image sets use.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSIGNED_BYTE = 0x08
LARGEST_FILE = 2**31  # bytes of values; a header that claims more is damaged or hostile


class DataError(ValueError):
    """A data set cannot be read. The message names the file and what is wrong with it."""


def read_idx(path: str | Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzip-compressed or plain.

    Args:
        path: the file.
        dimensions: how many dimensions it must have: 3 for images, 1 for labels.

    Returns:
        The values in the shape the header gives.

    Raises:
        DataError: missing, not an idx file of bytes, of other dimensions, truncated, too long or too large.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not compressed:
                return _read_stream(raw, dimensions, path)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read_stream(stream, dimensions, path)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or "the compressed data ends early"
        raise DataError(f"{path} cannot be read: {reason}") from None


def _read_stream(stream: Any, dimensions: int, path: Path) -> NDArray[np.uint8]:
    header = stream.read(4)
    if len(header) < 4 or header[:2] != b"\0\0":
        raise DataError(f"{path} is not an idx file: it starts with {header.hex(' ') or 'nothing'} instead of 00 00")
    kind, found = header[2], header[3]
    if kind != UNSIGNED_BYTE:
        raise DataError(f"{path} holds values of idx type 0x{kind:02x}; only unsigned bytes (0x08) are read")
    if found != dimensions:
        raise DataError(f"{path} has {found} dimensions, expected {dimensions}; are images and labels swapped?")
    sizes_text = stream.read(4 * dimensions)
    if len(sizes_text) < 4 * dimensions:
        raise DataError(f"{path} ends within its header")
    shape = struct.unpack(f">{dimensions}I", sizes_text)
    count = math.prod(shape)
    if not 0 < count <= LARGEST_FILE:
        raise DataError(f"{path} claims the shape {shape}, which is not that of an image set")
    values = stream.read(count)
    if len(values) < count:
        raise DataError(f"{path} ends after {len(values)} of {count} values; copy or download it again")
    if stream.read(1):
        raise DataError(f"{path} holds more values than its shape {shape} says")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
