"""Giving a name to what was made, and keeping it in the workspace."""

from __future__ import annotations

from typing import Any

import streamlit as st

from studio.errors import show_error


def save_as(thing: Any, shelf: Any, kind: str, *, suggestion: str, key: str = "") -> str | None:
    """A name and a save button; returns the name once saved.

    Args:
        thing: what to save.
        shelf: the workspace's measurements, devices or tiles.
        kind: what it is called in sentences.
        suggestion: the name offered.
        key: tells apart several on one page.
    """
    key = key or f"save-{kind}"
    row = st.container(horizontal=True, vertical_alignment="bottom")
    name = row.text_input(
        f"Save this {kind} as", value=shelf.free_name(suggestion), key=f"{key}.name.{suggestion}", max_chars=60
    )
    pressed = row.button("Save", icon=":material/save:", key=f"{key}.button", disabled=not (name or "").strip())
    if shelf.exists(name or ""):
        st.caption(f"Replaces your {kind} of that name.")
    if not pressed:
        return None
    try:
        kept = shelf.save(name, thing)
    except ValueError as error:
        show_error(error)
        return None
    st.toast(f"Saved {kind} “{kept}”.", icon=":material/check:")
    return str(kept)
