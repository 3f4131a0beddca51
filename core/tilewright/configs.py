"""Configurations of a whole tile: device or cell, periphery, update scheme and mapping."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pydantic import model_validator

# Stored configurations may name a preset: its class has to be known wherever configurations are read.
from tilewright import presets as presets
from tilewright.cells.buffered_transfer import BufferedTransferCompound
from tilewright.cells.chopped_transfer import ChoppedTransferCompound
from tilewright.cells.dynamic_transfer import DynamicTransferCompound
from tilewright.cells.e_rider import EnhancedRiderCompound
from tilewright.cells.line_reads import single_pulse_update
from tilewright.cells.mixed_precision import DigitalRankUpdateCell, MixedPrecisionCompound
from tilewright.cells.multi_tile_residual import MultiTileResidualCompound
from tilewright.cells.one_sided import OneSidedUnitCell
from tilewright.cells.parameters import UnitCell
from tilewright.cells.residual_learning import ResidualLearningCompound
from tilewright.cells.rider import RiderCompound
from tilewright.cells.transfer import TransferCompound
from tilewright.cells.vector import ReferenceUnitCell, VectorUnitCell, VectorUnitCellUpdatePolicy
from tilewright.devices.constant_step import ConstantStepDevice
from tilewright.devices.drift import DriftParameters
from tilewright.devices.exp_step import ExpStepDevice
from tilewright.devices.ideal import FloatingPointDevice, IdealDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.piecewise_step import PiecewiseStepDevice
from tilewright.devices.pow_step import PowStepDevice, PowStepReferenceDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice, SoftBoundsReferenceDevice
from tilewright.devices.soft_bounds_pmax import SoftBoundsPmaxDevice
from tilewright.devices.table_step import TableStepDevice
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
    "BufferedTransferCompound",
    "ChoppedTransferCompound",
    "ConstantStepDevice",
    "DigitalRankUpdateCell",
    "DigitalRankUpdateRPUConfig",
    "DriftParameters",
    "DynamicTransferCompound",
    "EnhancedRiderCompound",
    "ExpStepDevice",
    "FloatingPointDevice",
    "FloatingPointRPUConfig",
    "IOParameters",
    "IRDropEnd",
    "IdealDevice",
    "LinearStepDevice",
    "MVType",
    "MappingParameter",
    "MixedPrecisionCompound",
    "MultiTileResidualCompound",
    "NoiseManagementType",
    "OneSidedUnitCell",
    "PiecewiseStepDevice",
    "PowStepDevice",
    "PowStepReferenceDevice",
    "PulseType",
    "PulsedDevice",
    "RPUConfig",
    "ReferenceUnitCell",
    "ResidualLearningCompound",
    "RiderCompound",
    "SingleRPUConfig",
    "SoftBoundsDevice",
    "SoftBoundsPmaxDevice",
    "SoftBoundsReferenceDevice",
    "TableStepDevice",
    "TransferCompound",
    "UnitCell",
    "UnitCellRPUConfig",
    "UpdateParameters",
    "VectorUnitCell",
    "VectorUnitCellUpdatePolicy",
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


_NAMES = {
    "sgd": "sgd",
    "tiki-taka": "tiki-taka",
    "tt": "tiki-taka",
    "ttv1": "tiki-taka",
    "ttv2": "ttv2",
    "c-ttv2": "c-ttv2",
    "chopped-ttv2": "c-ttv2",
    "ttv3": "c-ttv2",
    "agad": "agad",
    "ttv4": "agad",
    "mp": "mp",
    "mixed-precision": "mp",
    "residual-v2": "residual-v2",
    "rider": "rider",
    "e-rider": "e-rider",
    "multi-tile-residual": "multi-tile-residual",
}
# The largest gradient fills a train of the fast array, and a line is read after each vector.
_SCALED = {"auto_scale": True, "scale_fast_lr": False, "units_in_mbatch": False}
# The transfer algorithms: cell, what it is given beyond its own defaults, and the longest train on the fast array.
_TRANSFER: dict[str, tuple[type[UnitCell], dict[str, Any], int | None]] = {
    "tiki-taka": (TransferCompound, {"units_in_mbatch": True}, None),
    "ttv2": (ChoppedTransferCompound, {"in_chop_prob": 0.0, "auto_scale": False, "units_in_mbatch": False}, 5),
    "c-ttv2": (
        ChoppedTransferCompound,
        {"in_chop_prob": 0.1, "fast_lr": 0.1, "auto_scale": True, "units_in_mbatch": False},
        5,
    ),
    "agad": (
        DynamicTransferCompound,
        {"in_chop_prob": 0.1, "fast_lr": 0.1, "auto_scale": True, "units_in_mbatch": False},
        5,
    ),
    "residual-v2": (ResidualLearningCompound, _SCALED, 5),
    "rider": (RiderCompound, _SCALED, 5),
    "e-rider": (EnhancedRiderCompound, _SCALED, 5),
    "multi-tile-residual": (MultiTileResidualCompound, _SCALED, 5),
}
_PULSED_WRITES = ("tiki-taka", "residual-v2", "rider", "e-rider", "multi-tile-residual")


def algorithm_names() -> list[str]:
    """Names :func:`build_config` accepts."""
    return list(_NAMES)


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
    n_devices: int = 1,
    construction_seed: int = 0,
    cell: dict[str, Any] | None = None,
    **fields: Any,
) -> SingleRPUConfig | UnitCellRPUConfig | DigitalRankUpdateRPUConfig:
    """Assemble a tile configuration for a training algorithm on a device.

    Args:
        algorithm: ``sgd``, ``tiki-taka``, ``ttv2``, ``c-ttv2``, ``agad``, ``mp``, ``residual-v2``, ``rider``,
            ``e-rider`` or ``multi-tile-residual`` (and their other names, any case).
        device: device class, factory or instance; an instance is copied for each use.
        io_parameters: periphery of forward and backward, class or instance.
        up_parameters: update scheme, class or instance.
        n_devices: devices at each crosspoint: one of them drawn for each update with ``sgd``, tiles from fine to
            coarse with ``multi-tile-residual`` (at least 2); no other algorithm takes it.
        construction_seed: seed of the device-to-device draws; members of a cell still differ from each other.
        cell: fields of the cell to set, e.g. ``{"transfer_columns": False}``.
        fields: other fields of the configuration, e.g. ``mapping=MappingParameter(...)``.

    Raises:
        ParameterError: unknown algorithm or field.
    """
    name = _NAMES.get(algorithm.lower())
    if name is None:
        raise ParameterError(f"unknown algorithm {algorithm!r}; known: {', '.join(_NAMES)}")
    if n_devices < 1 or (n_devices > 1 and name not in ("sgd", "multi-tile-residual")):
        raise ParameterError(
            f"n_devices = {n_devices}: give 1, or more with sgd or multi-tile-residual; "
            f"{name} has its own number of devices"
        )
    common = {
        "forward": _fresh(io_parameters, IOParameters),
        "backward": _fresh(io_parameters, IOParameters),
        "update": _fresh(up_parameters, UpdateParameters),
        **fields,
    }
    given = {"construction_seed": construction_seed, **(cell or {})}
    if name == "sgd" and n_devices == 1:
        if cell:
            raise ParameterError(f"sgd has no cell; remove {', '.join(cell)}")
        single = _fresh(device, PulsedDevice)
        if construction_seed:
            single.construction_seed = construction_seed
        return SingleRPUConfig(device=single, **common)
    members = [_fresh(device, PulsedDevice) for _ in range(max(n_devices, 2))]
    if name == "sgd":
        policy = {"update_policy": VectorUnitCellUpdatePolicy.SINGLE_RANDOM}
        return UnitCellRPUConfig(device=VectorUnitCell(unit_cell_devices=members, **(policy | given)), **common)
    if name == "mp":
        return DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=members[0], **given), **common)
    kind, settings, longest = _TRANSFER[name]
    read = _fresh(io_parameters, IOParameters)
    read.noise_management, read.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    write = _fresh(up_parameters, UpdateParameters) if name in _PULSED_WRITES else single_pulse_update()
    if longest is not None and "update" not in fields:
        common["update"].desired_bl = longest
    parts = {"unit_cell_devices": members, "transfer_forward": read, "transfer_update": write}
    return UnitCellRPUConfig(device=kind(**(parts | settings | given)), **common)


# Whole tiles are built from the classes above; stored configurations may name them, so they are made here.
from tilewright import tile_presets as tile_presets  # noqa: E402
