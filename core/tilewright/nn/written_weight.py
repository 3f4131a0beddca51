"""Weights of a layer that can be written to like a parameter, though they live on tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_Write = Callable[[Tensor], None]


class WrittenWeight(Tensor):
    """A copy of what is on tiles. Writing into it in place, or into a view of it, writes to the tiles.

    So ``nn.init.xavier_uniform_(layer.weight)`` and ``layer.weight[0] = 1`` inside ``torch.no_grad()`` do what they do
    to a parameter. Everything else gives ordinary tensors.
    """

    _whole: Tensor
    _place: object
    _write: _Write

    @classmethod
    def of(cls, values: Tensor, place: object, write: _Write) -> Tensor:
        """Wrap the values that a layer, the ``place``, holds; ``write`` puts the whole of them onto its tiles."""
        return cls._share(values, values.detach(), place, write)

    @classmethod
    def _share(cls, values: Tensor, whole: Tensor, place: object, write: _Write) -> Tensor:
        wrapped = values.as_subclass(cls)
        wrapped._whole, wrapped._place, wrapped._write = whole, place, write
        return wrapped

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            ours = [value for value in (*args, *kwargs.values()) if isinstance(value, WrittenWeight)]
            before = [value._version for value in ours]
            tracked = [value.requires_grad for value in ours]
            result = func(*args, **kwargs)
            for value, version, was_tracked in zip(ours, before, tracked, strict=True):
                if value._version != version:
                    in_place_by_design = getattr(func, "__module__", "") == "torch.nn.init"
                    if was_tracked and torch.is_grad_enabled() and not in_place_by_design:
                        raise RuntimeError(
                            "a weight on tiles that requires grad is being changed in place; do it in torch.no_grad(), "
                            "as with any parameter"
                        )
                    value._write(value._whole)
            return cls._views(result, ours)

    @classmethod
    def _views(cls, result: Any, ours: list[WrittenWeight]) -> Any:
        """Results that share memory with a weight write to its tiles too; other results are plain."""
        if isinstance(result, list | tuple) and any(isinstance(item, Tensor) for item in result):
            parts = [cls._views(item, ours) for item in result]
            return parts if isinstance(result, list) else tuple(parts)
        if not isinstance(result, Tensor) or any(result is value for value in ours):
            return result
        for value in ours:
            if result.untyped_storage().data_ptr() == value._whole.untyped_storage().data_ptr():
                return cls._share(result, value._whole, value._place, value._write)
        return result.as_subclass(Tensor) if isinstance(result, WrittenWeight) else result

    def was_written_by(self, place: object) -> bool:
        """Whether ``place.weight += x`` is assigning back what the addition has already written to the tiles."""
        return self._place is place and self.shape == self._whole.shape and self.stride() == self._whole.stride()

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self._plain()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._plain().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def _plain(self) -> Tensor:
        """A tensor of its own, which has nothing to do with the tiles."""
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor).detach().clone()
