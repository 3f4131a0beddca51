"""Weights the way hardware gives and takes them: read through the periphery, programmed by pulses, mapped anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright import kernels
from tilewright.tile import AnalogTile
from tilewright.tile_array import TileArray


@dataclass(frozen=True)
class Programming:
    """How far closed-loop programming came.

    Attributes:
        iterations: rounds of reading and pulsing; the most of all tiles.
        error: mean deviation of the last reading over the largest target; the largest of all tiles.
        reached: whether the error came below the tolerance, on every tile.
    """

    iterations: int
    error: float
    reached: bool


@torch.no_grad()
def read_weights(matrix: AnalogTile | TileArray, over_sampling: int = 10) -> Tensor:
    """Logical weights (outputs, inputs) as reads through the forward periphery show them.

    ``over_sampling * inputs`` normal vectors pass the tile in evaluation mode, and the weights are the least-squares
    answer: noise averages out with more of them, errors that repeat stay. ``get_weights`` looks at the devices instead.
    """
    if over_sampling < 1:
        raise ValueError(f"over_sampling must be at least 1, found {over_sampling}")
    if isinstance(matrix, TileArray):
        found = matrix.get_weights()
        for tile, rows, cols in matrix.blocks():
            found[rows, cols] = read_weights(tile, over_sampling)
        return found
    key = kernels.derive_seed(matrix.seed, "vectors that read weights")
    x = kernels.normal_field((over_sampling * matrix.in_size, matrix.in_size), key, matrix.positions()[0])
    x = x.to(matrix.weight.device)
    with _looking(matrix):
        weights: Tensor = torch.linalg.lstsq(x, matrix.forward(x)).solution.t().contiguous()
    return weights if matrix.out_scaling is None else weights * matrix.out_scaling[:, None]


@torch.no_grad()
def program_weights(
    matrix: AnalogTile | TileArray,
    wanted: Tensor | None = None,
    lr: float = 0.1,
    max_iterations: int = 10_000,
    tolerance: float = 0.01,
    start: float = 0.01,
) -> Programming:
    """Write logical weights with pulses, in a closed loop of reading and correcting, as a chip is programmed.

    The devices begin at random values within ``start``, in their own units. Each round reads every input line in
    evaluation mode and pulses against the error, until the mean error is below ``tolerance`` times the largest target.

    Args:
        matrix: what is written.
        wanted: (outputs, inputs); None takes the weights as they are.
        lr: learning rate of the corrections.
        max_iterations: rounds after which it ends.
        tolerance: relative error to reach.
        start: largest value to begin at.

    Returns:
        What was reached; devices that cannot hold the target leave ``reached`` False.
    """
    target = matrix.get_weights() if wanted is None else torch.as_tensor(wanted, dtype=torch.float32).detach()
    if isinstance(matrix, TileArray):
        shape = (matrix.out_size, matrix.in_size)
        if target.shape != shape:
            raise ValueError(f"weights must have shape {shape}, found {tuple(target.shape)}")
        parts = [
            program_weights(tile, target[rows, cols], lr, max_iterations, tolerance, start)
            for tile, rows, cols in matrix.blocks()
        ]
        return Programming(max(p.iterations for p in parts), max(p.error for p in parts), all(p.reached for p in parts))
    matrix.set_weights(target)  # settles the mapping scales
    shape = (matrix.out_size, matrix.in_size)
    key = kernels.derive_seed(matrix.seed, "start of programming")
    matrix.weight.data.copy_(start * (2 * kernels.uniform_field(shape, key, matrix.positions()[0]) - 1))
    lines, goal = torch.eye(matrix.in_size, device=matrix.weight.device), target.t().to(matrix.weight.device)
    size = float(goal.abs().max()) or 1.0
    for iteration in range(max_iterations + 1):
        with _looking(matrix):
            error = matrix.forward(lines) - goal
        relative = float(error.abs().mean()) / size
        if relative < tolerance or iteration == max_iterations:
            break
        matrix.update(lines, error.contiguous(), lr)
    return Programming(iteration, relative, relative < tolerance)


def remap_weights(matrix: AnalogTile | TileArray, omega: float = 1.0) -> None:
    """Write the logical weights anew so that the largest analog weight is ``omega``; the function stays the same.

    Raises:
        ValueError: the mapping has no scales (``weight_scaling_omega`` is 0), or ``omega`` is not positive.
    """
    for tile in [tile for tile, _, _ in matrix.blocks()] if isinstance(matrix, TileArray) else [matrix]:
        tile.set_weights(tile.get_weights(), omega=omega)


@contextmanager
def _looking(tile: AnalogTile) -> Iterator[None]:
    """Evaluation mode for a while."""
    training = tile.training
    tile.eval()
    try:
        yield
    finally:
        tile.train(training)
