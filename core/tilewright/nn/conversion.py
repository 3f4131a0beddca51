"""From digital models to analog ones and back."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tilewright.advice import Conditions, SettingsWarning, Severity, advise
from tilewright.configs import RPUConfig
from tilewright.nn.containers import AnalogSequential
from tilewright.nn.conversion_report import ConversionReport, ConvertedModule, DigitalModule
from tilewright.nn.layer import AnalogLayer
from tilewright.nn.recurrent import AnalogRecurrent
from tilewright.nn.twins import LAYERS, MAPPED_LAYERS, analog_twin, digital_twin
from tilewright.parameters import ParameterError
from tilewright.tile import AnalogTile

_LayerMap = Mapping[type[nn.Module], type[AnalogLayer | AnalogRecurrent]]
_ConfigFunction = Callable[[str, nn.Module, RPUConfig], RPUConfig]


def convert_to_analog(
    module: nn.Module,
    rpu_config: RPUConfig,
    exclude: Sequence[str | type[nn.Module]] = (),
    inplace: bool = False,
    specific_rpu_config_fun: _ConfigFunction | None = None,
) -> nn.Module:
    """Replace linear, convolutional and recurrent layers in a module tree by analog ones with the same weights.

    A module used twice stays one module, layers that share a weight share their tiles. Mode, ``requires_grad``,
    hooks and attributes stay as they are. A layer that cannot be converted to the same function stays digital. The
    result's ``analog_conversion`` lists what was converted, and what stayed digital for which reason.

    Args:
        module: digital model.
        rpu_config: tile configuration of every layer.
        exclude: dotted names (``"encoder.*"`` works) or classes of modules to leave digital, with all below them.
        inplace: convert the given tree instead of a copy.
        specific_rpu_config_fun: called with the name of a layer, the layer and a copy of ``rpu_config``; returns the
            configuration for this layer.

    Warns with :class:`tilewright.advice.SettingsWarning`, once for each kind of layer, about settings that cannot
    learn whatever the learning rate; :func:`tilewright.advice.advise` says more, with what a run will meet.

    Raises:
        ParameterError: a name in ``exclude`` fits no module, or a layer's weights are not float32 on the CPU.
    """
    return _Conversion(module, rpu_config, LAYERS, exclude, inplace, specific_rpu_config_fun).run()


def convert_to_analog_mapped(
    module: nn.Module,
    rpu_config: RPUConfig,
    exclude: Sequence[str | type[nn.Module]] = (),
    inplace: bool = False,
    specific_rpu_config_fun: _ConfigFunction | None = None,
) -> nn.Module:
    """:func:`convert_to_analog` with layers that always sit on tile arrays."""
    return _Conversion(module, rpu_config, MAPPED_LAYERS, exclude, inplace, specific_rpu_config_fun).run()


def convert_to_digital(module: nn.Module, inplace: bool = False) -> nn.Module:
    """Replace every analog layer by its digital twin with the logical weights; shared tiles become shared weights."""
    module = module if inplace else copy.deepcopy(module)
    weights: dict[int, nn.Module] = {}

    def replace(child: nn.Module, path: str) -> nn.Module | None:
        if isinstance(child, AnalogSequential):
            return _same_container(nn.Sequential, child)
        if isinstance(child, nn.TransformerEncoderLayer):
            _allow_fast_path(child, allowed=True)
        if not isinstance(child, AnalogLayer | AnalogRecurrent):
            return None
        twin = digital_twin(child)
        if isinstance(child, AnalogLayer):
            twin.weight = weights.setdefault(id(child.tile), twin).weight
        return twin

    result = _replace(module, "", {}, replace, frozenset())
    result.__dict__.pop("analog_conversion", None)
    return result


_NOT_YET = "it has no weights yet: pass a batch through the model, then convert it"


class _Conversion:
    """One conversion: which modules may become analog, and what has been said about each."""

    def __init__(
        self,
        module: nn.Module,
        config: RPUConfig,
        layers: _LayerMap,
        exclude: Sequence[str | type[nn.Module]],
        inplace: bool,
        config_function: _ConfigFunction | None,
    ) -> None:
        self.module = module if inplace else copy.deepcopy(module)
        self.config, self.layers, self.config_function = config, layers, config_function
        self.report = ConversionReport()
        self.excluded = _excluded(self.module, exclude)
        self.owners: dict[int, list[tuple[str, nn.Module]]] = {}
        for name, child in self.module.named_modules():
            for parameter in {id(p): p for p in child._parameters.values() if p is not None}.values():
                self.owners.setdefault(id(parameter), []).append((name, child))
        self.shared: dict[int, AnalogLayer] = {}
        self.weights: dict[str, Tensor] = {}  # as they were before the devices clipped them

    def run(self) -> nn.Module:
        result = _replace(self.module, "", {}, self._twin, self.excluded)
        self._list_digital(result)
        result.__dict__["analog_conversion"] = self.report
        self._warn(result)
        return result

    def _warn(self, result: nn.Module) -> None:
        """Say once for each kind of layer what cannot learn; rates and lengths are not known yet."""
        said: dict[tuple[str, str], tuple[str, list[str]]] = {}
        for path, layer in result.named_modules():
            if not isinstance(layer, AnalogLayer):
                continue
            outputs, inputs = (max(getattr(tile, size) for tile in layer.tiles()) for size in ("out_size", "in_size"))
            for finding in advise(layer.rpu_config, Conditions(outputs, inputs, weights=self.weights.get(path))):
                if finding.severity is Severity.CANNOT_LEARN:
                    key = type(layer).__name__, finding.check
                    said.setdefault(key, (str(finding), []))[1].append(path or "the model")
        for (kind, _), (text, paths) in said.items():
            listed = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
            warnings.warn(f"{kind} ({listed}) cannot learn. {text}", SettingsWarning, stacklevel=4)

    def _twin(self, child: nn.Module, path: str) -> nn.Module | None:
        if type(child) is nn.Sequential:
            return _same_container(AnalogSequential, child)
        if isinstance(child, nn.TransformerEncoderLayer) and any(isinstance(m, AnalogLayer) for m in child.modules()):
            _allow_fast_path(child, allowed=False)
        layer = self.layers.get(type(child))
        if layer is None or self._obstacle(child):
            return None
        config = self._config_of(child, path)
        twin = analog_twin(child, layer, config, path)
        wanted = [p for name, p in child.named_parameters() if name.startswith("weight")]
        if isinstance(twin, AnalogLayer):
            assert isinstance(child.weight, Tensor)
            self.weights[path] = child.weight.detach().flatten(1)
            twin.tile = self.shared.setdefault(id(child.weight), twin).tile
            held = [twin.weight]
        else:
            held = [getattr(twin, name) for name, _ in child.named_parameters() if name.startswith("weight")]
        with torch.no_grad():
            off = sum(int((a - b).abs().gt(1e-5 * b.abs().amax()).sum()) for a, b in zip(held, wanted, strict=True))
        share = off / max(1, sum(w.numel() for w in wanted))
        self.report.converted.append(
            ConvertedModule(path, type(child).__name__, type(twin).__name__, len(twin.tiles()), share)
        )
        return twin

    def _config_of(self, child: nn.Module, path: str) -> RPUConfig:
        if self.config_function is None:
            return self.config
        config = self.config_function(path, child, copy.deepcopy(self.config))
        if not isinstance(config, RPUConfig):
            raise ParameterError(
                f"specific_rpu_config_fun returned {type(config).__name__} for {path!r}, not a configuration"
            )
        return config

    def _obstacle(self, child: nn.Module) -> str:
        """Why a layer with an analog counterpart would not stay the same function; empty if it would."""
        if isinstance(child, nn.RNNBase):
            if len(child._parameters) != len(child._flat_weights_names):
                return "its weights are computed by a parametrisation or hook, or it holds more than a layer does"
            names = child._flat_weights_names
        else:
            names = ["weight", "bias"]
        parameters = {name: child._parameters[name] for name in names if name in child._parameters}
        if set(child._parameters) - set(names) or child._buffers or child._modules or len(parameters) != len(names):
            return "its weights are computed by a parametrisation or hook, or it holds more than a layer does"
        for name, parameter in parameters.items():
            if parameter is None or name.startswith("bias"):
                continue
            for other_name, other in self.owners[id(parameter)]:
                if other is not child and not self._can_share(child, other):
                    return f"it shares its weight with {other_name!r}, which cannot share tiles with it"
        return ""

    def _can_share(self, child: nn.Module, other: nn.Module) -> bool:
        if type(other) is not type(child) or isinstance(child, nn.RNNBase) or id(other) in self.excluded:
            return False
        if getattr(child, "groups", 1) != getattr(other, "groups", 1):
            return False
        if {*child._parameters, *other._parameters} != {"weight", "bias"} or child._buffers or other._buffers:
            return False
        # A bias on the tiles is shared with the weight.
        return self.config.mapping.digital_bias or child.bias is other.bias

    def _list_digital(self, result: nn.Module) -> None:
        analog_parts = {
            id(part) for m in result.modules() if isinstance(m, AnalogLayer | AnalogRecurrent) for part in m.modules()
        }
        for path, child in result.named_modules():
            held = [p for p in child._parameters.values() if p is not None]
            if any(is_lazy(p) for p in held):
                self.report.digital.append(DigitalModule(path, type(child).__name__, 0, _NOT_YET))
                continue
            count = sum(p.numel() for p in held)
            if id(child) in analog_parts or (count == 0 and type(child) not in self.layers):
                continue
            self.report.digital.append(DigitalModule(path, type(child).__name__, count, self._reason(child)))

    def _reason(self, child: nn.Module) -> str:
        if id(child) in self.excluded:
            return "excluded"
        if type(child) in self.layers:
            return self._obstacle(child)
        base = next((kind.__name__ for kind in self.layers if isinstance(child, kind)), None)
        return f"a subclass of {base}, which may compute something else" if base else "no analog counterpart"


def _excluded(module: nn.Module, exclude: Sequence[str | type[nn.Module]]) -> frozenset[int]:
    """Identities of the modules to leave alone. One that is used in two places is excluded in both."""
    named = list(module.named_modules(remove_duplicate=False))
    chosen: list[nn.Module] = []
    for wanted in exclude:
        if isinstance(wanted, str):
            found = [child for name, child in named if fnmatchcase(name, wanted)]
            if not found:
                known = ", ".join(sorted(name for name, _ in named if name))
                raise ParameterError(f"exclude: no module named {wanted!r}; known: {known}")
            chosen += found
        elif isinstance(wanted, type) and issubclass(wanted, nn.Module):
            chosen += [child for _, child in named if isinstance(child, wanted)]
        else:
            raise ParameterError(f"exclude takes names and module classes, found {wanted!r}")
    return frozenset(id(part) for child in chosen for part in child.modules())


def _replace(
    module: nn.Module,
    path: str,
    done: dict[int, nn.Module],
    replace: Callable[[nn.Module, str], nn.Module | None],
    excluded: frozenset[int],
) -> nn.Module:
    """Depth first, each module once, repeated modules kept shared."""
    if id(module) in excluded:
        return module
    if id(module) in done:
        return done[id(module)]
    if not isinstance(module, AnalogLayer | AnalogRecurrent | AnalogTile):
        for name, child in list(module._modules.items()):
            if child is not None:
                module._modules[name] = _replace(child, f"{path}.{name}" if path else name, done, replace, excluded)
    done[id(module)] = replace(module, path) or module
    return done[id(module)]


def _same_container(kind: type[nn.Sequential], old: nn.Sequential) -> nn.Sequential:
    """Another class of container around the same children, with everything else that is on the old one."""
    new = kind(OrderedDict())
    new.__dict__.update(old.__dict__)
    return new


def _allow_fast_path(layer: nn.TransformerEncoderLayer, allowed: bool) -> None:
    """In evaluation torch hands the weights of this layer to one fused kernel, past the forward of its parts."""
    code = {nn.functional.relu: 1, nn.functional.gelu: 2}.get(layer.activation, 0)
    if isinstance(layer.activation, nn.ReLU | nn.GELU):
        code = 1 if isinstance(layer.activation, nn.ReLU) else 2
    layer.activation_relu_or_gelu = code if allowed else 0
