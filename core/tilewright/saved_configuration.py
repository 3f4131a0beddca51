"""The configuration of a tile inside a checkpoint, and what differs from it in words."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from tilewright.configs import RPUConfig
from tilewright.parameters import ParameterError

_LISTED = 20


class ConfigurationWarning(UserWarning):
    """A checkpoint was loaded into tiles of another configuration than it was saved from."""


def encode_configuration(config: RPUConfig) -> Tensor:
    """The whole configuration, defaults included, as the bytes of its JSON text (uint8): a checkpoint holds tensors."""
    text = json.dumps(config.to_dict(full=True), separators=(",", ":"))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def describe_differences(saved: Any, here: RPUConfig) -> str:
    """Fields of a saved configuration that differ from ``here``, as ``path: saved -> here``; empty if none does."""
    try:
        config = RPUConfig.from_dict(json.loads(saved.cpu().numpy().tobytes().decode()))
    except (AttributeError, TypeError, ValueError, ParameterError) as error:
        return f"the saved configuration cannot be read ({error})"
    found = [f"{path}: {_shown(there)} -> {_shown(ours)}" for path, (there, ours) in config.diff(here).items()]
    rest = [f"and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return ", ".join(found[:_LISTED] + rest)


def _shown(value: Any) -> str:
    """A value in a line: of an object its class."""
    if isinstance(value, dict):
        return str(value.get("type", "an object"))
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
