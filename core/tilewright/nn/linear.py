"""Fully connected layers on analog tiles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tilewright.configs import RPUConfig, SingleRPUConfig
from tilewright.nn.autograd import tile_product
from tilewright.tile import AnalogTile, TileArray


class AnalogLinear(nn.Module):
    """``y = x W^T + b`` with the weight on analog tiles; the bias is digital unless the mapping says otherwise.

    Matrices larger than the mapping's maximum sizes are split over several tiles.

    Args:
        in_features: inputs.
        out_features: outputs.
        bias: whether to add a bias.
        rpu_config: tile configuration; None is one constant-step device per crosspoint.
        path: place in the model, so that layers with one construction seed get different devices.
    """

    always_array = False

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rpu_config: RPUConfig | None = None,
        path: str = "",
    ) -> None:
        super().__init__()
        config = SingleRPUConfig() if rpu_config is None else rpu_config
        self.in_features, self.out_features = in_features, out_features
        mapping = config.mapping
        split = (0 < mapping.max_input_size < in_features) or (0 < mapping.max_output_size < out_features)
        on_array = split or (self.always_array and (mapping.max_input_size > 0 or mapping.max_output_size > 0))
        self.analog_bias = bias and not mapping.digital_bias and not on_array
        self.tile: AnalogTile | TileArray
        if on_array:
            self.tile = TileArray(out_features, in_features, config, path=path)
        else:
            self.tile = AnalogTile(out_features, in_features + int(self.analog_bias), config, path=path)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias and not self.analog_bias else None
        digital = nn.Linear(in_features, out_features, bias)
        self.set_weights(digital.weight, digital.bias)

    @property
    def rpu_config(self) -> RPUConfig:
        """Configuration of the tiles."""
        return self.tile.rpu_config

    @property
    def weight(self) -> Tensor:
        """Logical weights (out_features, in_features), a copy."""
        return self.get_weights()[0]

    def tiles(self) -> list[AnalogTile]:
        """The tiles of this layer."""
        return [tile for tile in self.tile.modules() if isinstance(tile, AnalogTile)]

    def set_weights(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Set logical weights (out_features, in_features) and bias; devices clip what they cannot hold."""
        weight = weight.detach()
        if self.analog_bias:
            column = torch.zeros(self.out_features) if bias is None else bias.detach()
            weight = torch.cat([weight, column[:, None]], dim=1)
        elif self.bias is not None and bias is not None:
            with torch.no_grad():
                self.bias.copy_(bias)
        self.tile.set_weights(weight)

    def get_weights(self) -> tuple[Tensor, Tensor | None]:
        """Logical weights and bias, copies."""
        weight = self.tile.get_weights()
        if self.analog_bias:
            return weight[:, :-1].clone(), weight[:, -1].clone()
        return weight, None if self.bias is None else self.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Analog product and bias; x (..., in_features)."""
        if x.shape[-1] != self.in_features:
            raise ValueError(f"{type(self).__name__} takes (..., {self.in_features}), found {tuple(x.shape)}")
        if self.analog_bias:
            x = torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1)
        y = tile_product(x, self.tile) if isinstance(self.tile, AnalogTile) else self._sum_over_tiles(x, self.tile)
        return y if self.bias is None else y + self.bias

    @staticmethod
    def _sum_over_tiles(x: Tensor, array: TileArray) -> Tensor:
        parts: dict[int, list[Tensor]] = {}
        for tile, rows, cols in array.blocks():
            parts.setdefault(rows.start, []).append(tile_product(x[..., cols], tile))
        outputs = []
        for pieces in parts.values():
            total = pieces[0]
            for piece in pieces[1:]:
                total = total + piece
            outputs.append(total)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)

    def extra_repr(self) -> str:
        """Size and bias."""
        where = "analog" if self.analog_bias else "digital" if self.bias is not None else "none"
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={where}"


class AnalogLinearMapped(AnalogLinear):
    """:class:`AnalogLinear` that always sits on a tile array, also where one tile would do."""

    always_array = True
