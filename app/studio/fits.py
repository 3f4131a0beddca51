"""Fits in the background: started from a page, found again by the name of the measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from studio.background import Task, find_task, start_task
from tilewright.devices import nominal_response
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures.measurement import MOST_RECORDS, record_names
from tilewright.fitting import (
    DeviceFit,
    NoiseEstimate,
    Ranking,
    default_ranges,
    estimate_noise,
    fit_all_devices,
    fit_device,
    value_with_error,
)
from tilewright.measurement import Measurement
from tilewright.presets import TutorialRRAMPresetDevice

METHODS = {
    "powell": "Powell (robust)",
    "least_squares": "Least squares (fast)",
    "nelder": "Nelder-Mead",
    "differential_evolution": "Differential evolution (global, slow)",
}


@dataclass(frozen=True)
class Outcome:
    """What a fit task gives back: the measurement as it was fitted, the fit, and the noise around it."""

    measurement: Measurement
    fit: DeviceFit
    noise: NoiseEstimate | None
    ranking: Ranking | None = None


def task_name(measurement: str) -> str:
    """The name under which the fit of a measurement is found."""
    return f"fit {measurement}"


def find_fit(measurement: str) -> Task | None:
    """The last fit of a measurement."""
    return find_task(task_name(measurement))


def parameter_table(device_class: type[PulsedDevice], measurement: Measurement) -> pd.DataFrame:
    """Name, start and range of each fitted parameter, to be edited."""
    ranges = default_ranges(device_class, measurement)
    return pd.DataFrame(
        [
            {"parameter": name, "start": start, "min": low, "max": high, "fit": True}
            for name, (start, low, high) in ranges.items()
        ]
    )


def edit_parameters(device_class: type[PulsedDevice], measurement: Measurement, key: str) -> pd.DataFrame:
    """The parameter table as an editor; returns what it says now."""
    number = st.column_config.NumberColumn(format="%.4g")
    held = st.column_config.CheckboxColumn(help="Cleared: held at its start value.")
    return st.data_editor(
        parameter_table(device_class, measurement),
        hide_index=True,
        key=key,
        disabled=["parameter"],
        column_config={"start": number, "min": number, "max": number, "fit": held},
    )


def ranking_table(ranking: Ranking) -> pd.DataFrame:
    """Device models, best first, with numbers as they are read."""
    rows = [
        {
            "Model": row.class_name,
            "Rms on samples left out": value_with_error(row.held_out_rms, row.held_out_stderr),
            "Rms": f"{row.fit.rms:.3g}",
            "R²": f"{row.fit.r2:.4f}",
            "Parameters fitted": row.fit.n_varied,
            "At a limit": ", ".join(row.at_bound),
        }
        for row in ranking
    ]
    return pd.DataFrame(rows)


def choose_record(measurement: Measurement) -> int | None:
    """The record to draw; None for all, where they are few."""
    labels = record_names(measurement)
    if len(labels) == 1:
        return None
    options = [*([None] if len(labels) <= MOST_RECORDS else []), *range(len(labels))]
    return st.selectbox("Record", options, format_func=lambda n: "All" if n is None else labels[n], key="record")


def ranges_of(table: pd.DataFrame) -> dict[str, Any]:
    """The table as the fit takes it: a range where it is fitted, a plain number where it is held."""
    return {
        str(row.parameter): (float(row.start), float(row.min), float(row.max)) if row.fit else float(row.start)
        for row in table.itertuples()
    }


def start_fit(
    measurement: Measurement, name: str, device_class: type[PulsedDevice], ranges: dict[str, Any], method: str
) -> Task:
    """Fit one device class, then estimate the noise around it."""

    def work(task: Task) -> Outcome:
        task.report(device_class=device_class)
        fit = fit_device(
            measurement, device_class, parameters=ranges, method=method, progress=_reporter(task),
            cancelled=task.cancelled,
        )  # fmt: skip
        task.report(stage="Estimating the noise")
        return Outcome(measurement, fit, _noise(measurement, fit))

    return start_task(task_name(name), work)


def start_fit_of_all(measurement: Measurement, name: str) -> Task:
    """Fit every device class and rank them."""

    def work(task: Task) -> Outcome:
        ranking = fit_all_devices(measurement, progress=_reporter(task), cancelled=task.cancelled)
        best = ranking.best.fit
        return Outcome(measurement, best, _noise(measurement, best), ranking)

    return start_task(task_name(name), work)


def best_so_far(task: Task, measurement: Measurement) -> list[NDArray[Any]] | None:
    """Model responses at the best values a running fit has reported; None while there are none to draw."""
    device_class, values = task.progress.get("device_class"), task.progress.get("values")
    if device_class is None or not values:
        return None
    fields = {name: float(value) for name, value in values.items() if name in device_class.model_fields}
    device = device_class(**fields)
    models = []
    for number, record in enumerate(measurement.records[:MOST_RECORDS], start=1):
        start = values.get(f"w0_{number}", values.get("w0", record.response[0]))
        models.append(nominal_response(device, record.pulses, float(start))[:-1])
    return models


def of_model(outcome: Outcome, class_name: str) -> Outcome:
    """The outcome for another model of a ranking."""
    if outcome.ranking is None or class_name == outcome.fit.class_name:
        return outcome
    fit = next(row.fit for row in outcome.ranking if row.class_name == class_name)
    return replace(outcome, fit=fit, noise=_noise(outcome.measurement, fit))


def _noise(measurement: Measurement, fit: DeviceFit) -> NoiseEstimate | None:
    try:
        return estimate_noise(measurement, fit)
    except ValueError:
        # A record may be too short to tell noise scales apart; the page then says that there is no estimate.
        return None


def _reporter(task: Task) -> Any:
    def report(evaluation: int, best_rms: float, best_values: dict[str, float]) -> None:
        task.report(evaluation=evaluation, rms=best_rms, values=dict(best_values))

    return report


def with_noise(outcome: Outcome) -> PulsedDevice:
    """The fitted device with the estimated cycle and write noise."""
    return outcome.noise.apply(outcome.fit.device) if outcome.noise else outcome.fit.device


def with_typical_spread(device: PulsedDevice) -> PulsedDevice:
    """The device with the spread between devices of the RRAM preset, since one device cannot tell its own."""
    typical = TutorialRRAMPresetDevice()
    fields = {name: getattr(device, name) for name in type(device).model_fields}
    spread = [
        name for name in fields if name.endswith(("_dtod", "_dtod_log_normal")) and name in type(typical).model_fields
    ]
    extra = [n for n in ("subtract_symmetry_point", "reference_std", "enforce_consistency") if n in fields]
    return type(device)(**fields | {name: getattr(typical, name) for name in [*spread, *extra]})
