"""Convolutions on analog tiles: the patches of a whole batch pass a tile in one call."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from tilewright.configs import RPUConfig
from tilewright.nn.layer import AnalogLayer, refuse_placement
from tilewright.nn.patches import extract_patches, output_sizes

_Size = int | tuple[int, ...]


class AnalogConv(AnalogLayer):
    """What the convolutions share. The weight is a matrix (out_channels, in_channels * kernel elements).

    A matrix that is split over tiles is split between channels, never within the kernel of one. Each group has a
    matrix, and so tiles, of its own.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel.
        stride: step of the kernel.
        padding: padding on both sides, or "same" or "valid".
        dilation: distance of kernel elements.
        groups: groups of channels that do not mix.
        bias: whether to add a bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        rpu_config: tile configuration; None is one constant-step device per crosspoint.
        path: place in the model, so that layers with one construction seed get different devices.
        device: None or the CPU.
        dtype: None or float32.

    Raises:
        ValueError: an option torch refuses as well, or one channel's kernel that does not fit a tile's inputs.
    """

    digital_class: ClassVar[type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Size | str = 0,
        dilation: _Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        rpu_config: RPUConfig | None = None,
        path: str = "",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        refuse_placement(type(self).__name__, device, dtype)
        options: Any = (kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        digital: Any = self._lay_out(
            lambda: self.digital_class(in_channels, out_channels, *options), rpu_config, path, groups
        )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size: tuple[int, ...] = digital.kernel_size
        self.stride: tuple[int, ...] = digital.stride
        self.padding: tuple[int, ...] | str = digital.padding
        self.dilation: tuple[int, ...] = digital.dilation
        self.padding_mode = padding_mode
        # Amounts before and after each dimension, last dimension first, as torch's pad takes them.
        self.pad_amounts: list[int] = digital._reversed_padding_repeated_twice

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (batch, in_channels, spatial ...), or one sample without its batch."""
        dimensions = len(self.kernel_size)
        if x.dim() not in (dimensions + 1, dimensions + 2) or x.shape[-dimensions - 1] != self.in_channels:
            spatial = ("length", "height, width", "depth, height, width")[dimensions - 1]
            raise ValueError(
                f"{type(self).__name__} takes (batch, {self.in_channels}, {spatial}) or ({self.in_channels}, "
                f"{spatial}), found {tuple(x.shape)}"
            )
        batched = x.dim() == dimensions + 2
        x = x if batched else x[None]
        if any(self.pad_amounts):
            x = F.pad(x, self.pad_amounts, mode="constant" if self.padding_mode == "zeros" else self.padding_mode)
        sizes = output_sizes(x.shape[2:], self.kernel_size, self.stride, self.dilation)
        if min(sizes) < 1:
            raise ValueError(
                f"{type(self).__name__}: a kernel of {self.kernel_size} with dilation {self.dilation} does not fit "
                f"into the padded input of {tuple(x.shape[2:])}"
            )
        y = self._affine(extract_patches(x, self.kernel_size, self.stride, self.dilation))
        y = y.transpose(1, 2).contiguous().view(x.shape[0], self.out_channels, *sizes)
        return y if batched else y[0]

    def empty_twin(self) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
        """A digital layer of this shape."""
        options: Any = (
            self.kernel_size, self.stride, self.padding, self.dilation, self.groups,
            self.analog_bias or self.bias is not None, self.padding_mode,
        )  # fmt: skip
        return self.digital_class(self.in_channels, self.out_channels, *options)

    def extra_repr(self) -> str:
        """Size, geometry and bias."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        plain: dict[str, object] = {"padding": (0,), "dilation": (1,), "groups": 1, "padding_mode": "zeros"}
        for name, usual in plain.items():
            value = getattr(self, name)
            if value != (usual * len(self.kernel_size) if isinstance(usual, tuple) else usual):
                parts.append(f"{name}={value!r}")
        return ", ".join([*parts, f"bias={self._bias_place()}"])


class AnalogConv1d(AnalogConv):
    """``nn.Conv1d`` on analog tiles; see :class:`AnalogConv`."""

    digital_class = nn.Conv1d


class AnalogConv2d(AnalogConv):
    """``nn.Conv2d`` on analog tiles; see :class:`AnalogConv`."""

    digital_class = nn.Conv2d


class AnalogConv3d(AnalogConv):
    """``nn.Conv3d`` on analog tiles; see :class:`AnalogConv`."""

    digital_class = nn.Conv3d


class AnalogConv1dMapped(AnalogConv1d):
    """:class:`AnalogConv1d` that always sits on a tile array."""

    always_array = True


class AnalogConv2dMapped(AnalogConv2d):
    """:class:`AnalogConv2d` that always sits on a tile array."""

    always_array = True


class AnalogConv3dMapped(AnalogConv3d):
    """:class:`AnalogConv3d` that always sits on a tile array."""

    always_array = True
