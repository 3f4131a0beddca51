"""What the arrays of a network looked like after each epoch: a small picture and a histogram of every one."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tilewright.atomic_write import write_atomically
from tilewright.devices.array import DeviceArray
from tilewright.runs.health import tiles_of
from tilewright.tile import AnalogTile

PICTURE = 48  # rows and columns of a picture at most
BINS = 41
KEPT = 24  # snapshots of a run; a longer one keeps every second, fourth ...

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ArraySnapshot:
    """One array of one tile.

    Attributes:
        name: layer and array, such as ``1 weight``, ``1 A``.
        picture: every so many rows and columns of it (at most 48 x 48).
        counts: how many weights fall into each of the 41 bins between ``low`` and ``high``.
        low: smallest weight.
        high: largest weight.
    """

    name: str
    picture: Array
    counts: Array
    low: float
    high: float


@torch.no_grad()
def take_snapshot(model: nn.Module) -> list[ArraySnapshot]:
    """The weights of every tile and its hidden arrays, or of every layer when there is no tile."""
    found: list[tuple[str, Tensor]] = []
    names = {id(module): name for name, module in model.named_modules()}
    tiles = tiles_of(model)
    owners = [names[id(tile)].partition(".tile")[0] for tile in tiles]
    for tile, owner in zip(tiles, owners, strict=True):
        layer = _layer(names[id(tile)], owners.count(owner))
        found.append((f"{layer} weight", tile.weight))
        found += [(f"{layer} {name}", value) for name, value in _hidden_arrays(tile)]
    if not found:
        found = [(name, value) for name, value in model.named_parameters() if value.dim() == 2]
    return [_of(name, value) for name, value in found]


def _hidden_arrays(tile: AnalogTile) -> list[tuple[str, Tensor]]:
    """The memory of the algorithm, one value a crosspoint; the draws of its devices never change and are left out."""
    draws = {id(b) for m in tile.cell.modules() if isinstance(m, DeviceArray) for b in m.buffers(recurse=False)}
    found = []
    for name, value in tile.cell.named_buffers():
        words = name.replace("_", " ")
        if id(value) in draws:
            continue
        if value.shape == tile.weight.shape:
            found.append((words, value))
        elif value.dim() == 3 and value.shape[1:] == tile.weight.shape:
            found += [(f"{words} {k}", part) for k, part in enumerate(value)]
    return found


def _layer(path: str, tiles: int) -> str:
    """The layer of a tile, with the tile's number where a layer has several."""
    layer, _, place = path.partition(".tile")
    number = re.sub(r"\D+", " ", place).strip()
    return f"{layer} tile {number}" if tiles > 1 and number else layer


def _of(name: str, value: Tensor) -> ArraySnapshot:
    value = value.detach().float()
    array = value.numpy()
    rows, columns = (np.unique(np.linspace(0, n - 1, min(n, PICTURE)).round().astype(int)) for n in array.shape)
    low, high = float(array.min()), float(array.max())
    counts = torch.histc(value, BINS, low, high if high > low else low + 1.0).numpy()
    return ArraySnapshot(name, array[np.ix_(rows, columns)].astype(np.float32), counts, low, high)


# --- files of a run ---------------------------------------------------------------------------------------------------


def save_snapshot(folder: Path, epoch: int, arrays: list[ArraySnapshot]) -> None:
    """Write the snapshot of an epoch into ``snapshots/`` of a run's folder, thinning out older ones.

    Raises:
        OSError: it cannot be written.
    """
    content: dict[str, NDArray[np.generic]] = {"names": np.array([array.name for array in arrays])}
    for number, array in enumerate(arrays):
        content |= {f"picture{number}": array.picture, f"counts{number}": array.counts}
        content[f"range{number}"] = np.array([array.low, array.high], dtype=np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)  # type: ignore[arg-type]
    place = folder / "snapshots"
    place.mkdir(exist_ok=True)
    write_atomically(place / f"epoch-{epoch}.npz", buffer.getvalue())
    kept = snapshot_epochs(folder)
    every = 1
    while len([old for old in kept if old % every == 0]) > KEPT:
        every *= 2
    for old in kept:
        if old % every and old != epoch:
            (place / f"epoch-{old}.npz").unlink(missing_ok=True)


def snapshot_epochs(folder: Path) -> list[int]:
    """Epochs a run has snapshots of, in order; 0 is before the first step."""
    found = (re.fullmatch(r"epoch-(\d+)\.npz", path.name) for path in (folder / "snapshots").glob("epoch-*.npz"))
    return sorted(int(match.group(1)) for match in found if match)


def load_snapshot(folder: Path, epoch: int) -> list[ArraySnapshot]:
    """What :func:`save_snapshot` wrote; plain numbers, nothing is executed.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = folder / "snapshots" / f"epoch-{epoch}.npz"
    try:
        with np.load(path, allow_pickle=False) as content:
            names = [str(name) for name in content["names"]]
            return [
                ArraySnapshot(name, content[f"picture{k}"], content[f"counts{k}"], *map(float, content[f"range{k}"]))
                for k, name in enumerate(names)
            ]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}; the run itself is not affected") from None
