"""Fully connected networks."""

from __future__ import annotations

import math

from pydantic import model_validator
from torch import nn

from tilewright.data.dataset import VALUES
from tilewright.parameters import parameter
from tilewright.runs.architectures.network import Activation, Network, Output, too_few


class Perceptron(Network):
    """Fully connected layers with an activation between them; log-softmax at the end when there are classes to tell.

    The default is the network of Gokmen and Vlasov, Front. Neurosci. 10:333 (2016).
    """

    layer_sizes: list[int] = parameter(
        factory=lambda: [784, 256, 128, 10], meaning="neurons of each layer, input first, classes last", min_length=2
    )
    activation: Activation = parameter(Activation.SIGMOID, "non-linearity between layers")
    bias: bool = parameter(True, "whether layers have a bias")
    output: Output = parameter(Output.CLASSES, "what the last layer gives")

    @model_validator(mode="after")
    def _sizes_are_positive(self) -> Perceptron:
        if min(self.layer_sizes) < 1 or max(self.layer_sizes) > 100_000:
            raise ValueError(f"layer_sizes = {self.layer_sizes}: every layer needs from 1 to 100000 neurons")
        return self

    @property
    def task(self) -> str:
        """``classes`` or ``values``."""
        return str(self.output.value)

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        layers: list[nn.Module] = [nn.Flatten()]
        pairs = list(zip(self.layer_sizes, self.layer_sizes[1:], strict=False))
        for index, (n_in, n_out) in enumerate(pairs):
            layers.append(nn.Linear(n_in, n_out, bias=self.bias))
            if index < len(pairs) - 1:
                layers.append(self.activation.build())
        if self.output is Output.CLASSES:
            layers.append(nn.LogSoftmax(dim=1))
        return nn.Sequential(*layers)

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why images and labels of this kind do not fit; empty when they do."""
        pixels = math.prod(image_shape)
        if self.layer_sizes[0] != pixels:
            shape = " x ".join(map(str, image_shape))
            return f"the first layer has {self.layer_sizes[0]} inputs, the images have {pixels} pixels ({shape})"
        if self.output is Output.VALUES and self.layer_sizes[-1] != n_classes:
            return f"the last layer has {self.layer_sizes[-1]} outputs, the data has {n_classes} values"
        return too_few(self.layer_sizes[-1], n_classes)

    def describe(self) -> str:
        """One line for tables."""
        return f"{'-'.join(map(str, self.layer_sizes))} {self.activation.value.lower()}"


class LinearRegression(Network):
    """One linear layer trained on the mean squared error: the toy that tells algorithms apart in seconds."""

    inputs: int = parameter(20, "values per sample", ge=1, le=100_000)
    outputs: int = parameter(20, "values to predict", ge=1, le=100_000)
    bias: bool = parameter(False, "whether the layer has a bias")

    @property
    def task(self) -> str:
        """Always ``values``."""
        return VALUES

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        return nn.Sequential(nn.Flatten(), nn.Linear(self.inputs, self.outputs, bias=self.bias))

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why samples of this shape and this many values do not fit; empty when they do."""
        if self.inputs != math.prod(image_shape):
            return f"the layer has {self.inputs} inputs, the samples have {math.prod(image_shape)} values"
        if self.outputs != n_classes:
            return f"the layer has {self.outputs} outputs, the data has {n_classes} values"
        return ""

    def describe(self) -> str:
        """One line for tables."""
        return f"linear {self.inputs}-{self.outputs}"
