"""Errors in place: what went wrong and what to do, never a traceback on the page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from studio.words import plain

log = logging.getLogger("tilewright.studio")


def is_readable(error: Exception) -> bool:
    """Whether an error was worded for people: ours are, those of other libraries are not."""
    return type(error).__module__.split(".")[0] == "tilewright"


def show_error(error: Exception) -> None:
    """Show an error where it happened."""
    if is_readable(error):
        st.error(plain(str(error)), icon=":material/error:")
        return
    log.error("unexpected error", exc_info=error)
    st.error(
        "Something unexpected happened here; what you saved is safe. Change the last setting, or reload the page. "
        f"For a bug report: {type(error).__name__}; the details are in the terminal that runs the studio.",
        icon=":material/error:",
    )


@contextmanager
def guarded() -> Iterator[None]:
    """Turn an exception of the block into a message; the rest of the page stays usable."""
    try:
        yield
    except Exception as error:
        show_error(error)


def live(run_every: float | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A part of a page that reruns alone, when one of its widgets moves or every ``run_every`` seconds."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def safe(*args: Any, **kwargs: Any) -> Any:
            with guarded():
                return function(*args, **kwargs)

        return st.fragment(safe, run_every=run_every)

    return decorate
