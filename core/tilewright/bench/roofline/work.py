"""The least work each kernel has to do, counted by formula from the case.

A count is what the algorithm cannot do without, not what our code happens to do. Floating-point and integer
operations on a 32-bit lane count one each, so do a minimum, a maximum and a blend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORD = 32  # slots of a pulse train in one word
LINE = 16  # floats of a cache line, the least that memory moves
FLOAT = 4
# Operations of one noisy pulse: direction and size of the step, noise, sum, both bounds.
PULSE_OPERATIONS = {"ConstantStepDevice": 7, "LinearStepDevice": 11, "SoftBoundsDevice": 11}
PULSE_OPERATIONS["SoftBoundsReferenceDevice"] = PULSE_OPERATIONS["SoftBoundsDevice"]
COUNTED_OPERATIONS = 6  # of a word of trains: two coincidence masks, two population counts, two sums
COUNTED_FINISH = 10  # of a device at the end: mean, spread, noise, sum, bounds
INPUT_OPERATIONS, OUTPUT_OPERATIONS = 7, 8  # scale, round, clip, largest; noise, round, clip, rescale


@dataclass(frozen=True)
class Work:
    """What one call needs.

    Args:
        moved: bytes that pass between the state and the registers, read and written.
        access: how they pass: ``"change"`` in place, ``"read"`` or ``"write"``.
        working_set: bytes the call touches, which decides the cache that can hold them.
        operations: arithmetic on 32-bit lanes.
        normals: normal random numbers.
        words: random 32-bit words.
        fused: whether the arithmetic is multiplications each followed by an addition, which one instruction can do.
    """

    moved: float
    access: str
    working_set: float
    operations: float
    normals: float = 0.0
    words: float = 0.0
    fused: bool = False


def train_lengths(x: NDArray[np.float32], d: NDArray[np.float32], lr: float, step: float, longest: int) -> list[int]:
    """Slots of each sample's trains under length management: pulses the strongest crosspoint asks for."""
    asked = lr * np.abs(x).max(axis=1).astype(float) * np.abs(d).max(axis=1).astype(float) / step
    return [min(max(math.ceil(value * (1 - 1e-6)), 1), longest) if value > 0 else 0 for value in asked]


def touched(per_crosspoint: float, group: int) -> float:
    """Share of groups of neighbours with at least one pulse, when pulses fall independently (Poisson)."""
    return 1 - math.exp(-group * per_crosspoint)


def update_work(
    device: str, rows: int, cols: int, lengths: Sequence[int], pulses: float, planes_read: int, planes_written: int
) -> Work:
    """An update that applies its pulses one by one.

    Args:
        device: class of the device.
        rows: outputs.
        cols: inputs.
        lengths: slots of each sample's trains.
        pulses: coincidences of the whole call.
        planes_read: values per crosspoint that a touched one reads.
        planes_written: values per crosspoint that a touched one writes.
    """
    crosspoints, slots = rows * cols, sum(lengths)
    trains = (rows + cols) * slots / WORD * 2 * FLOAT  # a plane of pulses, a plane of signs
    share = touched(pulses / crosspoints, LINE)
    state = share * crosspoints * FLOAT * (planes_read + planes_written)
    # Coincidences are found word by word, or, where few lines are active, from lists of them.
    search = min(2 * crosspoints * slots / WORD, 2 * pulses)
    return Work(
        moved=state + trains,
        access="change",
        working_set=share * crosspoints * FLOAT * planes_read + trains,
        operations=PULSE_OPERATIONS[device] * pulses + search,
        normals=pulses,
        words=(rows + cols) * slots,
    )


def counted_update_work(rows: int, cols: int, lengths: Sequence[int], pulses: float, planes_read: int) -> Work:
    """An update of constant steps far from their bounds: pulses are counted, one normal number stands for all."""
    crosspoints, slots = rows * cols, sum(lengths)
    trains = (rows + cols) * slots / WORD * 2 * FLOAT
    share = touched(pulses / crosspoints, LINE)
    moving = touched(pulses / crosspoints, 1) * crosspoints
    return Work(
        moved=share * crosspoints * FLOAT * (planes_read + 1) + trains,
        access="change",
        working_set=share * crosspoints * FLOAT * planes_read + trains,
        operations=COUNTED_OPERATIONS * crosspoints * slots / WORD + COUNTED_FINISH * moving,
        normals=moving,
        words=(rows + cols) * slots,
    )


def product_work(inputs: int, outputs: int, batch: int) -> Work:
    """A product with converters and output noise: the weight passes once, every input meets every output."""
    weight, vectors = inputs * outputs * FLOAT, batch * (inputs + outputs) * FLOAT
    return Work(
        moved=weight + vectors,
        access="read",
        working_set=weight + vectors,
        operations=2.0 * inputs * outputs * batch + batch * (INPUT_OPERATIONS * inputs + OUTPUT_OPERATIONS * outputs),
        normals=batch * outputs,
        fused=True,
    )


def trace_work(device: str, devices: int, pulses: int, planes_read: int) -> Work:
    """Traces of devices that all take the same pulses, every weight kept."""
    kept = devices * (pulses + 1) * FLOAT
    return Work(
        moved=kept + devices * planes_read * FLOAT,
        access="write",
        working_set=kept,
        operations=float(PULSE_OPERATIONS[device] * devices * pulses),
        normals=devices * pulses,
    )


def lanes_in_use(pulses_per_word: float, lanes: int = 8) -> float:
    """Share of the lanes that hold a pulse while a word is worked off, pulses being Poisson at each crosspoint.

    Lanes go on together until the busiest is done, so the share is the mean over the mean of the largest.
    """
    if pulses_per_word <= 0:
        return 0.0
    below, term, largest, k = 0.0, math.exp(-pulses_per_word), 0.0, 0
    while below < 1 - 1e-12 and k < 10_000:
        below += term
        largest += 1 - min(below, 1.0) ** lanes  # E[max] is the sum of P(max > k)
        k += 1
        term *= pulses_per_word / k
    return pulses_per_word / largest
