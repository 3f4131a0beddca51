"""What updates cost beside pulses: lines read, slots of pulse trains one after the other, digital operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tilewright.periphery import UpdateParameters

Shape = tuple[int, int]


@dataclass(frozen=True)
class UpdateWork:
    """Counted work of a cell's updates since construction.

    The *published* figures follow the accounting of Rasch et al., Nat. Commun. 15:7133 (2024), Table 1: one operation
    per line for every vector (2N), two per value for every line read into a buffer (2N / n_s), six with a running
    mean and a reference (6N / n_s), ``2 N^2 + N`` per vector for mixed precision; each line read, and each row of
    mixed precision, is followed by one slot in which it is written. The others say what this implementation does.

    Attributes:
        line_reads: lines read of each array, by the array's name.
        slots: slots of the pulse trains that cannot pass at the same time.
        published_slots: the same by the published accounting.
        digital: digital operations by the published accounting.
        digital_all: digital operations with all thresholds, sign flips, roundings and the search for maxima.
    """

    slots: int
    published_slots: int
    digital: int
    digital_all: int
    line_reads: Mapping[str, int] = field(default_factory=dict)


def per_vector(shape: Shape) -> int:
    """Published operations that prepare the pulse trains of one vector: one per line."""
    return shape[0] + shape[1]


def per_vector_all(shape: Shape, update: UpdateParameters) -> int:
    """Every operation on the lines of one vector: its probability and, with management, the search for the maximum."""
    managed = update.update_management or update.update_bl_management
    return (2 if managed else 1) * per_vector(shape)


def buffered_work(
    shape: Shape,
    vectors: int,
    update: UpdateParameters,
    line_reads: Mapping[str, int],
    length: int,
    fast_slots: int,
    slots: int,
    chopped: bool = False,
    referenced: bool = False,
) -> UpdateWork:
    """Work of a cell whose fast array is read line by line into a digital buffer.

    Args:
        shape: (outputs, inputs).
        vectors: rank-one updates.
        update: pulse scheme of the fast array.
        line_reads: lines read of each array.
        length: values of a line.
        fast_slots: slots on the fast array.
        slots: slots on all arrays.
        chopped: lines have signs that flip.
        referenced: reads count from a reference, and a running mean is kept.
    """
    events = sum(line_reads.values())
    # Scale and add; with a reference also subtract it, and scale, scale and add for the mean.
    published = 6 if referenced else 2
    # Truncate, clip and forget; undo the sign.
    every = published + 3 + chopped
    return UpdateWork(
        slots=slots,
        published_slots=fast_slots + events,
        digital=vectors * per_vector(shape) + events * length * published,
        digital_all=vectors * (per_vector_all(shape, update) + chopped * per_vector(shape)) + events * length * every,
        line_reads=line_reads,
    )
