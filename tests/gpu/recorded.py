"""Steps that are recorded on the host and replayed as a CUDA graph would replay them, and a watch on who waits.

A graph holds the kernels and torch's operations of one step with their addresses and numbers; Python does not run
again. So does a recording: what a step settles in Python, and should not have, shows itself when it is replayed. It
also says where a step would look at a number that is on the device, and so wait for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from tilewright.analog_weight import AnalogWeight
from tilewright.kernels import gpu

LAUNCHES = {"run", "field", "accumulate", "read_lines", "next_lines", "follow", "buffer", "plan_transfers", "carry",
            "advance", "trace"}  # fmt: skip
LOOKS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal", "aten.is_nonzero")


class Recording(TorchDispatchMode):
    """What one step launches, kept with all the memory it uses.

    Args:
        model: on the device, but for buffers that its cells keep on the CPU.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._log: list[Any] = []
        self._kept: list[Tensor] = []
        self.waits: list[str] = []
        self._weights = [weight for weight in model.parameters() if isinstance(weight, AnalogWeight)]
        self._on_device = {_address(tensor) for tensor in (*model.parameters(), *model.buffers())}
        for cell in model.modules():
            for name in getattr(cell, "on_cpu", ()):
                self._on_device.discard(_address(getattr(cell, name)))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do and note one of torch's operations."""
        kwargs = kwargs or {}
        given = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        known = any(_address(tensor) in self._on_device for tensor in given)
        if known and str(func).startswith(LOOKS):
            self.waits.append(str(func))
        result = func(*args, **kwargs)
        made = [value for value in tree_flatten(result)[0] if isinstance(value, Tensor)]
        self._kept += [*given, *made]
        if known:
            self._on_device.update(_address(tensor) for tensor in made)
        if not str(func).startswith(("aten.empty", "aten.new_empty", *LOOKS)):
            self._log.append((func, args, kwargs, [] if func._schema.is_mutable else made))
        return result

    def launch(self, kernel: Any, args: tuple[Any, ...]) -> None:
        """Note a kernel of ours; what it is given lies on the device."""
        self._log.append((kernel, args, {}, []))
        addresses = {value for value in tree_flatten(args)[0] if isinstance(value, int)}
        self._on_device.update(_address(tensor) for tensor in self._kept if tensor.data_ptr() in addresses)

    @property
    def launches(self) -> Counter[str]:
        """How often each kernel of ours was called for."""
        return Counter(name for function, *_ in self._log if (name := getattr(function, "__name__", "")) in LAUNCHES)

    @torch.no_grad()
    def replay(self) -> None:
        """Do it again, into the same memory."""
        for function, args, kwargs, made in self._log:
            result = function(*args, **kwargs)
            for old, new in zip(made, tree_flatten(result)[0], strict=False):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)
        for weight in self._weights:  # a graph leaves no trace in the versions of tensors
            weight.seen = weight._version


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class _Watched:
    """The module of kernels, or an object of it, whose launches are noted while a step is recorded."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.recording: list[Recording] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if isinstance(found, type):
            return lambda *args: self._follow(found(*args))
        if name not in LAUNCHES:
            return found

        def launched(*args: Any) -> Any:
            for recording in self.recording:
                recording.launch(found, args)
            return found(*args)

        return launched

    def _follow(self, made: Any) -> _Watched:
        watched = _Watched(made)
        watched.recording = self.recording
        return watched


@contextmanager
def watched_host() -> Iterator[list[Recording]]:
    """As ``run_on_host``; launches are noted by the recordings that are put into the list."""
    with gpu.run_on_host() as module:
        watched = _Watched(module)
        with gpu.standing_in(watched):
            yield watched.recording
