"""Where kernels for graphics processors are launched: which ones, on which stream, and tensors as they take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tilewright.kernels.gpu import presence

# Kernels that stand in for those of a GPU, see :func:`standing_in`.
_stand_in: Any = None


def on_gpu(tensor: Tensor) -> bool:
    """Whether kernels for graphics processors work on this tensor."""
    return tensor.is_cuda or _stand_in is not None


def capturing(like: Tensor) -> bool:
    """Whether a graph is being captured on the stream that works on this tensor."""
    return like.is_cuda and torch.cuda.is_current_stream_capturing()


@contextmanager
def standing_in(kernels: Any) -> Iterator[None]:
    """Within this context these kernels work in place of those of a GPU, on tensors on the CPU. For tests."""
    global _stand_in
    before, _stand_in = _stand_in, kernels
    try:
        yield
    finally:
        _stand_in = before


@contextmanager
def run_on_host(backwards: bool = False) -> Iterator[Any]:
    """Within this context tensors on the CPU pass the kernels for GPUs, whose threads the host runs one by one.

    For tests: slow, and there only in an editable installation. Modules are moved by ``to("cpu")``, inside and outside.
    Gives the module of the kernels.

    Args:
        backwards: run the threads in descending order.

    Raises:
        RuntimeError: these kernels are not compiled in.
    """
    try:
        from tilewright import _cuda_on_host
    except ImportError as error:
        raise RuntimeError("the kernels for GPUs can be run on the host in an editable installation only") from error
    _cuda_on_host.run_backwards(backwards)
    with standing_in(_cuda_on_host):
        yield _cuda_on_host


def kernels_in_use() -> Any:
    """The module of the kernels.

    Raises:
        RuntimeError: there is none.
    """
    if _stand_in is not None:
        return _stand_in
    if presence.compiled is None:
        raise RuntimeError(presence.problem())
    return presence.compiled


def stream_of(like: Tensor) -> int:
    """Torch's current stream, where kernels are launched that work on a tensor.

    Raises:
        RuntimeError: the tensor is on another GPU than the current one.
    """
    if not like.is_cuda:
        return 0
    if like.device.index != torch.cuda.current_device():
        raise RuntimeError(
            f"the tile is on {like.device}, and the current GPU is cuda:{torch.cuda.current_device()}: work on it "
            f"within 'with torch.cuda.device({like.device.index}):'"
        )
    if torch.cuda.device_count() > 1:
        kernels_in_use().use_device(like.device.index)  # the module has a CUDA runtime of its own
    return torch.cuda.current_stream().cuda_stream


def rows_on(tensor: Tensor, width: int, what: str, like: Tensor) -> Tensor:
    """A contiguous float32 tensor (n, width) on the device of another, or an error that names it."""
    if tensor.dtype is not torch.float32:
        raise TypeError(f"{what} must be float32, found {tensor.dtype}; convert it with .float()")
    if tensor.device != like.device:
        raise RuntimeError(f"{what} is on {tensor.device} and the tile on {like.device}; move one of them")
    if tensor.dim() != 2 or tensor.shape[1] != width:
        raise ValueError(f"{what} must have shape (batch, {width}), found {tuple(tensor.shape)}")
    return tensor.contiguous()
