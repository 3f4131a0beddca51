"""Getting the bytes of an upload, and telling what kind of file they are before anything parses them."""

from __future__ import annotations

import zipfile
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, Any

from tilewright.measurement.record import MeasurementError

MAX_BYTES = 32 * 1024 * 1024
MAX_UNPACKED_BYTES = 256 * 1024 * 1024

_FOREIGN = (
    (b"\x93NUMPY", "a NumPy array file (.npy)"),
    (b"MATLAB 5.0", "a MATLAB file (.mat)"),
    (b"\x89HDF", "an HDF5 or MATLAB 7.3 file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls)"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"\x80\x02", "a Python pickle, which is never opened"),
    (b"\x80\x03", "a Python pickle, which is never opened"),
    (b"\x80\x04", "a Python pickle, which is never opened"),
    (b"\x80\x05", "a Python pickle, which is never opened"),
)


def read_bytes(source: Any) -> tuple[bytes, str]:
    """Bytes and a name from a path, bytes, or an object with ``read()``.

    Raises:
        MeasurementError: the file is missing, empty or over the size limit.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), "measurement"
    elif isinstance(source, (str, PathLike)):
        data, name = _read_path(Path(source)), Path(source).stem
    elif hasattr(source, "read"):
        data, name = _read_stream(source), Path(str(getattr(source, "name", "") or "measurement")).stem
    else:
        raise MeasurementError(f"expected a path, bytes or an open file, found {type(source).__name__}")
    if len(data) > MAX_BYTES:
        raise MeasurementError(f"the file is larger than {MAX_BYTES // 2**20} MB; split it or remove columns")
    if not data.strip(b"\x00 \t\r\n"):
        raise MeasurementError("the file is empty")
    return data, name or "measurement"


def _read_path(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MeasurementError(f"cannot open {path.name!r}: {reason}") from None


def _read_stream(stream: IO[Any]) -> bytes:
    if hasattr(stream, "seek"):
        stream.seek(0)
    data = stream.read(MAX_BYTES + 1)
    return data.encode("utf-8", errors="replace") if isinstance(data, str) else bytes(data)


def is_workbook(data: bytes) -> bool:
    """Whether the bytes are an Excel workbook (.xlsx) that is safe to unpack.

    Raises:
        MeasurementError: another kind of archive, a damaged one, or one that unpacks to too much.
    """
    if not data.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
        raise MeasurementError(f"the file is a damaged archive or workbook ({error}); save it again") from None
    if not any(entry.filename == "xl/workbook.xml" for entry in entries):
        raise MeasurementError("zip archives are not read; unpack it and choose one table", seems="an archive")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise MeasurementError(f"the workbook unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB; save it as CSV")
    return True


def decode(data: bytes) -> tuple[str, list[str]]:
    """Text of a table file and notes on its encoding.

    Raises:
        MeasurementError: the bytes are not text; names the kind of file where it is known.
    """
    for mark, kind in _FOREIGN:
        if data.startswith(mark):
            raise MeasurementError("only text tables (CSV, TSV, TXT) and Excel workbooks are read", seems=kind)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), ["Read as UTF-16 text."]
        except UnicodeDecodeError as error:
            raise MeasurementError(f"the UTF-16 text is damaged at byte {error.start}") from None
    if data[:4096].count(0):
        raise MeasurementError("the file is binary; only text tables (CSV, TSV, TXT) and Excel workbooks are read")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), ["Not UTF-8: read as Western European (Windows) text."]
