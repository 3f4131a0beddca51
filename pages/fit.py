"""Fit: which device model explains a measurement."""

import streamlit as st

from studio.errors import live, show_error
from studio.fits import (
    METHODS,
    Outcome,
    best_so_far,
    choose_record,
    edit_parameters,
    find_fit,
    of_model,
    ranges_of,
    ranking_table,
    start_fit,
    start_fit_of_all,
    with_noise,
    with_typical_spread,
)
from studio.forms import named_choice
from studio.numbers import duration, significant
from studio.places import go, heading, next_step
from studio.plots import show_figure
from studio.verdicts import fit_verdict
from studio.workspace import workspace
from tilewright.figures import plot_fit, plot_overlay
from tilewright.figures.measurement import MOST_RECORDS
from tilewright.fitting import FITTABLE_CLASSES, FitCancelled
from tilewright.measurement import NORMALISATIONS, suggested_normalisation

place = heading(
    "Fit", "A device model for a measurement: parameters with their errors, and what the model leaves unexplained."
)

names = workspace().measurements.names()
if not names:
    st.info("There is no measurement yet. Bring one, or take an example.", icon=":material/show_chart:")
    if next_step("Choose a measurement", "measure"):
        go("measure")
    st.stop()

settings, view = st.columns([1, 2.1], gap="medium")
with settings:
    name = named_choice("Measurement", names, "measurement")
    raw = workspace().measurements.load(name)
    rules = list(NORMALISATIONS)
    rule = st.selectbox(
        "Zero and unit", rules, index=rules.index(suggested_normalisation(raw)), key=f"norm.{name}",
        help="; ".join(f"{rule}: {meaning}" for rule, meaning in NORMALISATIONS.items()),
    )  # fmt: skip
    st.caption(NORMALISATIONS[rule])
    measurement = raw.normalised(rule)
    classes = {cls.__name__: cls for cls in FITTABLE_CLASSES}
    model = named_choice("Device model", list(classes), "model")
    method = named_choice("Method", list(METHODS), "method", format_func=METHODS.get)
    table = edit_parameters(classes[model], measurement, key=f"table.{name}.{rule}.{model}")
    task = find_fit(name)
    busy = task is not None and task.running
    buttons = st.container(horizontal=True)
    if buttons.button("Fit", type="primary", icon=":material/play_arrow:", disabled=busy, key="fit"):
        start_fit(measurement, name, classes[model], ranges_of(table), method)
        st.rerun()
    if buttons.button("Fit all models", disabled=busy, key="fit-all", help="Ranks the models by held-out error."):
        start_fit_of_all(measurement, name)
        st.rerun()
    if buttons.button("Cancel", icon=":material/stop:", disabled=not busy, key="cancel-fit") and task:
        task.cancel()


@live(run_every=0.5)
def show_progress() -> None:
    task = find_fit(name)
    if task is None or not task.running:
        st.rerun()
        return
    at = task.progress
    facts = st.columns(3)
    facts[0].metric("Model evaluations", f"{at.get('evaluation', 0):,}")
    facts[1].metric("Best rms so far", significant(at["rms"], 3) if "rms" in at else "–")
    facts[2].metric("Time", duration(task.seconds))
    models = best_so_far(task, measurement)
    records = measurement.records[:MOST_RECORDS]
    show_figure(plot_overlay(records, models, model_name="Best so far"), "fit", settings="It goes on if you leave.")


def show_result(outcome: Outcome, seconds: float) -> None:
    fit = outcome.fit
    record = choose_record(outcome.measurement)
    code = (
        "from tilewright.figures import plot_fit\nfrom tilewright.fitting import fit_device\n"
        f"from tilewright.configs import {fit.class_name}\n\nfit = fit_device(measurement, {fit.class_name})\n"
        "plot_fit(measurement, fit).show()"
    )
    settings = f"{fit.class_name} fitted to {fit.n_points:,} points in {duration(seconds)}"
    show_figure(plot_fit(outcome.measurement, fit, record), "fit", settings=settings, code=code)
    facts = st.columns(4)
    facts[0].metric("R²", f"{fit.r2:.4f}", help="Share of the variance that the model explains.")
    facts[1].metric("Rms residual", significant(fit.rms, 3), help="In normalised weight units.")
    facts[2].metric("States", f"{fit.device.number_of_states:,.0f}")
    facts[3].metric("Evaluations", f"{fit.n_evaluations:,}")
    st.info(fit_verdict(outcome), icon=":material/lightbulb:")
    remarks = [*fit.notes, *(outcome.noise.explanation if outcome.noise else [])]
    with st.expander("Remarks on the fit and its noise"):
        st.markdown("\n".join(f"- {remark}" for remark in remarks))
    shown = fit.table().assign(range=lambda t: t["low"].map("{:.3g}".format) + " … " + t["high"].map("{:.3g}".format))
    shown["remark"] = shown["at bound"].map({True: "at its limit", False: ""})
    columns = {"parameter": "Parameter", "text": "Value ± standard error", "range": "Range", "remark": ""}
    st.dataframe(shown[list(columns)].rename(columns=columns), hide_index=True)
    if outcome.ranking is not None:
        st.subheader("Models, best first", anchor=False)
        st.dataframe(ranking_table(outcome.ranking), hide_index=True)


def save_result(outcome: Outcome) -> None:
    row = st.columns(2)
    noisy = row[0].toggle("With the estimated noise", value=True, disabled=outcome.noise is None, key="noisy")
    spread = row[1].toggle(
        "With typical spread between devices", value=True, key="spread",
        help="One device cannot tell how much devices differ; this takes the values of the RRAM preset.",
    )  # fmt: skip
    device = with_noise(outcome) if noisy else outcome.fit.device
    device = with_typical_spread(device) if spread else device
    title = st.text_input("Name of the device", value=name, key=f"device-name.{name}", max_chars=60)
    with place:
        if next_step("Save and explore this device", "device"):
            go("device", device=workspace().devices.save(title, device))


with view:
    if task is None:
        show_figure(
            plot_overlay(measurement.records[:MOST_RECORDS], None),
            "fit",
            settings=f"{name}: {measurement.protocol}. Press Fit.",
        )
    elif task.running:
        show_progress()
    elif isinstance(task.result, Outcome):
        outcome = task.result
        if outcome.ranking is not None:
            outcome = of_model(outcome, named_choice("Show", [row.class_name for row in outcome.ranking], "ranked"))
        show_result(outcome, task.seconds)
        save_result(outcome)
    elif task.state == "cancelled" or isinstance(task.error, FitCancelled):
        st.info("Cancelled. Change what you like and press Fit.", icon=":material/info:")
    elif task.error is not None:
        show_error(task.error)
