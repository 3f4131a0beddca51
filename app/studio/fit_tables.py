"""The tables of the Fit page: parameters to edit, parameters found, models ranked, algorithms advised."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from studio.numbers import percent
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import algorithm_label
from tilewright.figures.measurement import MOST_RECORDS, record_names
from tilewright.fitting import DeviceFit, DeviceVerdict, Ranking, default_ranges, started_device
from tilewright.measurement import Measurement
from tilewright.parameters import field_extra

MOST_STARTS = 4  # of records, that are listed among the parameters
EXTRA = ("reference_mean", "a", "b", "p_max")


def parameter_table(device_class: type[PulsedDevice], measurement: Measurement) -> pd.DataFrame:
    """Name, start, range and expression of each parameter that can be fitted, to be edited."""
    ranges = default_ranges(device_class, measurement)
    rows = [
        {"parameter": name, "fit": low < high, "start": start, "min": low, "max": high, "expression": ""}
        for name, (start, low, high) in ranges.items()
    ]
    device = started_device(device_class, measurement)
    for name in EXTRA:
        if name in device_class.model_fields and name not in ranges and isinstance(getattr(device, name), float):
            typical = field_extra(device_class.model_fields[name], "typical") or (-1.0, 1.0)
            start = float(getattr(device, name))
            low, high = min(start, float(typical[0])), max(start, float(typical[1]))
            rows.append({"parameter": name, "fit": False, "start": start, "min": low, "max": high, "expression": ""})
    return pd.DataFrame(rows)


def edit_parameters(device_class: type[PulsedDevice], measurement: Measurement, key: str) -> pd.DataFrame:
    """The parameter table as an editor; returns what it says now."""
    number = st.column_config.NumberColumn(format="%.3g", width=62)
    held = st.column_config.CheckboxColumn(help="Cleared: held at its start value.", width=44)
    tied = st.column_config.TextColumn("tied to", width=78, help="Ties it to others: `-w_max`, `0.5 * gamma_up`.")
    table = parameter_table(device_class, measurement)
    return st.data_editor(
        table,
        hide_index=True,
        key=key,
        disabled=["parameter"],
        column_config={"start": number, "min": number, "max": number, "fit": held, "expression": tied},
    )


def ranges_of(table: pd.DataFrame) -> dict[str, Any]:
    """The table as the fit takes it: a range where it is fitted, a number where it is held, or an expression."""
    made: dict[str, Any] = {}
    for row in table.itertuples():
        expression = str(row.expression or "").strip()
        if expression:
            made[str(row.parameter)] = {"expr": expression}
        elif row.fit:
            made[str(row.parameter)] = (float(row.start), float(row.min), float(row.max))
        else:
            made[str(row.parameter)] = float(row.start)
    return made


def is_one_of_many_starts(name: str, fit: DeviceFit) -> bool:
    """Whether a parameter is the start of one of many records, which hardly anybody reads."""
    return name.startswith("w0_") and len(fit.model) > MOST_STARTS


def found_table(fit: DeviceFit, starts: bool = False) -> pd.DataFrame:
    """Parameters with errors and intervals, and in the unit of the measurement; the starts of many records apart."""
    rows = []
    for item in fit.parameters:
        if is_one_of_many_starts(item.name, fit) is not starts:
            continue
        remark = "at its limit" if item.at_bound else f"= {item.expr}" if item.expr else "" if item.vary else "held"
        if item.vary and not item.at_bound and not item.determined:
            remark = "not determined"
        row = {"Parameter": item.name, "Value ± standard error": item.text, "95 % interval": item.interval_text}
        rows.append(row | {"Measured": item.measured_text, "": remark})
    table = pd.DataFrame(rows)
    return table if table["Measured"].any() else table.drop(columns="Measured")


def ranking_table(ranking: Ranking) -> pd.DataFrame:
    """Device models, best first, with numbers as they are read."""
    tied = len(ranking.ties) > 1
    rows = [
        {
            "Place": f"{row.place} (tie)" if row.place == 1 and tied else str(row.place),
            "Model": row.class_name,
            "Rms on samples left out": row.held_out_text,
            "Rms": f"{row.fit.rms:.3g}",
            "BIC": f"{row.bic:.0f}",
            "Fitted": row.fit.n_varied,
            "Not determined": ", ".join(row.undetermined),
        }
        for row in ranking
    ]
    return pd.DataFrame(rows)


def advice_table(verdict: DeviceVerdict, findings: dict[str, list[str]]) -> pd.DataFrame:
    """Algorithms, the best first, with the errors to expect, reasons, and what the Tile page says of their settings."""
    rows = [
        {
            "Algorithm": algorithm_label(item.algorithm),
            "Predicted error": percent(item.error, 0),
            "Mostly from": item.mostly_from,
            "Why": item.reason,
            "Warnings of the tile": "; ".join(findings.get(item.algorithm, [])),
        }
        for item in verdict.advice
    ]
    table = pd.DataFrame(rows)
    return table if table["Warnings of the tile"].any() else table.drop(columns="Warnings of the tile")


def choose_record(measurement: Measurement) -> int | None:
    """The record to draw; None for all, where they are few."""
    labels = record_names(measurement)
    if len(labels) == 1:
        return None
    options = [*([None] if len(labels) <= MOST_RECORDS else []), *range(len(labels))]
    return st.selectbox("Record", options, format_func=lambda n: "All" if n is None else labels[n], key="record")
