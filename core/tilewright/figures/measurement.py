"""Figures of a measurement and of a model fitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tilewright.figures.frame import COUNT_AXIS, empty_figure, framed, thinned
from tilewright.figures.palette import DOWN, MARK, MEASURED, MIXED, MODEL, SEQUENCE, UP, WARNING, translucent
from tilewright.measurement.units import readable_unit

if TYPE_CHECKING:
    from tilewright.fitting import DeviceFit
    from tilewright.measurement import Finding, Measurement, Record

Array = NDArray[Any]

# A run of at least this many equal pulses is a branch; shorter ones belong to an alternating train.
SHORTEST_BRANCH = 5
MOST_RINGS = 200
MOST_RECORDS = 4
MOST_LINES = 60
MOST_DOTS = 6000
WEIGHT = "Weight (normalised)"
MARK_STYLE = {
    "noise": ("Noise", "line-ew-open"),
    "grid": ("Read-out step", "line-ew-open"),
    "outliers": ("Outliers", "circle-open"),
    "missing": ("Missing readings", "x-thin-open"),
    "clipping": ("Clipped", "square-open"),
    "branches": ("Branches do not meet", "diamond-open"),
    "mirrored": ("Against its pulses", "triangle-down-open"),
    "negative": ("Below 0", "triangle-up-open"),
    "index": ("Uneven index", "star-open"),
    "course": ("Gentle turns", "diamond-wide-open"),
    "drift": ("Ends that drift", "hexagon-open"),
}
BRANCH_STYLE = {1: ("Up pulses", UP), -1: ("Down pulses", DOWN), 0: ("Alternating pulses", MIXED)}


def branches(pulses: Array) -> Array:
    """The branch of each pulse: +1 in a train of up pulses, -1 in a train of down pulses, 0 where they alternate."""
    pulses = np.sign(np.asarray(pulses)).astype(np.int8)
    if pulses.size == 0:
        return pulses
    starts = np.flatnonzero(np.diff(pulses, prepend=pulses[0] + 1))
    lengths = np.diff(np.append(starts, pulses.size))
    return np.repeat(np.where(lengths >= SHORTEST_BRANCH, pulses[starts], 0), lengths).astype(np.int8)


def plot_measurement(measurement: Measurement, findings: Sequence[Finding] = ()) -> go.Figure:
    """The measured response against the pulse number, each branch in its colour; several records share the axes.

    Args:
        measurement: what was measured, in any unit.
        findings: of :func:`tilewright.measurement.quality_report`; the samples that they are about get a sign.

    Of more than ``MOST_LINES`` records as many are drawn, evenly chosen.
    """
    if not measurement.records:
        return empty_figure("This measurement holds no record.")
    measurement, findings = _in_readable_unit(measurement, findings)
    drawn = thinned(len(measurement.records), MOST_LINES).tolist()
    records = [measurement.records[number] for number in drawn]
    if all(_is_ramp(record) for record in records) or len(records) == 1:
        dots = max(MOST_DOTS // len(records), 50)
        traces = _once_named([trace for record in records for trace in _branch_dots(record, dots)])
    else:
        names = record_names(measurement)
        traces = [_record_line(measurement.records[n], names[n], n, len(records)) for n in drawn]
    traces += _once_named(_rings(measurement, findings, drawn))
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {**COUNT_AXIS, "title": "Pulse number"},
        "yaxis": {"title": response_title(measurement)},
    }
    return framed(traces, axes, key=f"measurement-{measurement.name}", height=430, legend=len(traces) <= 14)


def _in_readable_unit(measurement: Measurement, findings: Sequence[Finding]) -> tuple[Measurement, Sequence[Finding]]:
    """The same in a unit whose numbers need no powers of ten."""
    factor, unit = readable_unit(float(np.max(np.abs(measurement.all_samples()))), measurement.unit)
    if unit == measurement.unit:
        return measurement, findings
    records = tuple(replace(record, response=factor * record.response) for record in measurement.records)
    shown = replace(measurement, unit=unit, records=records)
    return shown, [replace(finding, size=factor * finding.size) for finding in findings]


def _is_ramp(record: Record) -> bool:
    return len(np.unique(branches(record.pulses))) == 1


def _once_named(traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The legend names each branch once, however many ramps there are."""
    seen: set[str] = set()
    for trace in traces:
        trace["showlegend"] = trace["name"] not in seen
        seen.add(trace["name"])
    return traces


def _branch_dots(record: Record, most: int = 4000) -> list[dict[str, Any]]:
    kinds = branches(record.pulses)
    keep = thinned(len(kinds), most)
    traces = []
    for kind, (name, colour) in BRANCH_STYLE.items():
        chosen = keep[kinds[keep] == kind]
        if chosen.size:
            traces.append(
                {
                    "x": chosen, "y": record.response[chosen], "mode": "markers", "name": name,
                    "marker": {"size": 4, "color": colour},
                    "hovertemplate": f"pulse %{{x}}<br>%{{y:.4g}}<extra>{name}</extra>",
                }
            )  # fmt: skip
    return traces


def _rings(measurement: Measurement, findings: Sequence[Finding], drawn: Sequence[int]) -> list[dict[str, Any]]:
    """A sign at every sample that a finding is about, and a bar where the finding has a height."""
    traces = []
    for finding in findings:
        places = [(number, k) for number, samples in finding.marks if number in drawn for k in samples]
        places = [places[i] for i in thinned(len(places), MOST_RINGS)]
        if finding.severity == "good" or not places:
            continue
        title, symbol = MARK_STYLE.get(finding.check, (finding.check.capitalize() or "Remark", "circle-open"))
        serious = finding.severity in ("warning", "problem")
        trace = {
            "x": np.array([k for _, k in places]), "mode": "markers", "name": title,
            "y": np.array([measurement.records[number].response[k] for number, k in places]),
            "marker": {
                "size": 11 if len(places) <= 30 else 7, "symbol": symbol, "color": WARNING if serious else MARK,
                "line": {"width": 2},
            },
            "hovertemplate": f"pulse %{{x}}<br>%{{y:.4g}}<br>{title.lower()}<extra></extra>",
        }  # fmt: skip
        if finding.size and measurement.affine.scale == 1:
            trace["error_y"] = {"type": "constant", "value": finding.size / 2, "thickness": 2, "width": 6}
        traces.append(trace)
    return traces


def record_names(measurement: Measurement) -> list[str]:
    """A name for each record, by device and cycle where the file tells them; no two are equal."""
    names = []
    for number, record in enumerate(measurement.records, start=1):
        cycle = f"cycle {record.cycle}" if record.cycle else ""
        names.append(", ".join(filter(None, (record.device or record.label, cycle))) or f"Record {number}")
    return [f"{name} ({n})" if names.count(name) > 1 else name for n, name in enumerate(names, start=1)]


def _record_line(record: Record, name: str, number: int, count: int) -> dict[str, Any]:
    keep = thinned(len(record.response), max(30_000 // count, 300))
    return {
        "x": keep, "y": record.response[keep], "mode": "lines", "name": name,
        "opacity": 0.85 if count <= 12 else 0.45, "showlegend": count <= 12,
        "line": {"width": 1.4, "color": SEQUENCE[number % len(SEQUENCE)]},
        "hovertemplate": f"pulse %{{x}}<br>%{{y:.4g}}<extra>{name}</extra>",
    }  # fmt: skip


def response_title(measurement: Measurement) -> str:
    """Axis title of the response, with its unit."""
    unit = (measurement.unit or "").strip()
    samples = measurement.all_samples()
    if not unit and not 0.02 < float(np.ptp(samples)) / 2 < 50:
        return "Response"  # too small or large for a weight: the file gives no unit
    if unit.lower() in ("", "normalised", "normalized", "weight", "norm. weight", "1", "-"):
        return WEIGHT
    return f"Response ({unit})"


def plot_fit(measurement: Measurement, fit: DeviceFit, record: int | None = None) -> go.Figure:
    """Measured dots under the model's line, with what is left between them in a panel below.

    Args:
        measurement: as it was fitted.
        fit: what :func:`tilewright.fitting.fit_device` gave back.
        record: the record to draw; None draws all of them, up to ``MOST_RECORDS``.
    """
    chosen = list(range(min(len(measurement.records), MOST_RECORDS))) if record is None else [record]
    models = [np.asarray(fit.model[number], dtype=float) for number in chosen]
    records = [measurement.records[number] for number in chosen]
    bands = [1.96 * np.asarray(fit.band[number], dtype=float) for number in chosen] if fit.band else None
    title, name = response_title(measurement), f"Model ({fit.class_name})"
    return plot_overlay(records, models, y_title=title, model_name=name, bands=bands)


def plot_overlay(
    records: Sequence[Record],
    models: Sequence[Array] | None,
    y_title: str = WEIGHT,
    model_name: str = "Model",
    bands: Sequence[Array] | None = None,
) -> go.Figure:
    """Records and, when given, model responses of the same lengths with bands round them; residuals below."""
    traces: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        model = None if models is None else models[number]
        traces += _overlay_traces(record, model, model_name, first=number == 0)
        if model is not None and bands is not None and np.any(bands[number]):
            traces.append(_band(np.asarray(model, dtype=float), bands[number], first=number == 0))
    axes: dict[str, dict[str, Any]] = {"yaxis": {"title": y_title}}
    key = f"fit-{records[0].label}-{len(records)}"
    if models is None:
        axes["xaxis"] = {**COUNT_AXIS, "title": "Pulse number"}
        return framed(traces, axes, key=key, height=470)
    axes["yaxis"]["domain"] = [0.32, 1]
    axes["xaxis"] = {"anchor": "y", "matches": "x2", "showticklabels": False}
    axes["xaxis2"] = {**COUNT_AXIS, "title": "Pulse number", "anchor": "y2"}
    axes["yaxis2"] = {"title": "Residual", "anchor": "x2", "domain": [0, 0.25], "zeroline": True}
    return framed(traces, axes, key=key, height=470)


def _band(model: Array, half: Array, first: bool) -> dict[str, Any]:
    keep = thinned(len(model), 400)
    edge = np.concatenate([(model + half)[keep], (model - half)[keep][::-1]])
    return {
        "x": np.concatenate([keep, keep[::-1]]), "y": edge, "fill": "toself", "fillcolor": translucent(MODEL, 0.25),
        "line": {"width": 0}, "hoverinfo": "skip", "name": "95 % of the model", "showlegend": first, "mode": "lines",
    }  # fmt: skip


def _overlay_traces(record: Record, model: Array | None, model_name: str, first: bool) -> list[dict[str, Any]]:
    response = np.asarray(record.response, dtype=float)
    keep = thinned(len(response), 3000)
    measured = {
        "x": keep, "y": response[keep], "mode": "markers", "name": "Measured", "showlegend": first,
        "marker": {"size": 4, "color": MEASURED, "opacity": 0.75},
        "hovertemplate": "pulse %{x}<br>measured %{y:.4g}<extra></extra>",
    }  # fmt: skip
    if model is None:
        return [measured]
    line = {
        "x": keep, "y": model[keep], "mode": "lines", "name": model_name, "showlegend": first,
        "line": {"width": 3, "color": MODEL}, "hovertemplate": "pulse %{x}<br>model %{y:.4g}<extra></extra>",
    }  # fmt: skip
    return [measured, line, *_residual_dots(record, response - model, keep)]


def _residual_dots(record: Record, residual: Array, keep: Array) -> list[dict[str, Any]]:
    kinds = branches(record.pulses)
    traces = []
    for kind, (name, colour) in BRANCH_STYLE.items():
        chosen = keep[kinds[keep] == kind]
        if chosen.size:
            traces.append(
                {
                    "x": chosen, "y": residual[chosen], "mode": "markers", "name": f"Residual, {name.lower()}",
                    "marker": {"size": 3, "color": colour}, "showlegend": False, "xaxis": "x2", "yaxis": "y2",
                    "hovertemplate": "pulse %{x}<br>residual %{y:.3g}<extra></extra>",
                }
            )  # fmt: skip
    return traces
