"""Reads of single lines of an array: which periphery they may have, and what the kernels need for them."""

from __future__ import annotations

from torch import Tensor

from tilewright import kernels
from tilewright.periphery import (
    BoundManagementType,
    IOParameters,
    MVType,
    NoiseManagementType,
    UpdateParameters,
    compile_io,
    line_read_input,
)


def unmanaged_io() -> IOParameters:
    """Periphery of a one-line read: nothing to manage, since the input is one or zero."""
    return IOParameters(noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE)


def single_pulse_update() -> UpdateParameters:
    """Update that sends at most one pulse, always, where asked."""
    return UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)


def check_line_reads(io: IOParameters, field: str) -> None:
    """Raise ValueError, naming the field, unless single lines can be read through this periphery by themselves."""
    if io.is_perfect:
        return
    if io.noise_management is not NoiseManagementType.NONE or io.bound_management is not BoundManagementType.NONE:
        raise ValueError(f"{field} needs noise_management None and bound_management None: it reads single lines")
    used = effects_beyond_a_line(io)
    if used:
        raise ValueError(f"{field} cannot use {', '.join(used)}: single lines are read without these effects")


def effects_beyond_a_line(io: IOParameters) -> list[str]:
    """Fields in use that need more than the crosspoints of the line that is read."""
    extras = {
        "inp_noise": io.inp_noise > 0,
        "ir_drop": io.ir_drop > 0,
        "out_nonlinearity": io.out_nonlinearity > 0,
        "out_noise_std": io.out_noise_std > 0,
        "v_offset_std": io.v_offset_std > 0,
        "r_series": io.r_series > 0,
        "mv_type": io.mv_type not in (MVType.ONE_PASS, MVType.IDEAL),
    }
    return [name for name, on in extras.items() if on and not io.is_perfect]


class LineReader:
    """Reads of the lines of an array through one periphery; compiled on demand, so that it can be stored."""

    def __init__(self, io: IOParameters, columns: bool) -> None:
        self.io = io
        self.columns = columns
        self.input = line_read_input(io)
        self._settings: kernels.ReadSettings | None = None

    @property
    def settings(self) -> kernels.ReadSettings:
        """The periphery, as the kernels take it."""
        if self._settings is None:
            self._settings = compile_io(self.io, None, backward=not self.columns)
        return self._settings

    def read(self, lines: Tensor, seed: int, first_event: int | Tensor) -> Tensor:
        """Deliver lines (events, length) of weights."""
        return kernels.read_lines(self.settings, lines, read_input=self.input, seed=seed, first_event=first_event)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_settings": None}
