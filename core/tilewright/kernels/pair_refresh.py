"""The refresh of a one-sided pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright import _cpu
from tilewright._cpu import DeviceModel, UpdateSettings, UpdateStats
from tilewright.kernels.arrays import Crosspoints, address_of, plane_of


@dataclass(slots=True)
class RefreshedMember:
    """One device of a one-sided pair in a refresh.

    Attributes:
        model: kind of device and its noise.
        tensors: of its array, as :class:`tilewright.kernels.ArrayUpdates` takes them.
        settings: pulse scheme of the writes.
        reads: (inputs, outputs) what reads of its columns deliver.
        w_max: what the thresholds are shares of.
        reset_level: state after a reset, one value or one for each crosspoint.
        to_reference: the level counts from the reference.
        reset_std: standard deviation of the state after a reset.
        place: key of its noise, number of its next vector, and of its next call; the reset takes one or two calls, the
            second for write noise, and the write one more.
    """

    model: DeviceModel
    tensors: Sequence[Tensor | None]
    settings: UpdateSettings
    reads: Tensor
    w_max: float
    reset_level: Tensor
    to_reference: bool
    reset_std: float
    place: tuple[int, int, int]

    def compiled(self) -> tuple[object, ...]:
        """As the kernels take it; the tensors have to outlive it."""
        *arrays, counts = self.tensors
        return (
            self.model, Crosspoints(*arrays).addresses(), self.settings, address_of(counts), self.reads.data_ptr(),  # type: ignore[arg-type]
            (self.w_max, self.reset_std), plane_of(self.reset_level), self.to_reference, self.place,
        )  # fmt: skip


def refresh_pair(
    minus: RefreshedMember, plus: RefreshedMember, upper: float, lower: float
) -> tuple[int, Tensor, list[int], list[UpdateStats]]:
    """Reset the pairs whose devices have come high and write their difference anew, in place.

    Args:
        minus: the device that lowers the weight.
        plus: the device that raises it.
        upper: share of ``w_max`` that the higher device must pass.
        lower: share of ``w_max`` that the lower device must pass.

    Returns:
        how many pairs, which (outputs, inputs), and of each member the columns written and what they took.
    """
    inputs, outputs = minus.reads.shape
    chosen = torch.empty((outputs, inputs), dtype=torch.bool)
    members = (minus.compiled(), plus.compiled())
    count, written, stats = _cpu.refresh_pair(
        members, outputs, inputs, upper, lower, chosen.data_ptr(), torch.get_num_threads()
    )
    return count, chosen, written, stats
