"""Containers of layers, and walks over the layers and tiles of any model."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from tilewright.nn.layer import AnalogLayer
from tilewright.nn.recurrent import AnalogRecurrent
from tilewright.tile import AnalogTile, forget_records


def named_analog_tiles(model: nn.Module) -> Iterator[tuple[str, AnalogTile]]:
    """Every tile of a model with its dotted name, in the order of the tree."""
    for name, module in model.named_modules():
        if isinstance(module, AnalogTile):
            yield name, module


def named_analog_layers(model: nn.Module) -> Iterator[tuple[str, AnalogLayer | AnalogRecurrent]]:
    """Every analog layer of a model with its dotted name; a recurrent layer is one, its parts are not listed."""
    inside: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, AnalogLayer | AnalogRecurrent) and id(module) not in inside:
            inside.update(id(part) for part in module.modules())
            yield name, module


class AnalogSequential(nn.Sequential):
    """``nn.Sequential`` that knows its layers and tiles."""

    def analog_tiles(self) -> Iterator[AnalogTile]:
        """Every tile below, in order."""
        return (tile for _, tile in self.named_analog_tiles())

    def named_analog_tiles(self) -> Iterator[tuple[str, AnalogTile]]:
        """Every tile below with its name, as :func:`named_analog_tiles` finds them."""
        return named_analog_tiles(self)

    def analog_layers(self) -> Iterator[AnalogLayer | AnalogRecurrent]:
        """Every analog layer below, in order."""
        return (layer for _, layer in self.named_analog_layers())

    def named_analog_layers(self) -> Iterator[tuple[str, AnalogLayer | AnalogRecurrent]]:
        """Every analog layer below with its name, as :func:`named_analog_layers` finds them."""
        return named_analog_layers(self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, and what tiles recorded since the last step."""
        super().zero_grad(set_to_none)
        forget_records(self)
