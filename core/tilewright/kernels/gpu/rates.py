"""Learning rates that stay on a graphics processor, as its kernels take them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.kernels.device_rate import DeviceRate
from tilewright.kernels.gpu.launching import on_gpu

NAN = float("nan")  # of a rate that the device alone knows


def rate_of(lr: Tensor) -> float:
    """The learning rate in a tensor; one on a GPU stays there, see :class:`DeviceRate`."""
    return DeviceRate(lr) if on_gpu(lr) else float(lr)


def filled(count: int, value: float, like: Tensor) -> Tensor:
    """As many times the same number, float32 on the device of another tensor."""
    if isinstance(value, DeviceRate):
        return value.tensor().expand(count).contiguous()
    return torch.full((count,), value, dtype=torch.float32, device=like.device)


def rates_on_device(lr: float | Tensor, samples: int, like: Tensor, grows: bool) -> tuple[Tensor | None, float]:
    """Rates on the device, one or one for each sample, and the largest of them: nan where only the device knows it.

    Trains that grow with the rate need to know it.
    """
    if isinstance(lr, DeviceRate):
        return lr.tensor(), NAN
    if not isinstance(lr, Tensor):
        return None, lr
    if lr.numel() != 1 and lr.numel() != samples:
        raise ValueError(f"lr must have one value or one for each of {samples} samples, found {lr.numel()}")
    if lr.numel() == 1 and not on_gpu(lr):
        return None, float(lr)
    largest = float(lr.abs().max()) if grows and samples and not lr.is_cuda else NAN
    return lr.contiguous().to(like.device, non_blocking=True), largest
