"""How gradients pass a tile: analog products both ways, and a record for the pulsed update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright.tile import AnalogTile


class _TileProduct(torch.autograd.Function):
    """Forward and backward run on the tile; the weight gets no gradient, the tile keeps inputs and errors instead."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tile: AnalogTile) -> Tensor:
        y, ctx.saturated = tile.product(x)
        ctx.tile = tile
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        d, tile = grads[0], ctx.tile
        needs_error, records, _ = ctx.needs_input_grad
        if ctx.saturated is not None:
            # An output at the ADC's bound does not follow its input: it passes no error, back or into the update.
            d = d.masked_fill(ctx.saturated.reshape(d.shape), 0.0)
        if records:
            tile.record(ctx.saved_tensors[0], d)
        return (tile.backward(d) if needs_error else None), None, None


def tile_product(x: Tensor, tile: AnalogTile) -> Tensor:
    """``x W^T`` on a tile, with gradients; includes the learned output scale."""
    own = tile._parameters  # a dictionary is several times quicker than the attributes of a module
    y: Tensor = _TileProduct.apply(x, own["weight"], tile)  # type: ignore[no-untyped-call]
    scaling = own.get("out_scaling")
    return y if scaling is None else y * scaling
