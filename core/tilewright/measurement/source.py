"""Getting the bytes of an upload, and telling what kind of file they are before anything parses them."""

from __future__ import annotations

import zipfile
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, Any

from tilewright.measurement.record import MeasurementError

MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_MEMBERS = 500

_TEXT = "only tables are read: CSV, TSV, TXT, XLSX, MAT, NPY, NPZ"
_FOREIGN = (
    (b"MATLAB 7.3", "a MATLAB 7.3 file", "MATLAB 7.3 files are not read; save it in MATLAB with the option '-v7'"),
    (b"\x89HDF", "an HDF5 or MATLAB 7.3 file", "HDF5 is not read; in MATLAB, save with the option '-v7'"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls) or an encrypted workbook", "save it as .xlsx or CSV"),
    (b"%PDF", "a PDF document", _TEXT),
    (b"\x89PNG", "a picture", _TEXT),
    (b"\xff\xd8\xff", "a picture", _TEXT),
    (b"GIF8", "a picture", _TEXT),
    (b"II*\x00", "a picture", _TEXT),
    (b"MM\x00*", "a picture", _TEXT),
    (b"BM", "a picture", _TEXT),
    (b"\x1f\x8b", "a gzip archive", "archives are not read; unpack it first"),
    (b"Rar!", "an archive", "archives are not read; unpack it first"),
    (b"7z\xbc\xaf", "an archive", "archives are not read; unpack it first"),
    (b"BZh", "an archive", "archives are not read; unpack it first"),
    (b"\xfd7zXZ", "an archive", "archives are not read; unpack it first"),
    (b"PAR1", "a Parquet file", _TEXT),
    (b"SQLite format 3", "a database", _TEXT),
    (b"\x7fELF", "a program", _TEXT),
    (b"MZ", "a program", _TEXT),
    *((b"\x80" + bytes([n]), "a Python pickle, which is never opened", "save the numbers as CSV") for n in range(2, 6)),
)


_MARKUP = (
    (b"<!doctype html", "a web page"), (b"<html", "a web page"), (b"<?xml", "an XML file"), (b"{\\rtf", "a document"),
    (b"{\"", "a JSON file"), (b"[{", "a JSON file"),
)  # fmt: skip


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


def kind_of(data: bytes) -> str:
    """What reads the bytes: ``"text"``, ``"workbook"`` (.xlsx), ``"npy"``, ``"npz"`` or ``"mat"`` (MATLAB 5 to 7.2).

    Raises:
        MeasurementError: another kind of file, named where it is known; a damaged archive, or one that unpacks to
            too much.
    """
    if data.startswith(b"\x93NUMPY"):
        return "npy"
    if data.startswith(b"MATLAB 5.0"):
        return "mat"
    for mark, kind, remedy in _FOREIGN:
        # Two letters may begin a text as well.
        if data.startswith(mark) and (len(mark) > 2 or data[:64].count(0) or mark[0] > 126):
            raise MeasurementError(remedy, seems=kind)
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_archive(data)
    begin = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, kind in _MARKUP:
        if begin.startswith(mark):
            raise MeasurementError("save it as CSV", seems=kind)
    return "text"


def _kind_of_archive(data: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError, RuntimeError) as error:
        raise MeasurementError(f"the file is a damaged archive or workbook ({error}); save it again") from None
    names = [entry.filename for entry in entries]
    kind = "workbook" if "xl/workbook.xml" in names else "npz" if _all_arrays(names) else ""
    if not kind:
        remedy = "zip archives are not read; unpack it and choose one table"
        if "content.xml" in names:
            raise MeasurementError("save it as .xlsx or CSV", seems="an OpenDocument spreadsheet")
        if "xl/workbook.bin" in names:
            raise MeasurementError("save it as .xlsx or CSV", seems="a binary Excel workbook (.xlsb)")
        raise MeasurementError(remedy, seems="an archive")
    if len(entries) > MAX_MEMBERS:
        raise MeasurementError(f"the archive holds more than {MAX_MEMBERS} parts")
    if any(entry.flag_bits & 1 for entry in entries):
        raise MeasurementError("the file is encrypted; save it without a password")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise MeasurementError(f"the {kind} unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB; save it as CSV")
    return kind


def _all_arrays(names: list[str]) -> bool:
    return bool(names) and all(name.endswith(".npy") for name in names)


def decode(data: bytes) -> tuple[str, list[str]]:
    """Text of a table file and notes on its encoding.

    Raises:
        MeasurementError: the bytes are not text; names the kind of file where it is known.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), ["Read as UTF-16 text."]
        except UnicodeDecodeError as error:
            raise MeasurementError(f"the UTF-16 text is damaged at byte {error.start}") from None
    head = data[:4096]
    if head.count(0):
        order = _order_of_wide_text(head)
        if not order:
            raise MeasurementError(f"the file is binary; {_TEXT}")
        return data.decode(order, errors="replace"), ["Read as UTF-16 text without its mark."]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        pass
    control = sum(byte < 32 and byte not in b"\t\r\n\f\x1a\x1b" for byte in head)
    if control > len(head) / 50:
        raise MeasurementError(f"the file is binary; {_TEXT}")
    return data.decode("cp1252", errors="replace"), ["Not UTF-8: read as Western European (Windows) text."]


def _order_of_wide_text(head: bytes) -> str:
    """Byte order of UTF-16 text without a mark, told by where its zero bytes stand; empty when it is not that."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.9 * len(head[1::2]) and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > 0.9 * len(head[::2]) and odd == 0 else ""
