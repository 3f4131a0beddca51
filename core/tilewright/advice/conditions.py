"""What a tile will meet in training: sizes, rates, lengths and magnitudes, as far as they are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Conditions:
    """What a tile will meet. Checks that need something unknown (None) are left out.

    Attributes:
        outputs: outputs of the tile.
        inputs: inputs.
        learning_rate: of the optimiser.
        vectors: rank-one updates of the whole run: steps times batch size times uses of the layer per image.
        batch_size: vectors of a mini-batch.
        largest_input: mean over the vectors of their largest input.
        largest_error: mean over the vectors of their largest error, as the loss delivers it (divided by the batch).
        weights: the initial weights, before they are scaled onto the tile.
    """

    outputs: int | None = None
    inputs: int | None = None
    learning_rate: float | None = None
    vectors: float | None = None
    batch_size: int | None = None
    largest_input: float | None = None
    largest_error: float | None = None
    weights: Tensor | None = None


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class LayerProbe:
    """What a layer met in one mini-batch: largest input and error of its vectors, vectors per image, weights."""

    path: str
    largest_input: float
    largest_error: float
    vectors_per_image: float
    weights: Tensor


def probe_layers(network: nn.Module, images: Tensor, loss: Callable[[Tensor], Tensor]) -> list[LayerProbe]:
    """Magnitudes at the linear and convolutional layers of a digital network for one mini-batch.

    The network keeps its gradients and torch's generator its state. The largest input of a convolution is that of
    the image, not of each patch.

    Args:
        network: the network.
        images: (batch, ...).
        loss: of the network's output for these images.
    """
    layers = {n: m for n, m in network.named_modules() if isinstance(m, (nn.Linear, *_CONVOLUTIONS))}
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [layer.register_forward_hook(_keeper(name, seen)) for name, layer in layers.items()]
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    try:
        with torch.random.fork_rng(devices=[]):
            loss(network(images)).backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient
    return [_probe(name, layers[name], *seen[name], len(images)) for name in layers if name in seen]


def _keeper(name: str, seen: dict[str, tuple[Tensor, Tensor]]) -> Callable[[nn.Module, Any, Tensor], None]:
    def keep(_: nn.Module, given: Any, output: Tensor) -> None:
        x = given[0].detach()
        output.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: seen.__setitem__(name, (x, gradient.detach()))
        )

    return keep


def _probe(path: str, layer: nn.Module, x: Tensor, d: Tensor, images: int) -> LayerProbe:
    if isinstance(layer, _CONVOLUTIONS):
        inputs, errors = x.flatten(1), d.flatten(2).transpose(1, 2).flatten(0, 1)
    else:
        inputs, errors = x.flatten(0, -2), d.flatten(0, -2)
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return LayerProbe(
        path=path,
        largest_input=float(inputs.abs().amax(dim=1).mean()),
        largest_error=float(errors.abs().amax(dim=1).mean()),
        vectors_per_image=errors.shape[0] / images,
        weights=weight.detach().flatten(1).clone(),
    )
