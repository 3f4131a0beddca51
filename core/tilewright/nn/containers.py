"""Containers of layers."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from tilewright.tile import AnalogTile, forget_records


class AnalogSequential(nn.Sequential):
    """``nn.Sequential`` that knows its tiles."""

    def analog_tiles(self) -> Iterator[AnalogTile]:
        """Every tile below, in order."""
        for module in self.modules():
            if isinstance(module, AnalogTile):
                yield module

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, and what tiles recorded since the last step."""
        super().zero_grad(set_to_none)
        forget_records(self)
