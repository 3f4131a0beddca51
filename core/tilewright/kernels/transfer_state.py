"""What transfer cells keep and what a mini-batch of theirs does, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class TransferState:
    """State of a transfer schedule, updated in place."""

    counters: Tensor  # int64 (4): vectors seen, next line, sweeps done, reads done
    maxima: Tensor  # float64 (2): running maxima of |x| and |d|
    in_chop: Tensor  # int8 (lines)
    out_chop: Tensor  # int8 (length of a line)
    switched: Tensor | None = None  # int8 (lines): chopper flipped since the last read; dynamic plans only


@dataclass(slots=True)
class Relative:
    """Reads taken relative to a reference (AGAD): the running mean of the reads, frozen at each flip of a chopper."""

    reference: Tensor  # (outputs, inputs)
    mean: Tensor  # (outputs, inputs)
    rate: float  # of the running mean


@dataclass(slots=True)
class Transfers:
    """What a mini-batch of a transfer cell does: inputs for the fast array and the reads on the way."""

    x: Tensor
    d: Tensor
    fast_lr: Tensor
    after: Tensor
    line: Tensor
    lr: Tensor
    line_sign: Tensor
    out_sign: Tensor
    fresh: Tensor | None = None
    writes: Tensor | None = None
    first: int = 0  # vector of the mini-batch that ``after`` counts from

    def part(self, first: int, last: int) -> Transfers:
        """The vectors ``first`` to ``last`` and the reads after them; shares memory."""
        begin, end = torch.searchsorted(self.after, torch.tensor([first, last], dtype=torch.int32)).tolist()
        events = slice(begin, end)
        return Transfers(
            x=self.x[first:last],
            d=self.d[first:last],
            fast_lr=self.fast_lr[first:last],
            after=self.after[events] - first,
            line=self.line[events],
            lr=self.lr[events],
            line_sign=self.line_sign[events],
            out_sign=self.out_sign[events],
            fresh=None if self.fresh is None else self.fresh[events],
            writes=None if self.writes is None else self.writes[events],
            first=first,
        )
