"""What a network costs in tiles: layers, tiles, parameters and operations as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tilewright.configs import FloatingPointRPUConfig, RPUConfig
from tilewright.nn.conversion import convert_to_analog
from tilewright.nn.layer import AnalogLayer
from tilewright.nn.recurrent import AnalogRecurrent
from tilewright.tile import AnalogTile

if TYPE_CHECKING:
    import pandas as pd

_Shape = tuple[int, ...]


@dataclass(frozen=True)
class TileSummary:
    """A tile: the matrix it holds and the array it sits on, both (outputs, inputs)."""

    layer: str
    logical: tuple[int, int]
    physical: tuple[int, int]  # as the mapping limits it; where it does not, the logical size

    @property
    def utilisation(self) -> float:
        """Share of the crosspoints of the array that hold a weight."""
        return math.prod(self.logical) / math.prod(self.physical)


@dataclass(frozen=True)
class LayerSummary:
    """A layer in one forward pass of a batch.

    Attributes:
        path: dotted name; empty for the model itself.
        kind: class.
        analog: whether it sits on tiles.
        input_shape: of the first tensor it is given, with the batch; empty when it is never called.
        output_shape: of the first tensor it returns.
        kernel_shape: of a convolution.
        tiles: its tiles.
        analog_parameters: weights on tiles, an analog bias among them.
        digital_parameters: biases, learned output scales, and the parameters of digital layers.
        reuse: vectors that pass each of its tiles.
        analog_operations: multiply-accumulates in the arrays.
        digital_operations: of an analog layer the additions and scalings behind the tiles (bias, partial sums, scales,
            gates of a recurrent layer); of a digital layer its multiply-accumulates or, where it has none, one for
            each element it returns.
        conversions: DAC and ADC conversions of the forward products.
    """

    path: str
    kind: str
    analog: bool
    input_shape: _Shape = ()
    output_shape: _Shape = ()
    kernel_shape: _Shape = ()
    tiles: tuple[TileSummary, ...] = ()
    analog_parameters: int = 0
    digital_parameters: int = 0
    reuse: int = 0
    analog_operations: int = 0
    digital_operations: int = 0
    conversions: int = 0


@dataclass(frozen=True)
class AnalogSummary:
    """Layers of a model in the order they are called, and totals. Prints as a table; shows as one in a notebook."""

    layers: tuple[LayerSummary, ...]
    tiles: tuple[TileSummary, ...]  # each once, also where layers share them
    analog_parameters: int
    digital_parameters: int

    @property
    def analog_layers(self) -> int:
        """Layers on tiles."""
        return sum(layer.analog for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Crosspoints that hold a weight over those there are; nan without tiles."""
        there = sum(math.prod(tile.physical) for tile in self.tiles)
        return sum(math.prod(tile.logical) for tile in self.tiles) / there if there else math.nan

    @property
    def analog_operations(self) -> int:
        """Multiply-accumulates in the arrays."""
        return sum(layer.analog_operations for layer in self.layers)

    @property
    def digital_operations(self) -> int:
        """Operations outside the arrays, as each layer counts them."""
        return sum(layer.digital_operations for layer in self.layers)

    @property
    def conversions(self) -> int:
        """DAC and ADC conversions."""
        return sum(layer.conversions for layer in self.layers)

    def totals(self) -> dict[str, Any]:
        """The totals by name."""
        operations = self.analog_operations + self.digital_operations
        share = round(100 * self.analog_operations / operations, 1) if operations else None
        return {
            "analog layers": self.analog_layers,
            "tiles": len(self.tiles),
            "utilisation (%)": round(100 * self.utilisation, 1) if self.tiles else None,
            "analog parameters": self.analog_parameters,
            "digital parameters": self.digital_parameters,
            "analog operations": self.analog_operations,
            "digital operations": self.digital_operations,
            "analog share of operations (%)": share,
            "conversions": self.conversions,
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each layer."""
        import pandas as pd

        return pd.DataFrame([_row(layer) for layer in self.layers])

    def tiles_frame(self) -> pd.DataFrame:
        """One row for each tile."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "layer": tile.layer,
                    "logical": _size(tile.logical),
                    "physical": _size(tile.physical),
                    "utilisation (%)": round(100 * tile.utilisation, 1),
                }
                for tile in self.tiles
            ]
        )

    def to_html(self) -> str:
        """The table and the totals as HTML."""
        totals = "".join(f"<dt>{name}</dt><dd>{_number(value)}</dd>" for name, value in self.totals().items())
        return f"{self.to_frame().to_html(index=False, na_rep='')}<dl>{totals}</dl>"

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        rows = [_row(layer) for layer in self.layers]
        head = list(_row(LayerSummary("", "", False)))
        cells = [head, *([_number(value) for value in row.values()] for row in rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
        left = [column < _TEXT_COLUMNS for column in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(width) if is_left else cell.rjust(width)
                for cell, width, is_left in zip(line, widths, left, strict=True)
            ).rstrip()
            for line in cells
        ]
        rule = "-" * max(map(len, lines))
        totals = self.totals()
        width = max(map(len, totals))
        closing = [f"{name.ljust(width)}  {_number(value)}" for name, value in totals.items()]
        return "\n".join([lines[0], rule, *lines[1:], rule, *closing])


_TEXT_COLUMNS = 7


def _row(layer: LayerSummary) -> dict[str, Any]:
    used = sum(math.prod(tile.logical) for tile in layer.tiles)
    there = sum(math.prod(tile.physical) for tile in layer.tiles)
    return {
        "layer": layer.path or "the model",
        "class": layer.kind,
        "in": _size(layer.input_shape),
        "out": _size(layer.output_shape),
        "kernel": _size(layer.kernel_shape),
        "logical": _sizes(tile.logical for tile in layer.tiles),
        "physical": _sizes({tile.physical: None for tile in layer.tiles}, count=False),
        "tiles": len(layer.tiles) or None,
        "used (%)": round(100 * used / there, 1) if there else None,
        "analog params": layer.analog_parameters or None,
        "digital params": layer.digital_parameters or None,
        "reuse": layer.reuse or None,
        "analog ops": layer.analog_operations or None,
        "digital ops": layer.digital_operations or None,
        "conversions": layer.conversions or None,
    }


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _sizes(shapes: Any, count: bool = True) -> str:
    found = Counter(shapes)
    return ", ".join(f"{n} of {_size(s)}" if count and n > 1 else _size(s) for s, n in found.items())


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else str(value)


# --- the pass ---------------------------------------------------------------------------------------------------------


@dataclass
class _Call:
    """What was seen of a module during the pass."""

    input_shape: _Shape = ()
    output_shape: _Shape = ()
    elements: int = 0
    flops: int = 0
    vectors: dict[int, int] = field(default_factory=dict)  # by the identity of the analog layer inside


def analog_summary(
    model: nn.Module,
    input_size: Sequence[int] | Sequence[Sequence[int]] | Tensor | Sequence[Tensor],
    rpu_config: RPUConfig | None = None,
) -> AnalogSummary:
    """Layers, tiles, parameters and operations of a model for one forward pass.

    The pass runs in evaluation mode on zeros, without gradients and without products on tiles: neither the state of
    the model nor any random numbers change, and no hooks stay behind.

    Args:
        model: analog, or digital together with ``rpu_config``.
        input_size: shape of the input with its batch, a list of shapes for several inputs, or example tensors (an
            embedding needs integers).
        rpu_config: for a model without analog layers: the summary is that of ``convert_to_analog(model, rpu_config)``.
            Layers that are analog keep their own.

    Raises:
        ValueError: the model does not take such an input.
    """
    analog_already = any(isinstance(module, AnalogLayer) for module in model.modules())
    inputs = _inputs(input_size)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        if rpu_config is not None and not analog_already:
            model = convert_to_analog(model, FloatingPointRPUConfig(mapping=rpu_config.mapping))
        calls, elsewhere = _watch(model, inputs)
    return _summarised(model, calls, elsewhere)


def _inputs(sizes: Any) -> list[Tensor]:
    if isinstance(sizes, Tensor):
        return [sizes]
    several = list(sizes)
    if several and all(isinstance(size, int) for size in several):
        several = [several]
    return [size if isinstance(size, Tensor) else torch.zeros(*size) for size in several]


def _is_layer(module: nn.Module) -> bool:
    """Whether a module is a row of its own: a layer on tiles, or a digital module without parts."""
    return isinstance(module, AnalogLayer | AnalogRecurrent) or not module._modules


def _rows(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers with their paths, each once and without what is inside them; also modules with parameters of their own."""
    inside: set[int] = set()
    for path, module in model.named_modules():
        if id(module) in inside:
            continue
        if isinstance(module, AnalogLayer | AnalogRecurrent):
            inside.update(id(part) for part in module.modules())
        if _is_layer(module) or any(p is not None for p in module._parameters.values()):
            yield path, module


def _watch(model: nn.Module, inputs: list[Tensor]) -> tuple[dict[int, _Call], int]:
    """Run the model on the inputs.

    Returns:
        what happened in each layer by its identity, in the order of the calls; multiply-accumulates outside of them.
    """
    calls: dict[int, _Call] = {}
    layers = [module for _, module in _rows(model)]
    parts = {id(part): module for module in layers for part in module.modules() if isinstance(part, AnalogLayer)}
    counter = FlopCounterMode(display=False)
    # Of each module that is running: what was counted before it, and what the rows inside it have counted.
    running: list[list[int]] = []

    def enter(module: nn.Module, given: Any) -> None:
        running.append([counter.get_total_flops(), 0])
        calls.setdefault(id(module), _Call())

    def leave(module: nn.Module, given: Any, returned: Any) -> None:
        call, tensors = calls[id(module)], list(_tensors(returned))
        start, inside = running.pop()
        spent = counter.get_total_flops() - start
        call.flops += spent - inside
        if running:
            running[-1][1] += spent
        call.elements += sum(tensor.numel() for tensor in tensors)
        call.input_shape = call.input_shape or next((tuple(t.shape) for t in _tensors(given)), ())
        call.output_shape = call.output_shape or next((tuple(t.shape) for t in tensors), ())

    def count(layer: AnalogLayer, x: Tensor) -> None:
        vectors = calls.setdefault(id(parts[id(layer)]), _Call()).vectors
        vectors[id(layer)] = vectors.get(id(layer), 0) + x.numel() // max(1, x.shape[-1])

    handles = [hook for m in layers for hook in (m.register_forward_pre_hook(enter), m.register_forward_hook(leave))]
    try:
        with _evaluation(model), _without_products(model, count), counter:
            model(*inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        raise ValueError(
            f"the model does not take an input of {shapes}: {error}; give the shape of a batch, or example tensors"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    elsewhere = counter.get_total_flops() - sum(call.flops for call in calls.values())
    return calls, elsewhere // 2


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; modes and buffers afterwards as they were."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for module in model.modules() for buffer in _digital_buffers(module)]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for buffer, value in buffers:
            buffer.copy_(value)


def _digital_buffers(module: nn.Module) -> list[Tensor]:
    return [] if isinstance(module, AnalogTile) else [b for b in module._buffers.values() if b is not None]


@contextmanager
def _without_products(model: nn.Module, count: Callable[[AnalogLayer, Tensor], None]) -> Iterator[None]:
    """Let analog layers answer zeros of the right shape: a summary must neither wait for tiles nor move their state."""
    layers = [module for module in model.modules() if isinstance(module, AnalogLayer)]

    def shape_only(layer: AnalogLayer) -> Callable[[Tensor], Tensor]:
        def affine(x: Tensor) -> Tensor:
            count(layer, x)
            return torch.zeros(*x.shape[:-1], layer.weight_shape[0])

        return affine

    try:
        for layer in layers:
            layer.__dict__["_affine"] = shape_only(layer)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("_affine", None)


# --- from calls to rows -----------------------------------------------------------------------------------------------


def _summarised(model: nn.Module, calls: dict[int, _Call], elsewhere: int) -> AnalogSummary:
    order = {identity: place for place, identity in enumerate(calls)}
    rows = sorted(_rows(model), key=lambda row: order.get(id(row[1]), len(order)))
    layers: list[LayerSummary] = []
    tiles: dict[int, TileSummary] = {}
    for path, module in rows:
        call = calls.get(id(module), _Call())
        if isinstance(module, AnalogLayer | AnalogRecurrent):
            layers.append(_analog_layer(path, module, call))
            for tile, summary in zip(module.tiles(), layers[-1].tiles, strict=True):
                tiles.setdefault(id(tile), summary)
        else:
            layers.append(_digital_layer(path, module, call))
    if elsewhere:
        layers.append(LayerSummary("between the layers", "functions", False, digital_operations=elsewhere))
    on_tiles = {id(tile.weight): tile.weight.numel() for tile in model.modules() if isinstance(tile, AnalogTile)}
    everything = sum(parameter.numel() for parameter in model.parameters())
    analog = sum(on_tiles.values())
    return AnalogSummary(tuple(layers), tuple(tiles.values()), analog, everything - analog)


def _digital_layer(path: str, module: nn.Module, call: _Call) -> LayerSummary:
    count = sum(parameter.numel() for parameter in module.parameters(recurse=not module._modules))
    kernel = getattr(module, "kernel_size", ())
    return LayerSummary(
        path, type(module).__name__, False, call.input_shape, call.output_shape,
        kernel_shape=kernel if isinstance(kernel, tuple) else (),
        digital_parameters=count,
        digital_operations=call.flops // 2 or call.elements,
    )  # fmt: skip


def _analog_layer(path: str, module: AnalogLayer | AnalogRecurrent, call: _Call) -> LayerSummary:
    tiles = tuple(_tile(path, tile) for tile in module.tiles())
    analog = sum(math.prod(tile.logical) for tile in tiles)
    macs = digital = conversions = 0
    for name, part in module.named_modules():
        if not isinstance(part, AnalogLayer):
            continue
        vectors, outputs = call.vectors.get(id(part), 0), part.weight_shape[0]
        for tile in part.tiles():
            macs += vectors * tile.out_size * tile.in_size
            conversions += vectors * (tile.out_size + tile.in_size)
            scalings = (tile.mapping_scales is not None) + (tile.out_scaling is not None)
            digital += vectors * tile.out_size * (1 + scalings)
        # Partial sums of an output take one addition less than there are; a digital bias takes one more.
        digital += vectors * outputs * (int(not part.analog_bias and part.bias is not None) - 1)
        if name.startswith("hh_"):
            digital += vectors * outputs  # the gates
    return LayerSummary(
        path, type(module).__name__, True, call.input_shape, call.output_shape,
        kernel_shape=getattr(module, "kernel_size", ()),
        tiles=tiles,
        analog_parameters=analog,
        digital_parameters=sum(p.numel() for p in module.parameters()) - analog,
        reuse=max(call.vectors.values(), default=0),
        analog_operations=macs,
        digital_operations=digital,
        conversions=conversions,
    )  # fmt: skip


def _tile(layer: str, tile: AnalogTile) -> TileSummary:
    mapping, logical = tile.rpu_config.mapping, (tile.out_size, tile.in_size)
    physical = mapping.max_output_size or tile.out_size, mapping.max_input_size or tile.in_size
    # An analog bias adds a column of its own to a tile that is full.
    return TileSummary(layer, logical, (max(physical[0], logical[0]), max(physical[1], logical[1])))
