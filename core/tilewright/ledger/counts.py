"""What is counted on one tile, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ArrayCount:
    """One array of devices.

    Attributes:
        name: of the array in its cell: W, or A and C ...
        crosspoints: devices.
        pulses: pulses of all devices together.
        pulses_up: those upwards; None when crosspoints were not counted.
        pulses_down: those downwards; None likewise.
        most_pulses: pulses of the device with most of them; None likewise.
        writes: vectors (of a rank-one update, or single lines) written onto it.
        empty_writes: those whose gradient was too small for a train.
        truncated_writes: those whose strongest crosspoint asked for more pulses than the train holds.
        slots: slots of the pulse trains.
        line_reads: columns or rows read.
        memory: bytes of its tensors in this simulation.
    """

    name: str
    crosspoints: int
    pulses: int
    pulses_up: int | None
    pulses_down: int | None
    most_pulses: int | None
    writes: int
    empty_writes: int
    truncated_writes: int
    slots: int
    line_reads: int
    memory: int

    @property
    def mean_pulses(self) -> float:
        """Pulses per crosspoint."""
        return self.pulses / self.crosspoints


@dataclass(frozen=True)
class TileCount:
    """One tile: its products, its updates, its digital work and its arrays.

    ``slots`` and ``digital`` follow the published accounting, ``slots_all`` and ``digital_all`` what this simulation
    does; see :class:`tilewright.cells.work.UpdateWork`.

    Attributes:
        name: place in the model.
        algorithm: class of its cell.
        outputs: outputs.
        inputs: inputs.
        vectors: rank-one updates.
        batches: mini-batches.
        forward: forward products.
        backward: backward products.
        passes: passes of the array they took; more where bound management repeats, or polarities are separate.
        line_reads: lines read of all arrays.
        slots: pulse-train slots that follow one another, as published.
        slots_all: the same as simulated.
        digital: digital operations of the updates, as published.
        digital_all: the same as simulated.
        digital_products: digital operations of the products, for a tile without devices.
        digital_memory: bytes of the digital buffers.
        arrays: its arrays of devices.
    """

    name: str
    algorithm: str
    outputs: int
    inputs: int
    vectors: int
    batches: int
    forward: int
    backward: int
    passes: int
    line_reads: int
    slots: int
    slots_all: int
    digital: int
    digital_all: int
    digital_products: int
    digital_memory: int
    arrays: tuple[ArrayCount, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**{**data, "arrays": tuple(ArrayCount(**array) for array in data["arrays"])})
