"""Put tables and figures of the yardsticks into the pages of ``assets/docs`` that show them.

The figures are those that the scripts in ``tests/benchmarks`` wrote to ``tests/benchmarks/results``. Tables replace
what stands between a pair of comments; pictures go beside the pages. Needs Chromium and the test extra.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import sync_playwright
from plotly.subplots import make_subplots

from tilewright.figures.palette import algorithm_colour, algorithm_label, translucent
from tilewright.fitting.verdict import COSTS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "assets" / "docs"
CHROMIUM = os.environ.get("TILEWRIGHT_CHROMIUM", "/usr/bin/chromium")
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

import bounds_sweep  # noqa: E402
import digits_on_noisy_device  # noqa: E402
import flagged_settings  # noqa: E402
import linear_regression  # noqa: E402
import recommended_settings  # noqa: E402
import residual_settings  # noqa: E402
import verdict_against_training  # noqa: E402
import weight_programming  # noqa: E402
from evidence import as_text, last_accuracies, mean_and_interval, stored  # noqa: E402


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- tables -----------------------------------------------------------------------------------------------------------


def programming_table() -> str:
    """Error of each algorithm against the reference error."""
    found = stored("weight_programming")
    rows = []
    for algorithm, lr in programming_rows():
        cells = []
        for sigma in weight_programming.SIGMAS:
            entries = found.get(weight_programming.Setting(algorithm, sigma, lr=lr).name, [])
            cells.append(as_text([entry["error"] for entry in entries], 1) if entries else "")
        rows.append([f"{label_of(algorithm)}, lr {lr:g}", *cells])
    return markdown(["algorithm", *[f"σ_r {sigma:g}" for sigma in weight_programming.SIGMAS]], rows)


def programming_rows() -> list[tuple[str, float]]:
    """Algorithm and learning rate of each row."""
    makers = [name for name in weight_programming.MAKERS if name != "floating point"]
    return [("sgd", 0.1), ("sgd", 0.01), ("mixed precision", 0.01)] + [
        (name, 0.1) for name in makers if name not in ("sgd", "mixed precision")
    ]


def variations_table() -> str:
    """More states, a skewed fast array, a fast array with less curvature."""
    found = stored("weight_programming")
    kinds = {
        "20 states": {}, "200 states, 20,000 inputs": {"states": 200, "vectors": 20_000},
        "σ_r 0.1": {"reference_error": 0.1}, "σ_r 0.1, fast array skewed by 0.5": {"reference_error": 0.1, "skew": 0.5},
        "σ_r 0.1, bounds of the fast array ±10": {"reference_error": 0.1, "fast_bound": 10.0},
    }  # fmt: skip
    algorithms = [
        name for name in weight_programming.MAKERS if name not in ("floating point", "sgd", "mixed precision")
    ]
    rows = []
    for kind, changes in kinds.items():
        cells = [kind]
        for algorithm in algorithms:
            setting = weight_programming.Setting(algorithm, **changes)
            entries = found.get(setting.name, [])
            cells.append(as_text([entry["error"] for entry in entries], 1) if entries else "")
        rows.append(cells)
    return markdown(["devices", *map(label_of, algorithms)], rows)


def digits_table() -> str:
    """Test accuracy on the noisy device, three lengths of training."""
    sizes = {size: stored(f"digits_{size.replace('-', '_')}") for size in digits_on_noisy_device.SIZES}
    rows = []
    for case in digits_on_noisy_device.CASES:
        cells = []
        for found in sizes.values():
            last = last_accuracies(found.get(case, []))
            each = f" ({', '.join(f'{100 * value:.1f}' for value in last)})" if len(last) > 1 else ""
            cells.append(as_text(last, 1, 100) + each if last else "")
        rows.append([label_of(case), *cells])
    header = ["algorithm", "short: 6,000 digits, three epochs", "one pass over 18,000", "60,000, three epochs"]
    return markdown(header, rows)


def bounds_table() -> str:
    """Test accuracy after two epochs and the course of the loss."""
    rows = []
    for case, entries in stored("bounds_sweep").items():
        first, second = (as_text([entry["test_accuracy"][k] for entry in entries], 1, 100) for k in (0, 1))
        last = as_text(last_accuracies(entries), 1, 100) if case in bounds_sweep.LATE else ""
        losses = np.mean([entry["loss_by_tenth"] for entry in entries], axis=0)
        course = ", ".join(f"{value:.2f}" for value in losses[[0, 2, 4, 6, 8, 9]])
        rows.append([label_of(case), first, second, last, str(len(entries)), course])
    header = ["run", "after one epoch", "after two", "after three", "seeds", "loss in tenths 1, 3, 5, 7, 9, 10"]
    return markdown(header, rows)


def regression_table() -> str:
    """Loss at the end, per algorithm and device."""
    found = stored("linear_regression")
    rows = []
    for algorithm in linear_regression.recommended_names():
        cells = []
        for device in linear_regression.DEVICES:
            last = [entry["last_tenth"] for entry in found.get(f"{algorithm}, {device}", [])]
            cells.append(as_text(last, 1, 1000) if last else "")
        rows.append([algorithm_label(algorithm), *cells])
    return markdown(["loss × 1000", *linear_regression.DEVICES], rows)


def presets_table() -> str:
    """Whether the recommended settings learn, per device and algorithm."""
    found = stored("recommended_settings")
    algorithms = linear_regression.recommended_names()[1:]
    rows = []
    for preset in recommended_settings.PRESETS:
        cells = []
        for algorithm in algorithms:
            case = f"{algorithm}, {preset}"
            last = last_accuracies(found.get(case, []))
            if not last:
                cells.append("")
                continue
            text = as_text(last, 0, 100)
            learned = mean_and_interval(last)[0] >= recommended_settings.LEARNS
            told = recommended_settings.advice(case).obstacle != ""
            cells.append(f"**{text}**" if learned else f"*{text}*" if told else text)
        rows.append([preset, *cells])
    exact = as_text(last_accuracies(found["fp"]), 1, 100)
    return markdown(["device", *map(algorithm_label, algorithms)], rows) + f"\n\nFloating point: {exact} %."


def etas_table() -> str:
    """Programming error of RIDER against how fast it tracks."""
    found = stored("residual_settings")
    rows = [
        [f"{eta:g}", *(errors_of(found, residual_settings.eta_case(eta, sigma)) for sigma in residual_settings.SIGMAS)]
        for eta in residual_settings.ETAS
    ]
    return markdown(["eta", *[f"sigma {sigma:g}" for sigma in residual_settings.SIGMAS]], rows)


def tiles_table() -> str:
    """Programming error of multi-tile residual learning against the number of tiles."""
    found = stored("residual_settings")
    rows = [
        [
            str(states),
            str(tiles),
            *(errors_of(found, residual_settings.tiles_case(states, tiles, rate)) for rate in residual_settings.RATES),
        ]
        for states in residual_settings.STATES
        for tiles in residual_settings.TILES
    ]
    return markdown(["states", "tiles", *[f"transfer_lr {rate:g}" for rate in residual_settings.RATES]], rows)


def errors_of(found: dict[str, list[dict[str, Any]]], case: str) -> str:
    """Mean programming error of a case and its interval; empty before its first run."""
    entries = found.get(case, [])
    return as_text([entry["error"] for entry in entries], 1) if entries else ""


def label_of(case: str) -> str:
    """A case as people write it."""
    names = {"floating point": "fp", "mixed precision": "mp"}
    algorithm, *rest = case.split(", ")
    name, *kind = algorithm.split(" ") if algorithm not in names else [names[algorithm]]
    return ", ".join([" ".join([algorithm_label(name), *kind]), *rest])


def costs_table() -> str:
    """What each cause costs each algorithm in the verdict's rule."""
    causes = list(COSTS["ttv2"])
    rows = [
        [label_of(name), *[f"{cost[cause]:g}" if cause in cost else "" for cause in causes]]
        for name, cost in COSTS.items()
    ]
    return markdown(["algorithm", *causes], rows)


GRADES = ("cannot learn", "poor")


@functools.cache
def flagged() -> list[tuple[str, list[float], dict[str, list[str]]]]:
    """Settings, their recorded accuracies in percent, and what is said of them today, by grade."""
    recorded = {item["setting"]: item["accuracy"] for item in stored("flagged_settings")["settings"]}  # type: ignore[call-overload]
    return [
        (
            name,
            recorded[name],
            flagged_settings.said_of(flagged_settings.specification(config, rate, 1, flagged_settings.EPOCHS)),
        )
        for name, config, rate in flagged_settings.settings()
    ]


def flagged_table() -> str:
    """What is said of a setting, and how it trained."""
    rows = [
        [
            name,
            f"{np.mean(values):.0f} ({min(values):.0f}-{max(values):.0f})",
            *[", ".join(said[grade]) for grade in GRADES],
        ]
        for name, values, said in flagged()
    ]
    return markdown(["setting", "test accuracy, %", *GRADES], rows)


def flagged_summary() -> str:
    """The range of the means in each grade."""
    means: dict[str, list[float]] = {"cannot learn": [], "poor": [], "nothing is said": []}
    for _, values, said in flagged():
        means[next((grade for grade in GRADES if said[grade]), "nothing is said")].append(float(np.mean(values)))
    rows = [[grade, str(len(found)), f"{min(found):.0f} to {max(found):.0f}"] for grade, found in means.items()]
    return markdown(["worst that is said", "settings", "mean test accuracy, %"], rows)


def verdict_table(devices: Iterable[str]) -> str:
    """Accuracy of each algorithm on devices, what the verdict says, and whether that is right."""
    found = stored(verdict_against_training.NAME)
    lines = verdict_against_training.rows(found, devices)
    return "\n".join(
        [verdict_against_training.HEADER, "|---" * (len(verdict_against_training.ALGORITHMS) + 3) + "|", *lines]
    )


def behind_table() -> str:
    """Mean distance to the best algorithm, by what one goes by."""
    found = stored(verdict_against_training.NAME)
    parts = {
        "twelve devices held out": verdict_against_training.PARTS["judged-on"],
        "devices of the fit": verdict_against_training.PARTS["chosen-by"],
    }
    behind = {name: verdict_against_training.behind_best(found, devices) for name, devices in parts.items()}
    goes_by = list(next(iter(behind.values())))
    rows = [[name, *[f"{np.mean(values[by]):.3f}" for by in goes_by]] for name, values in behind.items()]
    return markdown(["devices", "the verdict", *[f"always {label_of(by)}" for by in goes_by[1:]]], rows)


TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    DOCS / "yardsticks.md": {
        "programming": programming_table,
        "variations": variations_table,
        "digits": digits_table,
        "bounds": bounds_table,
        "regression": regression_table,
        "presets": presets_table,
    },
    DOCS / "warnings.md": {"flagged summary": flagged_summary, "flagged": flagged_table},
    DOCS / "algorithms.md": {"etas": etas_table, "tiles": tiles_table},
    DOCS / "fitting.md": {
        "costs": costs_table,
        "judged": lambda: verdict_table(verdict_against_training.PARTS["judged-on"]),
        "behind": behind_table,
        "named": lambda: verdict_table(verdict_against_training.NAMED),
    },
}


# --- pictures ---------------------------------------------------------------------------------------------------------


def programming_figure() -> go.Figure:
    """Error against the reference error, a band for the interval of the mean."""
    found = stored("weight_programming")
    fig = go.Figure()
    sigmas = list(weight_programming.SIGMAS)
    for algorithm, lr in programming_rows():
        if algorithm == "sgd" and lr == 0.1:
            continue
        entries = [found.get(weight_programming.Setting(algorithm, sigma, lr=lr).name, []) for sigma in sigmas]
        if not all(entries):
            continue
        pairs = np.array([mean_and_interval([entry["error"] for entry in cell]) for cell in entries])
        name = {"mixed precision": "mp"}.get(algorithm, algorithm)
        dash = "dot" if " " in algorithm and name != "mp" else "solid"
        band(fig, sigmas, pairs[:, 0] - pairs[:, 1], pairs[:, 0] + pairs[:, 1], algorithm_colour(name.split(" ")[0]))
        fig.add_scatter(
            x=sigmas, y=pairs[:, 0], name=label_of(algorithm), mode="lines+markers",
            line={"color": algorithm_colour(name.split(" ")[0]), "width": 3, "dash": dash},
        )  # fmt: skip
    fig.update_layout(xaxis_title="Error of the reference, σ_r (w_max)", yaxis_title="Programming error (%)")
    fig.update_yaxes(range=[0, 55])
    return fig


def digits_figure() -> go.Figure:
    """Loss over one pass, range of the seeds as a band."""
    fig = go.Figure()
    for case, entries in stored("digits_one_pass").items():
        if case == "sgd, lr 0.01":
            continue
        losses = np.array([entry["loss_by_tenth"] for entry in entries])
        share = (np.arange(losses.shape[1]) + 0.5) / losses.shape[1] * 100
        band(fig, share, losses.min(axis=0), losses.max(axis=0), algorithm_colour(case))
        accuracy = np.mean(last_accuracies(entries))
        fig.add_scatter(
            x=share, y=losses.mean(axis=0), name=f"{algorithm_label(case)}: {accuracy:.1%}",
            line={"color": algorithm_colour(case), "width": 3},
        )  # fmt: skip
    fig.update_layout(xaxis_title="Share of one pass over 18,000 images (%)", yaxis_title="Training loss")
    return fig


def regression_figure() -> go.Figure:
    """Loss over the steps per device: mean of the seeds, and the band that holds four fifths of them."""
    found = stored("linear_regression")
    fig = make_subplots(
        cols=3, shared_yaxes=True, subplot_titles=list(linear_regression.DEVICES), horizontal_spacing=0.03
    )
    for column, device in enumerate(linear_regression.DEVICES, start=1):
        for algorithm in linear_regression.recommended_names():
            losses = np.array([entry["loss"] for entry in found.get(f"{algorithm}, {device}", [])])
            if not losses.size:
                continue
            steps = (np.arange(losses.shape[1]) + 0.5) * linear_regression.STEPS / losses.shape[1]
            low, high = np.quantile(losses, [0.1, 0.9], axis=0)
            colour = algorithm_colour(algorithm)
            band(fig, steps, np.maximum(low, 1e-4), np.maximum(high, 1e-4), colour, row=1, col=column)
            fig.add_scatter(
                x=steps, y=np.maximum(losses.mean(axis=0), 1e-4), name=algorithm_label(algorithm),
                line={"color": colour, "width": 2.5}, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    fig.update_yaxes(type="log", range=[-3.2, 0], dtick=1)
    fig.update_xaxes(title="Step")
    fig.update_layout(yaxis_title="Loss")
    return fig


def band(fig: go.Figure, x: Any, low: Any, high: Any, colour: str, **place: int) -> None:
    """A pale area between two curves."""
    x = np.asarray(x, dtype=float)
    fig.add_scatter(
        x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, np.asarray(low)[::-1]]), fill="toself",
        fillcolor=translucent(colour, 0.15), line_width=0, mode="lines", showlegend=False, **place,
    )  # fmt: skip


PICTURES: dict[str, tuple[Callable[[], go.Figure], int, int]] = {
    "weight-programming.png": (programming_figure, 900, 430),
    "digits-one-pass.png": (digits_figure, 900, 430),
    "linear-regression.png": (regression_figure, 1000, 430),
}


def draw() -> None:
    """Draw and write the pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (make, width, height) in PICTURES.items():
            fig = make()
            fig.update_layout(
                template="plotly_white", width=width, height=height, font_size=14,
                margin={"l": 60, "r": 20, "t": 80, "b": 50}, legend={"orientation": "h", "x": 0, "y": 1.25},
            )  # fmt: skip
            page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
            page.set_content(fig.to_html(include_plotlyjs=True, config={"staticPlot": True}))
            page.wait_for_selector(".main-svg")
            page.locator(".js-plotly-plot").screenshot(path=DOCS / name)
            page.close()
        browser.close()


def fill(page: Path) -> str:
    """A page with every table made anew."""
    text = page.read_text(encoding="utf-8")
    for name, make in TABLES[page].items():
        place = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end of table -->)", re.DOTALL)
        text, places = place.subn(lambda found, make=make: f"{found[1]}{make()}\n{found[2]}", text)
        if places != 1:
            raise SystemExit(f"{page.name} has {places} places for the table {name!r}; one is needed")
    return text


def main() -> None:
    """Write tables and pictures."""
    for page in TABLES:
        page.write_text(fill(page), encoding="utf-8")
    draw()
    print(f"wrote {', '.join(page.name for page in TABLES)} and {', '.join(PICTURES)}")


if __name__ == "__main__":
    main()
