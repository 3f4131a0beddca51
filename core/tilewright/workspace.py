"""A folder that holds a user's work: measurements, devices, tiles and runs, as plain files.

Devices and tile configurations are YAML, measurements CSV: readable, comparable, easy to share. Names that people type
never become paths unchecked: :func:`file_name` turns any text into a harmless file name or refuses it.
"""

from __future__ import annotations

import os
import re
import reprlib
import unicodedata
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from tilewright.atomic_write import write_atomically
from tilewright.configs import RPUConfig
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import Parameters
from tilewright.runs.store import RunStore, StoreError

T = TypeVar("T")

LONGEST_NAME = 80  # characters; file systems allow 255 bytes, a character of UTF-8 takes up to 4, a suffix follows
LARGEST_FILE = 64 * 2**20

_DEVICE_NAMES_OF_WINDOWS = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


class WorkspaceError(ValueError):
    """A name cannot be used or an item cannot be read or written. The message names the item and what to do."""


def file_name(text: str) -> str:
    """The file name (without suffix) under which an item called ``text`` is kept.

    Letters and digits of any script, ``_`` and ``.`` within the name are kept; anything else becomes ``-``.
    ``file_name(file_name(text)) == file_name(text)``.

    Raises:
        WorkspaceError: nothing usable is left.
    """
    name = unicodedata.normalize("NFC", text)
    name = re.sub(r"[^\w.]+", "-", name)
    name = re.sub(r"\.{2,}", ".", name).strip("-.")[:LONGEST_NAME].strip("-.")
    while len(name.encode()) > 200:
        name = name[:-1].strip("-.")
    if not name:
        raise WorkspaceError(f"{reprlib.repr(text)} is not usable as a name; use letters or digits")
    if name.split(".")[0].lower() in _DEVICE_NAMES_OF_WINDOWS:
        raise WorkspaceError(f"{reprlib.repr(text)} is a reserved name on some systems; choose another")
    return name


class Shelf(Generic[T]):
    """Named items of one kind, one file each.

    Args:
        folder: where the files are.
        suffix: of the files, with the dot.
        kind: what an item is called in messages.
        write: item to text.
        read: text to item; raises ``ValueError`` when the text is not one.
    """

    def __init__(self, folder: Path, suffix: str, kind: str, write: Callable[[T], str], read: Callable[[str], T]):
        self.folder = folder
        self._suffix = suffix
        self._kind = kind
        self._write = write
        self._read = read

    def names(self) -> list[str]:
        """Names of all items, sorted; damaged ones too."""
        if not self.folder.is_dir():
            return []
        found = (path for path in self.folder.iterdir() if path.suffix == self._suffix and path.is_file())
        return sorted((path.stem for path in found if not path.name.startswith(".")), key=str.casefold)

    def path(self, name: str) -> Path:
        """The file of an item, whether or not it exists; always directly within the shelf's folder."""
        return self.folder / f"{file_name(name)}{self._suffix}"

    def exists(self, name: str) -> bool:
        """Whether there is an item of that name; False for a name that cannot be used."""
        try:
            return self.path(name).is_file()
        except WorkspaceError:
            return False

    def save(self, name: str, item: T) -> str:
        """Write an item, replacing one of the same name; returns the name it is kept under (see :func:`file_name`).

        Raises:
            WorkspaceError: unusable name, or the file cannot be written.
        """
        path = self.path(name)
        try:
            write_atomically(path, self._write(item).encode())
        except OSError as error:
            raise WorkspaceError(f"{self._kind} {name!r} cannot be written to {path}: {error.strerror}") from None
        return path.name.removesuffix(self._suffix)

    def free_name(self, name: str) -> str:
        """``name`` as it would be kept, with ``-2``, ``-3`` ... added when there is one already."""
        base = file_name(name)[: LONGEST_NAME - 6]
        candidate, number = file_name(base), 2
        while self.exists(candidate):
            candidate, number = file_name(f"{base}-{number}"), number + 1
        return candidate

    def load(self, name: str) -> T:
        """Read an item.

        Raises:
            WorkspaceError: there is none of that name, or its file is damaged.
        """
        path = self.path(name)
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise WorkspaceError(f"{path} is larger than {LARGEST_FILE // 2**20} MiB; it is not a {self._kind}")
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            raise WorkspaceError(f"there is no {self._kind} {name!r} in {self.folder}") from None
        except UnicodeDecodeError:
            raise WorkspaceError(f"{path} is not a text file; restore or delete it") from None
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror}") from None
        try:
            return self._read(text)
        except ValueError as error:
            raise WorkspaceError(f"{path} is not a readable {self._kind}: {error}") from None

    def delete(self, name: str) -> None:
        """Remove an item; raises :class:`WorkspaceError` when there is none of that name."""
        try:
            self.path(name).unlink()
        except FileNotFoundError:
            raise WorkspaceError(f"there is no {self._kind} {name!r} in {self.folder}") from None
        except OSError as error:
            raise WorkspaceError(f"{self._kind} {name!r} cannot be deleted: {error.strerror}") from None


class Workspace:
    """A workspace folder.

    Attributes:
        folder: its absolute path.
        measurements: :class:`Shelf` of :class:`tilewright.measurement.Measurement`.
        devices: shelf of device models (subclasses of ``PulsedDevice``).
        tiles: shelf of tile configurations (subclasses of ``RPUConfig``).

    Args:
        folder: default ``$TILEWRIGHT_WORKSPACE``, else ``~/tilewright``. Made when something is first saved.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder or os.environ.get("TILEWRIGHT_WORKSPACE") or "~/tilewright").expanduser().resolve()
        if self.folder.exists() and not self.folder.is_dir():
            raise WorkspaceError(f"{self.folder} is a file; a workspace is a folder")
        self.measurements: Shelf[object] = Shelf(
            self.folder / "measurements", ".csv", "measurement", _write_measurement, _read_measurement
        )
        self.devices: Shelf[PulsedDevice] = _parameter_shelf(self.folder / "devices", "device", PulsedDevice)
        self.tiles: Shelf[RPUConfig] = _parameter_shelf(self.folder / "tiles", "tile configuration", RPUConfig)

    @cached_property
    def runs(self) -> RunStore:
        """The runs of this workspace; raises :class:`WorkspaceError` when their index cannot be used."""
        try:
            return RunStore(self.folder)
        except StoreError as error:
            raise WorkspaceError(str(error)) from None


P = TypeVar("P", bound=Parameters)


def _parameter_shelf(folder: Path, kind: str, base: type[P]) -> Shelf[P]:
    def write(item: P) -> str:
        if not isinstance(item, base):
            raise WorkspaceError(f"a {kind} is expected here, not a {type(item).__name__}")
        return item.to_yaml(full=True)

    return Shelf(folder, ".yaml", kind, write, base.from_yaml)


def _write_measurement(item: object) -> str:
    from tilewright.measurement import measurement_to_csv

    return str(measurement_to_csv(item))  # type: ignore[arg-type]


def _read_measurement(text: str) -> object:
    from tilewright.measurement import measurement_from_csv

    return measurement_from_csv(text)
