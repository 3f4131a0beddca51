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
        y, saturated = tile.product(x)
        ctx.tile = tile
        ctx.records = ctx.needs_input_grad[1]
        ctx.save_for_backward(x, saturated)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        x, saturated = ctx.saved_tensors
        d = grads[0]
        if saturated is not None:
            # An output at the ADC's bound does not follow its input: it passes no error, back or into the update.
            d = d.masked_fill(saturated.reshape(d.shape), 0.0)
        if ctx.records:
            ctx.tile.record(x, d)
        return (ctx.tile.backward(d) if ctx.needs_input_grad[0] else None), None, None


def tile_product(x: Tensor, tile: AnalogTile) -> Tensor:
    """``x W^T`` on a tile, with gradients; includes the learned output scale."""
    y: Tensor = _TileProduct.apply(x, tile.weight, tile)  # type: ignore[no-untyped-call]
    return y if tile.out_scaling is None else y * tile.out_scaling
