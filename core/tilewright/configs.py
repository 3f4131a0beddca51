"""Configurations of a whole tile: device or cell, periphery, update scheme and mapping."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pydantic import model_validator

# Stored configurations may name a preset: its class has to be known wherever configurations are read.
from tilewright import presets as presets
from tilewright.cells.chopped_transfer import ChoppedTransferCompound, single_pulse_update
from tilewright.cells.mixed_precision import DigitalRankUpdateCell, MixedPrecisionCompound
from tilewright.cells.parameters import UnitCell
from tilewright.devices.constant_step import ConstantStepDevice
from tilewright.devices.ideal import FloatingPointDevice, IdealDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice, SoftBoundsReferenceDevice
from tilewright.parameters import ParameterError, Parameters, parameter
from tilewright.periphery import (
    BoundManagementType,
    IOParameters,
    IRDropEnd,
    MVType,
    NoiseManagementType,
    PulseType,
    UpdateParameters,
    WeightNoiseType,
)

__all__ = [
    "BoundManagementType",
    "ChoppedTransferCompound",
    "ConstantStepDevice",
    "DigitalRankUpdateCell",
    "DigitalRankUpdateRPUConfig",
    "FloatingPointDevice",
    "FloatingPointRPUConfig",
    "IOParameters",
    "IRDropEnd",
    "IdealDevice",
    "LinearStepDevice",
    "MVType",
    "MappingParameter",
    "MixedPrecisionCompound",
    "NoiseManagementType",
    "PulseType",
    "PulsedDevice",
    "RPUConfig",
    "SingleRPUConfig",
    "SoftBoundsDevice",
    "SoftBoundsReferenceDevice",
    "UnitCell",
    "UnitCellRPUConfig",
    "UpdateParameters",
    "WeightNoiseType",
    "build_config",
]


class MappingParameter(Parameters):
    """How logical weights are laid onto tiles."""

    digital_bias: bool = parameter(True, "add the bias in digital; False stores it as one more input column")
    weight_scaling_omega: float = parameter(
        0.0, "largest analog weight after scaling; 0 writes weights as they are", unit="weight", ge=0, typical=(0, 1)
    )
    weight_scaling_columnwise: bool = parameter(False, "one scale per output instead of one per tile")
    weight_scaling_lr_compensation: bool = parameter(
        False, "divide the learning rate by the mean scale instead of the error by the scale"
    )
    learn_out_scaling: bool = parameter(False, "train a digital output scale")
    out_scaling_columnwise: bool = parameter(False, "the trained scale has one value per output")
    max_input_size: int = parameter(512, "inputs of a physical tile; 0 is unlimited", ge=0, typical=(0, 1024))
    max_output_size: int = parameter(512, "outputs of a physical tile; 0 is unlimited", ge=0, typical=(0, 1024))


class RPUConfig(Parameters, abstract=True):
    """Base of every tile configuration."""

    mapping: MappingParameter = parameter(factory=MappingParameter, meaning="logical weights onto tiles")


class FloatingPointRPUConfig(RPUConfig):
    """Exact floating-point tile: the baseline through the same code path."""

    device: FloatingPointDevice = parameter(factory=FloatingPointDevice, meaning="no device physics")


class AnalogRPUConfig(RPUConfig, abstract=True):
    """Tile with periphery."""

    forward: IOParameters = parameter(factory=IOParameters, meaning="periphery of the forward product")
    backward: IOParameters = parameter(factory=IOParameters, meaning="periphery of the backward product")
    update: UpdateParameters = parameter(factory=UpdateParameters, meaning="pulses of the update")


class SingleRPUConfig(AnalogRPUConfig):
    """One device per crosspoint, trained by in-memory SGD."""

    device: PulsedDevice | IdealDevice = parameter(factory=ConstantStepDevice, meaning="the device at each crosspoint")


class UnitCellRPUConfig(AnalogRPUConfig):
    """Several devices per crosspoint."""

    device: UnitCell = parameter(..., "the unit cell at each crosspoint")


class DigitalRankUpdateRPUConfig(AnalogRPUConfig):
    """The rank-one update is computed in digital and transferred to the array."""

    device: DigitalRankUpdateCell = parameter(..., "the cell at each crosspoint")

    @model_validator(mode="after")
    def _cell_updates_in_digital(self) -> DigitalRankUpdateRPUConfig:
        if not isinstance(self.device, MixedPrecisionCompound):
            raise ValueError(f"device {type(self.device).__name__} has no digital update; use MixedPrecisionCompound")
        return self


_ALGORITHMS = {
    "sgd": "sgd",
    "ttv2": "ttv2",
    "c-ttv2": "c-ttv2",
    "chopped-ttv2": "c-ttv2",
    "ttv3": "c-ttv2",
    "mp": "mp",
    "mixed-precision": "mp",
}


def algorithm_names() -> list[str]:
    """Names :func:`build_config` accepts."""
    return list(_ALGORITHMS)


def _fresh(source: Any, kind: type[Parameters]) -> Any:
    """A new object from a class, a factory or an instance (copied)."""
    made = copy.deepcopy(source) if isinstance(source, Parameters) else source()
    if not isinstance(made, kind):
        raise ParameterError(f"expected a {kind.__name__}, found {type(made).__name__}")
    return made


def build_config(
    algorithm: str,
    device: PulsedDevice | type[PulsedDevice] | Callable[[], PulsedDevice],
    io_parameters: IOParameters | type[IOParameters] = IOParameters,
    up_parameters: UpdateParameters | type[UpdateParameters] = UpdateParameters,
    construction_seed: int = 0,
    cell: dict[str, Any] | None = None,
    **fields: Any,
) -> SingleRPUConfig | UnitCellRPUConfig | DigitalRankUpdateRPUConfig:
    """Assemble a tile configuration for a training algorithm on a device.

    Args:
        algorithm: ``sgd``, ``ttv2``, ``c-ttv2`` or ``mp`` (and their other names, any case).
        device: device class, factory or instance; an instance is copied for each use.
        io_parameters: periphery of forward and backward, class or instance.
        up_parameters: update scheme, class or instance.
        construction_seed: seed of the device-to-device draws; members of a cell still differ from each other.
        cell: fields of the cell to set, e.g. ``{"transfer_columns": False}``.
        fields: other fields of the configuration, e.g. ``mapping=MappingParameter(...)``.

    Raises:
        ParameterError: unknown algorithm or field.
    """
    name = _ALGORITHMS.get(algorithm.lower())
    if name is None:
        raise ParameterError(f"unknown algorithm {algorithm!r}; known: {', '.join(_ALGORITHMS)}")
    common = {
        "forward": _fresh(io_parameters, IOParameters),
        "backward": _fresh(io_parameters, IOParameters),
        "update": _fresh(up_parameters, UpdateParameters),
        **fields,
    }
    overrides = dict(cell or {})
    if name == "sgd":
        if overrides:
            raise ParameterError(f"sgd has no cell; remove {', '.join(overrides)}")
        single = _fresh(device, PulsedDevice)
        if construction_seed:
            single.construction_seed = construction_seed
        return SingleRPUConfig(device=single, **common)
    if name == "mp":
        compound = MixedPrecisionCompound(
            device=_fresh(device, PulsedDevice), construction_seed=construction_seed, **overrides
        )
        return DigitalRankUpdateRPUConfig(device=compound, **common)
    read = _fresh(io_parameters, IOParameters)
    read.noise_management, read.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    settings: dict[str, Any] = {
        "in_chop_prob": 0.0,
        "units_in_mbatch": False,
        "auto_scale": False,
        "transfer_forward": read,
        "transfer_update": single_pulse_update(),
        "construction_seed": construction_seed,
    }
    if name == "c-ttv2":
        settings |= {"in_chop_prob": 0.1, "fast_lr": 0.1, "auto_scale": True}
    members: list[PulsedDevice] = [_fresh(device, PulsedDevice) for _ in range(2)]
    if "update" not in fields:
        common["update"].desired_bl = 5
    return UnitCellRPUConfig(
        device=ChoppedTransferCompound(unit_cell_devices=members, **(settings | overrides)), **common
    )
