"""Convolutional networks for small images."""

from __future__ import annotations

from pydantic import model_validator
from torch import nn

from tilewright.parameters import parameter
from tilewright.runs.architectures.network import Activation, ImageNetwork


class LeNet5(ImageNetwork):
    """Two convolutions and three linear layers, as in LeCun et al., Proc. IEEE 86:2278 (1998), for images of 28 x 28.

    Simplified as usual: maximum pooling, full connections between maps, log-softmax at the end.
    """

    activation: Activation = parameter(Activation.TANH, "non-linearity between layers")

    @model_validator(mode="after")
    def _size_is_fixed(self) -> LeNet5:
        if self.image != [28, 28]:
            raise ValueError(f"image = {self.image}: LeNet-5 is for 28 x 28; take SmallCNN or LayerList for others")
        return self

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        act = self.activation.build
        return nn.Sequential(
            nn.Unflatten(1, (1, 28)),
            nn.Conv2d(1, 6, 5, padding=2), act(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), act(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, self.classes),
            nn.LogSoftmax(dim=1),
        )  # fmt: skip

    def describe(self) -> str:
        """One line for tables."""
        return f"LeNet-5 {self.activation.value.lower()}"


class SmallCNN(ImageNetwork):
    """Convolutions of 3 x 3, each followed by maximum pooling of 2 x 2, then one linear layer."""

    channels: list[int] = parameter(
        factory=lambda: [8, 16], meaning="maps of each convolution", min_length=1, max_length=6
    )
    activation: Activation = parameter(Activation.RELU, "non-linearity after each convolution")

    @model_validator(mode="after")
    def _something_is_left(self) -> SmallCNN:
        if min(self.channels) < 1 or max(self.channels) > 4096:
            raise ValueError(f"channels = {self.channels}: every convolution needs from 1 to 4096 maps")
        if min(self.image) >> len(self.channels) < 1:
            raise ValueError(f"{len(self.channels)} poolings leave nothing of an image of {self.image}; take fewer")
        return self

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        rows, columns = self.image
        layers: list[nn.Module] = [nn.Unflatten(1, (1, rows))]
        maps = 1
        for wanted in self.channels:
            layers += [nn.Conv2d(maps, wanted, 3, padding=1), self.activation.build(), nn.MaxPool2d(2)]
            maps, rows, columns = wanted, rows // 2, columns // 2
        layers += [nn.Flatten(), nn.Linear(maps * rows * columns, self.classes), nn.LogSoftmax(dim=1)]
        return nn.Sequential(*layers)

    def describe(self) -> str:
        """One line for tables."""
        return f"CNN {'-'.join(map(str, self.channels))} {self.activation.value.lower()}"
