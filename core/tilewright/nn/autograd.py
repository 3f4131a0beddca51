"""How gradients pass a tile: analog products both ways, and a record for the pulsed update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright.tile import AnalogTile, AnalogWeight

_REMEDY = "use the digital twin, convert_to_digital(model), for that"


class _TileProduct(torch.autograd.Function):
    """Forward and backward run on the tile; the weight gets no gradient, the tile keeps inputs and errors instead."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, tile: AnalogTile) -> Tensor:
        x = x.contiguous()  # part of a row, where a layer is split over tiles: copied once, not again for the update
        y, ctx.saturated = tile.product(x)
        ctx.tile = tile
        ctx.substitute = type(weight) is not AnalogWeight
        ctx.save_for_backward(x)
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "tiles have first derivatives only: create_graph=True, as gradient penalties ask for it, does not work "
                "through an analog layer; use convert_to_digital(model) for that"
            )
        d, tile = grads[0].contiguous(), ctx.tile
        needs_error, needs_weight, needs_bias, _ = ctx.needs_input_grad
        bias_error = (d if d.dim() == 2 else d.reshape(-1, d.shape[-1])).sum(0) if needs_bias else None
        if ctx.saturated is not None:
            # An output at the ADC's bound does not follow its input: it passes no error, back or into the update.
            d = d.masked_fill(ctx.saturated.reshape(d.shape), 0.0)
        weight_error = None
        if needs_weight and ctx.substitute:
            weight_error = _weight_error(ctx.saved_tensors[0], d, tile)
        elif needs_weight and accumulates(ctx, 1):
            tile.record(ctx.saved_tensors[0], d)
        return (tile.backward(d) if needs_error else None), weight_error, bias_error, None


def accumulates(ctx: Any, place: int) -> bool:
    """Whether this backward pass accumulates into the leaf at a place of the inputs.

    ``torch.autograd.grad``, and ``backward(inputs=...)`` with others than this, leave no gradients behind; so they
    must not leave a record either.
    """
    try:
        return torch._C._will_engine_execute_node(ctx.next_functions[place][0])
    except RuntimeError:  # torch.autograd.grad of this very leaf
        return False


def _weight_error(x: Tensor, d: Tensor, tile: AnalogTile) -> Tensor:
    """Gradient of a tensor that ``torch.func.functional_call`` put in the place of the analog weight."""
    x, d = x.reshape(-1, tile.in_size), d.reshape(-1, tile.out_size)
    return (d if tile.mapping_scales is None else d * tile.mapping_scales).t() @ x


def tile_product(x: Tensor, tile: AnalogTile, bias: Tensor | None = None) -> Tensor:
    """``x W^T`` on a tile plus a digital bias, with gradients; includes the learned output scale."""
    if torch.compiler.is_dynamo_compiling():
        return _outside_graphs(x, tile, bias)
    if torch._C._is_tracing():
        raise RuntimeError(f"torch.jit.trace would record an analog product as a constant; {_REMEDY}")
    own = tile._parameters  # a dictionary is several times quicker than the attributes of a module
    scaling = own.get("out_scaling")
    within = None if scaling is not None else bias  # one step of the graph rather than two
    try:
        y: Tensor = _TileProduct.apply(x, own["weight"], within, tile)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise _explained(x, error) from error
    if scaling is None:
        return y
    y = y * scaling
    return y if bias is None else y + bias


# torch.compile compiles what is around a tile; the product itself stays as it is.
_outside_graphs = torch._compile._disable_dynamo(tile_product)


def _explained(x: Tensor, error: RuntimeError) -> RuntimeError:
    """Torch's advice for authors of functions, in words for those who use them."""
    if torch._C._are_functorch_transforms_active():
        return RuntimeError(f"torch.func transforms (grad, vmap, jacrev, ...) do not work on analog layers; {_REMEDY}")
    if x.is_nested:
        return RuntimeError("analog layers take no nested tensors: pad them (tensor.to_padded_tensor(0.0))")
    if type(x) is not Tensor or x.is_meta:
        return RuntimeError(f"analog layers cannot be exported or traced: {type(x).__name__} holds no data; {_REMEDY}")
    return error
