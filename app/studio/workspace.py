"""The workspace folder and the engine that trains, opened once for the whole server."""

from __future__ import annotations

import os

import streamlit as st

from tilewright.workspace import Workspace


def workspace() -> Workspace:
    """The workspace that ``TILEWRIGHT_WORKSPACE`` names, or the default one."""
    return _opened(os.environ.get("TILEWRIGHT_WORKSPACE", ""))


@st.cache_resource(show_spinner=False)
def _opened(folder: str) -> Workspace:
    return Workspace(folder or None)


def free_name(wanted: str, taken: list[str]) -> str:
    """``wanted``, or ``wanted 2``, ``wanted 3`` ... when it is taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted} {number}" in taken:
        number += 1
    return f"{wanted} {number}"
