"""The pulsed rank-one update of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import DeviceModel, UpdateSettings, UpdateStats
from tilewright.kernels.arrays import Crosspoints, address_of, rows_of


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


_NO_SNAPSHOTS = _cpu.Snapshots()


def pulsed_update(
    model: DeviceModel,
    crosspoints: Crosspoints,
    x: Tensor,
    d: Tensor,
    lr: Tensor,
    settings: UpdateSettings,
    *,
    seed: int,
    first_sample: int,
    call: int,
    snapshots: Snapshots | None = None,
    counts: Tensor | None = None,
) -> UpdateStats:
    """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place.

    Args:
        model: kind of device and its cycle and write noise.
        crosspoints: state and parameters, (outputs, inputs).
        x: inputs (samples, inputs), or int32 (samples,): the one line that is 1.
        d: errors (samples, outputs), or int32 (samples,).
        lr: learning rate, one value or one for each sample.
        settings: pulse scheme.
        seed: key of the pulse trains and of the noise.
        first_sample: number of the first sample in the life of the array; trains depend on it alone.
        call: number of this call; cycle noise depends on it.
        snapshots: lines to copy on the way.
        counts: int64 counters (outputs, inputs) to add to; see :func:`split_counts`.
    """
    rows, cols = crosspoints.visible.shape
    x_hot, d_hot = x.dtype is torch.int32, d.dtype is torch.int32
    x = x if x_hot else rows_of(x, cols, "x")
    d = d if d_hot else rows_of(d, rows, "d")
    samples = x.shape[0]
    if d.shape[0] != samples:
        raise ValueError(f"x has {samples} samples but d has {d.shape[0]}")
    if lr.numel() not in (1, samples):
        raise ValueError(f"lr must hold 1 or {samples} values, found {lr.numel()}")
    taken = _NO_SNAPSHOTS
    if snapshots is not None and snapshots.line.numel():
        taken = _cpu.Snapshots(
            snapshots.line.numel(),
            snapshots.line.data_ptr(),
            snapshots.after.data_ptr(),
            snapshots.out.data_ptr(),
            snapshots.rows,
            *((0, 0) if snapshots.reset is None else (t.data_ptr() for t in snapshots.reset)),
        )
    return _cpu.update(
        model, crosspoints.addresses(), rows, cols, settings, x.data_ptr(), x_hot, d.data_ptr(), d_hot, samples,
        lr.data_ptr(), lr.numel() == 1, seed, first_sample, call, torch.get_num_threads(), taken,
        address_of(counts),
    )  # fmt: skip


def split_counts(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Up and down pulses from the words that count them: halves of 32 bits, up to two thousand million each."""
    return counts & 0xFFFF_FFFF, counts >> 32


class ArrayUpdates:
    """Updates of one array with dense vectors and one learning rate: the light way to do :func:`pulsed_update`.

    Keeps what does not change between calls; addresses are compared in each call, since tensors may move.

    Args:
        model: kind of device and its cycle and write noise.
        settings: pulse scheme.
        shape: (outputs, inputs).
    """

    __slots__ = ("_addresses", "_held", "_updates", "cols", "rows", "settings")

    def __init__(self, model: DeviceModel, settings: UpdateSettings, shape: tuple[int, int]) -> None:
        self.rows, self.cols = shape
        self.settings = settings
        self._updates = _cpu.Updates(model, settings, self.rows, self.cols)
        self._addresses: list[int] = []
        self._held: Sequence[Tensor | None] = ()

    def _bind(self, tensors: Sequence[Tensor | None], addresses: list[int]) -> None:
        crosspoints = Crosspoints(*tensors[:-1])  # type: ignore[arg-type]
        self._updates.bind(crosspoints.addresses(), addresses[-1])
        self._addresses, self._held = addresses, tensors  # held, so that nothing else comes to lie there

    def __call__(
        self, tensors: Sequence[Tensor | None], x: Tensor, d: Tensor, lr: float, seed: int, first_sample: int, call: int
    ) -> UpdateStats:
        """Apply ``-lr * outer(d, x)`` of every sample by pulses, in place.

        Args:
            tensors: of the array, in the order of :class:`Crosspoints`, then the counters or None.
            x: inputs (samples, inputs).
            d: errors (samples, outputs).
            lr: learning rate.
            seed: key of the pulse trains and of the noise.
            first_sample: number of the first sample in the life of the array.
            call: number of this call.
        """
        if x.dtype is not torch.float32 or x.dim() != 2 or not x.is_cpu or not x.is_contiguous():
            x = rows_of(x, self.cols, "x")
        if d.dtype is not torch.float32 or d.dim() != 2 or not d.is_cpu or not d.is_contiguous():
            d = rows_of(d, self.rows, "d")
        samples, cols = x.shape
        others, rows = d.shape
        if cols != self.cols or rows != self.rows or others != samples:
            rows_of(x, self.cols, "x"), rows_of(d, self.rows, "d")
            raise ValueError(f"x has {samples} samples but d has {others}")
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        if addresses != self._addresses:
            self._bind(tensors, addresses)
        return self._updates.run(
            x.data_ptr(), d.data_ptr(), samples, lr, seed, first_sample, call, torch.get_num_threads()
        )
