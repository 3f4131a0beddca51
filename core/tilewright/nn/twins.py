"""One module at a time: the analog twin of a digital layer, and the digital twin of an analog one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tilewright.configs import FloatingPointRPUConfig, RPUConfig
from tilewright.nn.conv import (
    AnalogConv,
    AnalogConv1d,
    AnalogConv1dMapped,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogConv3dMapped,
)
from tilewright.nn.layer import AnalogLayer
from tilewright.nn.linear import AnalogLinear, AnalogLinearMapped
from tilewright.nn.recurrent import (
    AnalogGRU,
    AnalogGRUMapped,
    AnalogLSTM,
    AnalogLSTMMapped,
    AnalogRecurrent,
    AnalogRNN,
    AnalogRNNMapped,
)
from tilewright.parameters import ParameterError

LAYERS: dict[type[nn.Module], type[AnalogLayer | AnalogRecurrent]] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    nn.RNN: AnalogRNN,
    nn.LSTM: AnalogLSTM,
    nn.GRU: AnalogGRU,
}
MAPPED_LAYERS: dict[type[nn.Module], type[AnalogLayer | AnalogRecurrent]] = {
    nn.Linear: AnalogLinearMapped,
    nn.Conv1d: AnalogConv1dMapped,
    nn.Conv2d: AnalogConv2dMapped,
    nn.Conv3d: AnalogConv3dMapped,
    nn.RNN: AnalogRNNMapped,
    nn.LSTM: AnalogLSTMMapped,
    nn.GRU: AnalogGRUMapped,
}

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)


def analog_twin(
    module: nn.Module, layer: type[AnalogLayer | AnalogRecurrent], config: RPUConfig, path: str
) -> AnalogLayer | AnalogRecurrent:
    """An analog layer with the weights, the bias parameters, the mode and the hooks of a digital one."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.dtype is not torch.float32 or parameter.device.type != "cpu":
            raise ParameterError(
                f"{path or 'the model'} holds {parameter.dtype} values on {parameter.device} ({name}); tiles are "
                "float32 on the CPU: convert with .float().cpu(), or exclude the module"
            )
    source: Any = module
    twin: Any
    if issubclass(layer, AnalogRecurrent):
        options = {name: getattr(source, name) for name in ("batch_first", "dropout", "bidirectional", "bias")}
        if isinstance(source, nn.RNN):
            options["nonlinearity"] = source.nonlinearity
        elif source.proj_size:
            options["proj_size"] = source.proj_size
        twin = layer(source.input_size, source.hidden_size, source.num_layers, rpu_config=config, path=path, **options)
        for suffix in twin.suffixes():
            for part in ("ih", "hh", "hr")[: 3 if source.proj_size else 2]:
                bias = getattr(source, f"bias_{part}{suffix}", None) if part != "hr" else None
                _take_over(getattr(twin, part + suffix), getattr(source, f"weight_{part}{suffix}"), bias)
    else:
        has_bias = source.bias is not None
        if isinstance(source, nn.Linear):
            twin = layer(source.in_features, source.out_features, has_bias, config, path)
        else:
            twin = layer(
                source.in_channels, source.out_channels, source.kernel_size, source.stride, source.padding,
                source.dilation, source.groups, has_bias, source.padding_mode, config, path,
            )  # fmt: skip
        _take_over(twin, source.weight, source.bias)
    twin.train(module.training)
    _carry_over(module, twin, _own_names(type(module)))
    return twin  # type: ignore[no-any-return]


def _take_over(twin: AnalogLayer, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
    twin.set_weights(weight, bias)
    for tile in twin.tiles():
        tile.weight.requires_grad_(weight.requires_grad)
    if bias is not None and not twin.analog_bias:
        twin.bias = bias  # the parameter itself, so that a bias shared with another module stays shared


def digital_twin(module: AnalogLayer | AnalogRecurrent) -> nn.Module:
    """The torch layer with the logical weights of an analog one, its mode and its hooks."""
    twin: Any = module.empty_twin()
    if isinstance(module, AnalogRecurrent):
        for suffix in module.suffixes():
            for part in ("ih", "hh", "hr")[: 3 if module.proj_size else 2]:
                source: AnalogLayer = getattr(module, part + suffix)
                weight, bias = _parameters_of(source)
                setattr(twin, f"weight_{part}{suffix}", weight)
                if bias is not None:
                    setattr(twin, f"bias_{part}{suffix}", bias)
        twin.flatten_parameters()
    else:
        twin.weight, twin.bias = _parameters_of(module)
    twin.train(module.training)
    _carry_over(module, twin, _own_names(type(module)))
    return twin  # type: ignore[no-any-return]


def _parameters_of(layer: AnalogLayer) -> tuple[nn.Parameter, nn.Parameter | None]:
    weight, bias = layer.get_weights()
    trains = any(tile.weight.requires_grad for tile in layer.tiles())
    digital_bias = None if layer.analog_bias else layer.bias
    if bias is not None and digital_bias is None:
        digital_bias = nn.Parameter(bias, trains)
    return nn.Parameter(weight.contiguous(), trains), digital_bias


def _carry_over(old: nn.Module, new: nn.Module, own: frozenset[str]) -> None:
    """Hooks, and attributes that somebody has put on a module."""
    for name in _HOOKS:
        new.__dict__[name] = old.__dict__[name]
    for name, value in old.__dict__.items():
        if name not in own and name not in new.__dict__:
            new.__dict__[name] = value


_names: dict[type[nn.Module], frozenset[str]] = {}


def _own_names(kind: type[nn.Module]) -> frozenset[str]:
    """Attributes that every module of a class has."""
    if kind in _names:
        return _names[kind]
    sizes = (1, 1, 1) if issubclass(kind, AnalogConv | nn.Conv1d | nn.Conv2d | nn.Conv3d) else (1, 1)
    place: dict[str, Any] = (
        {"rpu_config": FloatingPointRPUConfig()} if issubclass(kind, AnalogLayer | AnalogRecurrent) else {}
    )
    with torch.random.fork_rng(devices=[]):
        _names[kind] = frozenset(kind(*sizes, **place).__dict__)
    return _names[kind]
