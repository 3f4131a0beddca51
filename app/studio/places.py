"""Where things are: the pages, the bundled assets, and the way from one page to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from studio.words import plain

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
LOGO = ASSETS / "logo.svg"
WORDMARK = ASSETS / "wordmark.svg"
DOCS = ASSETS / "docs"
EXAMPLES = ASSETS / "examples"


ICONS = {
    "start": ":material/home:",
    "measure": ":material/show_chart:",
    "fit": ":material/tune:",
    "device": ":material/memory:",
    "tile": ":material/grid_on:",
    "train": ":material/model_training:",
    "compare": ":material/leaderboard:",
    "presets": ":material/inventory_2:",
    "learn": ":material/school:",
    "help": ":material/help:",
}


def script_of(page: str) -> Path:
    """The script of a page."""
    return ROOT / "pages" / f"{page}.py"


def pages() -> list[Any]:
    """The pages, in order. Made anew in each run: a page object belongs to the session that made it."""
    return [
        st.Page(script_of(name), title=name.capitalize(), icon=icon, url_path=name, default=name == "start")
        for name, icon in ICONS.items()
    ]


CARRIED, PAGE, VISIT = "#carried", "#page", "#visit"
LAST = "#last"  # after the key of a choice: what it was, on any page


def carry(**values: Any) -> None:
    """Set widgets of the next run, which this run may have drawn already."""
    st.session_state[CARRIED] = {**st.session_state.get(CARRIED, {}), **values}


def take_carried() -> None:
    """Apply what the run before carried over; to be called before any widget is drawn."""
    for key, value in st.session_state.pop(CARRIED, {}).items():
        st.session_state[key] = value
        st.session_state[f"{key}{LAST}"] = value


def begin_visit(page: str) -> None:
    """Note which page is drawn; to be called before it is."""
    if st.session_state.get(PAGE) != page:
        st.session_state[PAGE] = page
        st.session_state[VISIT] = st.session_state.get(VISIT, 0) + 1


def first_of_visit(key: str) -> bool:
    """Whether what is called ``key`` is drawn for the first time since its page was entered.

    The browser's Back leads to an address without parameters, at which Streamlit gives widgets their defaults.
    """
    visit, mark = st.session_state.get(VISIT, 0), f"{key}{VISIT}"
    first = st.session_state.get(mark) != visit
    st.session_state[mark] = visit
    return first


def go(page: str, **carried: Any) -> None:
    """Open a page with what was made: ``go("fit", measurement="my device")`` selects it there."""
    known = {key: st.session_state[key] for key in carried if key in st.session_state}
    carry(**{key: value for key, value in carried.items() if known.get(key) != value})
    # A parameter that a widget of this page is bound to follows the widget; only others may go by the address. Never
    # None: that refuses to leave a page whose address holds bound parameters.
    st.switch_page(script_of(page), query_params={k: v for k, v in carried.items() if k not in known})


NEWS = "#news"


def tell(text: str) -> None:
    """Say beside the next heading, once, what was done on the way there. It covers nothing, as a toast would."""
    st.session_state[NEWS] = text


def heading(title: str, sentence: str) -> DeltaGenerator:
    """Title of a page and one line that says what it is for; returns the place of the next step, at the right."""
    words, step = st.columns([3.2, 1], vertical_alignment="center")
    news = st.session_state.pop(NEWS, "")
    with words.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(title, anchor=False, width="content")
        st.caption(f":green[:material/check: {plain(news)}]" if news else sentence, width="stretch")
    return step


def next_step(label: str, page: str, *, disabled: bool = False, why: str | None = None) -> bool:
    """The one obvious next step of a page; True when pressed."""
    return st.button(
        label,
        type="primary",
        icon=":material/arrow_forward:",
        icon_position="right",
        key=f"next-{page}",
        disabled=disabled,
        help=why,
        width="stretch",
    )
