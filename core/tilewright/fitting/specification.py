"""What is varied and between which limits: from the forms people write to ``lmfit.Parameters``."""

from __future__ import annotations

import copy
import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import lmfit

from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.result import FitError
from tilewright.parameters import ParameterError, field_is_list, unknown_name_message

_KEYS = {"value", "min", "max", "vary", "expr", "brute_step"}


def build_parameters(specification: Any, device: PulsedDevice) -> tuple[lmfit.Parameters, dict[str, Any]]:
    """The ``lmfit.Parameters`` of a fit, and settings that are not numbers.

    Args:
        specification: ``lmfit.Parameters``, or a dictionary from field name to ``(init, min, max)`` (varied; held where
            all three are equal), to a single value (set, not varied), or to a dictionary of ``value``, ``min``,
            ``max``, ``vary``, ``expr``, ``brute_step``.
        device: the device whose fields they are.

    Raises:
        FitError: unknown field, or a form or range that makes no sense; says which.
    """
    settings: dict[str, Any] = {}
    if isinstance(specification, lmfit.Parameters):
        parameters = copy.deepcopy(specification)
        for name in parameters:
            _check_name(name, device)
    elif isinstance(specification, Mapping):
        parameters = lmfit.Parameters()
        late = []
        for name, form in specification.items():
            _check_name(name, device)
            if isinstance(form, Mapping) and form.get("expr"):
                late.append((name, form))
            elif isinstance(form, (bool, str)):
                settings[name] = form
            else:
                _add(parameters, str(name), form)
        for name, form in late:  # expressions may name parameters that stand after them
            _add(parameters, str(name), form)
    else:
        raise FitError(
            f"parameters must be a dictionary or lmfit.Parameters, found {type(specification).__name__}; "
            "write for example {'dw_min': (0.1, 0.001, 1.0)}"
        )
    if not any(item.vary for item in parameters.values()):
        raise FitError("no parameter is varied; give at least one as (init, min, max)")
    _check_ends(parameters, settings, device)
    return parameters, settings


def _check_ends(parameters: lmfit.Parameters, settings: Mapping[str, Any], device: PulsedDevice) -> None:
    """Raise unless the device allows both ends of every range: values are not checked again while the fit runs."""
    start = copy.deepcopy(device)
    set_fields(start, settings)
    assign(start, {name: float(item.value) for name, item in parameters.items()})
    for name, item in parameters.items():
        held = [float(item.value)]
        for value in [end for end in (item.min, item.max) if math.isfinite(end)] if item.vary else held:
            trial = copy.deepcopy(start)
            set_fields(trial, {name: value})


def element_of(name: str, device: PulsedDevice) -> tuple[str, int] | None:
    """Field and index that ``name_3`` stands for: the entry of a list of numbers; None for a plain field."""
    element = _element_of_class(name, type(device))
    return element if element is not None and element[1] < len(getattr(device, element[0])) else None


@functools.lru_cache(maxsize=1024)
def _element_of_class(name: str, device_class: type[PulsedDevice]) -> tuple[str, int] | None:
    found = re.fullmatch(r"(.+)_(\d+)", name)
    if name in device_class.model_fields or found is None:
        return None
    info = device_class.model_fields.get(found[1])
    return (found[1], int(found[2])) if info is not None and field_is_list(info) else None


def _check_name(name: Any, device: PulsedDevice) -> None:
    if not isinstance(name, str) or (name not in type(device).model_fields and element_of(name, device) is None):
        known = list(type(device).model_fields)
        raise FitError(
            unknown_name_message(f"cannot find parameter; {type(device).__name__} has no field", str(name), known)
        )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0)


def _add(parameters: lmfit.Parameters, name: str, form: Any) -> None:
    if isinstance(form, Mapping):
        unknown = set(form) - _KEYS
        if unknown:
            raise FitError(
                f"{name}: unknown keys {', '.join(map(repr, sorted(unknown)))}; known: {', '.join(sorted(_KEYS))}"
            )
        fields = dict(form)
        low, high = fields.get("min", -math.inf), fields.get("max", math.inf)
        if "expr" not in fields:
            _check_range(name, fields.get("value"), low, high)
        try:
            parameters.add(name, **fields)
        except (SyntaxError, NameError, TypeError, ValueError) as error:
            raise FitError(f"{name}: cannot use {dict(form)!r}: {error}") from None
        return
    if isinstance(form, (tuple, list)):
        if len(form) != 3 or not all(_number(item) for item in form):
            raise FitError(f"{name}: expected (init, min, max), found {form!r}")
        init, low, high = (float(item) for item in form)
        if init == low == high:
            parameters.add(name, value=init, vary=False)
            return
        _check_range(name, init, low, high)
        parameters.add(name, value=init, min=low, max=high, vary=True)
        return
    if _number(form):
        parameters.add(name, value=float(form), vary=False)
        return
    raise FitError(f"{name}: expected (init, min, max), a number or a dictionary, found {type(form).__name__}")


def _check_range(name: str, init: Any, low: Any, high: Any) -> None:
    if not _number(init) or not math.isfinite(init):
        raise FitError(f"{name}: the initial value {init!r} is not a finite number")
    if not low < high:
        raise FitError(f"{name}: the minimum {low!r} must be below the maximum {high!r}")
    if not low <= init <= high:
        raise FitError(f"{name}: the initial value {init!r} lies outside {low!r} to {high!r}")


def set_fields(device: PulsedDevice, values: Mapping[str, Any]) -> None:
    """Assign fields; a value the device refuses becomes a :class:`FitError` that says which range to narrow."""
    for name, value in values.items():
        element = element_of(name, device)
        if element is not None:
            name, index = element
            value = [*getattr(device, name)[:index], value, *getattr(device, name)[index + 1 :]]
        if getattr(device, name) == value:  # an assignment validates the whole device
            continue
        try:
            setattr(device, name, value)
        except ParameterError as error:
            raise FitError(f"the fit reached a value the device refuses: {error}; narrow the range of {name}") from None


def assign(device: PulsedDevice, values: Mapping[str, float]) -> None:
    """Assign fields without a check, for the many evaluations of a fit whose ranges were checked once."""
    fields = device.__dict__
    for name, value in values.items():
        if name in fields:
            fields[name] = value
        else:
            element = element_of(name, device)
            if element is None:
                raise FitError(f"{type(device).__name__} has no field {name}")
            fields[element[0]][element[1]] = value


def rebuilt(device: PulsedDevice) -> PulsedDevice:
    """A checked copy of a device whose fields were assigned without a check."""
    try:
        return type(device)(**copy.deepcopy({name: getattr(device, name) for name in type(device).model_fields}))
    except ParameterError as error:
        raise FitError(f"the fit ended at values the device refuses: {error}; narrow the ranges") from None


def silenced(device: PulsedDevice) -> PulsedDevice:
    """A copy of ``device`` whose spread and noise fields (names ending in ``dtod`` or ``std``) are all 0."""
    quiet = copy.deepcopy(device)
    for name in type(quiet).model_fields:
        if name.endswith(("dtod", "std")):
            setattr(quiet, name, 0.0)
    return quiet
