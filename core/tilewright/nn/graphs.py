"""A step of training as a CUDA graph, replayed with one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tilewright.optim import AnalogSGD

WARM_UP = 3


def capture_step(step: Callable[[], object], optimizer: AnalogSGD | None = None) -> torch.cuda.CUDAGraph:
    """Capture a training step on the current GPU; ``replay()`` of the result does the step again, with new noise.

    Three steps are done first to warm up, as torch asks for; the captured one is not done. Inputs are read from the
    tensors that the step uses: copy the next batch into them. Numbers in the step stay as they are.

    Args:
        step: forward, backward and optimiser step, of a model on a GPU.
        optimizer: the optimiser whose learning rates may change between replays, by a scheduler of torch or in place:
            they become tensors on the GPU. Without it they stay, as all numbers do.
    """
    if optimizer is not None:
        optimizer.keep_rates_on_device()
    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph
