"""Tensors as the kernels take them: checked once, passed by address."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tilewright import _cpu

# How the compiled module looks into tensors itself; torch before 2.10 does not offer it, and the way round costs more.
_INTERFACE = getattr(Tensor, "__dlpack_c_exchange_api__", None)
if _INTERFACE is not None:
    _cpu.read_tensors_through(_INTERFACE)

# samples_of(x, inputs, d, outputs): how many samples both hold, if they are float32 matrices of these widths on the
# CPU, without gaps; else -1.
samples_of = _cpu.samples_of


def rows_of(tensor: Tensor, width: int, what: str) -> Tensor:
    """A contiguous float32 CPU tensor of shape (n, width), or an error that names it."""
    if tensor.dtype is not torch.float32:
        raise TypeError(f"{what} must be float32, found {tensor.dtype}; convert it with .float()")
    if tensor.device.type != "cpu":
        raise RuntimeError(f"{what} is on {tensor.device}, but this works on the CPU alone; move it with .cpu()")
    if tensor.dim() != 2 or tensor.shape[1] != width:
        raise ValueError(f"{what} must have shape (batch, {width}), found {tuple(tensor.shape)}")
    return tensor.contiguous()


# Names of the tensors of an array beside its visible weights, as the kernels take them: state, parameters, counters.
PARAMETERS = ("up", "down", "max_bound", "min_bound", "slope_up", "slope_down", "reference")
PULSE_COUNTER = "counted_pulses"
UPDATED = ("persistent", *PARAMETERS, PULSE_COUNTER)


@dataclass(slots=True)
class Crosspoints:
    """The tensors of an array of devices, each (outputs, inputs) float32; parameters may hold a single value.

    ``persistent`` is None when the visible weight is the state itself.
    """

    visible: Tensor
    persistent: Tensor | None
    up: Tensor
    down: Tensor
    max_bound: Tensor
    min_bound: Tensor
    slope_up: Tensor | None = None
    slope_down: Tensor | None = None
    reference: Tensor | None = None

    def addresses(self) -> tuple[int, ...]:
        """Addresses for the kernels; negative for a parameter with a single value."""
        return (
            self.visible.data_ptr(),
            0 if self.persistent is None else self.persistent.data_ptr(),
            plane_of(self.up),
            plane_of(self.down),
            plane_of(self.max_bound),
            plane_of(self.min_bound),
            plane_of(self.slope_up),
            plane_of(self.slope_down),
            plane_of(self.reference),
        )

    def part(self, first: int, last: int) -> Crosspoints:
        """The devices ``first`` to ``last`` of an array of one row, sharing its memory."""
        taken = (getattr(self, field.name) for field in fields(self))
        return Crosspoints(*(t if t is None or t.numel() == 1 else t[:, first:last] for t in taken))


def address_of(tensor: Tensor | None) -> int:
    """Address of a tensor that may be absent: 0 then."""
    return 0 if tensor is None else tensor.data_ptr()


def plane_of(tensor: Tensor | None) -> int:
    """Address of a parameter of the devices: negative where one value stands for all, 0 where there is none."""
    if tensor is None:
        return 0
    return -tensor.data_ptr() if tensor.numel() == 1 else tensor.data_ptr()
