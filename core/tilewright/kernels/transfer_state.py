"""What transfer cells keep and what a mini-batch of theirs does, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass

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
    """What a mini-batch of a transfer cell does, where a GPU plans it: inputs for the fast array, reads on the way."""

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
