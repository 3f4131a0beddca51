"""The interface between a tile and what learns at its crosspoints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tilewright import kernels
from tilewright.cells.work import Shape, UpdateWork, per_vector, per_vector_all
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.interruption import pause_point
from tilewright.kernels.device_rate import DeviceRate
from tilewright.periphery import UpdateParameters

# Members with the same trains count their calls from far apart, so that their cycle noise differs.
_CALLS_APART = 1 << 40
VECTORS_AT_ONCE = 256  # of a mini-batch with many transfers


ArrayAction = Callable[[DeviceArray, Tensor], bool]


class Cell(nn.Module):
    """Runtime of a crosspoint array. The tile owns the visible weight (outputs, inputs) and passes it to each call."""

    follows_loss: ClassVar[bool] = False  # whether `note_loss` does anything
    on_cpu: ClassVar[tuple[str, ...]] = ()  # buffers that settle what is done next: they stay on the CPU

    def __init__(self) -> None:
        super().__init__()
        self._totals = PulseTotals()
        self._ages: bool | None = None  # whether any array does; asked in every step

    @property
    def totals(self) -> PulseTotals:
        """What updates have sent, for health readings, which look at differences; not part of the state."""
        return self._totals

    @abstractmethod
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Move the weight by ``-lr * sum_b outer(d_b, x_b)`` in expectation, as the algorithm does it.

        Args:
            weight: visible weight, changed in place.
            x: inputs (samples, inputs).
            d: errors (samples, outputs).
            lr: learning rate of the tile.
        """

    @abstractmethod
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Set the visible weight as far as the devices allow, and start the algorithm afresh."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in self.on_cpu:
            self._buffers[name] = self._buffers[name].cpu()  # type: ignore[union-attr]
        return self

    def quick_step(self) -> kernels.QuickStep | None:
        """What does most updates of the weight in one compiled call, if there is such: tiles try it first."""
        return None

    def note_loss(self, loss: float) -> None:
        """Take note of the loss of a mini-batch; for algorithms that act on its course."""

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Let something act on every array of the cell, and show what it made of the weight.

        Args:
            weight: visible weight, changed in place.
            action: of an array and its visible weights, which it changes in place; says whether it did.
        """

    def pass_time(self, weight: Tensor) -> None:
        """What happens once per optimiser step: diffusion and decay."""
        if self._ages is None:
            self._ages = any(array.ages for array in self.modules() if isinstance(array, DeviceArray))
        if self._ages:
            self.act_on_arrays(weight, DeviceArray.pass_time)

    def drift_weights(self, weight: Tensor, delta_t: float) -> None:
        """Let every array drift for a time."""
        self.act_on_arrays(weight, lambda array, visible: array.drift_weights(visible, delta_t))

    def reset_columns(self, weight: Tensor, columns: Tensor, probability: float) -> None:
        """Reset the devices of some columns, each with a probability."""
        self.act_on_arrays(weight, lambda array, visible: array.reset(visible, probability, columns))

    def device_arrays(self) -> dict[str, object]:
        """The arrays of the cell by name, for inspection."""
        return {}

    def pulsed_arrays(self) -> dict[str, DeviceArray]:
        """The arrays of devices by name, the one nearest to the visible weight last."""
        return {name: array for name, array in self.device_arrays().items() if isinstance(array, DeviceArray)}

    def pulse_counts(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Up and down pulses (outputs, inputs) that each array which counts them has taken."""
        arrays = self.pulsed_arrays()
        return {name: counts for name, array in arrays.items() if (counts := array.pulse_counts()) is not None}

    def digital_buffers(self) -> list[Tensor]:
        """The digital memory of the algorithm, beside the arrays."""
        return []

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """What the updates have cost so far, beside pulses; here for arrays that take the same vectors side by side.

        Args:
            shape: (outputs, inputs).
            vectors: rank-one updates so far.
            update: pulse scheme of the tile.
        """
        slots = max((array.sent.slots for array in self.pulsed_arrays().values()), default=0)
        digital, digital_all = vectors * per_vector(shape), vectors * per_vector_all(shape, update)
        return UpdateWork(slots, slots, digital, digital_all)


@dataclass(slots=True)
class PulseTotals:
    """Sums over updates, and over the arrays of a cell, of what these report; 0 samples where nothing is counted."""

    pulses: int = 0
    truncated: int = 0
    empty: int = 0
    samples: int = 0
    known: bool = True

    def add(self, stats: kernels.UpdateStats | PulseTotals | None) -> None:
        """Count what one more array has sent; nothing is known of arrays on a GPU."""
        if stats is None:
            self.known = False
            return
        self.pulses += stats.pulses
        self.truncated += stats.truncated
        self.empty += stats.empty

    def add_pulses(self, stats: kernels.UpdateStats | None) -> None:
        """Count the pulses alone of one more array, whose vectors are not those of the network."""
        if stats is None:
            self.known = False
            return
        self.pulses += stats.pulses


class PulsedCell(Cell):
    """A cell that pulses outer products as they come, with no digital memory: what a digital update can write on."""

    @abstractmethod
    def pulse(self, weight: Tensor, x: Tensor, d: Tensor, lr: Tensor, live: Tensor | None = None) -> PulseTotals:
        """Pulse ``-lr * outer(d_s, x_s)`` for each sample.

        Args:
            weight: visible weight, changed in place.
            x: (samples, inputs), or int32 (samples,): the one line that is 1.
            d: (samples, outputs), or int32 (samples,).
            lr: float32, one value or one for each sample.
            live: on a GPU, how many of the samples count; None is all.
        """

    def end_batch(self, weight: Tensor) -> None:
        """What is due at the end of a mini-batch."""

    @torch.no_grad()
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Pulse the mini-batch."""
        if lr == 0:
            return
        rate = lr.tensor() if isinstance(lr, DeviceRate) else torch.tensor([lr], dtype=torch.float32)
        sent = self.pulse(weight, x, d, rate)
        if sent.known:
            self.totals.add(sent)
            self.totals.samples += x.shape[0]
        self.end_batch(weight)


def first_of(x: Tensor, d: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors that count; waits for the device, which knows how many they are."""
    count = int(live)
    return x[:count], d[:count]


def parts_of(vectors: int) -> Iterator[slice]:
    """Parts of a mini-batch that pass a transfer cell one after the other, so that long work can be given up."""
    for start in range(0, vectors, VECTORS_AT_ONCE):
        pause_point()
        yield slice(start, min(start + VECTORS_AT_ONCE, vectors))


def member_arrays(
    devices: Sequence[PulsedDevice],
    shape: tuple[int, int],
    draw_seed: int,
    noise_seed: int,
    same_trains: bool = False,
) -> list[DeviceArray]:
    """The arrays of the members of a cell, each with draws and noise of its own.

    Args:
        devices: parameters of the members.
        shape: (outputs, inputs).
        draw_seed: key of the device-to-device draws.
        noise_seed: key of pulse trains and noise.
        same_trains: members that see the same vectors see the same pulse trains.
    """
    arrays = []
    for k, device in enumerate(devices):
        key = noise_seed if same_trains else kernels.derive_seed(noise_seed, "member", k)
        array = DeviceArray(device, shape, kernels.derive_seed(draw_seed, "member", k), key)
        if same_trains:
            array.progress.calls = k * _CALLS_APART
        arrays.append(array)
    return arrays


class SettingsCache:
    """Compiled update settings, rebuilt on demand because they cannot be stored in a checkpoint."""

    def __init__(self, update: UpdateParameters, granularity: float, raise_only: bool = False) -> None:
        self.update = update
        self.granularity = granularity
        self.raise_only = raise_only
        self._compiled: kernels.UpdateSettings | None = None

    def get(self) -> kernels.UpdateSettings:
        """The settings."""
        if self._compiled is None:
            self._compiled = self.update.compiled(self.granularity)
            self._compiled.raise_only = self.raise_only
        return self._compiled

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_compiled": None}
