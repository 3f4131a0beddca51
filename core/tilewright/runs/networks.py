"""The networks a run can train, as data: each class builds its own torch module."""

from __future__ import annotations

import math

from pydantic import model_validator
from torch import nn

from tilewright.parameters import Choice, Parameters, parameter


class Activation(Choice):
    """Non-linearity between layers."""

    SIGMOID = "Sigmoid"
    TANH = "Tanh"
    RELU = "ReLU"

    def build(self) -> nn.Module:
        """A new torch module of it."""
        return {Activation.SIGMOID: nn.Sigmoid, Activation.TANH: nn.Tanh, Activation.RELU: nn.ReLU}[self]()


class Network(Parameters):
    """Base of every network. It maps images of shape (batch, rows, columns) to log-probabilities (batch, classes)."""

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        raise NotImplementedError

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why images and labels of this kind do not fit; empty when they do."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line for tables."""
        raise NotImplementedError


class Perceptron(Network):
    """Fully connected layers with an activation between them and log-softmax at the end.

    The default is the network of Gokmen and Vlasov, Front. Neurosci. 10:333 (2016).
    """

    layer_sizes: list[int] = parameter(
        factory=lambda: [784, 256, 128, 10], meaning="neurons of each layer, input first, classes last", min_length=2
    )
    activation: Activation = parameter(Activation.SIGMOID, "non-linearity between layers")
    bias: bool = parameter(True, "whether layers have a bias")

    @model_validator(mode="after")
    def _sizes_are_positive(self) -> Perceptron:
        if min(self.layer_sizes) < 1 or max(self.layer_sizes) > 100_000:
            raise ValueError(f"layer_sizes = {self.layer_sizes}: every layer needs from 1 to 100000 neurons")
        return self

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        layers: list[nn.Module] = [nn.Flatten()]
        pairs = list(zip(self.layer_sizes, self.layer_sizes[1:], strict=False))
        for index, (n_in, n_out) in enumerate(pairs):
            layers.append(nn.Linear(n_in, n_out, bias=self.bias))
            layers.append(nn.LogSoftmax(dim=1) if index == len(pairs) - 1 else self.activation.build())
        return nn.Sequential(*layers)

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why images and labels of this kind do not fit; empty when they do."""
        pixels = math.prod(image_shape)
        if self.layer_sizes[0] != pixels:
            shape = " x ".join(map(str, image_shape))
            return f"the first layer has {self.layer_sizes[0]} inputs, the images have {pixels} pixels ({shape})"
        if self.layer_sizes[-1] < n_classes:
            return f"the last layer has {self.layer_sizes[-1]} outputs, the data has {n_classes} classes"
        return ""

    def describe(self) -> str:
        """One line for tables."""
        return f"{'-'.join(map(str, self.layer_sizes))} {self.activation.value.lower()}"
