"""Everything that is needed to repeat a training run, as data."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from typing import Any

import torch
from pydantic import model_validator
from torch import nn

from tilewright.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    FloatingPointDevice,
    IdealDevice,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    RPUConfig,
    SingleRPUConfig,
    TransferCompound,
    VectorUnitCell,
)
from tilewright.data import DatasetSummary, describe_dataset
from tilewright.data.sets import IDX_FOLDER
from tilewright.parameters import ParameterError, Parameters, parameter
from tilewright.runs.networks import Network, Perceptron


class DataSource(Parameters):
    """Which images, and how many of them."""

    name: str = parameter("mnist-small", "mnist-small, digits8x8, or idx for a folder of idx files")
    folder: str = parameter("", "folder of the four idx files; only for idx")
    checksum: str = parameter("", "SHA-256 of the values; filled in when the run is submitted, checked when it starts")

    @model_validator(mode="after")
    def _folder_only_for_idx(self) -> DataSource:
        if bool(self.folder) != (self.name == IDX_FOLDER):
            raise ValueError(f"a folder belongs to data set {IDX_FOLDER!r} and to no other (name {self.name!r})")
        return self

    def summary(self) -> DatasetSummary:
        """Shape, sizes and checksum of the data; raises ``DataError`` when it cannot be read."""
        return describe_dataset(self.name, self.folder or None)


class Schedule(Parameters):
    """How the learning rate changes over a run."""

    def factor(self, progress: float) -> float:
        """Factor on the learning rate at ``progress``, the share of all steps done, from 0 to 1."""
        raise NotImplementedError


class ConstantSchedule(Schedule):
    """The learning rate stays as it is."""

    def factor(self, progress: float) -> float:
        """Always 1."""
        return 1.0


class DropSchedule(Schedule):
    """The learning rate drops once, by a factor."""

    drop: float = parameter(0.2, "factor on the learning rate after the drop", gt=0, le=1, typical=(0.01, 1))
    after: float = parameter(0.67, "share of all steps before the drop", ge=0, le=1)

    def factor(self, progress: float) -> float:
        """1 before the drop, ``drop`` from it on."""
        return self.drop if progress >= self.after else 1.0


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


class RunSpec(Parameters):
    """A training run: data, network, tile, optimiser, length and seeds.

    Nothing else decides the result on one backend. ``name`` is a label and decides nothing.
    """

    name: str = parameter("run", "label in lists and legends", min_length=1, max_length=120)
    data: DataSource = parameter(factory=DataSource, meaning="training and test images")
    network: Network = parameter(factory=Perceptron, meaning="the network to train")
    rpu_config: RPUConfig | None = parameter(None, "tile of every linear layer; None trains in plain digital torch")
    learning_rate: float = parameter(
        0.1, "learning rate of stochastic gradient descent", gt=0, le=1000, log=True, typical=(1e-3, 1)
    )
    lr_schedule: Schedule = parameter(factory=ConstantSchedule, meaning="how the learning rate changes over the run")
    epochs: int = parameter(3, "passes over the training images", ge=1, le=100_000, typical=(1, 20))
    batch_size: int = parameter(5, "images per step", ge=1, le=65_536, typical=(1, 128))
    train_limit: int = parameter(0, "train on this many images, drawn at random once; 0 takes all", ge=0)
    seeds: Seeds = parameter(factory=Seeds, meaning="where randomness starts")

    def digest(self) -> str:
        """SHA-256 of everything that decides the result: all fields but the name."""
        return _digest(self, without=("name",))

    def setting_digest(self) -> str:
        """As :meth:`digest` without the seeds: runs that repeat one setting share it."""
        return _digest(self, without=("name", "seeds"))

    def completed(self) -> RunSpec:
        """A copy with the checksum of the data filled in, after checking that data and network fit together.

        Raises:
            DataError: the data cannot be read.
            ParameterError: the data is not the one the checksum names, or does not fit the network.
        """
        summary = self.data.summary()
        check_data(self, summary)
        complete = copy.deepcopy(self)
        complete.data.checksum = summary.checksum
        return complete

    def n_train(self, available: int) -> int:
        """Images trained on when ``available`` are there."""
        return min(self.train_limit or available, available)

    def steps_per_epoch(self, available: int) -> int:
        """Optimiser steps of one pass; the last batch may be smaller."""
        return math.ceil(self.n_train(available) / self.batch_size)

    def rate_at(self, step: int, total_steps: int) -> float:
        """Learning rate of optimiser step ``step``, counted from 0."""
        return self.learning_rate * self.lr_schedule.factor(step / total_steps)

    @property
    def algorithm(self) -> str:
        """Short name of what updates the weights: ``digital``, ``floating point``, ``sgd``, ``ttv2``, ``mp`` ..."""
        return algorithm_of(self.rpu_config)


def algorithm_of(rpu_config: RPUConfig | None) -> str:
    """Short name of the training algorithm a tile configuration stands for."""
    if rpu_config is None:
        return "digital"
    device: Any = getattr(rpu_config, "device", None)
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
    problem = spec.network.accepts(data.image_shape, data.n_classes)
    if problem:
        raise ParameterError(f"network and data {data.name!r} do not fit: {problem}")


def build_network(spec: RunSpec) -> nn.Module:
    """The network of a run before its first step; reseeds torch's generator.

    The digital network is drawn from ``seeds.weights``; its linear layers then become tiles drawn from
    ``seeds.devices``, unless ``rpu_config`` is None.
    """
    torch.manual_seed(spec.seeds.weights)
    model: nn.Module = spec.network.build()
    if spec.rpu_config is None:
        return model
    from tilewright.nn import convert_to_analog_mapped

    torch.manual_seed(spec.seeds.devices)
    converted: nn.Module = convert_to_analog_mapped(model, copy.deepcopy(spec.rpu_config))
    return converted


def _digest(spec: RunSpec, without: tuple[str, ...]) -> str:
    fields = {key: value for key, value in spec.to_dict(full=True).items() if key not in without}
    if spec.data.checksum:
        fields["data"] = spec.data.checksum  # the same images from another folder are the same data
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
