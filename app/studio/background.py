"""Work that takes seconds and must not block a page: one thread a task, found again by its name after a reload.

Training does not run here but in the engine's own processes; these tasks are fits and the demonstration.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import streamlit as st


@dataclass(eq=False)
class Task:
    """A piece of work in its own thread.

    Attributes:
        name: what it is found by.
        visitor: who started it.
        state: ``running``, ``done``, ``cancelled`` or ``failed``.
        progress: what the work last reported; free form.
        result: what it returned, once done.
        error: what it raised, once failed.
    """

    name: str
    visitor: str = ""
    state: str = "running"
    progress: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error: Exception | None = None
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        """Whether the work goes on."""
        return self.state == "running"

    @property
    def seconds(self) -> float:
        """Time since the start, up to the end."""
        return (self.finished or time.monotonic()) - self.started

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()

    def cancelled(self) -> bool:
        """Whether somebody asked the work to stop."""
        return self._stop.is_set()

    def report(self, **progress: Any) -> None:
        """Tell the page how far the work is."""
        self.progress = {**self.progress, **progress}


MOST_KEPT = 60  # tasks that are over, of all visitors together
VISITOR = "#visitor"


@st.cache_resource(show_spinner=False)
def _tasks() -> list[Task]:
    """All tasks, the latest last; those of every visitor."""
    return []


def _visitor() -> str:
    """Tells apart the browsers that look at this studio; another one after a reload."""
    return str(st.session_state.setdefault(VISITOR, secrets.token_hex(8)))


def is_own(task: Task) -> bool:
    """Whether this visitor started it, and has not reloaded the page since."""
    return task.visitor == _visitor()


def find_task(name: str, *, own: bool = False) -> Task | None:
    """The last task of that name, running or over: this visitor's, else, unless ``own``, that of another one."""
    found = [task for task in list(_tasks()) if task.name == name]
    mine = [task for task in found if is_own(task)]
    return (mine or ([] if own else found) or [None])[-1]


def forget_task(name: str) -> None:
    """Drop this visitor's tasks of that name."""
    mine = [task for task in list(_tasks()) if task.name == name and is_own(task)]
    for task in mine:
        _drop(task)


def _drop(task: Task) -> None:
    with suppress(ValueError):  # another visitor's page was quicker
        _tasks().remove(task)


def start_task(name: str, work: Callable[[Task], Any], *, own: bool = False) -> Task:
    """Start ``work(task)`` in a thread; one that already runs under that name is returned instead.

    With ``own`` each visitor may have one running, so that nobody gets what another one asked for.
    """
    running = find_task(name, own=own)
    if running is not None and running.running:
        return running
    forget_task(name)
    task = Task(name, _visitor())
    kept = _tasks()
    kept.append(task)
    over = [other for other in list(kept) if not other.running]
    for other in over[: max(len(over) - MOST_KEPT, 0)]:
        _drop(other)
    threading.Thread(target=_run, args=(task, work), name=f"tilewright {name}", daemon=True).start()
    return task


def _run(task: Task, work: Callable[[Task], Any]) -> None:
    try:
        task.result = work(task)
        state = "done"
    except Exception as error:
        # What stops a task on request raises too; the request tells them apart.
        task.error = error
        state = "cancelled" if task.cancelled() else "failed"
    task.finished = time.monotonic()
    task.state = state
