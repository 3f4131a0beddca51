"""Before launch: how long the chosen runs will take, what may go wrong, and one batch tried out."""

from __future__ import annotations

import streamlit as st
import torch

from studio.background import Task, find_task, forget_task, start_task
from studio.errors import show_error
from studio.numbers import duration
from studio.words import plain
from studio.workspace import workspace
from tilewright.runs import Grid, RunSpec, dry_run, estimate
from tilewright.runs.environment import usable_cores
from tilewright.runs.estimation import DryRun, Estimate

NAME = "estimate"


def start_estimate(grid: Grid) -> None:
    """Try a few steps of each setting, and one batch of the first, in the background."""
    specs, folder = grid.specs(), workspace().folder
    before = find_task(NAME, own=True)
    if before is not None:  # of other settings
        before.cancel()
        forget_task(NAME)
    task = start_task(NAME, lambda task: _work(task, specs, folder), own=True)
    task.report(plan=grid.to_yaml(full=True))


def _work(task: Task, specs: list[RunSpec], folder: object) -> tuple[Estimate, DryRun]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers train
    try:
        found = estimate(specs, usable_cores(), folder, task.cancelled)  # type: ignore[arg-type]
        return found, dry_run(specs[0])
    finally:
        torch.set_num_threads(before)


def estimating() -> bool:
    """Whether an estimate is being made."""
    task = find_task(NAME, own=True)
    return task is not None and task.running


def forget_estimate() -> None:
    """Once its runs are launched they tell themselves how long they take."""
    if not estimating():
        forget_task(NAME)


def show_estimate(grid: Grid | None) -> None:
    """The estimate of these runs, or how far it is; one of other settings is not shown."""
    task = find_task(NAME, own=True)
    if task is None or grid is None or task.progress.get("plan") != grid.to_yaml(full=True):
        return
    if task.running:
        st.progress(0.5, text=f"trying a few steps of each setting, {task.seconds:.0f} s")
    elif task.error is not None:
        show_error(task.error)
    elif task.result is not None:
        _show(*task.result)


def _show(found: Estimate, tried: DryRun) -> None:
    with st.container(border=True):
        boxes = st.columns(4)
        boxes[0].metric("Runs", found.runs)
        boxes[1].metric(f"Time, {found.workers} at once", duration(found.seconds))
        boxes[2].metric("Memory", f"{found.memory / 2**20:,.0f} MiB")
        boxes[3].metric("Disk", f"{found.disk / 2**20:,.1f} MiB")
        for text in (*found.warnings, *tried.warnings):
            st.warning(plain(text[:1].upper() + text[1:]), icon=":material/warning:")
        with st.expander(
            f"One batch of “{plain(tried.name)}” tried: loss {tried.loss:.3g}, afterwards {tried.loss_after:.3g}"
        ):
            st.text("\n".join([*tried.shapes, *(f"{k} {v:.3g}" for k, v in tried.readings.items())]))
        st.dataframe(
            [
                {"Setting": s.name, "Runs": s.runs, "Each": duration(s.seconds), "Step (ms)": _ms(s.step_seconds)}
                for s in found.settings
            ],
            hide_index=True,
        )  # fmt: skip
        st.caption("From a short measured probe on this machine; other work on it makes runs take longer.")


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
