"""The pulsed rank-one update of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import DeviceModel, UpdateSettings, UpdateStats
from tilewright.kernels.arrays import Crosspoints, rows_of


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


def split_counts(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Up and down pulses from the words that count them: halves of 32 bits, up to two thousand million each."""
    return counts & 0xFFFF_FFFF, counts >> 32


class ArrayUpdates:
    """Updates of one array, which keep what does not change between calls.

    Addresses are compared in each call, since tensors may move.

    Args:
        model: kind of device and its cycle and write noise.
        settings: pulse scheme.
        shape: (outputs, inputs).
    """

    __slots__ = ("_addresses", "_arrays", "_held", "_model", "_rate", "_updates", "cols", "rows", "settings")

    def __init__(self, model: DeviceModel, settings: UpdateSettings, shape: tuple[int, int]) -> None:
        self.rows, self.cols = shape
        self.settings = settings
        self._model = model
        self._updates = _cpu.Updates(model, settings, self.rows, self.cols)
        self._addresses: list[int] = []
        self._arrays: tuple[int, ...] = ()
        self._held: Sequence[Tensor | None] = ()
        self._rate = 0.0, torch.zeros(1)

    def _bind(self, tensors: Sequence[Tensor | None], addresses: list[int]) -> None:
        self._arrays = Crosspoints(*tensors[:-1]).addresses()  # type: ignore[arg-type]
        self._updates.bind(self._arrays, addresses[-1])
        self._addresses, self._held = addresses, tensors  # held, so that nothing else comes to lie there

    def __call__(
        self,
        tensors: Sequence[Tensor | None],
        x: Tensor,
        d: Tensor,
        lr: float | Tensor,
        seed: int,
        first_sample: int,
        call: int,
        snapshots: Snapshots | None = None,
    ) -> UpdateStats:
        """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place.

        Args:
            tensors: of the array, in the order of :class:`Crosspoints`, then the int64 counters (outputs, inputs) to
                add to, see :func:`split_counts`, or None.
            x: inputs (samples, inputs), or int32 (samples,): the one line that is 1.
            d: errors (samples, outputs), or int32 (samples,).
            lr: learning rate: a number, or a tensor with one value or one for each sample.
            seed: key of the pulse trains and of the noise.
            first_sample: number of the first sample in the life of the array; trains depend on it alone.
            call: number of this call; cycle noise depends on it.
            snapshots: lines to copy on the way.
        """
        x_type, d_type, x_shape, d_shape = x.dtype, d.dtype, x.shape, d.shape
        x_hot, d_hot = x_type is torch.int32, d_type is torch.int32
        if not x_hot and (x_type is not torch.float32 or len(x_shape) != 2 or not x.is_cpu or not x.is_contiguous()):
            x = rows_of(x, self.cols, "x")
        if not d_hot and (d_type is not torch.float32 or len(d_shape) != 2 or not d.is_cpu or not d.is_contiguous()):
            d = rows_of(d, self.rows, "d")
        samples = x_shape[0]
        if d_shape[0] != samples or not (x_hot or x_shape[1] == self.cols) or not (d_hot or d_shape[1] == self.rows):
            self._refuse(x, d)
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        if addresses != self._addresses:
            self._bind(tensors, addresses)
        if isinstance(lr, float):
            if snapshots is None and not x_hot and not d_hot:
                return self._updates.run(
                    x.data_ptr(), d.data_ptr(), samples, lr, seed, first_sample, call, torch.get_num_threads()
                )
            lr = self._shared_rate(lr)
        if lr.numel() not in (1, samples):
            raise ValueError(f"lr must hold 1 or {samples} values, found {lr.numel()}")
        return _cpu.update(
            self._model, self._arrays, self.rows, self.cols, self.settings, x.data_ptr(), x_hot, d.data_ptr(), d_hot,
            samples, lr.data_ptr(), lr.numel() == 1, seed, first_sample, call, torch.get_num_threads(),
            _NO_SNAPSHOTS if snapshots is None else snapshots.compiled(), addresses[-1],
        )  # fmt: skip

    def _refuse(self, x: Tensor, d: Tensor) -> None:
        for values, width, what in ((x, self.cols, "x"), (d, self.rows, "d")):
            if values.dtype is not torch.int32:
                rows_of(values, width, what)
        raise ValueError(f"x has {x.shape[0]} samples but d has {d.shape[0]}")

    def _shared_rate(self, lr: float) -> Tensor:
        """One learning rate for all vectors as a tensor; seldom another than the last."""
        if self._rate[0] != lr:
            self._rate = lr, torch.tensor([lr], dtype=torch.float32)
        return self._rate[1]
