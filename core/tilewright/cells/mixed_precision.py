"""Mixed precision: the gradient accumulates in digital and reaches the array in pulses when it exceeds a step."""

from __future__ import annotations

from tilewright.cells.parameters import UnitCell
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import parameter


class DigitalRankUpdateCell(UnitCell):
    """A cell whose rank-one update is computed in digital."""

    device: PulsedDevice = parameter(..., "the analog device")

    @property
    def visible_device(self) -> PulsedDevice:
        """The analog device."""
        return self.device


class MixedPrecisionCompound(DigitalRankUpdateCell):
    """Digital accumulator chi beside one analog array; whole steps of chi are written row by row.

    Source: Nandakumar et al., Front. Neurosci. 14:406 (2020).
    """

    transfer_every: int = parameter(1, "mini-batches between transfers", ge=1, typical=(1, 100))
    n_rows_per_transfer: int = parameter(-1, "rows written per transfer; -1 writes all", ge=-1, typical=(-1, 64))
    random_row: bool = parameter(False, "start each partial transfer at a random row")
    granularity: float = parameter(
        0.0, "size of one step of chi; 0 takes the device's granularity", unit="weight", ge=0, typical=(0, 0.1)
    )
    transfer_lr: float = parameter(1.0, "pulses per step of chi", gt=0, typical=(0.1, 10))
    n_x_bins: int = parameter(0, "levels of the quantised input; 0 is exact", ge=0, typical=(0, 31))
    n_d_bins: int = parameter(0, "levels of the quantised error; 0 is exact", ge=0, typical=(0, 31))
    stoc_round_x: bool = parameter(True, "stochastic rounding of the input levels")
    stoc_round_d: bool = parameter(True, "stochastic rounding of the error levels")
