"""Runs as a list: what each is at, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from studio.errors import show_error
from studio.numbers import duration, percent
from studio.training import STATE_ICONS
from studio.words import plain
from studio.workspace import engine, workspace
from tilewright.figures.names import shortened
from tilewright.parameters import ParameterError
from tilewright.runs import RunRow, RunSpec, StoreError, read_plan

PAGE = 10
TROUBLE = "#trouble-"
SAID = ("cancelled", "cancelled before it began")  # messages that only repeat the state


def choose_shown(rows: Sequence[RunRow]) -> list[RunRow]:
    """The part of a long list that is looked at: all or one sweep, a page at a time."""
    batches = list(dict.fromkeys(row.batch for row in rows if row.batch))
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    if batches:
        options = ["All runs", *batches]
        if st.session_state.get("shown-batch") not in options:
            st.session_state["shown-batch"] = options[0]
        chosen = bar.selectbox("Show", options, key="shown-batch", label_visibility="collapsed", width=280)
        rows = [row for row in rows if chosen == options[0] or row.batch == chosen]
    pages = max(1, -(-len(rows) // PAGE))
    number = 1
    if pages > 1:
        number = min(st.session_state.get("shown-page", 1), pages)
        st.session_state["shown-page"] = number
        number = bar.number_input(
            f"Page of {pages}", 1, pages, key="shown-page", width=130, label_visibility="collapsed"
        )
        bar.caption(f"page {number} of {pages}")
    active = [row for row in rows if row.active]
    if len(active) > 1 and bar.button(f"Cancel all {len(active)}", icon=":material/stop:", key="cancel-all"):
        for row in active:
            engine().cancel(row.id)
        st.rerun()
    return list(rows[(number - 1) * PAGE : number * PAGE])


def show_run(row: RunRow) -> None:
    """One line: name, progress or result, and what can be done."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"run-{row.id}", gap="small"):
        st.markdown(f"{STATE_ICONS[row.state]} {plain(shortened(row.name, 64))}", width=270)
        if row.active:
            st.progress(min(row.progress, 1.0), text=_words(row))
        else:
            st.caption(_result(row), width="stretch")
        stopping = row.cancel_requested or row.pause_requested
        if row.active and not stopping:
            if row.state == "running":
                _button("Pause", ":material/pause:", row, engine().pause)
            _button("Cancel", ":material/stop:", row, engine().cancel)
        if row.resumable:
            _button("Resume", ":material/replay:", row, engine().resume)
        with st.popover("", icon=":material/more_horiz:", key=f"more-{row.id}", type="tertiary"):
            _more(row)
    trouble = st.session_state.pop(f"{TROUBLE}{row.id}", "")
    if trouble:
        st.error(plain(trouble), icon=":material/error:")
    if row.message and not row.active and row.message not in SAID:
        st.caption(f":red[{plain(row.message[:1].upper() + row.message[1:])}]")


def _words(row: RunRow) -> str:
    if row.cancel_requested or row.pause_requested:
        return "stopping"
    if row.state == "queued":
        return "waiting for a worker"
    rate = row.results.get("throughput")
    left = f", {duration(row.seconds_left)} left" if row.seconds_left is not None else ""
    speed = f", {rate:,.0f} samples/s" if rate else ""
    return f"{percent(row.progress, 0)}{left}{speed}"


def _result(row: RunRow) -> str:
    found = []
    if row.test_accuracy is not None:
        found.append(f"test accuracy {percent(row.test_accuracy)}")
    elif "test_error" in row.results:
        found.append(f"test error {row.results['test_error']:.3g}")
    if row.state != "finished":
        found.append(f"{row.state} at {percent(row.progress, 0)}" if row.step else row.state)
    text = f"{', '.join(found)}, {duration(row.seconds)}."
    return f"{text[:1].upper()}{text[1:]}"


def _button(label: str, icon: str, row: RunRow, action: Callable[[str], None], *more: Any) -> None:
    key = f"{label.lower().replace(' ', '-')}-{row.id}"
    st.button(label, key=key, icon=icon, on_click=_guarded, args=(action, row.id, *more))


def _guarded(action: Callable[..., None], *arguments: Any) -> None:
    try:
        action(*arguments)
    except StoreError as error:  # somebody else was quicker, or the index cannot be written
        st.session_state[f"{TROUBLE}{arguments[0]}"] = str(error)


def _more(row: RunRow) -> None:
    st.caption(f"{row.id}, made {time.strftime('%d %b %H:%M', time.localtime(row.created))}")
    if row.state == "queued":
        _button("Begin next", ":material/vertical_align_top:", row, lambda run: engine().move(run, first=True))
        _button("Begin last", ":material/vertical_align_bottom:", row, lambda run: engine().move(run, first=False))
        _button("Hold", ":material/pause:", row, engine().pause)
    if row.state == "finished":
        epochs = st.number_input("Further epochs", 1, 1000, 1, key=f"epochs-{row.id}")
        _button("Extend", ":material/add:", row, lambda run: engine().extend(run, epochs))
    if st.button("Clone with changes", key=f"clone-{row.id}", icon=":material/content_copy:"):
        edit_and_launch(row.spec_yaml)
    if not row.active:
        _button("Delete", ":material/delete:", row, workspace().runs.delete)


@st.dialog("A run like this, with changes", width="large")
def edit_and_launch(text: str) -> None:
    """The specification as text, to be changed and trained; also a grid."""
    edited = st.text_area("Specification (YAML)", text, height=420, key="edited")
    st.caption("Every field is here, defaults too. It is checked before anything starts.")
    if st.button("Train it", type="primary", icon=":material/play_arrow:", key="train-edited"):
        try:
            plan = read_plan(edited)
            if isinstance(plan, RunSpec):
                engine().submit(plan)
            else:
                engine().submit_all(plan.specs(), plan.name)
        except (ParameterError, ValueError) as error:
            show_error(error)
            return
        st.rerun()
