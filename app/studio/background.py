"""Work that takes seconds and must not block a page: one thread a task, found again by its name after a reload.

Training does not run here but in the engine's own processes; these tasks are fits and the demonstration.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st


@dataclass
class Task:
    """A piece of work in its own thread.

    Attributes:
        name: what it is found by.
        state: ``running``, ``done``, ``cancelled`` or ``failed``.
        progress: what the work last reported; free form.
        result: what it returned, once done.
        error: what it raised, once failed.
    """

    name: str
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


@st.cache_resource(show_spinner=False)
def _tasks() -> dict[str, Task]:
    return {}


def find_task(name: str) -> Task | None:
    """The last task of that name, running or over."""
    return _tasks().get(name)


def forget_task(name: str) -> None:
    """Drop a task that is over."""
    _tasks().pop(name, None)


def start_task(name: str, work: Callable[[Task], Any]) -> Task:
    """Start ``work(task)`` in a thread; one that already runs under that name is returned instead."""
    running = find_task(name)
    if running is not None and running.running:
        return running
    task = Task(name)
    _tasks()[name] = task
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
