"""The buttons that start something: the chosen runs, an estimate of them, and the headline experiment."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from studio.background import Task, find_task, start_task
from studio.devices import as_model
from studio.errors import guarded, show_error
from studio.planning import forget_estimate, start_estimate
from studio.workspace import engine, workspace
from tilewright.devices.pulsed import PulsedDevice
from tilewright.runs import Engine, Grid, fitted_example, headline_grid
from tilewright.workspace import Workspace

HEADLINE = "headline"
MANY = 100  # to queue a run takes a hundredth of a second
A_SWEEP = 4  # from so many runs on they are listed under a name of their own


def starting() -> bool:
    """Whether the headline experiment is being prepared."""
    task = find_task(HEADLINE)
    return task is not None and task.running


def offer_launch(grid: Grid | None) -> None:
    """Train, or estimate first."""
    count = grid.size if grid else 0
    row = st.container(horizontal=True)
    label = f"Train {count:,} run{'s' if count != 1 else ''}"
    train = row.button(
        label, type="primary", icon=":material/play_arrow:", width="stretch", disabled=not count, key="launch"
    )
    ask = row.button("Estimate", icon=":material/timer:", disabled=not count, key="estimate")
    if grid is None:
        return
    with guarded():
        if train:
            with st.spinner(f"Queueing {count:,} runs …", show_time=count > MANY):
                engine().submit_all(grid.specs(), f"{count:,} runs, {_now()}" if count >= A_SWEEP else "")
            forget_estimate()
            st.rerun()
        if ask:
            start_estimate(grid)
            st.rerun()


def offer_headline(device: PulsedDevice, device_name: str) -> None:
    """Six algorithms, three seeds, from nothing to the table in one click."""
    own = workspace().devices.exists(device_name)
    what = f"on your device {device_name}" if own else "on a device that is fitted to the bundled measurement"
    note = f"18 runs of three passes over 6,000 digits {what}. Compare then has the table with intervals."
    pressed = st.button(
        "Compare six algorithms, three seeds", icon=":material/bolt:", width="stretch", disabled=starting(), help=note,
        key=HEADLINE,
    )  # fmt: skip
    if pressed:
        start_task(HEADLINE, _headline(engine(), workspace(), as_model(device) if own else None, device_name))
        st.rerun()
    task = find_task(HEADLINE)
    if task is not None and task.error is not None:
        show_error(task.error)


def _headline(trainer: Engine, space: Workspace, device: PulsedDevice | None, name: str) -> Callable[[Task], list[str]]:
    """The work behind the button: it goes on when the page is closed."""

    def work(task: Task) -> list[str]:
        model, called = device, name
        if model is None:
            model = fitted_example(task.cancelled)
            called = space.devices.save("fitted-example", model)
        grid = headline_grid(model, called)
        return trainer.submit_all(grid.specs(), f"{grid.name}, {_now()}")

    return work


def _now() -> str:
    return time.strftime("%d %b %H:%M:%S")
