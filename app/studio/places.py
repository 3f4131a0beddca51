"""Where things are: the pages, the bundled assets, and the way from one page to the next."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
LOGO = ASSETS / "logo.svg"
WORDMARK = ASSETS / "wordmark.svg"
DOCS = ASSETS / "docs"
EXAMPLES = ASSETS / "examples"


def _page(name: str, icon: str, default: bool = False) -> st.Page:
    return st.Page(ROOT / "pages" / f"{name}.py", title=name.capitalize(), icon=icon, url_path=name, default=default)


PAGES = {
    "start": _page("start", ":material/home:", default=True),
    "measure": _page("measure", ":material/show_chart:"),
    "fit": _page("fit", ":material/tune:"),
    "device": _page("device", ":material/memory:"),
    "tile": _page("tile", ":material/grid_on:"),
    "train": _page("train", ":material/model_training:"),
    "compare": _page("compare", ":material/leaderboard:"),
    "help": _page("help", ":material/help:"),
}


def go(page: str, **carried: str) -> None:
    """Open a page with what was made: ``go("fit", measurement="my device")`` selects it there."""
    for key, value in carried.items():
        st.session_state[key] = value
    st.switch_page(PAGES[page], query_params=carried or None)


def next_step(label: str, page: str, *, key: str | None = None, disabled: bool = False, **carried: str) -> None:
    """The one obvious next step: a full-width button that opens a page with what was made."""
    if st.button(
        label,
        type="primary",
        icon=":material/arrow_forward:",
        icon_position="right",
        key=key or f"next-{page}",
        disabled=disabled,
        width="stretch",
    ):
        go(page, **carried)


def heading(title: str, sentence: str) -> None:
    """Title of a page and one line that says what it is for."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(title, anchor=False, width="content")
        st.caption(sentence, width="stretch")
