"""Every configuration class of the package, and hypothesis strategies that fill them."""

from __future__ import annotations

import typing

from annotated_types import MaxLen, MinLen
from hypothesis import assume
from hypothesis import strategies as st

from tilewright import configs, presets
from tilewright.parameters import ParameterError, Parameters, field_bounds, field_choice


def known_classes() -> list[type[Parameters]]:
    """Concrete classes users can build, presets included; tests of other rooms may have registered more."""
    assert configs.build_config
    assert presets.DEVICE_PRESETS
    return [
        cls
        for name, cls in sorted(Parameters._registry.items())
        if cls.__module__.startswith(("tilewright.devices", "tilewright.cells", "tilewright.configs"))
        or cls.__module__ in ("tilewright.periphery", "tilewright.presets")
        if not cls._abstract
    ]


def numbers(info: typing.Any) -> st.SearchStrategy[float]:
    """Floats a field accepts, extremes included."""
    bounds = field_bounds(info)
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return st.floats(
        min_value=low,
        max_value=high,
        exclude_min="gt" in bounds,
        exclude_max="lt" in bounds,
        allow_nan=False,
        allow_infinity=False,
    )


def integers(info: typing.Any) -> st.SearchStrategy[int]:
    bounds = field_bounds(info)
    low = bounds.get("ge", bounds["gt"] + 1 if "gt" in bounds else None)
    high = bounds.get("le", bounds["lt"] - 1 if "lt" in bounds else 10**6)
    return st.integers(low, high)


def value_of(annotation: typing.Any, info: typing.Any) -> st.SearchStrategy[typing.Any]:
    """A strategy for the values of one field."""
    choice = field_choice(info)
    if choice is not None:
        return st.sampled_from(list(choice))
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return integers(info)
    if annotation is float:
        return numbers(info)
    if annotation is str:
        return st.text(max_size=20)
    if typing.get_origin(annotation) is list:
        sizes = {type(item): item for item in info.metadata}
        low = sizes[MinLen].min_length if MinLen in sizes else 0
        high = sizes[MaxLen].max_length if MaxLen in sizes else low + 2
        return st.lists(value_of(typing.get_args(annotation)[0], info), min_size=low, max_size=high)
    if isinstance(annotation, type) and issubclass(annotation, Parameters):
        candidates = [cls for cls in known_classes() if issubclass(cls, annotation)]
        assert candidates, f"no concrete class for {annotation}"
        return st.sampled_from(candidates).flatmap(instances)
    alternatives = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    assert alternatives, f"no strategy for {annotation}"
    return st.one_of([value_of(kind, info) for kind in alternatives])


def required_values(cls: type[Parameters]) -> st.SearchStrategy[dict[str, typing.Any]]:
    return st.fixed_dictionaries(
        {name: value_of(info.annotation, info) for name, info in cls.model_fields.items() if info.is_required()}
    )


@st.composite
def instances(draw: st.DrawFn, cls: type[Parameters]) -> Parameters:
    """An object of ``cls`` with up to five fields set, one after the other as a user would; refusals are kept out."""
    required = draw(required_values(cls))
    try:
        built = cls(**required)
    except ParameterError:  # members that do not go together: one kind does
        try:
            built = cls(**{name: value[:1] if isinstance(value, list) else value for name, value in required.items()})
        except ParameterError:
            assume(False)
    fields = sorted(cls.model_fields)
    names = draw(st.lists(st.sampled_from(fields), max_size=5, unique=True)) if fields else []
    for name in names:
        info = cls.model_fields[name]
        if isinstance(getattr(built, name), Parameters):
            continue  # nested objects keep their own tests; deep trees would only repeat them
        try:
            setattr(built, name, draw(value_of(info.annotation, info)))
        except ParameterError:
            continue
    return built


CLASSES = known_classes()
