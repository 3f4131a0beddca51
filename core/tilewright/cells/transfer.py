"""Tiki-Taka: gradients collect on a fast array, whose lines are read and written onto the next, slower array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import Cell
from tilewright.cells.line_transfer import Events, LineTransferCell, LineTransferCompound, Writes
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters


class TransferCompound(LineTransferCompound):
    """Two or more arrays, fast to slow: Tiki-Taka version 1.

    Each vector is written onto the first array; every ``transfer_every`` mini-batches one line of it is read and
    added to the same line of the next. The weight is ``sum_k g_k D_k``, by default the last array alone.
    Source: Gokmen and Haensch, Front. Neurosci. 14:103 (2020).
    """

    gamma_vec: list[float] = parameter(
        factory=list, meaning="share of each array in the visible weight, instead of gamma", group="Devices"
    )
    transfer_every_vec: list[float] = parameter(
        factory=list,
        meaning="the same for each array; empty: each reads the next once its own lines have all been written",
        group="Transfer",
    )
    random_selection: bool = parameter(False, "start each read at a random line", group="Transfer")
    with_reset_prob: float = parameter(
        0.0, "probability that a device of a column is reset after its read", ge=0, le=1, group="Transfer"
    )
    no_self_transfer: bool = parameter(True, "the last array is never read", group="Transfer")
    transfer_lr_vec: list[float] = parameter(
        factory=list, meaning="the same for each array that is read, instead of transfer_lr", group="Transfer"
    )

    @model_validator(mode="after")
    def _fields_fit_the_arrays(self) -> TransferCompound:
        n = len(self.unit_cell_devices)
        for name in ("gamma_vec", "transfer_every_vec"):
            values = getattr(self, name)
            if values and len(values) != n:
                raise ValueError(f"{name} must have one entry for each of the {n} arrays, found {len(values)}")
        if len(self.transfer_lr_vec) not in (0, n - 1, n):
            raise ValueError(f"transfer_lr_vec must have {n - 1} or {n} entries, found {len(self.transfer_lr_vec)}")
        if self.gamma_vec and self.gamma_vec[-1] == 0:
            raise ValueError("gamma_vec must not end in 0: the last array holds the weight")
        if any(every < 0 for every in self.transfer_every_vec):
            raise ValueError("transfer_every_vec must not have negative entries; 0 is never")
        if self.with_reset_prob > 0 and not self.transfer_columns:
            raise ValueError("with_reset_prob needs transfer_columns: only columns are reset")
        return self

    @property
    def shares(self) -> list[float]:
        """Share of each array in the visible weight."""
        return list(self.gamma_vec) or super().shares

    def periods(self, lines: int) -> list[float]:
        """``transfer_every`` of each array; 0 is never."""
        return [*self.transfer_every_vec[:-1], 0.0] if self.transfer_every_vec else super().periods(lines)

    def transfer_rates(self, lr: float) -> list[float]:
        """Learning rate of the write from each array onto the next."""
        if not self.transfer_lr_vec:
            return super().transfer_rates(lr)
        rates = self.transfer_lr_vec[: len(self.unit_cell_devices) - 1]
        return [rate * lr if self.scale_transfer_lr else rate for rate in rates]

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return TransferCell(self, update, shape, draw_seed, noise_seed)


class TransferCell(LineTransferCell):
    """As :class:`LineTransferCell`: what is read is written as it is. Lines may be drawn at random, and reset."""

    parameters_: TransferCompound
    written_as_read = True

    def _takes_turns(self) -> bool:
        return not self.parameters_.random_selection and self.parameters_.with_reset_prob == 0

    def _goes_at_once(self, k: int, writes: Writes, events: Events) -> bool:
        return self.parameters_.with_reset_prob == 0 and super()._goes_at_once(k, writes, events)

    def _starts(self, k: int, n: int, reads: int, counters: NDArray[np.int64]) -> list[int]:
        if not self.parameters_.random_selection:
            return super()._starts(k, n, reads, counters)
        done = int(counters[3 + 3 * k])
        draws = kernels.uniform_rows(n, 1, kernels.derive_seed(self.seed, "line", k), done).flatten()
        starts: list[int] = (draws * self.lines).long().clamp(max=self.lines - 1).tolist()
        return starts

    def _resets(self, k: int, events: Events) -> tuple[Tensor, Tensor] | None:
        probability = self.parameters_.with_reset_prob
        if probability == 0:
            return None
        key, first = kernels.derive_seed(self.seed, "reset", k), int(self.counters[2 + 3 * k])
        chosen = kernels.uniform_rows(events.line.numel(), self.shape[0], key, first, like=events.line) < probability
        state, visible = self._array(k).reset_columns_to(events.line, key, first)
        return state.masked_fill(~chosen, float("nan")), visible

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        if rate == 0:
            return None
        read = self._reader.read(lines, self._read_key(k), first_read)
        return self._writes(events.line, read.neg_(), rate, events.after)
