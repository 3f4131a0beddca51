"""Train: launch runs and watch them."""

import streamlit as st

from studio.devices import choose_device
from studio.errors import guarded, live
from studio.forms import named_choice
from studio.numbers import duration, percent
from studio.places import go, heading, next_step
from studio.plots import show_figure
from studio.tiles import ALGORITHMS
from studio.training import STATE_ICONS, curves_of, make_specs, network_of
from studio.workspace import engine, workspace
from tilewright.data import dataset_names
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import algorithm_label, plot_losses
from tilewright.runs import Activation, DataSource, RunRow, recommend

SHAPES = {"mnist-small": "784-256-128-10", "digits8x8": "64-32-10", "idx": "784-256-128-10"}
SHOWN = 12

place = heading("Train", "A network on tiles. Runs go on by themselves, also when you close the browser.")


def choose_data() -> DataSource:
    name = named_choice("Images", [*dataset_names(), "idx"], "data", help="idx: your own folder of idx files.")
    folder = st.text_input("Folder of the idx files", key="folder") if name == "idx" else ""
    return (
        DataSource(name=name) if name != "idx" or not folder.strip() else DataSource(name="idx", folder=folder.strip())
    )


def choose_and_launch() -> tuple[list[str], PulsedDevice]:
    """What to train; returns the algorithms and the device chosen."""
    device_name, device = choose_device()
    algorithms = st.pills(
        "Algorithms", ALGORITHMS, selection_mode="multi", default=["sgd", "ttv2", "mp"], format_func=algorithm_label,
        key="algorithms", bind="query-params", wrap=True, help="Each with the settings recommended for the device.",
    )  # fmt: skip
    own = workspace().tiles.names()
    if not set(st.session_state.get("tiles", [])) <= set(own):
        st.session_state["tiles"] = []
    tiles = (
        st.multiselect("Your tiles", own, key="tiles", placeholder="None chosen", bind="query-params") if own else []
    )
    data = choose_data()
    sizes = st.columns(2)
    epochs = sizes[0].number_input("Epochs", 1, 1000, 3, key="epochs", bind="query-params")
    seeds = sizes[1].number_input("Seeds", 1, 20, 1, key="seeds", bind="query-params", help="Repetitions of each run.")
    with st.expander("More settings"):
        layers = st.text_input("Layers", SHAPES[data.name], key=f"layers.{data.name}", bind="query-params")
        kinds = [kind.value for kind in Activation]
        activation = st.selectbox("Activation", kinds, key="activation", bind="query-params")
        more = st.columns(2)
        batch = more[0].number_input("Batch", 1, 4096, 5, key="batch", bind="query-params")
        limit = more[1].number_input("Images", 0, 1_000_000, 0, key="images", bind="query-params", help="0 takes all.")
        rate = st.number_input(
            "Learning rate", 0.0, 10.0, 0.0, step=0.01, format="%.4g", key="rate", bind="query-params",
            help="0 takes the one recommended for each algorithm.",
        )  # fmt: skip
    count = (len(algorithms) + len(tiles)) * seeds
    label = f"Train {count} run{'s' if count != 1 else ''}"
    if st.button(
        label, type="primary", icon=":material/play_arrow:", width="stretch", disabled=not count, key="launch"
    ):
        with guarded():
            specs = make_specs(
                algorithms, tiles, device_name, device, data=data, network=network_of(layers, activation),
                epochs=epochs, batch_size=batch, train_limit=limit, n_seeds=seeds, learning_rate=rate or None,
            )  # fmt: skip
            for spec in specs:
                engine().submit(spec)
            st.rerun()
    return algorithms, device


def show_run(row: RunRow) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"run-{row.id}"):
        st.markdown(f"{STATE_ICONS[row.state]} {row.name}", width=260)
        if row.active:
            left = f", {duration(row.seconds_left)} left" if row.seconds_left is not None else ""
            words = "waiting for a worker" if row.state == "queued" else f"{percent(row.progress, 0)}{left}"
            st.progress(min(row.progress, 1.0), text="stopping" if row.cancel_requested else words)
        else:
            accuracy = f"test accuracy {percent(row.test_accuracy)}" if row.test_accuracy is not None else row.state
            st.caption(f"{accuracy}, {duration(row.seconds)}. {row.message}".rstrip(". ") + ".", width="stretch")
        if row.active and not row.cancel_requested:
            st.button(
                "Cancel", key=f"cancel-{row.id}", on_click=engine().cancel, args=(row.id,), icon=":material/stop:"
            )
        if row.resumable:
            st.button(
                "Resume", key=f"resume-{row.id}", on_click=engine().resume, args=(row.id,), icon=":material/replay:"
            )


def show_plan(algorithms: list[str], device: PulsedDevice) -> None:
    st.info("Press **Train** on the left. The curves appear here and go on when you close the browser.")
    for name in algorithms:
        st.markdown(f"**{algorithm_label(name)}**\n" + "\n".join(f"- {why}" for why in recommend(name, device).reasons))


def show_runs(live_until_now: bool) -> None:
    rows = workspace().runs.list()[:SHOWN]
    busy = sum(row.active for row in rows)
    if live_until_now and not busy:
        st.rerun()  # draws the page once more, without the clock
    st.subheader(f"{busy} under way" if busy else "Latest runs", anchor=False)
    if busy and engine().problem:
        st.warning(f"Runs wait because {engine().problem}", icon=":material/warning:")
    curves = curves_of(rows, "loss")
    show_figure(
        plot_losses(curves, smooth=15, log_y=True, key="live"), "train-loss",
        settings="Mean of 15 values over the pale single ones", code="",
    )  # fmt: skip
    for row in rows:
        show_run(row)


settings, view = st.columns([1, 2.1], gap="medium")
with settings:
    algorithms, device = choose_and_launch()
rows = workspace().runs.list()[:SHOWN]
with place:
    if next_step("Compare the runs", "compare", disabled=not rows, why=None if rows else "Train something first."):
        go("compare", runs=[row.id for row in rows])
with view:
    if rows:
        busy = any(row.active for row in rows)
        live(run_every=1.0 if busy else None)(show_runs)(busy)
    else:
        show_plan(algorithms, device)
