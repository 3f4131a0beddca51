"""What the Fit page shows of a fit: while it runs, and once it is done."""

from __future__ import annotations

import streamlit as st

from studio.background import Task
from studio.errors import guarded
from studio.findings import findings_by_algorithm
from studio.fit_tables import advice_table, choose_record, found_table, is_one_of_many_starts, ranking_table
from studio.fits import Outcome, best_so_far, start_more
from studio.numbers import duration, percent, significant
from studio.plots import show_figure
from studio.verdicts import fit_verdict
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import (
    plot_correlation,
    plot_fit,
    plot_overlay,
    plot_population,
    plot_predicted_errors,
    plot_profiles,
    plot_variogram,
)
from tilewright.figures.measurement import MOST_RECORDS
from tilewright.figures.report import extraction_report
from tilewright.fitting import DeviceVerdict
from tilewright.measurement import Measurement

MORE = {
    "bootstrap": ("Bootstrap", "200 fits of responses drawn anew with the noise that was found."),
    "second pass": ("Fit with noise", "Noise clipped at hard bounds pulls them inward; this takes the pull out."),
    "devices": ("Fit each device", "Every device alone, and how the parameters spread from one to the next."),
}


def show_running(task: Task, measurement: Measurement) -> None:
    """Numbers and the best model of a fit that runs."""
    at = task.progress
    facts = st.columns(3)
    if "evaluation" in at:
        facts[0].metric("Model evaluations", f"{at['evaluation']:,}")
        facts[1].metric("Best rms so far", significant(at["rms"], 3) if "rms" in at else "–")
    else:
        facts[0].metric("Devices", len(measurement.devices))
        facts[1].metric("Samples", f"{measurement.n_samples:,}")
    facts[2].metric("Time", duration(task.seconds))
    if "share" in at:
        st.progress(float(at["share"]), text=at.get("stage", ""))
    else:
        st.caption(at.get("stage", "Fitting"))
    models = best_so_far(task, measurement)
    records = measurement.records[:MOST_RECORDS]
    show_figure(plot_overlay(records, models, model_name="Best so far"), "fit", settings="It goes on if you leave.")


def show_overlay(outcome: Outcome, seconds: float, code: str) -> None:
    """Measurement and model, and the numbers that judge the fit."""
    fit = outcome.fit
    record = choose_record(outcome.measurement)
    settings = f"{fit.class_name} fitted to {fit.n_points:,} points in {duration(seconds)}"
    show_figure(plot_fit(outcome.measurement, fit, record), "fit", settings=settings, code=code)
    facts = st.columns(3)
    facts[0].metric("R²", f"{fit.r2:.4f}", help="Share of the variance that the model explains.")
    facts[1].metric("Rms residual", significant(fit.rms, 3), help="In normalised weight units.")
    facts[2].metric("Evaluations", f"{fit.n_evaluations:,}")
    st.info(fit_verdict(outcome), icon=":material/lightbulb:")


def show_details(outcome: Outcome, verdict: DeviceVerdict, device: PulsedDevice, name: str) -> None:
    """Tabs: what the device is worth, parameters, noise, models, spread."""
    found, worth, noise, models, spread = st.tabs(["Parameters", "Verdict", "Noise", "Models", "Devices"])
    with found:
        _parameters(outcome, name)
    with worth, guarded():
        facts = st.columns(4)
        point, width = round(verdict.symmetry_point, 6), round(verdict.symmetry_spread, 6)
        facts[0].metric("Symmetry point", significant(point, 2), help="Median over 400 devices drawn from the model.")
        facts[1].metric("Its spread", significant(width, 2), help="Standard deviation over them, in weight units.")
        facts[2].metric("Asymmetry G/F", significant(verdict.asymmetry, 2), help="Root mean square over the weights.")
        facts[3].metric("Noise to signal", significant(verdict.noise_to_signal, 2), help="One read after one pulse.")
        show_figure(
            plot_predicted_errors(verdict), "predicted", settings=f"Confidence {percent(verdict.confidence, 0)}"
        )
        findings = findings_by_algorithm(device.to_yaml(full=True), type(device).__name__)
        st.table(advice_table(verdict, findings).set_index("Algorithm"))  # its sentences are to be read whole
        st.caption(f"{verdict.task} {verdict.not_judged}")
        for doubt in verdict.doubts:
            st.caption(doubt)
        st.download_button(
            "Report (HTML)",
            data=lambda: extraction_report(
                outcome.measurement, outcome.fit, device, verdict, outcome.noise, outcome.ranking, outcome.population
            ),
            file_name=f"{name}-extraction.html", mime="text/html", on_click="ignore", icon=":material/description:",
            key="report", help="One page with its figures in it; it opens anywhere.",
        )  # fmt: skip
    with noise:
        if outcome.noise is None:
            st.caption("The record is too short to tell noise scales apart.")
        else:
            show_figure(plot_variogram(outcome.noise), "variogram", settings="Residuals of the fit")
            st.markdown("\n".join(f"- {sentence}" for sentence in outcome.noise.explanation))
    with models:
        if outcome.ranking is None:
            st.caption("Press **Fit all models** to rank them by the error on samples left out of the fit.")
        else:
            st.markdown(outcome.ranking.verdict())
            st.dataframe(ranking_table(outcome.ranking), hide_index=True)
    with spread:
        _devices(outcome, name)


def _parameters(outcome: Outcome, name: str) -> None:
    st.dataframe(found_table(outcome.fit), hide_index=True)
    if any(is_one_of_many_starts(item.name, outcome.fit) for item in outcome.fit.parameters):
        with st.expander(f"State before the first pulse of each of {len(outcome.fit.model)} records"):
            st.dataframe(found_table(outcome.fit, starts=True), hide_index=True)
    row = st.container(horizontal=True)
    for what in ("bootstrap", "second pass"):
        label, meaning = MORE[what]
        unable = outcome.population is not None or (what == "second pass" and outcome.noise is None)
        if row.button(label, help=meaning, key=f"more-{what.replace(' ', '-')}", disabled=unable):
            start_more(outcome, name, what)
            st.rerun()
    for note in outcome.fit.notes:
        st.markdown(f"- {note}")
    if outcome.profiles:
        with st.expander("Where the intervals come from"):
            figure = plot_profiles(outcome.profiles, outcome.fit)
            show_figure(figure, "profiles", settings="95 % intervals end where a line crosses 3.84")
    with st.expander("Correlation of the errors"):
        show_figure(plot_correlation(outcome.fit), "correlation", settings="Near +1 or -1 two parameters trade places")


def _devices(outcome: Outcome, name: str) -> None:
    if len(outcome.measurement.devices) < 2:
        st.caption("One device cannot tell how much devices differ; measure several to see their spread.")
        return
    label, meaning = MORE["devices"]
    if outcome.population is None and st.button(label, help=meaning, key="more-devices"):
        start_more(outcome, name, "devices")
        st.rerun()
    if outcome.population is not None:
        show_figure(
            plot_population(outcome.population), "population", settings=f"{len(outcome.population.fits)} devices"
        )
        st.dataframe(outcome.population.table(), hide_index=True)
        for note in outcome.population.notes:
            st.markdown(f"- {note}")
