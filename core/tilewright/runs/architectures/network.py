"""What every network of a run offers."""

from __future__ import annotations

from torch import Tensor, nn

from tilewright.data.dataset import CLASSES, VALUES
from tilewright.parameters import Choice, Parameters, parameter


class Activation(Choice):
    """Non-linearity between layers."""

    SIGMOID = "Sigmoid"
    TANH = "Tanh"
    RELU = "ReLU"

    def build(self) -> nn.Module:
        """A new torch module of it."""
        return {Activation.SIGMOID: nn.Sigmoid, Activation.TANH: nn.Tanh, Activation.RELU: nn.ReLU}[self]()


class Output(Choice):
    """What the last layer gives: log-probabilities of classes, or values as they are."""

    CLASSES = CLASSES
    VALUES = VALUES


class Network(Parameters):
    """Base of every network. It maps samples of shape (batch, rows, columns) to (batch, outputs).

    Outputs are log-probabilities, trained by the negative log-likelihood, or values, trained by the mean squared error.
    """

    @property
    def task(self) -> str:
        """``classes`` or ``values``."""
        return CLASSES

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        raise NotImplementedError

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why samples of this shape and this many outputs do not fit; empty when they do."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line for tables."""
        raise NotImplementedError


class LastOutput(nn.Module):
    """Of what a recurrent layer returns, the output at the last step."""

    def forward(self, answer: tuple[Tensor, object]) -> Tensor:
        """(batch, steps, features) with a state to (batch, features)."""
        return answer[0][:, -1]


def too_few(outputs: int, n_classes: int) -> str:
    """The complaint about too few outputs; empty when they suffice."""
    if outputs < n_classes:
        return f"the last layer has {outputs} outputs, the data has {n_classes} classes"
    return ""


class ImageNetwork(Network, abstract=True):
    """A network for images of one size."""

    image: list[int] = parameter(
        factory=lambda: [28, 28], meaning="rows and columns of an image", min_length=2, max_length=2
    )
    classes: int = parameter(10, "classes to tell apart", ge=2, le=100_000)

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why samples of this shape and this many classes do not fit; empty when they do."""
        if list(image_shape) != self.image:
            sizes = [" x ".join(map(str, size)) for size in (self.image, image_shape)]
            return f"the network is for images of {sizes[0]}, these are {sizes[1]}"
        return too_few(self.classes, n_classes)
