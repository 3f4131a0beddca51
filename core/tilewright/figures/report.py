"""The extraction on one page: a single HTML file with its figures drawn in it, which asks for nothing from outside."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewright.devices import step_curves
from tilewright.figures.measurement import MOST_RECORDS
from tilewright.figures.palette import DOWN, MEASURED, MODEL, SEQUENCE, UP, algorithm_label

if TYPE_CHECKING:
    from tilewright.devices.pulsed import PulsedDevice
    from tilewright.fitting import DeviceFit, DeviceVerdict, NoiseEstimate, PopulationFit, Ranking
from tilewright.measurement import Measurement

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 66, 10, 12, 38
MOST_DOTS = 700

STYLE = """
:root{--ink:#1c2530;--soft:#5b6673;--line:#d8dde3;--ground:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#a3adb9;--line:#3a434e;--ground:#12171d}}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--ground:#fff}@page{size:A4;margin:12mm}}
*{box-sizing:border-box}body{margin:0 auto;max-width:980px;padding:24px;background:var(--ground);color:var(--ink);
font:14px/1.45 system-ui,sans-serif}h1{font-size:22px;margin:0}h2{font-size:15px;margin:18px 0 6px}p{margin:4px 0}
.soft{color:var(--soft)}.lead{font-size:16px;margin:12px 0;padding:10px 14px;border-left:4px solid #2f7fc1}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:8px 22px;align-items:start}
table{border-collapse:collapse;width:100%;font-size:12.5px}
th,td{text-align:left;padding:3px 8px 3px 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}ul{margin:4px 0;padding-left:18px;font-size:12.5px}svg{width:100%;height:auto}
text{fill:var(--soft);font:11px system-ui,sans-serif}.axis{stroke:var(--line)}
@media (max-width:760px){.pair{grid-template-columns:1fr}}
"""


@dataclass(frozen=True)
class Series:
    """One thing drawn in a panel: dots or a line, with its colour and name."""

    x: Any
    y: Any
    colour: str
    name: str = ""
    dots: bool = False
    half: Any = None  # half width of a band round it


@dataclass
class _Panel:
    """Scales of a panel, from the data in it."""

    series: Sequence[Series]
    log_x: bool = False
    zero: bool = False
    xs: tuple[float, float] = field(init=False)
    ys: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        x = np.concatenate([self._across(s.x) for s in self.series])
        y = np.concatenate([np.asarray(s.y, dtype=float) for s in self.series])
        y = y[np.isfinite(y)]
        low, high = (0.0 if self.zero else float(y.min())), float(y.max())
        margin = 0.05 * ((high - low) or 1.0)
        self.ys = (low if self.zero else low - margin), high + margin
        self.xs = float(x.min()), float(x.max()) if x.max() > x.min() else float(x.min()) + 1.0

    def _across(self, x: Any) -> Any:
        values = np.asarray(x, dtype=float)
        return np.log10(values) if self.log_x else values

    def places(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Positions in the drawing."""
        across = (self._across(x) - self.xs[0]) / (self.xs[1] - self.xs[0])
        up = (np.asarray(y, dtype=float) - self.ys[0]) / (self.ys[1] - self.ys[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def panel(series: Sequence[Series], x_title: str, y_title: str, log_x: bool = False, zero: bool = False) -> str:
    """A plot as inline SVG."""
    box = _Panel(series, log_x, zero)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 16}" role="img" aria-label="{html.escape(y_title)}">']
    for value in _ticks(*box.ys):
        _, y = box.places(1.0, value)
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for value in _log_ticks(*box.xs) if log_x else _ticks(*box.xs):
        shown = 10**value if log_x else value
        x, _ = box.places(shown, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{shown:.3g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_title)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{html.escape(y_title)}</text>'
    )
    parts += [_drawn(item, box) for item in series]
    parts.append(_legend([item for item in series if item.name]))
    return "".join(parts) + "</svg>"


def _drawn(item: Series, box: _Panel) -> str:
    keep = np.unique(np.linspace(0, len(item.x) - 1, min(len(item.x), MOST_DOTS)).round().astype(int))
    given_x, given_y = np.asarray(item.x, dtype=float)[keep], np.asarray(item.y, dtype=float)[keep]
    x, y = box.places(given_x, given_y)
    if item.dots:
        circles = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6"/>' for a, b in zip(x, y, strict=True))
        return f'<g fill="{item.colour}" fill-opacity=".7">{circles}</g>'
    drawn = ""
    if item.half is not None:
        half = np.asarray(item.half, dtype=float)[keep]
        _, top = box.places(given_x, given_y + half)
        _, low = box.places(given_x, given_y - half)
        edge = [*zip(x, top, strict=True), *zip(x[::-1], low[::-1], strict=True)]
        drawn = f'<polygon fill="{item.colour}" fill-opacity=".25" points="{_points(edge)}"/>'
    line = _points(list(zip(x, y, strict=True)))
    return drawn + f'<polyline fill="none" stroke="{item.colour}" stroke-width="2" points="{line}"/>'


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs if math.isfinite(a) and math.isfinite(b))


def _legend(series: Sequence[Series]) -> str:
    parts, x = [], float(LEFT)
    for item in series:
        parts.append(f'<rect x="{x}" y="{HEIGHT + 2}" width="10" height="10" fill="{item.colour}"/>')
        parts.append(f'<text x="{x + 14}" y="{HEIGHT + 11}">{html.escape(item.name)}</text>')
        x += 26 + 6.2 * len(item.name)
    return "".join(parts)


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [float(round(k * step, 12)) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2, 5, 10 ... between two logarithms; of the powers of ten alone where there are many."""
    factors = (1, 2, 5) if high - low < 3 else (1,)
    places = (power + math.log10(factor) for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors)
    return [place for place in places if low - 1e-9 <= place <= high + 1e-9]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row.values()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _listed(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in sentences) + "</ul>" if sentences else ""


def extraction_report(
    measurement: Measurement,
    fit: DeviceFit,
    device: PulsedDevice,
    verdict: DeviceVerdict,
    noise: NoiseEstimate | None = None,
    ranking: Ranking | None = None,
    population: PopulationFit | None = None,
    made_on: date | None = None,
) -> str:
    """One self-contained HTML page about the extraction of a device.

    Args:
        measurement: as it was fitted.
        fit: what came of it.
        device: the device that is used, with its noise and spread.
        verdict: on that device.
        noise: what was found in the residuals.
        ranking: of all models, where they were fitted.
        population: of many devices, where they were fitted.
        made_on: date in the heading; today when not given.
    """
    name = html.escape(measurement.name)
    day = (made_on or date.today()).isoformat()
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}: device extraction</title>',
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>',
        f'<h1>{name}</h1><p class="soft">Device extraction with Tilewright, {day}. ',
        f"{html.escape(measurement.protocol)}; {fit.n_points:,} samples. ",
        f"{html.escape(measurement.affine.formula())}</p>",
        f'<p class="lead">{html.escape(verdict.sentence())}</p>',
        f'<div class="pair"><div>{_overlay(measurement, fit)}</div><div>{_steps(fit.device)}</div></div>',
        f'<div class="pair"><div><h2>{html.escape(fit.class_name)}: parameters</h2>{_parameters(fit)}',
        f'<p class="soft">rms {fit.rms:.3g}, R² {fit.r2:.4f}, {fit.n_varied} varied; ± one standard error, '
        "which allows for noise that lasts from pulse to pulse.</p></div>",
        f"<div><h2>Algorithms on this device</h2>{_algorithms(verdict)}<p>{verdict.task} {verdict.not_judged}</p>",
        f'<p class="soft">Confidence {100 * verdict.confidence:.0f} %. G/F {verdict.asymmetry:.2f}, '
        f"{_symmetry(verdict)}.</p></div></div>",
    ]
    if noise is not None:
        parts.append(
            f'<div class="pair"><div><h2>Noise</h2>{_listed(noise.explanation)}</div><div>{_noise(noise)}</div></div>'
        )
    if population is not None:
        parts.append(f"<h2>Spread from device to device</h2>{_table(population.table().to_dict('records'))}")
    if ranking is not None:
        parts.append(f"<h2>Models</h2>{_models(ranking)}<p>{html.escape(ranking.verdict())}</p>")
    if fit.notes or verdict.doubts:
        parts.append(f"<h2>To mind</h2>{_listed([*fit.notes, *verdict.doubts])}")
    return "\n".join([*parts, "</body></html>"])


def _symmetry(verdict: DeviceVerdict) -> str:
    if not math.isfinite(verdict.symmetry_point):
        return "no symmetry point in the range"
    point, spread = round(verdict.symmetry_point, 2) + 0.0, round(verdict.symmetry_spread, 2)
    return f"symmetry point {point:.2f}" + (f" ± {spread:.2f} over devices" if spread else "")


def _overlay(measurement: Measurement, fit: DeviceFit) -> str:
    series = []
    for number, record in enumerate(measurement.records[:MOST_RECORDS]):
        k = np.arange(len(record))
        series.append(Series(k, record.response, MEASURED, "Measured" if not number else "", dots=True))
        half = 1.96 * fit.band[number] if fit.band else None
        series.append(Series(k, fit.model[number], MODEL, "Model, 95 % band" if not number else "", half=half))
    return panel(series, "Pulse number", "Weight (normalised)")


def _steps(device: PulsedDevice) -> str:
    curves = step_curves(device)
    lines = [Series(curves.weights, curves.up, UP, "Up step"), Series(curves.weights, curves.down, DOWN, "Down step")]
    return panel(lines, "Weight (normalised)", "Step", zero=True)


def _noise(noise: NoiseEstimate) -> str:
    lines = [
        Series(noise.lags, noise.measured, MEASURED, "Residuals", dots=True),
        Series(noise.lags, noise.modelled, SEQUENCE[0], "Noise found"),
    ]
    return panel(lines, "Pulses between two samples", "Mean squared difference", log_x=True, zero=True)


def _parameters(fit: DeviceFit) -> str:
    rows = []
    for item in fit.parameters:
        rows.append(
            {
                "Parameter": item.name,
                "Value": item.text,
                "95 %": item.interval_text,
                "Measured": item.measured_text,
                "": "at its limit" if item.at_bound else "" if item.vary else "held",
            }
        )
    return _table(rows)


def _algorithms(verdict: DeviceVerdict) -> str:
    return _table(
        [
            {
                "Algorithm": algorithm_label(item.algorithm),
                "Predicted error": f"{100 * item.error:.0f} %",
                "Mostly from": item.mostly_from,
                "Why": item.reason,
            }
            for item in verdict.advice
        ]
    )


def _models(ranking: Ranking) -> str:
    return _table(
        [
            {
                "Place": "tie" if row.place == 1 and len(ranking.ties) > 1 else row.place,
                "Model": row.class_name,
                "Rms left out": row.held_out_text,
                "Rms": f"{row.fit.rms:.4g}",
                "BIC": f"{row.bic:.0f}",
                "Varied": row.fit.n_varied,
                "Not determined": ", ".join(row.undetermined),
            }
            for row in ranking
        ]
    )
