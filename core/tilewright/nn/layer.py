"""What every layer with one logical matrix shares: tiles, digital or analog bias, weights in and out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tilewright.configs import RPUConfig, SingleRPUConfig
from tilewright.nn.matrix import logical_weight, matrix_product
from tilewright.nn.written_weight import WrittenWeight
from tilewright.tile import AnalogTile, forget_records, seed_from_torch
from tilewright.tile_array import TileArray
from tilewright.weight_access import Programming, program_weights, read_weights, remap_weights


def refuse_placement(layer: str, device: Any, dtype: Any) -> None:
    """Tiles are float32 and made on the CPU; anything else asked for is an error that says so."""
    if device is not None and torch.device(device).type != "cpu":
        raise ValueError(f"{layer}: device={device!r} is not offered; tiles are made on the CPU, and moved with .to()")
    if dtype not in (None, torch.float32):
        raise ValueError(f"{layer}: dtype={dtype} is not offered; tiles are torch.float32")


class AnalogLayer(nn.Module):
    """A layer whose weight is one logical matrix, or one for each group, on tiles.

    ``weight`` and ``bias`` read like the torch counterpart's. Reading gives copies of what is on tiles; writing into
    them in place does what :meth:`set_weights` does. Gradients through a read weight reach the tiles with the next
    step of :class:`tilewright.optim.AnalogSGD`.
    """

    always_array: ClassVar[bool] = False
    analog_bias: bool
    tile: AnalogTile | TileArray | nn.ModuleList
    weight_shape: tuple[int, ...]

    def _lay_out(
        self, make_digital: Callable[[], nn.Module], rpu_config: RPUConfig | None, path: str, groups: int = 1
    ) -> nn.Module:
        """Make tiles for the weight of a digital layer, set them to it, and return it.

        The kernel elements of a channel stay on one tile.
        """
        seeds = [seed_from_torch() for _ in range(max(groups, 1))]  # before the weights, so that these follow
        digital = make_digital()
        weight, bias = digital.weight, digital.bias
        assert isinstance(weight, Tensor)
        config = SingleRPUConfig() if rpu_config is None else rpu_config
        mapping = config.mapping
        self.weight_shape = tuple(weight.shape)
        rows, cols, in_unit = weight.shape[0] // groups, math.prod(weight.shape[1:]), math.prod(weight.shape[2:])
        split = (0 < mapping.max_input_size < cols) or (0 < mapping.max_output_size < rows)
        on_array = split or (self.always_array and (mapping.max_input_size > 0 or mapping.max_output_size > 0))
        self.analog_bias = bias is not None and not mapping.digital_bias and not on_array

        def matrix(seed: int, place: str) -> AnalogTile | TileArray:
            if on_array:
                return TileArray(rows, cols, config, seed, place, in_unit)
            return AnalogTile(rows, cols + int(self.analog_bias), config, seed, place)

        if groups == 1:
            self.tile = matrix(seeds[0], path)
        else:
            self.tile = nn.ModuleList(matrix(seed, f"{path}.group{index}") for index, seed in enumerate(seeds))
        if not self.analog_bias:
            self.register_parameter("bias", None if bias is None else nn.Parameter(torch.zeros(weight.shape[0])))
        self.set_weights(weight, bias if isinstance(bias, Tensor) else None)
        return digital

    # --- weights ----------------------------------------------------------------------------------------------------

    @property
    def matrices(self) -> list[AnalogTile | TileArray]:
        """The logical matrix of each group."""
        if isinstance(self.tile, nn.ModuleList):
            return list(self.tile)  # type: ignore[arg-type]
        return [self.tile]

    def tiles(self) -> list[AnalogTile]:
        """The tiles of this layer."""
        return [tile for tile in self.tile.modules() if isinstance(tile, AnalogTile)]

    @property
    def rpu_config(self) -> RPUConfig:
        """Configuration of the tiles."""
        return self.matrices[0].rpu_config

    @property
    def weight(self) -> Tensor:
        """Logical weights in the shape of the torch counterpart: a copy that carries gradients and can be written."""
        return WrittenWeight.of(self._logical()[0], self, lambda weight: self._write(weight=weight))

    def __getattr__(self, name: str) -> Any:
        # Reached for an analog bias only: a digital one is a parameter of this name.
        if name == "bias" and self.__dict__.get("analog_bias"):
            bias = self._logical()[1]
            assert bias is not None
            return WrittenWeight.of(bias, self, lambda bias: self._write(bias=bias))
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "weight" or (name == "bias" and self.__dict__.get("analog_bias")):
            if isinstance(value, WrittenWeight) and value.was_written_by(self):
                return
            raise AttributeError(
                f"{type(self).__name__}.{name} lives on tiles and cannot be replaced: layer.set_weights(weight, bias) "
                "writes it; to tie two layers, let them share their tiles (second.tile = first.tile)"
            )
        super().__setattr__(name, value)

    def _write(self, weight: Tensor | None = None, bias: Tensor | None = None) -> None:
        """Set one of weight and bias, keeping the other."""
        now = self.get_weights()
        self.set_weights(now[0] if weight is None else weight, now[1] if bias is None else bias)

    def _logical(self) -> tuple[Tensor, Tensor | None]:
        return self._in_shape([logical_weight(matrix) for matrix in self.matrices])

    def _in_shape(self, whole: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The matrices of all groups as weight and bias."""
        joined = whole[0] if len(whole) == 1 else torch.cat(whole)
        if self.analog_bias:
            return joined[:, :-1].reshape(self.weight_shape), joined[:, -1]
        return joined.reshape(self.weight_shape), self.bias

    @torch.no_grad()
    def set_weights(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Set logical weights (in the torch counterpart's shape) and bias; devices clip what they cannot hold."""
        if tuple(weight.shape) != self.weight_shape:
            raise ValueError(f"weight must have shape {self.weight_shape}, found {tuple(weight.shape)}")
        flat = weight.detach().reshape(self.weight_shape[0], -1)
        if self.analog_bias:
            column = flat.new_zeros(flat.shape[0]) if bias is None else bias.detach().to(flat.device)
            flat = torch.cat([flat, column[:, None]], dim=1)
        elif bias is not None:
            if self.bias is None:
                raise ValueError(f"this {type(self).__name__} has no bias to set")
            self.bias.copy_(bias)
        for matrix, part in zip(self.matrices, flat.chunk(len(self.matrices)), strict=True):
            matrix.set_weights(part)

    @torch.no_grad()
    def get_weights(self) -> tuple[Tensor, Tensor | None]:
        """Logical weights and bias, copies; exact, not read through the periphery."""
        weight, bias = self._logical()
        return weight.clone(), None if bias is None else bias.detach().clone()

    @torch.no_grad()
    def read_weights(self, over_sampling: int = 10) -> tuple[Tensor, Tensor | None]:
        """Weights and bias as reads show them, see :func:`tilewright.weight_access.read_weights`."""
        return self._in_shape([read_weights(matrix, over_sampling) for matrix in self.matrices])

    def program_weights(self, **loop: Any) -> list[Programming]:
        """Write the weights as they are with pulses, see :func:`tilewright.weight_access.program_weights`.

        Returns:
            How far that came, for the matrix of each group.
        """
        return [program_weights(matrix, **loop) for matrix in self.matrices]

    def remap_weights(self, omega: float = 1.0) -> None:
        """Make ``omega`` the largest analog weight of each tile; what the layer computes stays the same."""
        for matrix in self.matrices:
            remap_weights(matrix, omega)

    def reset_parameters(self) -> None:
        """New random weights and bias, as the torch counterpart draws them."""
        twin = self.empty_twin()
        self.set_weights(twin.weight, twin.bias)

    def empty_twin(self) -> Any:
        """A digital layer of this shape."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, and what tiles recorded since the last step."""
        super().zero_grad(set_to_none)
        forget_records(self)

    # --- products ---------------------------------------------------------------------------------------------------

    def _affine(self, x: Tensor) -> Tensor:
        """Analog product and bias; x (..., groups * inputs) to (..., outputs)."""
        if x.dtype is not torch.float32:
            x = self._as_float32(x)
        # Dictionaries are several times quicker than the attributes of a module.
        tile: Any = self._modules["tile"]
        bias = None if self.analog_bias else self._parameters["bias"]
        if not isinstance(tile, nn.ModuleList):
            return self._product(x, tile, bias)
        parts = x.chunk(len(tile), dim=-1)
        y = torch.cat([self._product(part, matrix) for part, matrix in zip(parts, self.matrices, strict=True)], -1)
        return y if bias is None else y + bias

    def _product(self, x: Tensor, matrix: AnalogTile | TileArray, bias: Tensor | None = None) -> Tensor:
        if self.analog_bias:
            x = torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)
        return matrix_product(x, matrix, bias)

    def _as_float32(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu") and x.is_floating_point():
            return x.float()  # other layers hand on bfloat16; a tile has converters of its own
        raise TypeError(f"{type(self).__name__} takes float32, found {x.dtype}; convert it with .float()")

    def _bias_place(self) -> str:
        return "analog" if self.analog_bias else "none" if self.bias is None else "digital"
