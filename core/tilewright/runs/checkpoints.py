"""Checkpoints as files: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from tilewright.atomic_write import writing_atomically
from tilewright.ledger import Ledger
from tilewright.runs.store import ArtifactRow
from tilewright.runs.trainer import CheckpointError


def save_checkpoint(path: Path, state: dict[str, Any]) -> ArtifactRow:
    """Write the ``state`` of a ``checkpoint`` event; returns what to note in the store.

    Raises:
        CheckpointError: the file cannot be written, e.g. on a full disk; an older one is still there.
    """

    def write(file: _Hashed) -> None:
        try:
            with _no_checksum_of_parts():
                torch.save(state, cast(BinaryIO, file))
        except RuntimeError:
            if file.error is not None:
                raise file.error from None
            raise

    return _save("checkpoint", path, write)


def save_ledger(path: Path, book: Ledger) -> ArtifactRow:
    """Write the ``ledger`` of a ``checkpoint`` event; as :func:`save_checkpoint`."""
    return _save("ledger", path, lambda file: file.write(book.to_json().encode()))


class _Hashed:
    """A file that is hashed as it is written: its content never lies in memory as a whole."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None  # torch tells of its own failure to write, not of the reason

    def write(self, data: bytes) -> int:
        try:
            written = self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.hash.update(data)
        self.size += len(data)
        return written

    def flush(self) -> None:
        self.file.flush()


@contextmanager
def _no_checksum_of_parts() -> Iterator[None]:
    """The checksum of the whole file says more than torch's of its parts, which take as long to compute."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def _save(name: str, path: Path, write: Callable[[_Hashed], object]) -> ArtifactRow:
    try:
        with writing_atomically(path) as file:
            hashed = _Hashed(file)
            write(hashed)
    except OSError as error:
        raise CheckpointError(
            f"{name} {path} cannot be written: {error.strerror}; free some space, then resume"
        ) from None
    return ArtifactRow(name, path.name, hashed.hash.hexdigest(), hashed.size, time.time())


def load_checkpoint(path: Path, sha256: str = "") -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; tensors and plain values only, nothing in it is executed.

    Raises:
        CheckpointError: missing, damaged, or not what ``sha256`` says.
    """
    advice = "delete the run and submit it again"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}; {advice}") from None
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"checkpoint {path} is damaged: its contents have changed since it was written; {advice}")
    try:
        state = torch.load(io.BytesIO(data), weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"checkpoint {path} is damaged: {reason}; {advice}") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not a checkpoint of a run")
    return state
