"""Fully connected layers on analog tiles."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tilewright.configs import RPUConfig
from tilewright.nn.layer import AnalogLayer, refuse_placement


class AnalogLinear(AnalogLayer):
    """``y = x W^T + b`` with the weight on analog tiles; the bias is digital unless the mapping says otherwise.

    Matrices larger than the mapping's maximum sizes are split over several tiles.

    Args:
        in_features: inputs.
        out_features: outputs.
        bias: whether to add a bias.
        rpu_config: tile configuration; None is one constant-step device per crosspoint.
        path: place in the model, so that layers with one construction seed get different devices.
        device: None or the CPU.
        dtype: None or float32.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rpu_config: RPUConfig | None = None,
        path: str = "",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        refuse_placement(type(self).__name__, device, dtype)
        self.in_features, self.out_features = in_features, out_features
        self._lay_out(lambda: nn.Linear(in_features, out_features, bias), rpu_config, path)

    def forward(self, x: Tensor) -> Tensor:
        """Analog product and bias; x (..., in_features)."""
        if x.shape[-1] != self.in_features:
            raise ValueError(f"{type(self).__name__} takes (..., {self.in_features}), found {tuple(x.shape)}")
        return self._affine(x)

    def empty_twin(self) -> nn.Linear:
        """A digital layer of this shape."""
        return nn.Linear(self.in_features, self.out_features, self.analog_bias or self.bias is not None)

    def extra_repr(self) -> str:
        """Size and bias."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self._bias_place()}"


class AnalogLinearMapped(AnalogLinear):
    """:class:`AnalogLinear` that always sits on a tile array, also where one tile would do."""

    always_array = True
