"""Matrices on tiles for numerical algorithms: what SciPy's solvers take as a linear operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from tilewright.configs import RPUConfig, SingleRPUConfig
from tilewright.tile import AnalogTile
from tilewright.tile_array import TileArray


class AnalogMatrix(LinearOperator):  # type: ignore[misc]
    """A real matrix on tiles as a :class:`scipy.sparse.linalg.LinearOperator`, for solvers in memory.

    ``A @ x`` reads forward, ``A.T @ y``, ``A.H @ y`` and ``y @ A`` backward, each through its own periphery. Arrays
    come back as arrays of the type they were given in, tensors as tensors; tiles compute in float32.

    Args:
        matrix: (rows, columns).
        rpu_config: tile configuration; None is one constant-step device per crosspoint. Its devices clip, and its
            mapping scales, what is written; matrices beyond its largest sizes are split over tiles.
        seed: of noise and devices; None takes one from torch's generator.
    """

    def __init__(
        self, matrix: ArrayLike | Tensor, rpu_config: RPUConfig | None = None, seed: int | None = None
    ) -> None:
        values = torch.as_tensor(np.asarray(matrix), dtype=torch.float32)
        if values.dim() != 2 or 0 in values.shape:
            raise ValueError(f"a matrix has rows and columns, found shape {tuple(values.shape)}")
        config = SingleRPUConfig() if rpu_config is None else rpu_config
        rows, cols = values.shape
        limits, sizes = (config.mapping.max_output_size, config.mapping.max_input_size), (rows, cols)
        split = any(0 < limit < size for limit, size in zip(limits, sizes, strict=True))
        self.tiles = (TileArray if split else AnalogTile)(rows, cols, config, seed)
        self.tiles.set_weights(values)
        super().__init__(np.float32, (rows, cols))

    def to_dense(self) -> NDArray[np.float32]:
        """The matrix as the devices hold it, (rows, columns)."""
        weights: NDArray[np.float32] = self.tiles.get_weights().numpy()
        return weights

    @torch.no_grad()
    def ger(self, x: ArrayLike | Tensor, d: ArrayLike | Tensor, alpha: float = 1.0) -> None:
        """``A += alpha d x^T`` by pulses, in expectation; x (columns,), d (rows,)."""
        inputs, errors = (torch.as_tensor(np.asarray(v), dtype=torch.float32).reshape(1, -1) for v in (x, d))
        if (errors.shape[1], inputs.shape[1]) != self.shape:
            raise ValueError(f"x must have {self.shape[1]} and d {self.shape[0]} entries")
        errors = errors if alpha < 0 else -errors
        for tile, rows, cols in self._blocks():
            tile.update(inputs[:, cols].contiguous(), errors[:, rows].contiguous(), abs(alpha))

    def _blocks(self) -> list[tuple[AnalogTile, slice, slice]]:
        if isinstance(self.tiles, AnalogTile):
            return [(self.tiles, slice(None), slice(None))]
        return list(self.tiles.blocks())

    @torch.no_grad()
    def _product(self, vectors: Tensor, backward: bool) -> Tensor:
        """Products of columns (inputs of this direction, number)."""
        x = vectors.to(torch.float32).t().contiguous()
        result = torch.zeros(x.shape[0], self.shape[1 if backward else 0])
        for tile, rows, cols in self._blocks():
            if backward:
                result[:, cols] += tile.backward(x[:, rows].contiguous())
            else:
                result[:, rows] += tile.forward(x[:, cols].contiguous())
        return result.t()

    def _of_array(self, x: NDArray[Any], backward: bool) -> NDArray[Any]:
        columns = torch.as_tensor(np.ascontiguousarray(x.reshape(x.shape[0], -1)))
        kind = x.dtype if np.issubdtype(x.dtype, np.floating) else np.dtype(np.float32)
        return self._product(columns, backward).numpy().astype(kind).reshape(-1, *x.shape[1:])

    def _matvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._of_array(x, backward=False)

    def _matmat(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._of_array(x, backward=False)

    def _rmatvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._of_array(x, backward=True)

    def _rmatmat(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._of_array(x, backward=True)

    def __matmul__(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return super().__matmul__(x)
        if x.dim() not in (1, 2) or x.shape[0] != self.shape[1]:
            raise ValueError(f"x must have {self.shape[1]} rows, found shape {tuple(x.shape)}")
        return self._product(x.reshape(x.shape[0], -1), backward=False).reshape(-1, *x.shape[1:])

    def __rmatmul__(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return super().__rmatmul__(x)
        if x.dim() not in (1, 2) or x.shape[-1] != self.shape[0]:
            raise ValueError(f"x must have {self.shape[0]} columns, found shape {tuple(x.shape)}")
        product = self._product(x.reshape(-1, x.shape[-1]).t(), backward=True).t()
        return product.reshape(*x.shape[:-1], -1)
