"""Checkpoints as files: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from pathlib import Path
from typing import Any

import torch

from tilewright.atomic_write import write_atomically
from tilewright.ledger import Ledger
from tilewright.runs.store import ArtifactRow
from tilewright.runs.trainer import CheckpointError


def save_checkpoint(path: Path, state: dict[str, Any]) -> ArtifactRow:
    """Write the ``state`` of a ``checkpoint`` event; returns what to note in the store.

    Raises:
        CheckpointError: the file cannot be written, e.g. on a full disk; an older one is still there.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return _save("checkpoint", path, buffer.getvalue())


def save_ledger(path: Path, book: Ledger) -> ArtifactRow:
    """Write the ``ledger`` of a ``checkpoint`` event; as :func:`save_checkpoint`."""
    return _save("ledger", path, book.to_json().encode())


def _save(name: str, path: Path, data: bytes) -> ArtifactRow:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CheckpointError(
            f"{name} {path} cannot be written: {error.strerror}; free some space, then resume"
        ) from None
    return ArtifactRow(name, path.name, hashlib.sha256(data).hexdigest(), len(data), time.time())


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
