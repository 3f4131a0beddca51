"""Everything that is needed to repeat a training run, as data."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import warnings
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from tilewright.advice import SettingsWarning
from tilewright.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    EnhancedRiderCompound,
    FloatingPointDevice,
    IdealDevice,
    MixedPrecisionCompound,
    MultiTileResidualCompound,
    OneSidedUnitCell,
    ResidualLearningCompound,
    RiderCompound,
    RPUConfig,
    SingleRPUConfig,
    TransferCompound,
    VectorUnitCell,
)
from tilewright.data import DatasetSummary
from tilewright.parameters import ParameterError, Parameters, parameter
from tilewright.runs.data_source import DataSource as DataSource
from tilewright.runs.environment import result_versions
from tilewright.runs.networks import Network, Perceptron
from tilewright.runs.schedules import ConstantSchedule as ConstantSchedule
from tilewright.runs.schedules import DropSchedule as DropSchedule
from tilewright.runs.schedules import Schedule as Schedule
from tilewright.runs.schedules import SGDOptimizer as SGDOptimizer


class Seeds(Parameters):
    """Where randomness starts. Equal seeds repeat a run bit for bit."""

    data: int = parameter(1, "order of the training images, and which are taken under train_limit", ge=0, le=2**31 - 1)
    weights: int = parameter(1, "initial weights", ge=0, le=2**31 - 1)
    devices: int = parameter(
        1,
        "cycle noise of the tiles, and their device-to-device draws where construction_seed is 0",
        ge=0,
        le=2**31 - 1,
    )


class Versions(Parameters):
    """What a run was specified with; noted, not enforced."""

    tilewright: str = parameter("", "release of this package")
    torch: str = parameter("", "release of PyTorch, which computes the digital parts")
    numpy: str = parameter("", "release of NumPy, which draws the order of the samples")
    backend: str = parameter("", "where the tiles are computed")

    @classmethod
    def current(cls) -> Versions:
        """Those of this process."""
        return cls(**result_versions())


class LayerTile(Parameters):
    """Another tile for some layers of a network."""

    layers: str = parameter(
        ..., "name of a layer as `name: layer` of the network's summary has it; * stands for any text", min_length=1
    )
    rpu_config: RPUConfig | None = parameter(None, "tile of these layers; None leaves them digital")


class RunSpec(Parameters):
    """A training run: data, network, tiles, optimiser, length, seeds and versions.

    Nothing else decides the result on one backend. ``name`` is a label and decides nothing; ``versions`` are noted.
    """

    name: str = parameter("run", "label in lists and legends", min_length=1, max_length=120)
    data: DataSource = parameter(factory=DataSource, meaning="training, validation and test data")
    network: Network = parameter(factory=Perceptron, meaning="the network to train")
    rpu_config: RPUConfig | None = parameter(None, "tile of every layer; None trains in plain digital torch")
    layer_tiles: list[LayerTile] = parameter(
        factory=list, meaning="other tiles for single layers; the first entry that fits a layer counts", max_length=100
    )
    optimizer: SGDOptimizer = parameter(factory=SGDOptimizer, meaning="how digital parameters are updated")
    learning_rate: float = parameter(
        0.1, "learning rate of stochastic gradient descent", gt=0, le=1000, log=True, typical=(1e-3, 1)
    )
    lr_schedule: Schedule = parameter(factory=ConstantSchedule, meaning="how the learning rate changes over the run")
    epochs: int = parameter(3, "passes over the training data", ge=1, le=100_000, typical=(1, 20))
    schedule_epochs: int = parameter(
        0, "epochs after which the schedule has run its course; 0 is all of them. An extended run keeps its first", ge=0
    )
    batch_size: int = parameter(5, "samples per step", ge=1, le=65_536, typical=(1, 128))
    train_limit: int = parameter(0, "train on this many samples, drawn at random once; 0 takes all", ge=0)
    seeds: Seeds = parameter(factory=Seeds, meaning="where randomness starts")
    versions: Versions = parameter(factory=Versions, meaning="what the run was specified with; filled in at submission")

    def digest(self) -> str:
        """SHA-256 of everything that decides the result on one backend: all fields but name and versions."""
        return _digest(self)

    def setting_digest(self) -> str:
        """As :meth:`digest` without the seeds: runs that repeat one setting share it."""
        return _digest(self, "seeds")

    def trajectory_digest(self) -> str:
        """As :meth:`digest` without the length: a run and its extension share it, step for step."""
        fixed = copy.deepcopy(self)
        fixed.schedule_epochs = self.schedule_epochs or self.epochs
        return _digest(fixed, "epochs")

    def extended(self, epochs: int) -> RunSpec:
        """A copy that goes on for ``epochs`` more; the schedule stays where it ended."""
        longer = copy.deepcopy(self)
        longer.schedule_epochs = self.schedule_epochs or self.epochs
        longer.epochs = self.epochs + epochs
        return longer

    def completed(self, summary: DatasetSummary | None = None) -> RunSpec:
        """A copy with checksum and versions filled in, after checking that data, network and tiles fit together.

        Args:
            summary: of the data, when already known.

        Raises:
            DataError: the data cannot be read.
            ParameterError: the data is not the one the checksum names, or does not fit the network.
        """
        summary = summary or self.data.summary()
        check_data(self, summary)
        complete = copy.deepcopy(self)
        complete.data.checksum = summary.checksum
        complete.versions = Versions.current()
        if self.layer_tiles:
            build_network(complete)  # a name that fits no layer is told now, not by a worker
        return complete

    def n_train(self, available: int) -> int:
        """Images trained on when ``available`` are there."""
        return min(self.train_limit or available, available)

    def steps_per_epoch(self, available: int) -> int:
        """Optimiser steps of one pass; the last batch may be smaller."""
        return math.ceil(self.n_train(available) / self.batch_size)

    def rate_at(self, step: int, total_steps: int) -> float:
        """Learning rate of optimiser step ``step``, counted from 0, of ``total_steps``."""
        return self.learning_rate * self.lr_schedule.factor(min(step / self.schedule_steps(total_steps), 1.0))

    def schedule_steps(self, total_steps: int) -> float:
        """Steps after which the schedule has run its course."""
        return total_steps * (self.schedule_epochs or self.epochs) / self.epochs

    @property
    def algorithm(self) -> str:
        """Short name of what updates the weights: ``digital``, ``floating point``, ``sgd``, ``ttv2``, ``mp`` ..."""
        return algorithm_of(self.rpu_config)


def algorithm_of(rpu_config: RPUConfig | None) -> str:
    """Short name of the training algorithm a tile configuration stands for."""
    if rpu_config is None:
        return "digital"
    device: Any = getattr(rpu_config, "device", None)
    own = getattr(device, "algorithm", "")
    if isinstance(own, str) and own:
        return own  # a cell that says itself what it is
    if isinstance(device, DynamicTransferCompound):
        return "agad"
    if isinstance(device, ChoppedTransferCompound):
        return "c-ttv2" if device.in_chop_prob > 0 or device.out_chop_prob > 0 else "ttv2"
    for kind, name in _ALGORITHM_OF.items():
        if isinstance(device, kind):
            return name
    return "sgd" if isinstance(rpu_config, SingleRPUConfig) else type(device).__name__


_ALGORITHM_OF = {
    FloatingPointDevice: "floating point",
    IdealDevice: "ideal device",
    MixedPrecisionCompound: "mp",
    BufferedTransferCompound: "ttv2",
    TransferCompound: "tiki-taka",
    ResidualLearningCompound: "residual-v2",
    EnhancedRiderCompound: "e-rider",
    RiderCompound: "rider",
    MultiTileResidualCompound: "multi-tile-residual",
    VectorUnitCell: "sgd",
    OneSidedUnitCell: "sgd",
}


def check_data(spec: RunSpec, data: Any) -> None:
    """Raise ``ParameterError`` unless ``data`` (a ``Dataset`` or its summary) is what ``spec`` means and fits it."""
    if spec.data.checksum and spec.data.checksum != data.checksum:
        raise ParameterError(
            f"data set {data.name!r} is not the one this run was made with: its checksum is {data.checksum[:12]}..., "
            f"expected {spec.data.checksum[:12]}...; restore the data, or clear data.checksum to accept what is there"
        )
    if spec.network.task != data.task:
        raise ParameterError(
            f"the network gives {spec.network.task}, data {data.name!r} has {data.task} to learn; set its output, "
            "or take another network"
        )
    problem = spec.network.accepts(data.image_shape, data.n_classes)
    if problem:
        raise ParameterError(f"network and data {data.name!r} do not fit: {problem}")


def build_network(spec: RunSpec) -> nn.Module:
    """The network of a run before its first step; reseeds torch's generator.

    The digital network is drawn from ``seeds.weights``; its layers then become tiles drawn from ``seeds.devices``,
    unless their configuration is None.

    Raises:
        ParameterError: an entry of ``layer_tiles`` fits no layer.
    """
    torch.manual_seed(spec.seeds.weights)
    model: nn.Module = spec.network.build()
    if spec.rpu_config is None and not spec.layer_tiles:
        return model
    from tilewright.nn import convert_to_analog_mapped
    from tilewright.nn.twins import MAPPED_LAYERS

    layers = [name for name, module in model.named_modules() if type(module) in MAPPED_LAYERS]
    for tile in spec.layer_tiles:
        if not any(fnmatchcase(name, tile.layers) for name in layers):
            raise ParameterError(f"layer_tiles: no layer is named {tile.layers!r}; known: {', '.join(layers)}")
    chosen = {name: tile_of_layer(spec, name) for name in layers}
    fallback = spec.rpu_config or next((config for config in chosen.values() if config is not None), None)
    if fallback is None:
        return model
    torch.manual_seed(spec.seeds.devices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SettingsWarning)  # advise_run says it before the launch, and more
        converted: nn.Module = convert_to_analog_mapped(
            model,
            copy.deepcopy(fallback),
            exclude=[name for name, config in chosen.items() if config is None],
            specific_rpu_config_fun=lambda name, module, config: copy.deepcopy(chosen.get(name)) or config,
        )
    return converted


def tile_of_layer(spec: RunSpec, layer: str) -> RPUConfig | None:
    """The tile configuration of a layer, by its name; None when it stays digital."""
    fitting = (tile.rpu_config for tile in spec.layer_tiles if fnmatchcase(layer, tile.layers))
    return next(fitting, spec.rpu_config)


def _digest(spec: RunSpec, *without: str) -> str:
    left_out = ("name", "versions", *without)
    fields = {key: value for key, value in spec.to_dict(full=True).items() if key not in left_out}
    fields["data"] = spec.data.identity()  # the same samples from another folder are the same data
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
