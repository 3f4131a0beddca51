"""Plotly charts that are updated in place.

Streamlit's own chart is taken off the page and put there anew whenever its data changes, so it flickers under a
moving slider and forgets its zoom. This component hands new data to the same drawing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit import runtime

PLOTLY_SCRIPT = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
DRAWING = Path(__file__).with_name("chart.js").read_text(encoding="utf-8")
ADDRESS = "#plotly"
# Plotly draws the axes of parallel coordinates in black, whatever the ground.
STYLE = ".tilewright-chart .parcoords .axis :is(path, line) { stroke: var(--st-text-color) !important; opacity: 0.6; }"

_mount = st.components.v2.component(
    "tilewright_chart", html='<div class="tilewright-chart" role="img"></div>', css=STYLE, js=DRAWING,
    isolate_styles=False,
)  # fmt: skip


def offer_plotly() -> None:
    """Let this server hand out plotly's script; to be called once in each run of a page."""
    if runtime.exists():
        files = runtime.get_instance().media_file_mgr
        st.session_state[ADDRESS] = files.add(str(PLOTLY_SCRIPT), "text/javascript", "plotly-script")


def draw_chart(figure: go.Figure, key: str, config: dict[str, Any], summary: str) -> None:
    """Draw or update the chart ``key``."""
    script = st.session_state.get(ADDRESS, "")
    data = {"figure": figure.to_json(), "script": script, "config": config, "summary": summary}
    _mount(key=f"{key}.chart", data=data)
