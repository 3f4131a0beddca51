"""A GPU that is pretended: memory of the CPU under the name of cuda:0, so that what lies where can be looked at.

Kernels run on the host as in other tests, but tensors have to be moved, say where they are, and do not mix: what torch
would refuse on a machine with a GPU is refused here, and so is an address of the CPU that a kernel is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from tilewright import _cuda_on_host
from tilewright.kernels import gpu
from tilewright.kernels.gpu import presence
from tilewright.tile import AnalogTile

GPU = torch.device("cuda", 0)
# Of these, the first argument says where the result lies, and others may lie on the CPU.
FREE = {"_has_compatible_shallow_copy_type", "copy_", "__getitem__", "__setitem__", "__set__"}


class PretendedGpu(TorchFunctionMode):
    """Keeps account of what lies on the GPU while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self._placed: dict[int, Tensor] = {}  # by address of the memory; kept, so that nothing else comes to lie there
        self._on_cpu: set[int] = set()

    def holds(self, tensor: Tensor) -> bool:
        return hasattr(tensor, "pretended") or tensor.untyped_storage().data_ptr() in self._placed

    def place(self, tensor: Tensor) -> None:
        tensor.pretended = True  # type: ignore[attr-defined]
        if address := tensor.untyped_storage().data_ptr():
            self._placed[address] = tensor.detach()

    def check(self, address: int) -> None:
        """Kernels can use no memory of the CPU."""
        if address in self._on_cpu:
            raise RuntimeError("a kernel for GPUs was given an address of the CPU")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func == torch.Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if self.holds(args[0]) else torch.device("cpu")
        if func == torch.Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return self.holds(args[0])
        if func == torch.Tensor.is_cpu.__get__:  # type: ignore[attr-defined]
            return not self.holds(args[0])
        if func is torch.Tensor.data_ptr:
            address = func(*args)
            (self._on_cpu.discard if self.holds(args[0]) else self._on_cpu.add)(address)
            return address
        if func is torch.Tensor.numpy and self.holds(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func in (torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda):
            return self._move(func, *args, **kwargs)
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        held = [self.holds(tensor) for tensor in tensors]
        on_gpu = any(held)
        if kwargs.get("device") is not None:
            on_gpu = torch.device(kwargs["device"]).type == "cuda"
            kwargs["device"] = "cpu"
        elif name in FREE:
            on_gpu = held[0]
        elif on_gpu and any(not here and tensor.dim() for here, tensor in zip(held, tensors, strict=True)):
            raise RuntimeError(f"{name}: found tensors on two devices, cuda:0 and cpu")
        result = func(*args, **kwargs)
        if on_gpu:
            for tensor in tree_flatten(result)[0]:
                if isinstance(tensor, Tensor):
                    self.place(tensor)
        return result

    def _move(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        there = before = self.holds(tensor)
        if func is torch.Tensor.to:
            given = [*args, *kwargs.values()]
            others = [value for value in given if isinstance(value, Tensor)]
            devices = [torch.device(value) for value in given if isinstance(value, str | torch.device)]
            types = [value for value in given if isinstance(value, torch.dtype)]
            if others:
                there, types = self.holds(others[0]), [others[0].dtype]
            elif devices:
                there = devices[0].type == "cuda"
            moved = tensor.to(types[0]) if types else tensor
        else:
            there, moved = func is torch.Tensor.cuda, tensor
        if there is not before:
            moved = moved.detach().clone()
        if there:
            self.place(moved)
        return moved


class _Checked:
    """The module of kernels, or an object of it: what it is given lies on the GPU."""

    def __init__(self, inner: Any, on: PretendedGpu) -> None:
        self._inner, self._on = inner, on

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if isinstance(found, type):
            return lambda *args: _Checked(found(*args), self._on)

        def checked(*args: Any) -> Any:
            for value in tree_flatten(args)[0]:
                if isinstance(value, int):
                    self._on.check(abs(value))
            return found(*args)

        return checked


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    """Within this context ``cuda:0`` is there, as far as tiles go."""
    stream = type("Stream", (), {"cuda_stream": 0})
    pretended, record = PretendedGpu(), AnalogTile.record

    def placed(tile: AnalogTile, x: Tensor, d: Tensor) -> None:
        for tensor in (x, d):  # autograd works where nothing is kept account of
            pretended.place(tensor)
        record(tile, x, d)

    with monkeypatch.context() as patch:
        patch.setattr(presence, "compiled", _Checked(_cuda_on_host, pretended))
        patch.setattr(AnalogTile, "record", placed)
        patch.setattr(gpu, "problem", lambda: "")
        for name, answer in {"current_device": 0, "device_count": 1, "current_stream": stream}.items():
            patch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
        patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
        with pretended:
            yield pretended
