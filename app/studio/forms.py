"""Widgets generated from a parameter class: the field's declaration decides label, range, scale, unit and tooltip."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st
from pydantic.fields import FieldInfo
from streamlit.delta_generator import DeltaGenerator

from studio.numbers import significant
from studio.places import LAST, carry, first_of_visit
from studio.words import plain
from tilewright.parameters import (
    ParameterError,
    Parameters,
    allowed_text,
    field_bounds,
    field_choice,
    field_extra,
    field_is_list,
)

P = TypeVar("P", bound=Parameters)

STEPS_OF_A_SLIDER = 200
PER_DECADE = 40
OTHER = "More"
LONGEST_BOUND = 40


def slug(name: str) -> str:
    """A name fit for a widget key and an address: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "x"


def parameter_form(
    base: P,
    key: str,
    *,
    open_groups: Sequence[str] = (),
    skip: Sequence[str] = (),
    only: Sequence[str] | None = None,
    errors: DeltaGenerator | None = None,
) -> P:
    """Widgets for the fields of ``base``, and a copy with what they say.

    Every field is bound to the address of the page, as ``<key>.<field>``, as long as it differs from ``base``.

    Args:
        base: the object whose values the widgets start from; it is not changed.
        key: tells apart forms of one page; short, since it appears in the address.
        open_groups: headings that start open.
        skip: fields to leave out.
        only: when given, just these fields, without headings.
        errors: where to say what is wrong, for a form that is scrolled; below the form when not given.
    """
    left = _follow_base(base, key)
    values: dict[str, Any] = {}
    if only is not None:
        for name in only:
            values[name] = _field_widget(base, name, key)
    else:
        for group, names in _groups(base, skip).items():
            with st.expander(group, expanded=group in open_groups):
                for name in names:
                    values[name] = _field_widget(base, name, key)
    lost = {n: v for n, v in left.items() if n in values and _widget_value(values[n]) != _widget_value(v)}
    _insist({f"{key}.{name}": value for name, value in lost.items()})
    return _built(base, values, key, errors)


def _insist(left: dict[str, Any]) -> None:
    """Draw the page again with widgets as they were left, where Streamlit gave them their defaults all the same.

    It does so when the browser's Back leads to an address without parameters.
    """
    if left:
        carry(**{key: _widget_value(value) for key, value in left.items()})
        st.rerun()


def changes_line(base: Parameters, made: Parameters) -> str:
    """What was changed, in a line: ``dw_min 0.001 → 0.002``; empty when nothing was."""
    parts = []
    for name in type(base).model_fields:
        before, after = getattr(base, name), getattr(made, name)
        if before != after and not isinstance(before, Parameters):
            parts.append(f"{name} {_short(before)} → {_short(after)}")
    return ", ".join(parts)


def reset_button(base: Parameters, key: str, label: str = "Reset") -> None:
    """A button that puts every widget of a form back to ``base``."""
    st.button(label, icon=":material/restart_alt:", key=f"{key}#reset", on_click=_set_widgets, args=(base, key))


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return significant(float(value), 4).rstrip("0").rstrip(".") if value else "0"
    if isinstance(value, list):
        return f"{len(value)} values" if len(value) > 4 else f"[{', '.join(map(_short, value))}]"
    return str(getattr(value, "value", value))


def _follow_base(base: Parameters, key: str) -> dict[str, Any]:
    """When the object behind a form was saved anew, its widgets start again from it; else from where they were left.

    Streamlit forgets the widgets of a page that is left. What they said comes back with the page, unless its address
    says otherwise.

    Returns:
        the fields that come back, by name, at the first sight of a form in a visit of its page.
    """
    left: dict[str, Any] = {}
    text, mark, last = base.to_json(full=True), f"{key}#base", st.session_state.get(f"{key}#valid")
    entered = first_of_visit(key)
    if st.session_state.get(mark, text) != text:
        _set_widgets(base, key)
    elif type(last) is type(base) and not any(name.startswith(f"{key}.") for name in st.query_params):
        for name in type(base).model_fields:
            if (entered or f"{key}.{name}" not in st.session_state) and getattr(last, name) != getattr(base, name):
                st.session_state[f"{key}.{name}"] = _widget_value(getattr(last, name))
                left[name] = getattr(last, name)
    st.session_state[mark] = text
    return left if entered else {}


def _set_widgets(base: Parameters, key: str) -> None:
    for name in type(base).model_fields:
        if f"{key}.{name}" in st.session_state:
            st.session_state[f"{key}.{name}"] = _widget_value(getattr(base, name))


def _widget_value(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(f"{item:.6g}" if isinstance(item, float) else str(item) for item in value)
    return getattr(value, "value", value)


def _built(base: P, values: dict[str, Any], key: str, errors: DeltaGenerator | None) -> P:
    """The object the widgets describe; when a rule over several fields refuses it, the last one that was allowed."""
    fields = {name: getattr(base, name) for name in type(base).model_fields} | values
    try:
        made = type(base)(**fields)
    except ParameterError as error:
        text = plain(f"{error}. The figures keep the values from before this change.")
        (errors or st).error(text, icon=":material/error:")
        last = st.session_state.get(f"{key}#valid")
        return last if isinstance(last, type(base)) else base
    st.session_state[f"{key}#valid"] = made
    return made


def _groups(base: Parameters, skip: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, info in type(base).model_fields.items():
        value = getattr(base, name)
        if name in skip or isinstance(value, Parameters) or (field_is_list(info) and item_of(info) is not float):
            continue
        groups.setdefault(field_extra(info, "group") or OTHER, []).append(name)
    if list(groups) == [OTHER]:
        return {"Settings": groups[OTHER]}
    return groups


def label_of(name: str, info: FieldInfo) -> str:
    """The field's name and unit, as a label."""
    unit = field_extra(info, "unit")
    return f"{name} ({unit})" if unit else name


def tooltip_of(info: FieldInfo, default: Any) -> str:
    """Meaning, allowed values and starting value of a field."""
    meaning = (info.description or "").strip()
    parts = [meaning[:1].upper() + meaning[1:] + "." if meaning else ""]
    allowed = allowed_text(info)
    if allowed and field_choice(info) is None:
        parts.append(f"Allowed: {allowed}.")
    parts.append(f"Starts at {_short(default)}.")
    return " ".join(part for part in parts if part)


def _field_widget(base: Parameters, name: str, key: str) -> Any:
    info = type(base).model_fields[name]
    value = getattr(base, name)
    common: dict[str, Any] = {
        "label": label_of(name, info),
        "key": f"{key}.{name}",
        "help": tooltip_of(info, value),
        "bind": "query-params",
    }
    choice = field_choice(info)
    if choice is not None:
        options = [str(member.value) for member in choice]
        return st.selectbox(options=options, index=options.index(str(value.value)), **common)
    if _takes(info, bool) and _takes(info, type(None)):
        options = {"automatic": None, "yes": True, "no": False}
        words = list(options)
        return options[st.selectbox(options=words, index=list(options.values()).index(value), **common)]
    if isinstance(value, bool):
        return st.toggle(value=value, **common)
    if isinstance(value, str):
        return st.text_input(value=value, **common)
    if field_is_list(info):
        if len(value) > LONGEST_BOUND:
            common["bind"] = None  # addresses have a length
        text = st.text_input(value=_widget_value(value), placeholder="separated by commas", **common)
        if text == _widget_value(value):
            return value  # with all its digits
        parts = [part.strip() for part in (text or "").split(",") if part.strip()]
        return [_number_or_text(part) for part in parts] if item_of(info) is float else parts
    if value is None and _takes(info, int):
        return st.number_input(value=None, step=1, min_value=field_bounds(info).get("ge"), **common)
    if value is None and _takes(info, float):
        return st.number_input(
            value=None, min_value=_as_float(field_bounds(info).get("ge")), format="%.6g", placeholder="empty", **common
        )
    if isinstance(value, int):
        return _whole_widget(info, value, common)
    if isinstance(value, float):
        return _number_widget(info, value, common)
    return value


def item_of(info: FieldInfo) -> Any:
    """What a list field holds: ``float``, ``str``, a class, or None for other fields."""
    items = typing.get_args(info.annotation) if typing.get_origin(info.annotation) is list else ()
    return items[0] if items else None


def _number_or_text(part: str) -> Any:
    """A number where it is one; what is not is left to the field's own check, which words the error."""
    try:
        return float(part)
    except ValueError:
        return part


def _takes(info: FieldInfo, kind: type) -> bool:
    return kind in (typing.get_args(info.annotation) or (info.annotation,))


def _whole_widget(info: FieldInfo, value: int, common: dict[str, Any]) -> int:
    low, high = _range(info, float(value))
    if low is None or high is None or high - low > 2000:
        bounds = field_bounds(info)
        return int(
            st.number_input(min_value=bounds.get("ge"), max_value=bounds.get("le"), value=value, step=1, **common)
        )
    return int(st.slider(min_value=math.floor(low), max_value=math.ceil(high), value=value, step=1, **common))


def _number_widget(info: FieldInfo, value: float, common: dict[str, Any]) -> float:
    low, high = _range(info, value)
    if field_extra(info, "log") and low is not None and high is not None and low > 0 < value:
        options = log_steps(low, high, value)
        return float(st.select_slider(options=options, value=value, format_func=_tick, **common))
    if low is None or high is None:
        bounds = field_bounds(info)
        return float(
            st.number_input(
                min_value=_as_float(bounds.get("ge")), max_value=_as_float(bounds.get("le")), value=value,
                step=max(abs(value) / 20, 0.01), format="%.6g", **common,
            )
        )  # fmt: skip
    step = nice_step((high - low) / STEPS_OF_A_SLIDER)
    bounds = field_bounds(info)
    if "gt" in bounds and low <= bounds["gt"]:
        low = bounds["gt"] + step
    if "lt" in bounds and high >= bounds["lt"]:
        high = bounds["lt"] - step
    return float(st.slider(min_value=low, max_value=high, value=value, step=step, format="%.4g", **common))


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _range(info: FieldInfo, value: float) -> tuple[float | None, float | None]:
    """What a slider covers: the typical range, else the allowed one, widened to hold the present value."""
    bounds = field_bounds(info)
    typical = field_extra(info, "typical")
    low = typical[0] if typical else bounds.get("ge", bounds.get("gt"))
    high = typical[1] if typical else bounds.get("le", bounds.get("lt"))
    if low is None or high is None:
        return None, None
    span = high - low
    if value < low:
        low = max(value - 0.25 * span, bounds.get("ge", -math.inf)) if not field_extra(info, "log") else value
    if value > high:
        high = min(value + 0.25 * span, bounds.get("le", math.inf)) if not field_extra(info, "log") else value
    return float(low), float(high)


def nice_step(step: float) -> float:
    """The nearest smaller of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return max(factor * power for factor in (1.0, 2.0, 5.0) if factor * power <= step * 1.0001)


def log_steps(low: float, high: float, value: float) -> list[float]:
    """Numbers with three significant digits, evenly spaced on a logarithmic scale, with ``value`` among them."""
    count = max(round(PER_DECADE * math.log10(high / low)), 1)
    grid = {float(f"{low * (high / low) ** (i / count):.3g}") for i in range(count + 1)}
    return sorted({number for number in grid if not math.isclose(number, value, rel_tol=0.01)} | {value})


def _tick(value: float) -> str:
    return f"{value:.4g}"


def named_choice(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    default: str | None = None,
    format_func: Callable[[str], str] = str,
    **widget: Any,
) -> str | None:
    """A selection kept in the address and, for this visitor, on every page that asks the same.

    A name that no longer exists gives way to the default.
    """
    if not options:
        return None
    last, wanted = f"{key}{LAST}", st.session_state.get(key)
    entered = first_of_visit(key) and key not in st.query_params
    if wanted is not None and wanted not in options:
        st.session_state.pop(key)
    elif (wanted is None or entered) and key not in st.query_params and st.session_state.get(last) in options:
        wanted = st.session_state[key] = st.session_state[last]
    index = options.index(default) if default in options else 0
    chosen = st.selectbox(label, options, index=index, key=key, format_func=format_func, bind="query-params", **widget)
    if entered and wanted in options and chosen != wanted:
        _insist({key: wanted})
    st.session_state[last] = chosen
    return chosen
