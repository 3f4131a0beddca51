"""The interface between a tile and what learns at its crosspoints."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from tilewright import kernels
from tilewright.periphery import UpdateParameters


class Cell(nn.Module):
    """Runtime of a crosspoint array. The tile owns the visible weight (outputs, inputs) and passes it to each call."""

    def __init__(self) -> None:
        super().__init__()
        # What the last update sent, for health readings; not part of the state.
        self.last_update: dict[str, int] = {}

    @abstractmethod
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Move the weight by ``-lr * sum_b outer(d_b, x_b)`` in expectation, as the algorithm does it.

        Args:
            weight: visible weight, changed in place.
            x: inputs (samples, inputs).
            d: errors (samples, outputs).
            lr: learning rate of the tile.
        """

    @abstractmethod
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Set the visible weight as far as the devices allow, and start the algorithm afresh."""

    def pass_time(self, weight: Tensor) -> None:
        """What happens once per optimiser step: diffusion and decay."""

    def device_arrays(self) -> dict[str, object]:
        """The arrays of the cell by name, for inspection."""
        return {}


class SettingsCache:
    """Compiled update settings, rebuilt on demand because they cannot be stored in a checkpoint."""

    def __init__(self, update: UpdateParameters, granularity: float) -> None:
        self.update = update
        self.granularity = granularity
        self._compiled: kernels.UpdateSettings | None = None

    def get(self) -> kernels.UpdateSettings:
        """The settings."""
        if self._compiled is None:
            self._compiled = self.update.compiled(self.granularity)
        return self._compiled

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_compiled": None}
