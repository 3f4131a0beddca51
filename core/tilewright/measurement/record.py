"""What a measurement is: pulses and the response they gave, with units and how they were found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


class MeasurementError(ValueError):
    """The data cannot be read as a pulse response.

    Attributes:
        seems: what the data seems to be instead, e.g. ``"an endurance record"``; empty when unknown.
        where: the place in the file, e.g. ``"row 12, column 2"``; empty when it is the file as a whole.
    """

    def __init__(self, reason: str, *, seems: str = "", where: str = "") -> None:
        self.reason, self.seems, self.where = reason, seems, where
        place = f"{where}: " if where else ""
        stop = "" if reason.endswith((".", "!", "?")) else "."
        guess = f"{stop} This seems to be {seems}." if seems else ""
        super().__init__(f"{place}{reason}{guess}")


@dataclass(frozen=True)
class AffineMap:
    """``normalised = (measured - offset) / scale``; offset and scale carry the unit of the measurement."""

    offset: float = 0.0
    scale: float = 1.0
    unit: str = ""

    def to_normalised(self, values: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Measured values in normalised weight units."""
        return (values - self.offset) / self.scale

    def to_measured(self, weights: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Normalised weights in the unit of the measurement."""
        return weights * self.scale + self.offset

    def change_to_measured(self, change: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Differences of normalised weights (steps, spreads, noise) in the unit of the measurement."""
        return change * self.scale

    def formula(self) -> str:
        """The map in words, for captions."""
        unit = f" {self.unit}" if self.unit else ""
        if (self.offset, self.scale) == (0.0, 1.0):
            return f"w = g{f' in {self.unit}' if unit else ''}"
        return f"w = (g - {self.offset:.6g}{unit}) / {self.scale:.6g}{unit}"


@dataclass(frozen=True, eq=False)
class Record:
    """One uninterrupted pulse sequence on one device.

    Attributes:
        pulses: int8 (n,), +1 up and -1 down.
        response: float64 (n,); sample k is the state *before* pulse k, so the last pulse is not used by a fit.
        label: name of the column or ramp it came from.
        device: name of the device; empty when the file does not say.
        cycle: number of the cycle or ramp, from 1; 0 when the file does not say.
        missing: int64 (k,), rising: samples that were not read. ``response`` is interpolated there, so that the
            state runs on, and ``weights`` is 0.
        index: float64 (n,), the pulse number or time of each sample as the file gives it; None when it gives none.
        index_name: what ``index`` is, e.g. ``"pulse"`` or ``"time (s)"``.
    """

    pulses: NDArray[np.int8]
    response: NDArray[np.float64]
    label: str = ""
    device: str = ""
    cycle: int = 0
    missing: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    index: NDArray[np.float64] | None = None
    index_name: str = ""

    def __post_init__(self) -> None:
        pulses = np.ascontiguousarray(self.pulses, dtype=np.int8)
        response = np.ascontiguousarray(self.response, dtype=np.float64)
        if pulses.ndim != 1 or pulses.shape != response.shape:
            raise MeasurementError(
                f"a record needs as many pulses as samples in one dimension; got {self.pulses.shape} pulses "
                f"and {self.response.shape} samples"
            )
        if not np.all(np.abs(pulses) == 1):
            raise MeasurementError("pulses are +1 (up) or -1 (down)")
        if not np.all(np.isfinite(response)):
            raise MeasurementError("the response holds values that are not finite numbers")
        missing = np.ascontiguousarray(self.missing, dtype=np.int64)
        if missing.ndim != 1 or np.any(np.diff(missing) <= 0) or np.any((missing < 0) | (missing >= len(response))):
            raise MeasurementError("missing samples are rising positions within the record")
        arrays: dict[str, NDArray[Any]] = {"pulses": pulses, "response": response, "missing": missing}
        if self.index is not None:
            arrays["index"] = np.ascontiguousarray(self.index, dtype=np.float64)
            if arrays["index"].shape != response.shape:
                raise MeasurementError(f"the index has shape {arrays['index'].shape}, the response {response.shape}")
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.response)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return (
            (self.label, self.device, self.cycle) == (other.label, other.device, other.cycle)
            and np.array_equal(self.pulses, other.pulses)
            and np.array_equal(self.response, other.response)
            and np.array_equal(self.missing, other.missing)
            and self.index_name == other.index_name
            and (self.index is None) == (other.index is None)
            and (self.index is None or np.array_equal(self.index, np.asarray(other.index), equal_nan=True))
        )

    @property
    def weights(self) -> NDArray[np.float64]:
        """(n,): 1 where a sample was read, 0 where it is missing; what a fit multiplies deviations with."""
        weights = np.ones(len(self.response))
        weights[self.missing] = 0.0
        return weights

    def __repr__(self) -> str:
        return f"Record({self.label or 'unnamed'}: {describe_pulses(self.pulses)})"


@dataclass(frozen=True)
class Measurement:
    """One or more records of the same kind of device, and how they were understood.

    Attributes:
        name: what the user calls it.
        unit: unit of the response (``"S"``, ``"µA"``, ...); empty for normalised or unnamed numbers.
        quantity: what was read, e.g. ``"conductance"`` or ``"current"``; empty when the file does not say.
        records: the pulse sequences.
        layout: how the file was read, in words.
        protocol: the pulses, in words.
        confidence: 0 to 1, how sure the reader is of layout and protocol.
        notes: sentences about every assumption made while reading.
        affine: the map from the original numbers to the present ones.
        read_voltage: voltage in V at which currents were read; None when the file does not say.
    """

    name: str
    unit: str
    records: tuple[Record, ...]
    layout: str = ""
    protocol: str = ""
    confidence: float = 1.0
    notes: list[str] = field(default_factory=list)
    quantity: str = ""
    affine: AffineMap = AffineMap()
    read_voltage: float | None = None

    def __post_init__(self) -> None:
        if not self.records:
            raise MeasurementError("a measurement needs at least one record")
        object.__setattr__(self, "records", tuple(self.records))

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        unit = f" in {self.unit}" if self.unit else ""
        size = f"{len(self.records)} record(s), {self.n_samples} samples{unit}"
        return f"Measurement({self.name!r}: {size}; {self.protocol})"

    @property
    def n_samples(self) -> int:
        """Samples in all records together."""
        return sum(len(record) for record in self.records)

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices, in order of appearance."""
        return tuple(dict.fromkeys(record.device for record in self.records))

    def of_device(self, device: str) -> Measurement:
        """The records of one device; raises :class:`MeasurementError` where there is none of that name."""
        chosen = tuple(record for record in self.records if record.device == device)
        if not chosen:
            raise MeasurementError(f"there is no device {device!r}; there are {', '.join(map(repr, self.devices))}")
        return replace(self, records=chosen)

    @property
    def pulses(self) -> tuple[NDArray[np.int8], ...]:
        """Pulse arrays of all records, as the fit takes them."""
        return tuple(record.pulses for record in self.records)

    @property
    def responses(self) -> tuple[NDArray[np.float64], ...]:
        """Response arrays of all records, as the fit takes them."""
        return tuple(record.response for record in self.records)

    def all_samples(self) -> NDArray[np.float64]:
        """The samples of all records, joined."""
        return np.concatenate(self.responses)

    def normalised(self, how: str = "tutorial") -> Measurement:
        """The same measurement in normalised weight units; see :mod:`tilewright.measurement.normalisation`.

        Args:
            how: ``"tutorial"``, ``"symmetry-point"``, ``"min-max"``, ``"none"`` or ``"auto"``.

        Returns:
            a measurement whose ``affine`` leads back to the original numbers.
        """
        from tilewright.measurement.normalisation import normalise

        return normalise(self, how)

    def with_name(self, name: str) -> Measurement:
        """The same measurement under another name."""
        return replace(self, name=name)


def runs_of(pulses: NDArray[np.int8]) -> list[tuple[int, int, int]]:
    """Stretches of equal pulses as ``(start, stop, direction)``."""
    if len(pulses) == 0:
        return []
    edges = np.flatnonzero(np.diff(pulses)) + 1
    starts, stops = np.r_[0, edges], np.r_[edges, len(pulses)]
    return [(int(a), int(b), int(pulses[a])) for a, b in zip(starts, stops, strict=True)]


def describe_pulses(pulses: NDArray[np.int8]) -> str:
    """A pulse sequence in words: ``"200 up, 200 down, 100 × (up, down)"``."""
    words: list[tuple[str, int, int]] = []
    runs = runs_of(pulses)
    i = 0
    while i < len(runs):
        start, stop, direction = runs[i]
        j = i
        while j < len(runs) and runs[j][1] - runs[j][0] == 1:
            j += 1
        if j - i >= 4:
            pair = "up, down" if direction > 0 else "down, up"
            words.append((f"{(j - i) // 2} × ({pair})", 0, 0))
            if (j - i) % 2:
                words.append((_ramp_words(1, runs[j - 1][2]), 1, runs[j - 1][2]))
            i = j
            continue
        words.append((_ramp_words(stop - start, direction), stop - start, direction))
        i += 1
    texts = [text for text, _, _ in words]
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    if len(texts) > 4 and len(texts) % 2 == 0 and len(set(pairs)) == 1:
        return f"{len(pairs)} × ({pairs[0][0]}, {pairs[0][1]})"
    if len(texts) > 8:
        ramps = [n for _, n, _ in words if n]
        span = f"{min(ramps)} to {max(ramps)} pulses" if ramps else "alternating pulses"
        return f"{len(texts)} ramps of {span}"
    return ", ".join(texts)


def _ramp_words(n: int, direction: int) -> str:
    return f"{n} {'up' if direction > 0 else 'down'}"
