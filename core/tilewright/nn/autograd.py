"""How gradients pass a tile: analog products both ways, and a record for the pulsed update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright.tile import AnalogTile


class _TileProduct(torch.autograd.Function):
    """Forward and backward run on the tile; the weight gets no gradient, the tile keeps inputs and errors instead."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, tile: AnalogTile) -> Tensor:
        y, ctx.saturated = tile.product(x)
        ctx.tile = tile
        ctx.save_for_backward(x)
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        d, tile = grads[0], ctx.tile
        needs_error, records, needs_bias, _ = ctx.needs_input_grad
        bias_error = (d if d.dim() == 2 else d.reshape(-1, d.shape[-1])).sum(0) if needs_bias else None
        if ctx.saturated is not None:
            # An output at the ADC's bound does not follow its input: it passes no error, back or into the update.
            d = d.masked_fill(ctx.saturated.reshape(d.shape), 0.0)
        if records:
            tile.record(ctx.saved_tensors[0], d)
        return (tile.backward(d) if needs_error else None), None, bias_error, None


def tile_product(x: Tensor, tile: AnalogTile, bias: Tensor | None = None) -> Tensor:
    """``x W^T`` on a tile plus a digital bias, with gradients; includes the learned output scale."""
    own = tile._parameters  # a dictionary is several times quicker than the attributes of a module
    scaling = own.get("out_scaling")
    within = None if scaling is not None else bias  # one step of the graph rather than two
    y: Tensor = _TileProduct.apply(x, own["weight"], within, tile)  # type: ignore[no-untyped-call]
    if scaling is None:
        return y
    y = y * scaling
    return y if bias is None else y + bias
