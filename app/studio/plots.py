"""The frame round a figure: the chart, a line that says how it was made, and its data, image and code."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from studio.chart import draw_chart
from studio.words import plain
from tilewright.figures import figure_data
from tilewright.figures.frame import KEPT_HERE

BUTTONS_OUT = [
    "select2d",
    "lasso2d",
    "autoScale2d",
    "toggleSpikelines",
    "hoverClosestCartesian",
    "hoverCompareCartesian",
]


def show_figure(figure: go.Figure, key: str, *, settings: str = "", code: str = "") -> None:
    """Draw a figure with its small menu.

    Args:
        figure: what to draw.
        key: name of the figure on this page; also the name of files saved from it.
        settings: one line that states what the figure was made with.
        code: Python that makes it.
    """
    image = st.session_state.get(f"{key}.image", "svg")
    config = {
        **KEPT_HERE,
        "displayModeBar": "hover",
        "modeBarButtonsToRemove": BUTTONS_OUT,
        "scrollZoom": False,
        "toImageButtonOptions": {"format": image, "filename": f"tilewright-{key}", "scale": 2 if image == "png" else 1},
    }
    draw_chart(figure, key, config, summary=settings or key)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(plain(settings), width="stretch")
        with st.popover("Export", type="tertiary", icon=":material/ios_share:", key=f"{key}.menu"):
            st.download_button(
                "Data (CSV)",
                data=lambda: figure_data(figure),
                file_name=f"tilewright-{key}.csv",
                mime="text/csv",
                on_click="ignore",
                key=f"{key}.csv",
                icon=":material/table:",
            )
            st.segmented_control(
                "Image format of the camera above the figure", ["svg", "png"], default="svg", required=True,
                format_func=str.upper, key=f"{key}.image",
            )  # fmt: skip
            if code:
                st.caption("The Python that makes this figure")
                st.code(code, language="python")
