"""What every cell's parameter class shares."""

from __future__ import annotations

from tilewright.cells.cell import Cell
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import Parameters, parameter
from tilewright.periphery import UpdateParameters


class UnitCell(Parameters, abstract=True):
    """Several devices (and digital memory) that together hold and train one weight."""

    construction_seed: int = parameter(
        0,
        "seed of the device-to-device draws of all members; 0 takes one from torch's generator",
        ge=0,
        typical=(0, 1000),
    )

    @property
    def visible_device(self) -> PulsedDevice:
        """The device whose weight the network sees."""
        raise NotImplementedError

    @property
    def visible_granularity(self) -> float:
        """Expected step of the visible weight."""
        return self.visible_device.granularity

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape (outputs, inputs).

        Args:
            update: pulse scheme of the tile.
            shape: (outputs, inputs).
            draw_seed: key of the device-to-device draws.
            noise_seed: key of pulse trains and noise.
        """
        raise NotImplementedError
