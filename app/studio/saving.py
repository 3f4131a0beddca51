"""Giving a name to what was made, and keeping it in the workspace."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import streamlit as st

from studio.errors import show_error
from studio.places import tell
from studio.words import plain


def save_as(thing: Any, shelf: Any, kind: str, *, suggestion: str, key: str = "") -> tuple[str, str | None]:
    """A name and a save button.

    Args:
        thing: what to save.
        shelf: the workspace's measurements, devices or tiles.
        kind: what it is called in sentences.
        suggestion: the name offered.
        key: tells apart several on one page.

    Returns:
        The name in the field, and the name it was saved under if the button was pressed.
    """
    key = key or f"save-{kind}"
    row = st.container(horizontal=True, vertical_alignment="bottom")
    offered = shelf.free_name(suggestion)
    name = row.text_input(f"Save this {kind} as", value=offered, key=f"{key}.name.{offered}", max_chars=60) or ""
    pressed = row.button("Save", icon=":material/save:", key=f"{key}.button", disabled=not name.strip())
    said = st.session_state.pop(f"{key}#saved", "")
    if said:
        st.caption(f":green[:material/check: Saved as “{plain(said)}”.]")
    elif shelf.exists(name):
        st.caption(f"Replaces your {kind} of that name.")
    kept = keep(thing, shelf, kind, name) if pressed else None
    if kept:
        st.session_state[f"{key}#saved"] = kept  # said here too: the heading may be out of sight
    return name, kept


def keep(thing: Any, shelf: Any, kind: str, name: str) -> str | None:
    """Save under a name, which the next heading says; returns the name it is kept under, or None after saying why it
    could not be."""
    try:
        kept = str(shelf.save(name, thing))
    except ValueError as error:
        show_error(error)
        return None
    tell(f"Saved the {kind} “{kept}”.")
    return kept


def keep_beside(thing: Any, shelf: Any, kind: str, name: str) -> str | None:
    """Save under a name of its own: ``name``, or one with a number where something else has it already."""
    with suppress(ValueError):  # an unusable name is refused below
        numbered = re.compile(re.escape(shelf.path(name).stem) + r"(-\d+)?")
        for kept in filter(numbered.fullmatch, shelf.names()):
            with suppress(ValueError):  # a damaged one is something else
                if shelf.load(kept) == thing:
                    return str(kept)
        name = shelf.free_name(name)
    return keep(thing, shelf, kind, name)
