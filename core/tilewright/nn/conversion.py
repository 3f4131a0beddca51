"""From digital models to analog ones and back."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from tilewright.configs import RPUConfig
from tilewright.nn.containers import AnalogSequential
from tilewright.nn.linear import AnalogLinear, AnalogLinearMapped
from tilewright.parameters import ParameterError


def convert_to_analog(
    module: nn.Module, rpu_config: RPUConfig, exclude: Sequence[str] = (), inplace: bool = False
) -> nn.Module:
    """Replace every ``nn.Linear`` in a module tree by an analog layer with the same weights.

    A module used twice stays one module; other modules, training mode and ``requires_grad`` stay as they are.

    Args:
        module: digital model.
        rpu_config: tile configuration of every layer.
        exclude: dotted names of modules to leave digital, with everything below them.
        inplace: convert the given tree instead of a copy.

    Raises:
        ParameterError: a name in ``exclude`` does not exist, or a subclass of ``nn.Linear`` that cannot be converted
            faithfully was found.
    """
    return _convert(module, rpu_config, AnalogLinear, exclude, inplace)


def convert_to_analog_mapped(
    module: nn.Module, rpu_config: RPUConfig, exclude: Sequence[str] = (), inplace: bool = False
) -> nn.Module:
    """:func:`convert_to_analog` with layers that always sit on tile arrays."""
    return _convert(module, rpu_config, AnalogLinearMapped, exclude, inplace)


def convert_to_digital(module: nn.Module, inplace: bool = False) -> nn.Module:
    """Replace every analog layer by its digital twin with the logical weights."""
    module = module if inplace else copy.deepcopy(module)
    return _replace(module, "", {}, _digital_twin, frozenset())


def _convert(
    module: nn.Module, config: RPUConfig, layer: type[AnalogLinear], exclude: Sequence[str], inplace: bool
) -> nn.Module:
    names = {name for name, _ in module.named_modules(remove_duplicate=False)}
    unknown = [name for name in exclude if name not in names]
    if unknown:
        raise ParameterError(
            f"exclude: no module named {', '.join(map(repr, unknown))}; known: {', '.join(sorted(names - {''}))}"
        )
    module = module if inplace else copy.deepcopy(module)
    _refuse_tied_weights(module)

    def replace(child: nn.Module, path: str) -> nn.Module | None:
        if type(child) is nn.Linear:
            return _analog_twin(child, path, config, layer)
        if type(child) is nn.Sequential:
            return AnalogSequential(OrderedDict(child._modules))
        return None

    return _replace(module, "", {}, replace, frozenset(exclude))


def _replace(
    module: nn.Module,
    path: str,
    done: dict[int, nn.Module],
    replace: Callable[[nn.Module, str], nn.Module | None],
    exclude: frozenset[str],
) -> nn.Module:
    """Depth first, each module once, repeated modules kept shared."""
    if path in exclude:
        return module
    if id(module) in done:
        return done[id(module)]
    for name, child in list(module._modules.items()):
        if child is not None:
            module._modules[name] = _replace(child, f"{path}.{name}" if path else name, done, replace, exclude)
    new = replace(module, path)
    if new is None:
        new = module
    elif isinstance(new, nn.Sequential):
        new.training = module.training  # what it holds keeps its own mode
    else:
        new.train(module.training)
    done[id(module)] = new
    return new


def _analog_twin(linear: nn.Linear, path: str, config: RPUConfig, layer: type[AnalogLinear]) -> AnalogLinear:
    if linear.weight.dtype is not torch.float32:
        raise ParameterError(
            f"{path or 'the model'} holds {linear.weight.dtype} weights; tiles are float32: convert with .float()"
        )
    twin = layer(linear.in_features, linear.out_features, linear.bias is not None, config, path=path)
    twin.set_weights(linear.weight, linear.bias)
    for tile in twin.tiles():
        tile.weight.requires_grad_(linear.weight.requires_grad)
    if twin.bias is not None and linear.bias is not None:
        twin.bias.requires_grad_(linear.bias.requires_grad)
    return twin


def _digital_twin(module: nn.Module, path: str) -> nn.Module | None:
    if isinstance(module, AnalogSequential):
        return nn.Sequential(OrderedDict(module._modules))
    if not isinstance(module, AnalogLinear):
        return None
    weight, bias = module.get_weights()
    linear = nn.Linear(module.in_features, module.out_features, bias is not None)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear


def _refuse_tied_weights(module: nn.Module) -> None:
    owners: dict[int, str] = {}
    for name, child in module.named_modules():
        if type(child) is not nn.Linear:
            continue
        first = owners.setdefault(id(child.weight), name)
        if first != name:
            raise ParameterError(
                f"{first!r} and {name!r} share one weight, two tiles cannot; use one module twice, or exclude one"
            )
