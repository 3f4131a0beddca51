"""Train: launch runs and watch them."""

import streamlit as st

from studio.devices import choose_device
from studio.errors import guarded, live
from studio.findings import warn_before_launch
from studio.inside import show_inside
from studio.launch_buttons import offer_headline, offer_launch, starting
from studio.launching import choose_data, choose_network, choose_sweep, contenders_of, summary_of
from studio.places import go, heading, next_step
from studio.planning import estimating, show_estimate
from studio.plots import show_figure
from studio.run_list import choose_shown, show_run
from studio.training import curves_of
from studio.workspace import engine, workspace
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import algorithm_label, plot_losses
from tilewright.runs import Grid, RunSpec, recommend, recommended_names
from tilewright.runs.spec import check_data

CURVES = 12

place = heading("Train", "A network on tiles. Runs go on by themselves, also when you close the browser.")


def choose_grid() -> tuple[Grid | None, list[str], PulsedDevice, str]:
    """What to train; the grid is None while something is missing."""
    device_name, device = choose_device()
    algorithms = st.pills(
        "Algorithms", recommended_names(), selection_mode="multi", default=["sgd", "ttv2", "mp"],
        format_func=algorithm_label, key="algorithms", bind="query-params", wrap=True,
        help="Each with the settings recommended for the device.",
    )  # fmt: skip
    own = workspace().tiles.names()
    if not set(st.session_state.get("tiles", [])) <= set(own):
        st.session_state["tiles"] = []
    tiles = (
        st.multiselect("Your tiles", own, key="tiles", placeholder="None chosen", bind="query-params") if own else []
    )
    data = choose_data()
    summary = summary_of(data)
    sizes = st.columns(2)
    epochs = sizes[0].number_input("Epochs", 1, 1000, 3, key="epochs", bind="query-params")
    seeds = sizes[1].number_input("Seeds", 1, 20, 1, key="seeds", bind="query-params", help="Repetitions of each run.")
    with st.expander("Network and more settings"):
        network = choose_network(data, summary)
        more = st.columns(2)
        batch = more[0].number_input("Batch", 1, 4096, 5, key="batch", bind="query-params")
        limit = more[1].number_input("Samples", 0, 1_000_000, 0, key="images", bind="query-params", help="0 takes all.")
        rate = more[0].number_input(
            "Learning rate", 0.0, 10.0, 0.0, step=0.01, format="%.4g", key="rate", bind="query-params",
            help="0 takes the one recommended for each algorithm.",
        )  # fmt: skip
        data.validation = 0.01 * more[1].number_input(
            "Validation (%)", 0, 50, 0, key="validation", bind="query-params",
            help="Part of the training samples set aside for choosing among settings; test samples are for reporting.",
        )  # fmt: skip
    with st.expander("Sweep and devices"):
        variations = choose_sweep()
        instances = st.number_input(
            "Device draws", 1, 50, 1, key="instances", bind="query-params",
            help="The same draws for every seed. With 1, each seed draws its own devices.",
        )  # fmt: skip
    grid = None
    if network is not None and (algorithms or tiles):
        with guarded():
            base = RunSpec(data=data, network=network, epochs=epochs, batch_size=batch, train_limit=limit)
            made = Grid(
                base=base, contenders=contenders_of(algorithms, tiles, device_name, device, rate or None),
                variations=variations, seeds=seeds, device_instances=instances,
            )  # fmt: skip
            for setting in made.settings():
                check_data(setting, summary)
            grid = made
    return grid, algorithms, device, device_name


def show_plan(algorithms: list[str], device: PulsedDevice) -> None:
    st.info("Press **Train** on the left. The curves appear here and go on when you close the browser.")
    for name in algorithms:
        st.markdown(f"**{algorithm_label(name)}**\n" + "\n".join(f"- {why}" for why in recommend(name, device).reasons))


def show_runs(live_until_now: bool) -> None:
    rows = workspace().runs.list()
    busy = sum(row.active for row in rows)
    if live_until_now != bool(busy or estimating() or starting()):
        st.rerun()  # draws the page once more: without the clock when all is over, with it when a run was resumed
    show_estimate(grid)
    if not rows:
        show_plan(algorithms, device)
        return
    training = sum(row.state == "running" for row in rows)
    st.subheader(f"{training} training, {busy - training} waiting" if busy else "Latest runs", anchor=False)
    if busy and engine().problem:
        st.warning(f"Runs wait because {engine().problem}", icon=":material/warning:")
    shown = choose_shown(rows)
    look = st.segmented_control(
        "Look at", ["Loss", "Inside a run"], default="Loss", required=True, key="look-at", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if look == "Loss":
        figure = plot_losses(
            curves_of(shown[:CURVES], "loss"), smooth=15, log_y=True, x_title="Samples seen", key="live"
        )
        show_figure(figure, "train-loss", settings="Mean of 15 values over the pale single ones", code="")
    else:
        show_inside(shown)
    for row in shown:
        show_run(row)


settings, view = st.columns([1, 2.1], gap="medium")
with settings:
    grid, algorithms, device, device_name = choose_grid()
    if grid is not None:
        warn_before_launch(grid.settings)
    offer_launch(grid)
    offer_headline(device, device_name)
rows = workspace().runs.list()
with place:
    if next_step("Compare the runs", "compare", disabled=not rows, why=None if rows else "Train something first."):
        go("compare")
with view:
    busy = any(row.active for row in rows) or estimating() or starting()
    live(run_every=1.0 if busy else None)(show_runs)(busy)
