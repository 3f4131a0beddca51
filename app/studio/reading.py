"""How a file was understood, shown with its confidence, and widgets that correct it."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import streamlit as st

from studio.forms import parameter_form, slug
from studio.words import plain
from studio.workspace import workspace_code
from tilewright.measurement import ColumnGuess, Reading, ReadOptions, inspect_file
from tilewright.measurement.roles import ROLES

MOST_COLUMNS = 200
PULSES = ["layout", "protocol", "sampling", "mirrored"]
UNITS = ["unit", "read_voltage", "resistance"]
FILE = ["sheet", "separator", "decimal", "header_rows"]


@st.cache_data(max_entries=6, show_spinner="Reading the file …")
def inspected(content: bytes, name: str, options: str) -> Reading:
    """The reading of a file; ``options`` as YAML."""
    return inspect_file(io.BytesIO(content), name=name, options=ReadOptions.from_yaml(options))


def saved_code(name: str) -> str:
    """The Python that loads a measurement of the workspace."""
    return f"measurement = {workspace_code()}.measurements.load({name!r})"


def _code(path: str, options: ReadOptions) -> list[str]:
    """The Python that reads a file; ``path`` as Python."""
    imports = ["from tilewright.measurement import read_measurement"]
    if path.startswith("asset_path"):
        imports.insert(0, "from tilewright.assets import asset_path")
    if options == ReadOptions():
        return [*imports, "", f"measurement = read_measurement({path})"]
    return [*imports, options.to_python("options"), f"measurement = read_measurement({path}, options=options)"]


def understood(content: bytes, name: str, path: str) -> tuple[Reading, list[str]]:
    """Read a file as found, and again with what the visitor corrects; with the Python that does so.

    Args:
        content: of the file.
        name: of the measurement.
        path: of the file, as Python.
    """
    first = inspected(content, name, ReadOptions().to_yaml(full=True))
    unsure = first.measurement is None or first.measurement.confidence < 0.75
    with st.expander(f"How to read it{' — please check' if unsure else ''}", expanded=unsure, icon=":material/rule:"):
        options = _corrections(first, f"read.{slug(name)}")
    if options == ReadOptions():
        return first, _code(path, options)
    return inspected(content, name, options.to_yaml(full=True)), _code(path, options)


def _corrections(first: Reading, key: str) -> ReadOptions:
    st.caption("Everything was found from the file. Change what was found wrongly; the plot follows.")
    roles = _column_table(first.columns, key) if first.columns else {}
    pulses, units, file = st.tabs(["Pulses", "Units", "File"])
    base = ReadOptions()
    with pulses:
        made = parameter_form(base, f"{key}.p", only=PULSES)
    with units:
        made = made.model_copy(update=_chosen(parameter_form(base, f"{key}.u", only=UNITS), UNITS))
    with file:
        if len(first.sheets) > 1:
            st.caption(f"Sheets with numbers: {', '.join(first.sheets)}.")
        made = made.model_copy(update=_chosen(parameter_form(base, f"{key}.f", only=FILE), FILE))
    return made.model_copy(update=roles)


def _chosen(options: ReadOptions, fields: list[str]) -> dict[str, Any]:
    return {name: getattr(options, name) for name in fields}


def _column_table(columns: tuple[ColumnGuess, ...], key: str) -> dict[str, Any]:
    """The columns with their roles, to be changed; what the changes mean for reading."""
    shown = columns[:MOST_COLUMNS]
    table = pd.DataFrame(
        {
            "Column": [f"{c.name}: {c.header}" if c.header else c.name for c in shown],
            "Role": [c.role for c in shown],
            "Sure": [c.confidence for c in shown],
            "Why": [c.reason for c in shown],
        }
    )
    edited = st.data_editor(
        table, key=f"{key}.columns", hide_index=True, width="stretch", disabled=["Column", "Sure", "Why"],
        height="content" if len(shown) <= 5 else 220,
        column_config={
            "Role": st.column_config.SelectboxColumn(options=list(ROLES), required=True, width="small"),
            "Sure": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, width="small"),
        },
    )  # fmt: skip
    roles = [str(role) for role in edited["Role"]]
    if roles == [c.role for c in shown]:
        return {}
    names: dict[str, list[str]] = {role: [] for role in ROLES}
    for column, role in zip(shown, roles, strict=True):
        names[role].append(column.name)
    update: dict[str, Any] = {"value_columns": names["response"], "ignored_columns": names["left out"]}
    for role, option in (("pulse", "pulse_column"), ("cycle", "cycle_column"), ("device", "device_column")):
        if names[role]:
            update[option] = names[role][0]
    return update


def show_guesses(reading: Reading) -> None:
    """What was found out about a file, each with its confidence and reason."""
    for guess in reading.guesses:
        found, reason = plain(guess.found), plain(guess.reason)
        st.markdown(f"{_badge(guess.confidence)} **{guess.what.capitalize()}** {found}  \n:gray[{reason}]")


def _badge(confidence: float) -> str:
    colour = "green" if confidence >= 0.85 else "orange" if confidence > 0.6 else "red"
    return f":{colour}-badge[{100 * confidence:.0f} %]"
