"""How well a network does on samples it is not trained on; looking does not disturb training."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tilewright.data.dataset import CLASSES

EVALUATION_BATCH = 500
VALUES_PER_BATCH = 500 * 1024  # so that the widest layer of a convolutional network stays quick to interrupt


class EvaluationStopped(Exception):
    """Somebody asked for the end of an evaluation that is no longer wanted."""


def loss_of(output: Tensor, wanted: Tensor, task: str, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of the classes, or mean squared error over all values."""
    if task == CLASSES:
        return nn.functional.nll_loss(output, wanted, reduction=reduction)
    return nn.functional.mse_loss(output, wanted, reduction=reduction)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    inputs: Tensor,
    wanted: Tensor,
    task: str,
    stopped: Callable[[], bool] = lambda: False,
    batch: int = EVALUATION_BATCH,
) -> dict[str, float]:
    """``loss`` with ``accuracy`` (0 to 1) for classes, or ``error`` for values, of a copy in evaluation mode.

    ``error`` is the root of the squared deviations over the root of the squared values: 1 for a network that always
    answers zero.

    Raises:
        EvaluationStopped: ``stopped`` said so between two batches.
    """
    model = copy.deepcopy(model).eval()
    loss, correct, power = 0.0, 0, 0.0
    for first in range(0, len(wanted), batch):
        if stopped():
            raise EvaluationStopped
        target = wanted[first : first + batch]
        output = model(inputs[first : first + batch])
        loss += loss_of(output, target, task, "sum").item()
        if task == CLASSES:
            correct += int((output.argmax(dim=1) == target).sum())
        else:
            power += float((target.double() ** 2).sum())
    if task == CLASSES:
        return {"loss": loss / len(wanted), "accuracy": correct / len(wanted)}
    error = (loss / power) ** 0.5 if power > 0 else 0.0
    return {"loss": loss / wanted.numel(), "error": error}


def batch_for(model: nn.Module, image_shape: tuple[int, int]) -> int:
    """Samples per evaluation batch: fewer for convolutions, whose layers hold many values per sample."""
    found = (getattr(module, "out_channels", None) for module in model.modules())
    values = max((maps for maps in found if isinstance(maps, int)), default=1) * image_shape[0] * image_shape[1]
    return max(1, min(EVALUATION_BATCH, VALUES_PER_BATCH // values))
