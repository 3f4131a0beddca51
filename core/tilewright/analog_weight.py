"""The parameter that stands for the weight of a tile, and what becomes of values that are written into it by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from tilewright.tile import AnalogTile

_PLAIN_DATA: Any = torch._C.TensorBase.data
_OWN_REFERENCES = 3  # to what was lent, while it is looked at: the pair, the loop and the question itself


class AnalogWeight(nn.Parameter):
    """The visible weight of a tile. Torch optimisers list it and pass it over; :class:`AnalogSGD` pulses its tile.

    The devices behind it have states of their own. What is written into it in place, by ``nn.init``, through ``.data``
    or in ``torch.no_grad()``, is noticed at the next use of the tile, which then sets its devices to these values, in
    units of the devices: as far as they reach, and the algorithm starts afresh.
    """

    tile: AnalogTile
    pulsed = False  # whether an optimiser holds it that sends pulses
    seen: int  # torch's count of changes in place, when the devices last agreed
    trusted: int  # the same while nobody can have written but in place, else -1: the one thing that quick updates ask
    lent: list[tuple[Tensor, int]]  # what `.data` gave out: it shares the memory, but has a count of its own
    replaced: bool  # `.data` was assigned

    def __new__(cls, data: Tensor, requires_grad: bool = True) -> AnalogWeight:
        """Wrap a tensor."""
        made = nn.Parameter.__new__(cls, data, requires_grad)
        made.lent, made.replaced = [], False
        made.follow()
        return made

    @property
    def data(self) -> Tensor:
        """The values without their gradient, as of any tensor."""
        lent: Tensor = _PLAIN_DATA.__get__(self)
        self.lent.append((lent, lent._version))
        self.trusted = -1
        return lent

    @data.setter
    def data(self, values: Tensor) -> None:
        _PLAIN_DATA.__set__(self, values)
        self.replaced, self.trusted = True, -1

    @property
    def written(self) -> bool:
        """Whether somebody has written into it since :meth:`settle`."""
        return self.replaced or self._version != self.seen or any(lent._version != count for lent, count in self.lent)

    def settle(self) -> None:
        """Take the values as they are for those of the devices."""
        self.lent = [(lent, lent._version) for lent, _ in self.lent if sys.getrefcount(lent) > _OWN_REFERENCES]
        self.replaced = False
        self.follow()

    def follow(self) -> None:
        """Take note that the devices have moved it."""
        self.seen = self._version
        self.trusted = -1 if self.lent or self.replaced else self.seen

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        # The link to the tile is made anew by the tile; only the data travels.
        return AnalogWeight, (self.detach(), self.requires_grad)
