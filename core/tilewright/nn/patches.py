"""The patches a convolution sees, as rows of one matrix, so that a layer needs one batched product."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def output_sizes(
    spatial: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """Positions of a kernel along each dimension of an input that is already padded."""
    return [(s - d * (k - 1) - 1) // step + 1 for s, k, step, d in zip(spatial, kernel, stride, dilation, strict=True)]


def extract_patches(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Patches (batch, positions, channels * kernel elements) of x (batch, channels, spatial ...), with gradients.

    Channels vary slowest within a patch, as in the weight of a torch convolution.
    """
    if torch.compiler.is_dynamo_compiling():  # which stumbles over functions with a backward of their own
        return _outside_graphs(x, kernel, stride, dilation)
    patches: Tensor = _Patches.apply(x, tuple(kernel), tuple(stride), tuple(dilation))  # type: ignore[no-untyped-call]
    return patches


_outside_graphs = torch._compile._disable_dynamo(extract_patches)


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
    ) -> Tensor:
        ctx.geometry = x.shape, kernel, stride, dilation
        sizes = output_sizes(x.shape[2:], kernel, stride, dilation)
        batch, channels, *steps = x.stride()
        between = [step * s for step, s in zip(steps, stride, strict=True)]
        within = [step * d for step, d in zip(steps, dilation, strict=True)]
        view = x.as_strided(
            (x.shape[0], *sizes, x.shape[1], *kernel), (batch, *between, channels, *within), x.storage_offset()
        )
        return view.reshape(x.shape[0], math.prod(sizes), x.shape[1] * math.prod(kernel))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        shape, kernel, stride, dilation = ctx.geometry
        sizes = output_sizes(shape[2:], kernel, stride, dilation)
        patches = grads[0].reshape(shape[0], *sizes, shape[1], *kernel)
        gradient = grads[0].new_zeros(shape)
        for element in itertools.product(*map(range, kernel)):
            window: tuple[Any, ...] = tuple(
                slice(e * d, e * d + s * (n - 1) + 1, s)
                for e, d, s, n in zip(element, dilation, stride, sizes, strict=True)
            )
            last: tuple[Any, ...] = (..., *element)
            gradient[(slice(None), slice(None), *window)] += patches[last].movedim(-1, 1)
        return gradient, None, None, None
