"""Draw ``assets/results.png`` for the README from recorded figures.

The figures are those that ``tests/benchmarks/digits_on_noisy_device.py`` wrote to ``tests/benchmarks/results``: test
accuracy and the mean loss of each tenth of a run, per algorithm and seed. Needs Chromium and the test extra.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

from tilewright.figures.palette import algorithm_colour, algorithm_label

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "tests" / "benchmarks" / "results" / "digits_one_pass.json"
TARGET = ROOT / "assets" / "results.png"
CHROMIUM = os.environ.get("TILEWRIGHT_CHROMIUM", "/usr/bin/chromium")
SIZE = {"width": 900, "height": 420}


def figure() -> go.Figure:
    """Mean loss over the seeds with the range of the seeds, against the share of the run."""
    fig = go.Figure()
    for name, runs in json.loads(FIGURES.read_text()).items():
        losses = np.array([run["loss_by_tenth"] for run in runs])
        share = (np.arange(losses.shape[1]) + 0.5) / losses.shape[1] * 100
        colour = algorithm_colour(name)
        around = np.concatenate([losses.max(axis=0), losses.min(axis=0)[::-1]])
        fig.add_scatter(
            x=np.concatenate([share, share[::-1]]), y=around, fill="toself", fillcolor=colour, opacity=0.18,
            line_width=0, showlegend=False,
        )  # fmt: skip
        accuracy = np.mean([run["test_accuracy"][-1] for run in runs])
        label = f"{algorithm_label(name)}: {accuracy:.1%} right"
        fig.add_scatter(x=share, y=losses.mean(axis=0), name=label, line={"color": colour, "width": 3})
    fig.update_layout(
        template="plotly_white", **SIZE, margin={"l": 60, "r": 20, "t": 50, "b": 50}, font_size=15,
        xaxis_title="Share of one pass over 18,000 images (%)", yaxis_title="Training loss",
        legend={"orientation": "h", "x": 0, "y": 1.14}, xaxis_range=[0, 100],
    )  # fmt: skip
    return fig


def main() -> None:
    """Draw and write the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=2)
        page.set_content(figure().to_html(include_plotlyjs=True, config={"staticPlot": True}))
        page.wait_for_selector(".main-svg")
        page.locator(".js-plotly-plot").screenshot(path=TARGET)
        browser.close()
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
