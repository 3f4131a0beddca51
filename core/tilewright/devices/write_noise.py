"""Write noise: what is read differs from the state that pulses act on, afresh after each write."""

from __future__ import annotations

from typing import ClassVar

from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import parameter


class WriteNoiseDevice(PulsedDevice, abstract=True):
    """A device whose visible weight is its state plus noise that each write draws anew."""

    supports_write_noise: ClassVar[bool] = True

    write_noise_std: float = parameter(
        0.0,
        "noise of the visible weight, renewed by each write",
        unit="dw_min",
        ge=0,
        group="Write noise",
        typical=(0, 100),
    )
    apply_write_noise_on_set: bool = parameter(True, "setting weights also draws write noise", group="Write noise")
