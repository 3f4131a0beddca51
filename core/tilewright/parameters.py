"""The base class of every configuration object.

A configuration is data with a schema: each field carries its range, unit and one-line meaning, is checked when it
is assigned, and prints, compares and exports from that one declaration. Forms, tooltips, documentation, YAML and
Python code are all generated from it.
"""

from __future__ import annotations

import ast
import copy
import difflib
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, ClassVar, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

SCHEMA_VERSION = 1


class ParameterError(ValueError):
    """A field does not exist or a value is not allowed. The message names the field, the value and what is allowed."""


class Choice(Enum):
    """An enumeration whose members may be given as the member, its name or its value (``"AbsMax"``, ``"ABS_MAX"``)."""

    @classmethod
    def refused(cls) -> dict[str, str]:
        """Names known elsewhere that are not offered here, each with what to use instead."""
        return {}

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return the member meant by ``value``; raises ``ValueError`` listing the members otherwise."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            wanted = value.rpartition(".")[2].lower()
            for member in cls:
                if wanted in (member.name.lower(), str(member.value).lower()):
                    return member
            for name, remedy in cls.refused().items():
                if wanted == name.lower():
                    raise ValueError(f"{name} is not offered: {remedy}")
        raise ValueError(f"must be one of {', '.join(repr(m.value) for m in cls)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


def parameter(
    default: Any = ...,
    meaning: str = "",
    *,
    unit: str = "",
    factory: Any = None,
    log: bool = False,
    group: str = "",
    typical: tuple[float, float] | None = None,
    **bounds: Any,
) -> Any:
    """Declare a field of a :class:`Parameters` class.

    Args:
        default: value when not given; leave out for a required field.
        meaning: one line for tooltips, documentation and error messages.
        unit: physical unit or what the value is relative to.
        factory: makes the default of a nested or list field.
        log: show the value on a logarithmic scale.
        group: heading under which a form lists the field.
        typical: range a slider covers when the allowed range is wider.
        bounds: ``ge``, ``gt``, ``le``, ``lt``, ``min_length`` ... as in pydantic.
    """
    extra: dict[str, Any] = {"unit": unit, "log": log, "group": group, "typical": list(typical) if typical else None}
    if factory is not None:
        return Field(default_factory=factory, description=meaning, json_schema_extra=extra, **bounds)
    return Field(default, description=meaning, json_schema_extra=extra, **bounds)


class Parameters(BaseModel):
    """Validated, printable, exportable configuration object.

    Fields are checked at construction and at every assignment; an unknown name or a bad value raises
    :class:`ParameterError` and leaves the object as it was.
    """

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    _registry: ClassVar[dict[str, type[Parameters]]] = {}
    # Classes that only share fields say so with abstract=True and cannot be built themselves.
    _abstract: ClassVar[bool] = False

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._abstract = abstract

    @classmethod
    def __pydantic_init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._registry[cls.__name__] = cls

    # --- validation -----------------------------------------------------------------------------------------------

    def __init__(self, **data: Any) -> None:
        cls = type(self)
        if cls._abstract:
            known = [name for name, kind in cls._registry.items() if issubclass(kind, cls) and not kind._abstract]
            raise ParameterError(f"{cls.__name__} only shares fields; use one of {some_of(known) or 'its subclasses'}")
        coerced = {name: cls._coerce(name, value) for name, value in data.items()}
        try:
            super().__init__(**coerced)
        except ValidationError as error:
            raise cls._readable(error) from None

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        coerced = cls._coerce(name, value)
        before = dict(self.__dict__)
        try:
            super().__setattr__(name, coerced)
        except ValidationError as error:
            # A rule over several fields runs after the assignment: put the object back as it was.
            self.__dict__.clear()
            self.__dict__.update(before)
            raise cls._readable(error) from None

    @classmethod
    def _coerce(cls, name: str, value: Any) -> Any:
        info = cls.model_fields.get(name)
        if info is None:
            raise ParameterError(unknown_name_message(f"{cls.__name__} has no field", name, cls.model_fields))
        if isinstance(value, np.generic):
            value = value.item()
        choice = field_choice(info)
        if choice is not None and value is not None:
            try:
                return choice.parse(value)
            except ValueError as error:
                raise ParameterError(f"{cls.__name__}.{name} = {value!r}: {error} ({info.description})") from None
        if isinstance(value, (tuple, np.ndarray)) and field_is_list(info):
            return [item.item() if isinstance(item, np.generic) else item for item in value]
        return value

    @classmethod
    def _readable(cls, error: ValidationError) -> ParameterError:
        lines = []
        for item in error.errors():
            path = ".".join(str(part) for part in item["loc"])
            name = str(item["loc"][0]) if item["loc"] else ""
            info = cls.model_fields.get(name)
            meaning = f" ({info.description})" if info is not None and info.description else ""
            reason = item["msg"].removeprefix("Value error, ").replace(" after validation", "")
            if reason.startswith("Input should be "):
                reason = f"must be {reason.removeprefix('Input should be ')}"
            elif item["type"] != "value_error":
                reason = reason[:1].lower() + reason[1:]
            if item["type"] == "missing":
                lines.append(f"{cls.__name__}.{path} is required{meaning}")
            elif not path:
                lines.append(f"{cls.__name__}: {reason}")
            else:
                lines.append(f"{cls.__name__}.{path} = {item['input']!r}: {reason}{meaning}")
        return ParameterError("; ".join(lines))

    # --- looking at it --------------------------------------------------------------------------------------------

    def changed(self) -> dict[str, Any]:
        """The fields whose value differs from the class default, in declaration order."""
        return {name: value for name, value in self._own_fields() if not self._is_default(name, value)}

    def _own_fields(self) -> Iterator[tuple[str, Any]]:
        for name in type(self).model_fields:
            yield name, getattr(self, name)

    def _is_default(self, name: str, value: Any) -> bool:
        info = type(self).model_fields[name]
        if info.is_required():
            return False
        default = info.get_default(call_default_factory=True)
        return type(default) is type(value) and bool(default == value)

    def __repr__(self) -> str:
        return self._constructor_text(indent=0, width=100)

    def __str__(self) -> str:
        return self.__repr__()

    def _constructor_text(self, indent: int, width: int) -> str:
        pieces = []
        for name, value in self.changed().items():
            pieces.append(f"{name}={_value_text(value, indent + 4, width)}")
        name = type(self).__name__
        one_line = f"{name}({', '.join(pieces)})"
        if "\n" not in one_line and len(one_line) + indent <= width:
            return one_line
        pad = " " * (indent + 4)
        body = "".join(f"{pad}{piece},\n" for piece in pieces)
        return f"{name}(\n{body}{' ' * indent})"

    def diff(self, other: Parameters) -> dict[str, tuple[Any, Any]]:
        """Fields that differ, as ``path -> (value here, value there)``.

        A differing class appears as ``path.type``; members of a list of objects by their place.
        """
        return dict(_differences("", self.to_dict(full=True), other.to_dict(full=True)))

    @classmethod
    def table(cls) -> list[dict[str, Any]]:
        """One row per field: name, default, unit, allowed range and meaning."""
        rows = []
        for name, info in cls.model_fields.items():
            default = None if info.is_required() else info.get_default(call_default_factory=True)
            rows.append(
                {
                    "field": name,
                    "default": plain(default),
                    "unit": field_extra(info, "unit") or "",
                    "allowed": allowed_text(info),
                    "meaning": info.description or "",
                }
            )
        return rows

    def cautions(self) -> list[str]:
        """Sentences about settings that are allowed but unlikely to be meant; empty when there is nothing to say."""
        found = []
        for name, value in self._own_fields():
            if isinstance(value, Parameters):
                found += [f"{name}: {text}" for text in value.cautions()]
        return found

    # --- dictionaries, JSON, YAML, Python ---------------------------------------------------------------------------

    def to_dict(self, full: bool = False) -> dict[str, Any]:
        """Plain data with the class name under ``type``. ``full`` keeps the fields that are at their default."""
        fields = dict(self._own_fields()) if full else self.changed()
        result: dict[str, Any] = {"type": type(self).__name__}
        for name, value in fields.items():
            result[name] = _to_plain(value, full)
        return result

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Build from :meth:`to_dict`. Unknown types and fields raise, naming the path and the nearest known name."""
        built = _from_plain(data, cls, path="")
        if not isinstance(built, cls):
            raise ParameterError(f"expected {cls.__name__}, found {type(built).__name__}")
        return built

    def to_json(self, full: bool = False) -> str:
        """JSON text of :meth:`to_dict` with the schema version."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **self.to_dict(full)}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`."""
        try:
            data = json.loads(text)
        except RecursionError:
            raise ParameterError("not valid JSON: nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ParameterError(f"not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
        return cls.from_dict(_without_version(data))

    def to_yaml(self, full: bool = False) -> str:
        """YAML text of :meth:`to_dict` with the schema version."""
        data = {"schema_version": SCHEMA_VERSION, **self.to_dict(full)}
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Inverse of :meth:`to_yaml`; numbers such as ``1e-5`` are read as numbers."""
        try:
            data = yaml.load(text, Loader=_YamlLoader)
        except RecursionError:
            raise ParameterError("not valid YAML: nested too deeply") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
            raise ParameterError(f"not valid YAML: {where}{getattr(error, 'problem', error)}") from None
        return cls.from_dict(_without_version(data))

    def to_python(self, name: str = "config") -> str:
        """Python source that rebuilds this object and assigns it to ``name``."""
        modules: dict[str, set[str]] = {}
        _collect_imports(self, modules)
        lines = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items())]
        return "\n".join([*lines, "", f"{name} = {self!r}", ""])

    @classmethod
    def from_python(cls, text: str) -> Self:
        """Read constructor text such as :meth:`to_python` writes. The text is parsed, never executed."""
        try:
            built = _read_python(text)
        except (RecursionError, MemoryError):
            raise ParameterError("not a configuration: nested too deeply") from None
        if not isinstance(built, cls):
            raise ParameterError(f"expected {cls.__name__}, found {type(built).__name__}")
        return built


# --- field metadata ---------------------------------------------------------------------------------------------------


def field_extra(info: FieldInfo, key: str) -> Any:
    """Metadata given to :func:`parameter` (``unit``, ``log``, ``group``, ``typical``)."""
    extra = info.json_schema_extra
    return extra.get(key) if isinstance(extra, dict) else None


def field_bounds(info: FieldInfo) -> dict[str, Any]:
    """The numeric bounds of a field, keyed ``ge``, ``gt``, ``le``, ``lt``."""
    bounds: dict[str, Any] = {}
    for item in info.metadata:
        for key in ("ge", "gt", "le", "lt"):
            if getattr(item, key, None) is not None:
                bounds[key] = getattr(item, key)
    return bounds


def field_choice(info: FieldInfo) -> type[Choice] | None:
    """The :class:`Choice` class of a field, or None."""
    for kind in _alternatives(info.annotation):
        if isinstance(kind, type) and issubclass(kind, Choice):
            return kind
    return None


def field_is_list(info: FieldInfo) -> bool:
    """Whether the field holds a list."""
    return any(typing.get_origin(kind) is list for kind in _alternatives(info.annotation))


def allowed_text(info: FieldInfo) -> str:
    """What a field accepts, in words."""
    choice = field_choice(info)
    if choice is not None:
        return ", ".join(str(member.value) for member in choice)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " and ".join(f"{signs[key]} {value:g}" for key, value in field_bounds(info).items())


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _nested_class(annotation: Any) -> type[Parameters] | None:
    for kind in _alternatives(annotation):
        if isinstance(kind, type) and issubclass(kind, Parameters):
            return kind
        if typing.get_origin(kind) is list:
            return _nested_class(typing.get_args(kind)[0])
    return None


def unknown_name_message(what: str, name: str, known: Any) -> str:
    """ "``what`` 'name'; did you mean ...?" with the nearest known names, or the list when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {some_of(sorted(known))}"
    return f"{what} {name!r}; {hint}"


def some_of(names: Sequence[str], most: int = 20) -> str:
    """Names in a sentence; of very many only the first and their number."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} ... ({len(names)} in all)"


# --- text and plain data ----------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Numbers, strings, lists and dictionaries only."""
    return _to_plain(value, full=False)


def _value_text(value: Any, indent: int, width: int) -> str:
    if isinstance(value, Parameters):
        return value._constructor_text(indent, width)
    if isinstance(value, list):
        parts = [_value_text(item, indent + 4, width) for item in value]
        one_line = f"[{', '.join(parts)}]"
        if "\n" not in one_line and len(one_line) + indent <= width:
            return one_line
        pad = " " * (indent + 4)
        return "[\n" + "".join(f"{pad}{part},\n" for part in parts) + " " * indent + "]"
    return repr(value)


def _to_plain(value: Any, full: bool) -> Any:
    if isinstance(value, Parameters):
        return value.to_dict(full)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_to_plain(item, full) for item in value]
    if isinstance(value, dict):
        return {key: _to_plain(item, full) for key, item in value.items()}
    return value


def _from_plain(data: Any, expected: type[Parameters], path: str) -> Parameters:
    where = f" at {path}" if path else ""
    if not isinstance(data, dict):
        raise ParameterError(f"expected the fields of {expected.__name__}{where}, found {type(data).__name__}")
    fields = dict(data)
    type_name = fields.pop("type", expected.__name__)
    cls = Parameters._registry.get(str(type_name))
    if cls is None:
        known = [name for name, kind in Parameters._registry.items() if issubclass(kind, expected)]
        raise ParameterError(unknown_name_message(f"unknown type{where}", str(type_name), known))
    values: dict[str, Any] = {}
    for name, value in fields.items():
        inner = f"{path}.{name}" if path else str(name)
        info = cls.model_fields.get(name)
        if info is None:
            raise ParameterError(
                unknown_name_message(f"{inner}: {cls.__name__} has no field", str(name), cls.model_fields)
            )
        values[name] = _field_from_plain(value, info, inner)
    try:
        return cls(**values)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}" if path else str(error)) from None


def _field_from_plain(value: Any, info: FieldInfo, path: str) -> Any:
    nested = _nested_class(info.annotation)
    if nested is None:
        return value
    if isinstance(value, list):
        return [_from_plain(item, nested, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return _from_plain(value, nested, path)
    return value


def _without_version(data: Any) -> Any:
    if isinstance(data, dict) and "schema_version" in data:
        if data["schema_version"] != SCHEMA_VERSION:
            raise ParameterError(
                f"schema_version {data['schema_version']!r} is not supported; this release reads {SCHEMA_VERSION}"
            )
        return {key: value for key, value in data.items() if key != "schema_version"}
    return data


class _YamlLoader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader that reads ``1e-5`` as a number, which YAML 1.1 takes for a word."""


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"),
    list("-+0123456789."),
)


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _differences(path: str, left: Any, right: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(left, dict) and isinstance(right, dict):
        # Of two classes, the fields that only one has follow from the class.
        for key in [key for key in left if key in right]:
            yield from _differences(f"{path}.{key}" if path else key, left[key], right[key])
    elif _of_objects(left) and _of_objects(right) and len(left) == len(right):
        for index, pair in enumerate(zip(left, right, strict=True)):
            yield from _differences(f"{path}.{index}", *pair)
    elif left != right:
        yield path, (left, right)


# --- Python text ------------------------------------------------------------------------------------------------------


def _collect_imports(value: Any, modules: dict[str, set[str]]) -> None:
    if isinstance(value, Parameters):
        modules.setdefault(public_module(type(value)), set()).add(type(value).__name__)
        for item in value.changed().values():
            _collect_imports(item, modules)
    elif isinstance(value, Choice):
        modules.setdefault(public_module(type(value)), set()).add(type(value).__name__)
    elif isinstance(value, list):
        for item in value:
            _collect_imports(item, modules)


def public_module(cls: type) -> str:
    """The module users import a class from."""
    module = cls.__module__
    for room in ("tilewright.runs", "tilewright.measurement"):
        if module.startswith(room):
            return room
    if module.startswith(("tilewright.presets", "tilewright.tile_presets")):
        return "tilewright.presets"
    return "tilewright.configs" if module.startswith("tilewright.") else module


def _read_python(text: str) -> Any:
    try:
        tree = ast.parse(text.strip())
    except SyntaxError as error:
        raise ParameterError(f"not valid Python: line {error.lineno}: {error.msg}") from None
    expression: ast.expr | None = None
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            continue
        if isinstance(statement, (ast.Assign, ast.Expr)) and expression is None:
            expression = statement.value
        else:
            raise ParameterError(f"line {statement.lineno}: only one configuration, with imports before it, is read")
    if expression is None:
        raise ParameterError("no configuration found in the text")
    return _read_expression(expression)


def _read_expression(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _read_expression(node.operand)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_read_expression(item) for item in node.elts]
    if isinstance(node, ast.Attribute):
        return node.attr  # an enumeration member, matched by name when the field is assigned
    if isinstance(node, ast.Call):
        return _read_call(node)
    raise ParameterError(f"line {node.lineno}: {ast.unparse(node)!r} is not a value, a list or a configuration class")


def _read_call(node: ast.Call) -> Any:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    cls = Parameters._registry.get(name)
    if cls is None:
        raise ParameterError(unknown_name_message(f"line {node.lineno}: unknown class", name, Parameters._registry))
    if node.args:
        raise ParameterError(f"line {node.lineno}: {name}(...) takes named fields only")
    values = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ParameterError(f"line {node.lineno}: {name}(**...) is not read")
        if keyword.arg in values:
            raise ParameterError(f"line {node.lineno}: {name} is given {keyword.arg} twice")
        values[keyword.arg] = _read_expression(keyword.value)
    return cls(**values)


def derive_fields(**computed: Callable[[Any], Any]) -> Callable[[type[Parameters]], Any]:
    """Class decorator: inherited fields that follow from the others become read-only properties.

    They can no longer be set, and do not appear in forms, tables or exports.

    Args:
        computed: name of the field to its value, given the object.
    """

    def apply(cls: type[Parameters]) -> type[Parameters]:
        for name, compute in computed.items():
            meaning = cls.model_fields.pop(name).description
            setattr(cls, name, property(compute, doc=meaning))
        cls.model_rebuild(force=True)
        return cls

    return apply


def with_defaults(base: type[Parameters], name: str, doc: str, module: str, **defaults: Any) -> Any:
    """A subclass of ``base`` that differs only in field defaults: how presets are made from data."""
    annotations: dict[str, Any] = {}
    namespace: dict[str, Any] = {"__doc__": doc, "__module__": module, "__annotations__": annotations}
    checked = base(**defaults)
    for field in defaults:
        info = copy.copy(base.model_fields[field])
        info.default, info.default_factory = getattr(checked, field), None
        annotations[field] = info.annotation
        namespace[field] = info
    metaclass: Any = type(base)
    return metaclass(name, (base,), namespace)
