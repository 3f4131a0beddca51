"""What every cell's parameter class shares."""

from __future__ import annotations

from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import Parameters, parameter


class UnitCell(Parameters):
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
