"""Start: three doors, the demonstration, and what was made last."""

import streamlit as st

from studio.demo import STEPS, find_demo, start_demo
from studio.errors import live, show_error
from studio.numbers import duration, percent
from studio.places import go
from studio.training import CHOSEN, STATE_ICONS
from studio.words import plain
from studio.workspace import workspace
from tilewright.figures.names import shortened

DOORS = [
    (
        "I have measurements",
        "Read a file of pulse responses, see what it is worth, fit a device model to it.",
        "measure",
    ),
    ("Show me a device", "Move the sliders of a published device and watch its pulse response follow.", "device"),
    ("Compare algorithms", "Train one network with several algorithms on one device and compare them.", "train"),
]
OPENS = {"measure": "Open a measurement", "device": "Explore a device", "train": "Train and compare"}
RECENT = 5

st.title("From a measured device to a trained network", anchor=False)
st.caption("A studio for analog in-memory computing. Everything stays on your machine.")


def show_doors() -> None:
    for column, (title, sentence, page) in zip(st.columns(3, gap="medium"), DOORS, strict=True):
        with column.container(border=True, height="stretch"):
            st.subheader(title, anchor=False)
            st.container(height="stretch").markdown(sentence)
            if st.button(OPENS[page], key=f"door-{page}", icon=":material/arrow_forward:", icon_position="right"):
                go(page)


@live(run_every=1.0)
def follow_demo() -> None:
    task = find_demo()
    if task is None or not task.running:
        st.rerun()
        return
    step = min(task.progress.get("step", 0), len(STEPS) - 1)
    st.progress((step + 0.5) / len(STEPS), text=f"{STEPS[step]} … ({duration(task.seconds)})")


def show_demo() -> None:
    with st.container(border=True):
        row = st.columns([3, 1], vertical_alignment="center")
        row[0].markdown(
            "**See the whole path in a minute.** Reads the bundled example, fits a device to it, "
            "saves the device and trains the 784-256-128-10 network on digits with SGD, TTv2 and mixed precision."
        )
        task = find_demo()
        if row[1].button(
            "Run the demo", type="primary", icon=":material/play_arrow:", width="stretch", key="demo",
            disabled=task is not None and task.running,
        ):  # fmt: skip
            start_demo()
            st.rerun()
        if task is None:
            return
        if task.running:
            follow_demo()
        elif task.error is not None:
            show_error(task.error)
        else:
            training = any(row.active and row.id in task.result for row in workspace().runs.list())
            state = "under way" if training else "over"
            st.success(f"The device is saved as “{task.progress['device']}” and its three runs are {state}.")
            links = st.container(horizontal=True)
            if links.button(
                "Watch them train" if training else "Compare the runs",
                icon=":material/arrow_forward:", icon_position="right", key="demo-runs",
            ):  # fmt: skip
                if training:
                    go("train", device=task.progress["device"])
                go("compare", sweep=CHOSEN, runs=task.result)
            if links.button(
                "See the device", icon=":material/arrow_forward:", icon_position="right", key="demo-device"
            ):
                go("device", device=task.progress["device"])


def show_jobs(live_until_now: bool) -> None:
    rows = workspace().runs.list()[:RECENT]
    if live_until_now and not any(row.active for row in rows):
        st.rerun()  # draws the page once more, without the clock
    st.subheader("Runs", anchor=False)
    if not rows:
        st.caption("None yet. They appear here while they train and when they are done.")
    for row in rows:
        state = (
            percent(row.progress, 0) if row.active else percent(row.test_accuracy) if row.test_accuracy else row.state
        )
        if st.button(
            f"{STATE_ICONS[row.state]} {plain(shortened(row.name))} · {state}", key=f"recent-{row.id}", type="tertiary"
        ):
            if row.state != "finished":
                go("train")
            go("compare", sweep=row.batch or CHOSEN)


def show_shelf(title: str, names: list[str], page: str, key: str, empty: str) -> None:
    st.subheader(title, anchor=False)
    if not names:
        st.caption(empty)
    for name in names[:RECENT]:
        if st.button(plain(name), key=f"recent-{key}-{name}", type="tertiary", icon=":material/chevron_right:"):
            go(page, **{key: name})


show_doors()
show_demo()
columns = st.columns(3, gap="medium")
with columns[0]:
    show_shelf(
        "Measurements", workspace().measurements.names(), "fit", "measurement", "None yet. Start with the left door."
    )
with columns[1]:
    show_shelf("Devices", workspace().devices.names(), "device", "device", "None of your own yet. Fit or edit one.")
with columns[2]:
    busy = any(row.active for row in workspace().runs.list()[:RECENT])
    live(run_every=2.0 if busy else None)(show_jobs)(busy)
