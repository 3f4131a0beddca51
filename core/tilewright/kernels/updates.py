"""The pulsed rank-one update of an array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import ArrayProgress, DeviceModel, UpdateSettings, UpdateStats
from tilewright.kernels.arrays import UPDATED, Crosspoints, address_of, rows_of


@dataclass(slots=True)
class Snapshots:
    """Lines of an array to copy while an update passes: line ``line[e]`` after sample ``after[e]``, in time order.

    Sample -1 stands for before the first. With ``reset``, devices of each copied column are reset right after the copy.
    """

    line: Tensor  # int32 (events)
    after: Tensor  # int32 (events)
    out: Tensor  # float32 (events, length)
    rows: bool
    reset: tuple[Tensor, Tensor] | None = None  # (events, outputs): new states, nan to stay; visible weights

    def compiled(self) -> _cpu.Snapshots:
        """As the kernels take them; the tensors have to outlive it."""
        events = self.line.numel()
        if events == 0:
            return _NO_SNAPSHOTS
        state, visible = (0, 0) if self.reset is None else (tensor.data_ptr() for tensor in self.reset)
        return _cpu.Snapshots(
            events, self.line.data_ptr(), self.after.data_ptr(), self.out.data_ptr(), self.rows, state, visible
        )


_NO_SNAPSHOTS = _cpu.Snapshots()

# Weights, inputs, errors, rate and threads to samples: see ArrayUpdates.step_parameter.
QuickStep = Callable[[Tensor, Tensor, Tensor, object, int], int]


def split_counts(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Up and down pulses from the words that count them: halves of 32 bits, up to two thousand million each."""
    return counts & 0xFFFF_FFFF, counts >> 32


class ArrayUpdates(_cpu.Updates):
    """Updates of one array, which keep what does not change between calls.

    Args:
        model: kind of device and its cycle and write noise.
        settings: pulse scheme.
        shape: (outputs, inputs).
        tensors: where the owner of the array keeps its tensors, by name; looked up in each call, since they may move.
        seed: key of the pulse trains and of the noise.
        progress: where the array stands; moved on by each call.

    ``step(visible, x, d, lr, threads)`` is the call with the least on top, for dense vectors and one rate: it returns
    the number of samples; or -1, and has done nothing, where the tensors are not float32 on the CPU without gaps.
    ``step_parameter(weight, x, d, lr, threads)`` is the same for an :class:`AnalogWeight` that nobody has written into;
    it also returns -1 for a rate that is not positive, and once :meth:`retire` was called.
    """

    def __init__(
        self,
        model: DeviceModel,
        settings: UpdateSettings,
        shape: tuple[int, int],
        tensors: dict[str, Tensor | None],
        seed: int,
        progress: ArrayProgress,
    ) -> None:
        super().__init__(model, settings, tensors, UPDATED, *shape, seed, progress)
        self.rows, self.cols = shape
        self.settings = settings
        self._model, self._tensors, self._seed, self._progress = model, tensors, seed, progress
        self._rate = 0.0, torch.zeros(1)

    def __call__(
        self, visible: Tensor, x: Tensor, d: Tensor, lr: float | Tensor, snapshots: Snapshots | None = None
    ) -> UpdateStats:
        """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place.

        Args:
            visible: the weights the network sees (outputs, inputs).
            x: inputs (samples, inputs), or int32 (samples,): the one line that is 1.
            d: errors (samples, outputs), or int32 (samples,).
            lr: learning rate: a number, or a tensor with one value or one for each sample.
            snapshots: lines to copy on the way.
        """
        x_hot, d_hot = x.dtype is torch.int32, d.dtype is torch.int32
        x = x if x_hot else rows_of(x, self.cols, "x")
        d = d if d_hot else rows_of(d, self.rows, "d")
        samples = x.shape[0]
        if d.shape[0] != samples:
            raise ValueError(f"x has {samples} samples but d has {d.shape[0]}")
        rates = self._shared_rate(lr) if isinstance(lr, float) else lr
        if rates.numel() not in (1, samples):
            raise ValueError(f"lr must hold 1 or {samples} values, found {rates.numel()}")
        tensors, progress = self._tensors, self._progress
        points: tuple[Any, ...] = tuple([tensors[name] for name in UPDATED[:-1]])
        stats = _cpu.update(
            self._model, Crosspoints(visible, *points).addresses(), self.rows, self.cols, self.settings,
            x.data_ptr(), x_hot, d.data_ptr(), d_hot, samples, rates.data_ptr(), rates.numel() == 1,
            self._seed, progress.samples, progress.calls + 1, torch.get_num_threads(),
            _NO_SNAPSHOTS if snapshots is None else snapshots.compiled(), address_of(tensors[UPDATED[-1]]),
        )  # fmt: skip
        progress.took(stats, samples)
        return stats

    def _shared_rate(self, lr: float) -> Tensor:
        """One learning rate for all vectors as a tensor; seldom another than the last."""
        if self._rate[0] != lr:
            self._rate = lr, torch.tensor([lr], dtype=torch.float32)
        return self._rate[1]
