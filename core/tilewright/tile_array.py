"""A logical matrix on a grid of tiles, which is split where a tile would be too large."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tilewright import kernels
from tilewright.configs import RPUConfig
from tilewright.tile import AnalogTile, seed_from_torch


def split_sizes(size: int, limit: int, unit: int = 1) -> list[int]:
    """Balanced parts of at most ``limit``; 0 does not split. 784 with 512 gives 392 and 392.

    Every ``unit`` neighbours stay together. Raises ``ValueError`` when they do not fit into one part.
    """
    if 0 < limit < unit:
        raise ValueError(f"{unit} inputs that have to stay together do not fit a tile of {limit} inputs")
    units = size // unit
    count = -(-units // (limit // unit)) if limit > 0 else 1
    base, extra = divmod(units, count)
    return [(base + 1) * unit] * extra + [base * unit] * (count - extra)


class TileArray(nn.Module):
    """A logical matrix on a grid of tiles: inputs are split, partial sums are added in digital.

    Args:
        out_size: outputs of the logical matrix.
        in_size: inputs.
        rpu_config: configuration of every tile; its mapping gives the largest size of a tile.
        seed: as for a tile; each tile derives its own.
        path: place in the model.
        in_unit: this many neighbouring inputs stay on one tile.
    """

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: RPUConfig,
        seed: int | None = None,
        path: str = "",
        in_unit: int = 1,
    ) -> None:
        super().__init__()
        self.out_size, self.in_size = out_size, in_size
        self.rpu_config = copy.deepcopy(rpu_config)
        self.in_sizes = split_sizes(in_size, rpu_config.mapping.max_input_size, in_unit)
        self.out_sizes = split_sizes(out_size, rpu_config.mapping.max_output_size)
        root = seed_from_torch() if seed is None else int(seed)
        self.tiles = nn.ModuleList(
            AnalogTile(rows, cols, rpu_config, kernels.derive_seed(root, "tile", i, j), f"{path}[{i},{j}]")
            for j, cols in enumerate(self.in_sizes)
            for i, rows in enumerate(self.out_sizes)
        )

    def blocks(self) -> Iterator[tuple[AnalogTile, slice, slice]]:
        """Each tile with the outputs and inputs it holds."""
        tiles = iter(self.tiles)
        column = 0
        for cols in self.in_sizes:
            row = 0
            for rows in self.out_sizes:
                tile = next(tiles)
                assert isinstance(tile, AnalogTile)
                yield tile, slice(row, row + rows), slice(column, column + cols)
                row += rows
            column += cols

    def set_weights(self, weights: Tensor) -> None:
        """Set logical weights (outputs, inputs)."""
        wanted = torch.as_tensor(weights, dtype=torch.float32)
        if wanted.shape != (self.out_size, self.in_size):
            raise ValueError(f"weights must have shape {(self.out_size, self.in_size)}, found {tuple(wanted.shape)}")
        for tile, rows, cols in self.blocks():
            tile.set_weights(wanted[rows, cols])

    def get_weights(self) -> Tensor:
        """Logical weights (outputs, inputs), a copy."""
        weights = torch.empty(self.out_size, self.in_size, device=self.tiles[0].weight.device)  # type: ignore[arg-type]
        for tile, rows, cols in self.blocks():
            weights[rows, cols] = tile.get_weights()
        return weights
