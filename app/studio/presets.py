"""The table of presets: its columns, filters, and what is said about one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from tilewright.preset_table import PresetRow, preset_class, preset_table

KINDS = {"All": "", "Devices": "device", "Periphery": "periphery", "Updates": "update", "Tiles": "tile"}

SHOWN = {
    "name": "Name",
    "kind": "Kind",
    "algorithm": "Algorithm",
    "technology": "Technology",
    "states": "States",
    "symmetry_point": "Symmetry point",
    "asymmetry": "Asymmetry",
    "snr": "Step over noise",
    "write_noise": "Write noise",
    "spread": "Spread of steps",
    "device": "Device",
    "source": "Source",
    "settings": "Settings",
    "model": "Model",
}
_HELP = {
    "states": ("localized", "Range divided by the mean step at weight 0."),
    "symmetry_point": ("%.3f", "Weight where up and down steps are equal; empty where they nowhere are."),
    "asymmetry": ("%.3f", "(down − up) / (down + up) at weight 0."),
    "snr": ("%.3g", "Step at weight 0 over the noise of a read after one pulse."),
    "write_noise": ("%.3g", "Noise of the weight after a write, in weight units."),
    "spread": ("%.2g", "Device-to-device spread of the step, relative."),
}
WIDTHS = {
    "name": 190,
    "kind": 70,
    "algorithm": 90,
    "technology": 130,
    "source": 290,
    "settings": 330,
    "device": 190,
    "model": 200,
}
FORMATS = {
    name: st.column_config.NumberColumn(title, format=_HELP[name][0], help=_HELP[name][1])
    if name in _HELP
    else st.column_config.TextColumn(title, width=WIDTHS[name])
    for name, title in SHOWN.items()
}


@st.cache_data(show_spinner=False)
def table() -> pd.DataFrame:
    """Every preset, a row each. They belong to the release, so once is enough."""
    rows = pd.DataFrame([asdict(row) for row in preset_table()], columns=list(PresetRow.__dataclass_fields__))
    tiles = rows["kind"] == "tile"
    rows["algorithm"], rows["settings"] = rows["settings"].where(tiles, ""), rows["settings"].mask(tiles, "")
    rows["states"] = rows["states"].round(1).where(rows["states"] < 100, rows["states"].round())
    for name in ("symmetry_point", "asymmetry"):
        rows[name] = rows[name].round(6) + 0.0  # no minus sign before a zero
    return rows


def shown_columns(rows: pd.DataFrame) -> list[str]:
    """The columns that say something about these rows."""
    told = [name for name in SHOWN if not (rows[name].isna() | (rows[name] == "")).all()]
    return [name for name in told if name != "kind" or rows["kind"].nunique() > 1]


def filtered(rows: pd.DataFrame, kind: str, words: str, least_states: float) -> pd.DataFrame:
    """The rows of a kind that hold every word somewhere and have so many states, where they have a device."""
    kept = rows[rows["kind"] == kind] if kind else rows
    texts = kept.select_dtypes(exclude="number").agg(" ".join, axis=1).str.lower()
    for word in words.lower().split():
        kept = kept[texts.loc[kept.index].str.contains(word, regex=False)]
    return kept[~(kept["states"] < least_states)].reset_index(drop=True)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Paths and values of nested plain data."""
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else ((f"[{i}]", item) for i, item in enumerate(value))
        for key, item in items:
            yield from _leaves(item, f"{path}.{key}".strip(".").replace(".[", "["))
    elif path != "type":
        yield path, str(value)


def about(name: str) -> str:
    """Say what is known about a preset; returns the page that uses it, if any."""
    cls, row = preset_class(name), table().set_index("name").loc[name]
    text, fields = st.columns([1.4, 1], gap="medium")
    with text:
        st.subheader(name, anchor=False)
        st.markdown(cls.__doc__ or "")
        module = "presets" if row["kind"] != "tile" else "tile_presets"
        st.code(f"from tilewright.{module} import {name}\n\n{row['kind']} = {name}()", language="python")
    with fields:
        given = dict(_leaves(cls().to_dict(full=True)))
        st.dataframe(pd.DataFrame(given.items(), columns=["Field", "Value"]), hide_index=True, height=300)
    return {"device": "device", "tile": "tile"}.get(str(row["kind"]), "")
