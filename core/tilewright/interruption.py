"""Giving up long work half-way: somebody lends a question, and long computations ask it between their parts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_asked = threading.local()


class Interrupted(Exception):
    """The answer was yes. What was being changed is left half-way: whoever asked has to put it back."""


@contextmanager
def interruptible(stopped: Callable[[], bool]) -> Iterator[None]:
    """Let ``stopped`` be asked by :func:`pause_point` in this thread; work it says yes to ends in ``Interrupted``."""
    before = getattr(_asked, "stopped", None)
    _asked.stopped = stopped
    try:
        yield
    finally:
        _asked.stopped = before


def pause_point() -> None:
    """Ask whether to go on, where nobody lent a question at no cost; raises :class:`Interrupted`."""
    stopped = getattr(_asked, "stopped", None)
    if stopped is not None and stopped():
        raise Interrupted
