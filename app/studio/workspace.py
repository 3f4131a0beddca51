"""The workspace folder and the engine that trains, opened once for the whole server."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from tilewright.runs import Engine, open_engine
from tilewright.workspace import Workspace


def workspace() -> Workspace:
    """The workspace that ``TILEWRIGHT_WORKSPACE`` names, or the default one."""
    return _opened(os.environ.get("TILEWRIGHT_WORKSPACE", ""))


def workspace_code() -> str:
    """The Python that opens it, from any folder and with any environment."""
    folder = workspace().folder
    usual = folder == Path("~/tilewright").expanduser().resolve()
    return "Workspace()" if usual else f"Workspace({str(folder)!r})"


@st.cache_resource(show_spinner=False)
def _opened(folder: str) -> Workspace:
    return Workspace(folder or None)


def engine() -> Engine:
    """What trains the runs of the workspace; started when first asked for."""
    return _started(os.environ.get("TILEWRIGHT_WORKSPACE", ""))


@st.cache_resource(show_spinner="Starting the workers that train …")
def _started(folder: str) -> Engine:
    return open_engine(_opened(folder).runs)
