"""Runs grouped for a comparison: by setting, or by any one thing in which they differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tilewright.devices.pulsed import PulsedDevice
from tilewright.runs.comparison import settings_of, varied_fields
from tilewright.runs.store import RunRow

SETTING = "setting"
NONE = "none"
MOST_FIELDS = 3  # that a device is named by; one with more, such as a fitted one, by its model and a digest


def groupings(rows: Sequence[RunRow]) -> list[str]:
    """What these runs can be grouped by: ``setting``, then ``algorithm``, ``device``, ``data``, ``network``, ``sweep``
    and ``tags`` where they differ, then the path of every field with several plain values."""
    found = [SETTING, *(by for by in _ABOUT if len({_ABOUT[by](row) for row in rows}) > 1)]
    varied = varied_fields(rows)
    return [*found, *(path for path, values in varied.items() if _is_plain(path, values))]


def grouped(rows: Sequence[RunRow], by: str = SETTING) -> dict[str, list[RunRow]]:
    """Runs by the name of their group, in order of first appearance.

    Args:
        rows: the runs.
        by: one of :func:`groupings`. A run with several tags is in one group, that of all its tags.
    """
    if by == SETTING:
        names = setting_names(rows)
        return {names[digest]: group for digest, group in settings_of(rows).items()}
    if by in _ABOUT:
        values = [_ABOUT[by](row) for row in rows]
    else:
        last = by.rpartition(".")[2]
        values = [f"{last} {_text(value)}" for value in varied_fields(rows).get(by, [None] * len(rows))]
    found: dict[str, list[RunRow]] = {}
    for value, row in zip(values, rows, strict=True):
        found.setdefault(value, []).append(row)
    return found


def group_words(by: str) -> str:
    """What runs are grouped by, within a sentence."""
    return by.removeprefix("rpu_config.") if "." in by else by.replace("_", " ")


def group_heading(by: str) -> str:
    """The same over a column."""
    words = group_words(by)
    return words[:1].upper() + words[1:]


def setting_names(rows: Sequence[RunRow]) -> dict[str, str]:
    """A name for each setting: that of its first run without the seed, with what differs where names are alike."""
    groups = settings_of(rows)
    names = {digest: group[0].name.partition(", seed ")[0] for digest, group in groups.items()}
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    if twice:
        firsts = [group[0] for group in groups.values()]
        varied = varied_fields(firsts)
        for number, digest in enumerate(groups):
            if names[digest] in twice:
                alike = [k for k, other in enumerate(groups) if names[other] == names[digest]]
                differing = [p for p, values in varied.items() if len({str(values[k]) for k in alike}) > 1]
                words = [f"{path.rpartition('.')[2]} {varied[path][number]}" for path in differing[:3]]
                names[digest] = f"{names[digest]} ({', '.join(words)})" if words else names[digest]
    return names


def common_algorithm(rows: Sequence[RunRow]) -> str:
    """The algorithm that all runs of a group share; empty where they have several."""
    found = {row.algorithm for row in rows}
    return found.pop() if len(found) == 1 else ""


def device_name(row: RunRow) -> str:
    """The device whose weight the network of a run sees: its preset or model, with what is set."""
    config = row.spec.rpu_config
    cell = getattr(config, "device", None)
    device = getattr(cell, "visible_device", cell)
    if not isinstance(device, PulsedDevice):
        return NONE
    fields = {k: v for k, v in device.to_dict().items() if k not in ("schema_version", "type", "construction_seed")}
    name = type(device).__name__.removesuffix("Device").removesuffix("Preset")
    if len(fields) > MOST_FIELDS:
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        return f"{name} {digest[:4]}"
    return ", ".join([name, *(f"{key} {_text(value)}" for key, value in fields.items())])


def _algorithm(row: RunRow) -> str:
    from tilewright.figures.palette import algorithm_label  # loads plotly, which no worker needs

    return algorithm_label(row.algorithm)


_ABOUT: dict[str, Any] = {
    "algorithm": _algorithm,
    "device": device_name,
    "data": lambda row: row.spec.data.name,
    "network": lambda row: row.spec.network.describe(),
    "sweep": lambda row: row.batch or NONE,
    "tags": lambda row: " ".join(row.tags) or NONE,
}


def _is_plain(path: str, values: Sequence[Any]) -> bool:
    if path.endswith(("type", "construction_seed")) or path in ("data.name", "schedule_epochs"):
        return False
    return not any(isinstance(value, list) for value in values) and len({json.dumps(value) for value in values}) > 1


def _text(value: Any) -> str:
    if value is None:
        return NONE
    return f"{value:.6g}" if isinstance(value, float) else str(value)
