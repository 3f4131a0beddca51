"""Fit: which device model explains a measurement, how sure it is, and what the device is worth."""

import streamlit as st

from studio.background import is_own
from studio.errors import live, show_error
from studio.fit_code import fit_code
from studio.fit_options import fit_options
from studio.fit_tables import edit_parameters, ranges_of
from studio.fit_view import show_details, show_overlay, show_running
from studio.fits import (
    METHODS,
    FitSettings,
    Outcome,
    find_fit,
    of_model,
    start_fit,
    start_fit_of_all,
    verdict_on,
    with_noise,
    with_typical_spread,
)
from studio.forms import named_choice
from studio.numbers import percent
from studio.places import go, heading, next_step
from studio.plots import show_figure
from studio.saving import keep_beside
from studio.workspace import workspace
from tilewright.figures import algorithm_label, plot_overlay
from tilewright.figures.measurement import MOST_RECORDS
from tilewright.fitting import FITTABLE_CLASSES, FitCancelled, FitError
from tilewright.measurement import NORMALISATIONS, MeasurementError, suggested_normalisation

place = heading(
    "Fit", "A device model for a measurement: parameters with their errors, and what the model leaves unexplained."
)

names = workspace().measurements.names()
if not names:
    st.info("There is no measurement yet. Bring one, or take an example.", icon=":material/show_chart:")
    with place:
        if next_step("Choose a measurement", "measure"):
            go("measure")
    st.stop()


settings, view = st.columns([1.1, 1.75], gap="medium")
with settings:
    name = named_choice("Measurement", names, "measurement")
    raw = workspace().measurements.load(name)
    rules = list(NORMALISATIONS)
    rule = st.selectbox(
        "Zero and unit", rules, index=rules.index(suggested_normalisation(raw)), key=f"norm.{name}",
        help="; ".join(f"{rule}: {meaning}" for rule, meaning in NORMALISATIONS.items()),
    )  # fmt: skip
    try:
        measurement = raw.normalised(rule)
        classes = {cls.__name__: cls for cls in FITTABLE_CLASSES}
        model = named_choice("Device model", list(classes), "model")
        method = named_choice("Method", list(METHODS), "method", format_func=METHODS.get)
        table = edit_parameters(classes[model], measurement, key=f"table.{name}.{rule}.{model}")
    except (MeasurementError, FitError) as error:
        show_error(error)
        st.stop()
    st.caption(f"{NORMALISATIONS[rule]}: {measurement.affine.formula()}")
    free_start, factors, jointly = fit_options(measurement)
    task = find_fit(name)
    running = task is not None and task.running
    busy = running and is_own(task)
    buttons = st.container(horizontal=True)
    chosen = FitSettings(classes[model], ranges_of(table), method, free_start, factors, jointly, rule)
    if buttons.button("Fit", type="primary", icon=":material/play_arrow:", disabled=busy, key="fit"):
        start_fit(measurement, name, chosen)
        st.rerun()
    if buttons.button("Fit all models", disabled=busy, key="fit-all", help="Ranks the models by held-out error."):
        start_fit_of_all(measurement, name, chosen)
        st.rerun()
    if buttons.button("Cancel", icon=":material/stop:", disabled=not running, key="cancel-fit"):
        task.cancel()


@live(run_every=1.0)
def show_progress() -> None:
    running = find_fit(name)
    if running is None or not running.running:
        st.rerun()
        return
    show_running(running, measurement)


def show_outcome(outcome: Outcome, seconds: float) -> None:
    """The fit, what the device is worth, and the way on with it."""
    top = st.container()
    show_overlay(outcome, seconds, fit_code(outcome, name))
    row = st.columns([1, 1.2, 1.2], vertical_alignment="bottom")
    title = row[0].text_input("Name of the device", value=name, key=f"device-name.{name}", max_chars=60)
    noisy = row[1].toggle("With the noise found", value=True, disabled=outcome.noise is None, key="noisy")
    measured = outcome.population is not None
    spread = row[2].toggle(
        "With typical spread", value=not measured, key="spread", disabled=measured,
        help="One device cannot tell how much devices differ; this takes the values of the RRAM preset.",
    )  # fmt: skip
    device = with_noise(outcome) if noisy else outcome.fit.device
    device = with_typical_spread(device) if spread and not measured else device
    verdict = verdict_on(outcome, device, spread)
    trust = f"Confidence {percent(verdict.confidence, 0)}."
    if outcome.quality:
        top.warning(f"{verdict.sentence()} {trust} The measurement has faults: {outcome.quality[0]}")
    else:
        top.success(f"{verdict.sentence()} {trust}", icon=":material/verified:")
    show_details(outcome, verdict, device, name)
    with place:
        if next_step("Save and explore this device", "device"):
            kept = keep_beside(device, workspace().devices, "device", title)
            if kept:
                go("device", device=kept)
        label = f"Put it in a tile: {algorithm_label(verdict.recommended)}"
        if st.button(label, key="verdict-tile", icon=":material/grid_on:", width="stretch", help=verdict.sentence()):
            kept = keep_beside(device, workspace().devices, "device", title)
            if kept:
                go("tile", device=kept, algorithm=verdict.recommended)


with view:
    if task is None:
        waiting = f"{name}: {measurement.protocol}. Press Fit."
        show_figure(plot_overlay(measurement.records[:MOST_RECORDS], None), "fit", settings=waiting)
    elif task.running:
        show_progress()
    elif isinstance(task.result, Outcome):
        shown = task.result
        if shown.ranking is not None:
            ranked = [row.class_name for row in shown.ranking]
            shown = of_model(shown, named_choice("Show", ranked, "ranked") or ranked[0])
        show_outcome(shown, task.seconds)
        if not is_own(task):
            st.caption(
                "This fit was made before the page was loaded, here or in another window. Press Fit for your own."
            )
    elif task.state == "cancelled" or isinstance(task.error, FitCancelled):
        st.info("Cancelled. Change what you like and press Fit.", icon=":material/info:")
    elif task.error is not None:
        show_error(task.error)
