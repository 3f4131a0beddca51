"""Logical matrices on tiles as layers use them: products, and weights as tensors that can be trained through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright.nn.autograd import accumulates, tile_product
from tilewright.tile import AnalogTile
from tilewright.tile_array import TileArray


def matrix_product(x: Tensor, matrix: AnalogTile | TileArray, bias: Tensor | None = None) -> Tensor:
    """``x W^T + bias`` with gradients; x (..., inputs) to (..., outputs). An array adds its partial sums in digital."""
    if isinstance(matrix, AnalogTile):
        return tile_product(x, matrix, bias)
    parts: dict[int, Tensor] = {}
    for tile, rows, cols in matrix.blocks():
        y = tile_product(x[..., cols], tile)
        parts[rows.start] = parts[rows.start] + y if rows.start in parts else y
    outputs = list(parts.values())
    y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
    return y if bias is None else y + bias


def logical_weight(matrix: AnalogTile | TileArray) -> Tensor:
    """Logical weights (outputs, inputs), a copy that carries gradients.

    Code that uses a weight by itself (``F.linear(x, layer.weight)``) reads it exactly, without the periphery, and
    still trains the tiles: the gradient of the copy is recorded as pairs of one-hot vectors and rows or columns of
    the gradient, so that the next update pulses it in line by line.
    """
    if isinstance(matrix, AnalogTile):
        return _tile_weight(matrix)
    bands: dict[int, list[Tensor]] = {}
    for tile, rows, _ in matrix.blocks():
        bands.setdefault(rows.start, []).append(_tile_weight(tile))
    return torch.cat([torch.cat(band, dim=1) for band in bands.values()], dim=0)


def _tile_weight(tile: AnalogTile) -> Tensor:
    read: Tensor = _WeightRead.apply(tile.weight, tile)  # type: ignore[no-untyped-call]
    return read if tile.out_scaling is None else read * tile.out_scaling[:, None]


class _WeightRead(torch.autograd.Function):
    """The weight behind the mapping scales; its gradient goes to the record of the tile."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tile: AnalogTile) -> Tensor:
        ctx.tile = tile
        tile.settle()
        scales = tile.mapping_scales
        return weight.detach().clone() if scales is None else weight.detach() * scales[:, None]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None]:
        gradient, tile = grads[0], ctx.tile
        if not accumulates(ctx, 0):
            return None, None
        if tile.out_size <= tile.in_size:
            tile.record(gradient, torch.eye(tile.out_size))
        else:
            tile.record(torch.eye(tile.in_size), gradient.t().contiguous())
        return None, None
