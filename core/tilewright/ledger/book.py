"""The ledger of a model: counts of all its tiles, their sums, and what they cost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import pandas as pd
from torch import Tensor, nn

from tilewright.configs import AnalogRPUConfig, MVType, UpdateParameters
from tilewright.devices.array import DeviceArray
from tilewright.ledger.constants import CostConstants
from tilewright.ledger.counts import ArrayCount, TileCount
from tilewright.tile import AnalogTile

LEDGER_FORMAT = 1
_TWO_PASSES = (MVType.POS_NEG_SEPARATE, MVType.POS_NEG_SEPARATE_DIGITAL_SUM)


class LedgerError(ValueError):
    """A stored ledger cannot be read. The message says why."""


@dataclass(frozen=True)
class UpdateTime:
    """Time that the updates of one tile took, in ns.

    Attributes:
        pulses: slots of pulse trains.
        reads: reads of single lines.
        digital: digital operations.
        products: forward and backward products, which every algorithm needs alike; not part of ``total``.
    """

    pulses: float
    reads: float
    digital: float
    products: float

    @property
    def total(self) -> float:
        """Pulses, reads and digital operations, one after the other."""
        return self.pulses + self.reads + self.digital


@dataclass(frozen=True)
class Ledger:
    """Counts of every tile of a model. Made by :func:`ledger`."""

    tiles: tuple[TileCount, ...]

    # --- tables -----------------------------------------------------------------------------------------------------

    def table(self) -> pd.DataFrame:
        """One row per array: what was counted on it, pulses also per crosspoint (``mean_pulses``, ``most_pulses``)."""
        rows = []
        for tile in self.tiles:
            for array in tile.arrays:
                row = {"tile": tile.name, "outputs": tile.outputs, "inputs": tile.inputs, **vars(array)}
                row["array"] = row.pop("name")
                row["mean_pulses"] = array.mean_pulses
                rows.append(row)
        return pd.DataFrame(rows, columns=_ARRAY_COLUMNS)

    def tile_table(self) -> pd.DataFrame:
        """One row per tile: vectors, products, reads, slots, digital operations and memory."""
        rows = [{key: value for key, value in vars(tile).items() if key != "arrays"} for tile in self.tiles]
        return pd.DataFrame(rows, columns=_TILE_COLUMNS)

    def totals(self) -> dict[str, float]:
        """Sums over all tiles and arrays; ``mean_pulses`` and ``most_pulses`` are per crosspoint.

        ``pulses_up``, ``pulses_down`` and ``most_pulses`` are missing when crosspoints were not counted.
        """
        arrays = [array for tile in self.tiles for array in tile.arrays]
        summed = {name: sum(getattr(tile, name) for tile in self.tiles) for name in _SUMMED_TILE}
        summed |= {name: sum(getattr(array, name) for array in arrays) for name in _SUMMED_ARRAY}
        summed["mean_pulses"] = summed["pulses"] / summed["crosspoints"] if summed["crosspoints"] else 0.0
        if arrays and all(array.most_pulses is not None for array in arrays):
            summed["pulses_up"] = sum(array.pulses_up or 0 for array in arrays)
            summed["pulses_down"] = sum(array.pulses_down or 0 for array in arrays)
            summed["most_pulses"] = max(array.most_pulses or 0 for array in arrays)
        return summed

    # --- costs ------------------------------------------------------------------------------------------------------

    def time(self, constants: CostConstants | None = None, simulated: bool = False) -> dict[str, UpdateTime]:
        """Time of all updates so far, by tile.

        The published accounting, ``slots t_p + line reads t_MVM + operations / rate``, gives per vector
        ``l t_p + 2N / rate`` for SGD and ``(l + 1 / n_s) t_p + t_MVM / n_s + (2N + 2N / n_s) / rate`` for TTv2.
        Source: Rasch et al., Nat. Commun. 15:7133 (2024), Table 1.

        Args:
            constants: cost of each operation; the published ones when None.
            simulated: with the slots and digital operations of this simulation instead.
        """
        c = constants or CostConstants()
        return {
            tile.name: UpdateTime(
                pulses=(tile.slots_all if simulated else tile.slots) * c.pulse_time,
                reads=tile.line_reads * c.product_time,
                digital=(tile.digital_all if simulated else tile.digital) * c.operation_time,
                products=tile.passes * c.product_time + tile.digital_products * c.operation_time,
            )
            for tile in self.tiles
        }

    def time_table(self, constants: CostConstants | None = None) -> pd.DataFrame:
        """Time per vector in ns, one row per tile: its parts, their sum, and the sum as simulated."""
        published, simulated = self.time(constants), self.time(constants, simulated=True)
        rows = []
        for tile in self.tiles:
            n, spent = max(tile.vectors, 1), published[tile.name]
            parts = {kind: getattr(spent, kind) / n for kind in ("pulses", "reads", "digital", "products")}
            sums = {"update": spent.total / n, "simulated": simulated[tile.name].total / n}
            rows.append({"tile": tile.name, **parts, **sums})
        return pd.DataFrame(rows, columns=_TIME_COLUMNS)

    def update_time(self, constants: CostConstants | None = None) -> float:
        """Time in ns of all updates of the busiest tile: of the model, when its tiles work at the same time."""
        return max((spent.total for spent in self.time(constants).values()), default=0.0)

    def energy(self, constants: CostConstants) -> dict[str, float]:
        """Energy in nJ by kind of operation; only kinds whose energy is given, and ``total`` when all are."""
        totals = self.totals()
        given = {
            "pulses": (constants.pulse_energy, totals["pulses"] * 1e-6),
            "line_reads": (constants.line_read_energy, totals["line_reads"] * 1e-3),
            "products": (constants.product_energy, totals["passes"] * 1e-3),
            "digital": (constants.digital_energy, (totals["digital"] + totals["digital_products"]) * 1e-3),
        }
        found = {kind: each * number for kind, (each, number) in given.items() if each is not None}
        return {**found, "total": sum(found.values())} if len(found) == len(given) else found

    # --- storing ----------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps({"format": LEDGER_FORMAT, "tiles": [tile.to_dict() for tile in self.tiles]})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`; raises :class:`LedgerError`."""
        try:
            data = json.loads(text)
            if data["format"] != LEDGER_FORMAT:
                raise LedgerError(f"ledger format {data['format']!r} is not read by this release")
            return cls(tuple(TileCount.from_dict(tile) for tile in data["tiles"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise LedgerError(f"the ledger is damaged: {error}") from None


def ledger(model: nn.Module) -> Ledger:
    """The counts of all tiles of a model so far, each tile once.

    Pulses of single crosspoints are known from where :func:`count_pulses` was called; everything else always is.
    """
    return Ledger(tuple(_tile_count(tile, name) for name, tile in _tiles(model)))


def count_pulses(model: nn.Module) -> None:
    """Count the pulses of every crosspoint of a model from now on."""
    for _, tile in _tiles(model):
        tile.count_pulses()


def _tiles(model: nn.Module) -> Iterable[tuple[str, AnalogTile]]:
    for path, module in model.named_modules():
        if isinstance(module, AnalogTile):
            yield _short(path), module


def _short(path: str) -> str:
    """``0.tile.tiles.1`` as ``0[1]``."""
    short = re.sub(r"\.?tile\.tiles\.(\d+)", r"[\1]", path)
    return re.sub(r"\.?\btile\b", "", short) or "tile"


def _tile_count(tile: AnalogTile, name: str) -> TileCount:
    config = tile.rpu_config
    shape = (tile.out_size, tile.in_size)
    vectors, batches = tile.updated
    analog = isinstance(config, AnalogRPUConfig)
    update = config.update if isinstance(config, AnalogRPUConfig) else UpdateParameters()
    work = tile.cell.work(shape, vectors, update)
    passes, products = 0, tile.positions()
    if isinstance(config, AnalogRPUConfig):
        directions = zip(tile.passes, (config.forward, config.backward), strict=True)
        passes = sum(count * (2 if io.mv_type in _TWO_PASSES else 1) for count, io in directions)
    arrays = tile.cell.pulsed_arrays()
    counts = tuple(_array_count(key, array, work.line_reads.get(key, 0)) for key, array in arrays.items())
    digital_memory = sum(_bytes(buffer) for buffer in tile.cell.digital_buffers())
    if not arrays:  # the weight itself is digital
        digital_memory += _bytes(tile.weight)
    return TileCount(
        name=name,
        algorithm=type(tile.cell).__name__,
        outputs=tile.out_size,
        inputs=tile.in_size,
        vectors=vectors,
        batches=batches,
        forward=products[0],
        backward=products[1],
        passes=passes,
        line_reads=sum(work.line_reads.values()),
        slots=work.published_slots,
        slots_all=work.slots,
        digital=work.digital,
        digital_all=work.digital_all,
        digital_products=0 if analog else 2 * tile.out_size * tile.in_size * sum(products),
        digital_memory=digital_memory,
        arrays=counts,
    )


def _array_count(name: str, array: DeviceArray, line_reads: int) -> ArrayCount:
    sent, counted = array.sent, array.pulse_counts()
    held = array.shape[0] * array.shape[1]
    return ArrayCount(
        name=name,
        crosspoints=held,
        pulses=sent.pulses,
        pulses_up=None if counted is None else int(counted[0].sum()),
        pulses_down=None if counted is None else int(counted[1].sum()),
        most_pulses=None if counted is None else int((counted[0] + counted[1]).max()),
        writes=array.samples,
        empty_writes=sent.empty,
        truncated_writes=sent.truncated,
        slots=sent.slots,
        line_reads=line_reads,
        memory=4 * held + sum(_bytes(buffer) for buffer in array.buffers()),
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


_ARRAY_COLUMNS = [
    "tile", "array", "outputs", "inputs", "crosspoints", "pulses", "pulses_up", "pulses_down", "mean_pulses",
    "most_pulses", "writes", "empty_writes", "truncated_writes", "slots", "line_reads", "memory",
]  # fmt: skip
_TILE_COLUMNS = [
    "name", "algorithm", "outputs", "inputs", "vectors", "batches", "forward", "backward", "passes", "line_reads",
    "slots", "slots_all", "digital", "digital_all", "digital_products", "digital_memory",
]  # fmt: skip
_TIME_COLUMNS = ["tile", "pulses", "reads", "digital", "update", "simulated", "products"]
_SUMMED_TILE = (
    "forward", "backward", "passes", "line_reads", "slots", "slots_all", "digital", "digital_all", "digital_products",
    "digital_memory",
)  # fmt: skip
_SUMMED_ARRAY = ("crosspoints", "pulses", "writes", "memory")
