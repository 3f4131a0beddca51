"""A network as a list of layers in words: what a user edits when none of the ready ones fits."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import torch
from pydantic import model_validator
from torch import nn

from tilewright.parameters import parameter
from tilewright.runs.architectures.network import LastOutput, Network, Output, too_few

MOST_LAYERS = 200
LARGEST_NUMBER = 100_000
MOST_WEIGHTS = 2**28

Shape = tuple[int, ...]
_Maker = Callable[[Shape, Sequence[int]], nn.Module]


def _needs(shape: Shape, dimensions: int, what: str, remedy: str) -> None:
    if len(shape) != dimensions:
        raise ValueError(f"{what} needs {remedy}; what arrives here has the shape {' x '.join(map(str, shape))}")


def _linear(shape: Shape, given: Sequence[int]) -> nn.Module:
    _needs(shape, 1, "linear", "a flat input: put flatten before it")
    return nn.Linear(shape[0], given[0])


def _conv(shape: Shape, given: Sequence[int]) -> nn.Module:
    _needs(shape, 3, "conv", "maps of rows and columns: put image first")
    maps, kernel, padding, stride = [*given, *(3, 0, 1)[len(given) - 1 :]]
    return nn.Conv2d(shape[0], maps, kernel, padding=padding, stride=stride)


def _lstm(shape: Shape, given: Sequence[int]) -> nn.Module:
    _needs(shape, 2, "lstm", "rows of features")
    return nn.Sequential(nn.LSTM(shape[1], given[0], batch_first=True), LastOutput())


# Words of a layer: how many numbers follow at least and at most, and what they make.
_LAYERS: dict[str, tuple[int, int, _Maker]] = {
    "image": (0, 0, lambda shape, given: nn.Unflatten(1, (1, shape[0]))),
    "flatten": (0, 0, lambda shape, given: nn.Flatten()),
    "linear": (1, 1, _linear),
    "conv": (1, 4, _conv),
    "maxpool": (1, 1, lambda shape, given: nn.MaxPool2d(given[0])),
    "avgpool": (1, 1, lambda shape, given: nn.AvgPool2d(given[0])),
    "lstm": (1, 1, _lstm),
    "relu": (0, 0, lambda shape, given: nn.ReLU()),
    "tanh": (0, 0, lambda shape, given: nn.Tanh()),
    "sigmoid": (0, 0, lambda shape, given: nn.Sigmoid()),
    "dropout": (1, 1, lambda shape, given: nn.Dropout(given[0] / 100)),
    "batchnorm": (0, 0, lambda shape, given: nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])),
}


class LayerList(Network):
    """Layers one after the other, each as words and whole numbers.

    ``image`` (rows x columns become one map), ``conv MAPS KERNEL PADDING STRIDE`` (3, 0 and 1 when left out),
    ``maxpool SIZE``, ``avgpool SIZE``, ``batchnorm``, ``flatten``, ``linear OUTPUTS``, ``lstm UNITS`` (over the rows,
    its last output), ``relu``, ``tanh``, ``sigmoid``, ``dropout PERCENT``. Log-softmax is added for classes.
    """

    layers: list[str] = parameter(
        factory=lambda: ["flatten", "linear 128", "sigmoid", "linear 10"],
        meaning="layers in order, such as 'conv 8 5', 'relu', 'maxpool 2', 'flatten', 'linear 10'",
        min_length=1,
        max_length=MOST_LAYERS,
    )
    image: list[int] = parameter(
        factory=lambda: [28, 28], meaning="rows and columns of a sample", min_length=2, max_length=2
    )
    output: Output = parameter(Output.CLASSES, "what the last layer gives")

    @model_validator(mode="after")
    def _layers_fit(self) -> LayerList:
        self._outputs()
        return self

    @property
    def task(self) -> str:
        """``classes`` or ``values``."""
        return str(self.output.value)

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        modules, _ = self._modules()
        if self.output is Output.CLASSES:
            modules.append(nn.LogSoftmax(dim=1))
        return nn.Sequential(*modules)

    def accepts(self, image_shape: tuple[int, int], n_classes: int) -> str:
        """Why samples of this shape and this many outputs do not fit; empty when they do."""
        if list(image_shape) != self.image:
            sizes = [" x ".join(map(str, size)) for size in (self.image, image_shape)]
            return f"the layers are for samples of {sizes[0]}, these are {sizes[1]}; change image"
        outputs = self._outputs()
        if self.output is Output.VALUES and outputs != n_classes:
            return f"the last layer has {outputs} outputs, the data has {n_classes} values"
        return too_few(outputs, n_classes)

    def describe(self) -> str:
        """One line for tables."""
        weighty = [line for line in self.layers if line.split()[0] in ("linear", "conv", "lstm")]
        return ", ".join(weighty) or ", ".join(self.layers)

    def _outputs(self) -> int:
        with torch.device("meta"):  # shapes alone: no memory, no random numbers
            _, shape = self._modules()
        if len(shape) != 1:
            raise ValueError(f"the layers end with the shape {' x '.join(map(str, shape))}; end them with linear")
        return shape[0]

    def _modules(self) -> tuple[list[nn.Module], Shape]:
        shape: Shape = tuple(self.image)
        if min(shape) < 1 or max(shape) > LARGEST_NUMBER:
            raise ValueError(f"image = {self.image}: rows and columns need to be from 1 to {LARGEST_NUMBER}")
        modules: list[nn.Module] = []
        weights = 0
        for number, line in enumerate(self.layers, start=1):
            try:
                module, shape, weights = _layer(line, shape, weights)
            except (ValueError, RuntimeError) as error:
                raise ValueError(f"layer {number}, {line!r}: {str(error).splitlines()[0]}") from None
            modules.append(module)
        return modules, shape


def _layer(line: str, shape: Shape, weights: int) -> tuple[nn.Module, Shape, int]:
    """The module of a line, what it makes of ``shape``, and the weights so far."""
    word, *given = line.lower().replace(",", " ").split() or [""]
    if word not in _LAYERS:
        near = difflib.get_close_matches(word, _LAYERS, n=1)
        raise ValueError(f"did you mean {near[0]!r}?" if near else f"known layers are {', '.join(_LAYERS)}")
    least, most, make = _LAYERS[word]
    if not least <= len(given) <= most or not all(part.isdigit() for part in given):
        many = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"{word} takes {many} whole number{'s' if most != 1 else ''}")
    numbers = [int(part) for part in given]
    if numbers and (numbers[0] < 1 or max(numbers) > LARGEST_NUMBER):
        raise ValueError(f"the first number must be at least 1, none above {LARGEST_NUMBER}")
    if word == "dropout" and numbers[0] >= 100:
        raise ValueError("dropout leaves nothing; give less than 100 per cent")
    with torch.device("meta"):
        probe = make(shape, numbers).eval()
        answer = probe(torch.empty((2, *shape)))
        weights += sum(parameter.numel() for parameter in probe.parameters())
    if weights > MOST_WEIGHTS:
        raise ValueError(f"the network would have more than {MOST_WEIGHTS:,} weights")
    if min(answer.shape[1:]) < 1:
        raise ValueError("nothing is left of the image")
    return make(shape, numbers), tuple(answer.shape[1:]), weights
