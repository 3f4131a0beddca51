"""Fits in the background: started from a page, found again by the name of the measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.background import Task, find_task, start_task
from tilewright.devices import nominal_response
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures.measurement import MOST_RECORDS, branches
from tilewright.fitting import (
    DeviceFit,
    DeviceVerdict,
    FitCancelled,
    NoiseEstimate,
    PopulationFit,
    Profile,
    Ranking,
    bootstrap,
    default_ranges,
    device_verdict,
    estimate_noise,
    fit_all_devices,
    fit_device,
    fit_population,
    fit_with_noise,
    markov_chain,
    population_noise,
    started_device,
    typical_fit,
    with_profiles,
)
from tilewright.fitting.ranking import ranked_devices
from tilewright.fitting.specification import assign
from tilewright.measurement import Measurement, quality_report
from tilewright.presets import TutorialRRAMPresetDevice

CHAIN = "markov_chain"
MOST_FAULTS = 3  # of a measurement, that a verdict repeats
METHODS = {
    "auto": "Automatic (many starts)",
    "powell": "Powell",
    "least_squares": "Least squares (one start)",
    "nelder": "Nelder-Mead",
    "differential_evolution": "Differential evolution",
    CHAIN: "Markov chain (emcee)",
}


@dataclass(frozen=True)
class Outcome:
    """What a fit task gives back: the measurement as it was fitted, the fit, what was found round it, and how it was
    made: the settings, and what was asked for ``then``."""

    measurement: Measurement
    fit: DeviceFit
    noise: NoiseEstimate | None
    ranking: Ranking | None = None
    profiles: tuple[Profile, ...] = ()
    population: PopulationFit | None = None
    other_models: dict[str, Outcome] = field(default_factory=dict, compare=False)
    quality: tuple[str, ...] = ()
    settings: FitSettings | None = None
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class FitSettings:
    """What the page asks a fit to do: how it starts, what deviations of a branch count, how the data was normalised."""

    device_class: type[PulsedDevice]
    ranges: dict[str, Any]
    method: str = "auto"
    free_start: bool | None = None
    factors: dict[int, float] | None = None
    jointly: bool = False
    rule: str = "auto"

    def weights(self, measurement: Measurement) -> tuple[NDArray[np.float64], ...] | None:
        """The factor of each sample; None where all count alike."""
        return None if self.factors is None else branch_weights(measurement, self.factors)


def task_name(measurement: str) -> str:
    """The name under which the fit of a measurement is found."""
    return f"fit {measurement}"


def find_fit(measurement: str) -> Task | None:
    """The last fit of a measurement: this visitor's, else that of another one, as after a reload."""
    return find_task(task_name(measurement))


def branch_weights(measurement: Measurement, factors: dict[int, float]) -> tuple[NDArray[np.float64], ...]:
    """Weights of the samples by their branch: 1 for up pulses, -1 for down pulses, 0 for alternating ones."""
    made = []
    for record in measurement.records:
        kinds = branches(record.pulses)
        made.append(np.select([kinds == kind for kind in factors], list(factors.values()), 1.0).astype(float))
    return tuple(made)


def start_fit(measurement: Measurement, name: str, settings: FitSettings) -> Task:
    """Fit one device class, then estimate the noise round it."""

    def work(task: Task) -> Outcome:
        if len(measurement.devices) > 1 and not settings.jointly:
            return _each_device(measurement, settings, task)
        task.report(device_class=settings.device_class, stage="Fitting")
        method = "auto" if settings.method == CHAIN else settings.method
        fit = fit_device(
            measurement, settings.device_class, parameters=settings.ranges, method=method, progress=_reporter(task),
            cancelled=task.cancelled, free_start=settings.free_start, weights=settings.weights(measurement),
        )  # fmt: skip
        if settings.method == CHAIN:
            task.report(stage="Walking the Markov chain")
            fit = markov_chain(measurement, fit, steps=1000, cancelled=task.cancelled, share=_share(task)).fit
            made = Outcome(measurement, fit, noise_of(measurement, fit), quality=_faults(measurement))
            return replace(made, settings=settings, then=(CHAIN,))
        return replace(_completed(measurement, fit, task), settings=settings)

    return start_task(task_name(name), work, own=True)


def _completed(measurement: Measurement, fit: DeviceFit, task: Task | None = None) -> Outcome:
    """The fit with the intervals of its profiles, and the noise round it."""
    if task is not None:
        task.report(stage="Finding the intervals and the noise")
    fit, profiles = with_profiles(measurement, fit, None if task is None else task.cancelled)
    noise, faults = noise_of(measurement, fit), _faults(measurement)
    return Outcome(measurement, fit, noise, profiles=tuple(profiles), quality=faults)


def _each_device(measurement: Measurement, settings: FitSettings, task: Task) -> Outcome:
    """Every device alone: their spread, and the noise of all of them."""
    count = len(measurement.devices)

    def share(done: float) -> None:
        task.report(share=done, stage=f"{settings.device_class.__name__}: device {round(done * count)} of {count}")

    share(0.0)
    population = fit_population(
        measurement, settings.device_class, edited_ranges(measurement, settings), cancelled=task.cancelled, share=share,
        weights=settings.weights(measurement), method="auto" if settings.method == CHAIN else settings.method,
        free_start=settings.free_start,
    )  # fmt: skip
    task.report(stage="Finding the noise")
    fitted = replace(measurement, records=tuple(r for r in measurement.records if r.device in population.fits))
    try:
        noise = population_noise(fitted, population)
    except ValueError:
        noise = None
    fit = typical_fit(fitted, population)
    faults = _faults(measurement)
    return Outcome(fitted, fit, noise, population=population, quality=faults, settings=settings)


def _faults(measurement: Measurement) -> tuple[str, ...]:
    """What is wrong with the measurement itself, in the sentences of the Measure page."""
    findings = quality_report(measurement)
    return tuple(found.text for found in findings if found.severity in ("warning", "problem"))[:MOST_FAULTS]


def edited_ranges(measurement: Measurement, settings: FitSettings) -> dict[str, Any] | None:
    """What the visitor changed the parameters to, if anything; None where each device may have ranges of its own."""
    given = default_ranges(settings.device_class, measurement)
    untouched = {name: start if low == high else (start, low, high) for name, (start, low, high) in given.items()}
    known = {name: value for name, value in settings.ranges.items() if name in untouched}
    return settings.ranges if settings.ranges and known != untouched else None


def start_fit_of_all(measurement: Measurement, name: str, settings: FitSettings) -> Task:
    """Fit every device class over its default ranges and rank them; starts and weights are those of the settings."""

    def work(task: Task) -> Outcome:
        def begun(device_class: type[PulsedDevice]) -> None:
            task.report(device_class=device_class, values={}, stage=f"Fitting {device_class.__name__}")

        ranking = fit_all_devices(
            measurement, progress=_reporter(task), cancelled=task.cancelled, begun=begun,
            weights=settings.weights(measurement), free_start=settings.free_start,
        )  # fmt: skip
        best = ranking.recommended
        if len(measurement.devices) > 1:
            task.report(device_class=None)
            chosen = replace(settings, device_class=type(best.fit.device), ranges={})
            return replace(_each_device(measurement, chosen, task), ranking=ranking)
        return replace(_completed(measurement, best.fit, task), ranking=ranking, settings=settings)

    return start_task(task_name(name), work, own=True)


def start_more(outcome: Outcome, name: str, what: str) -> Task:
    """More about a fit that is done: ``bootstrap``, ``second pass`` or ``devices``."""

    def work(task: Task) -> Outcome:
        task.report(stage=what.capitalize())
        try:
            return replace(_MORE[what](outcome, task), then=(*outcome.then, what))
        except FitCancelled:  # the fit that there was stays
            return outcome

    return start_task(task_name(name), work, own=True)


def _bootstrapped(outcome: Outcome, task: Task) -> Outcome:
    draws = bootstrap(outcome.measurement, outcome.fit, cancelled=task.cancelled, share=_share(task))
    return replace(outcome, fit=draws.fit)


def _second_pass(outcome: Outcome, task: Task) -> Outcome:
    if outcome.noise is None:
        return outcome
    fit = fit_with_noise(outcome.measurement, outcome.fit, outcome.noise, task.cancelled, _share(task))
    fit, profiles = with_profiles(outcome.measurement, fit, task.cancelled)
    noise = noise_of(outcome.measurement, fit)
    return replace(outcome, fit=fit, noise=noise, profiles=tuple(profiles), other_models={})


def _devices(outcome: Outcome, task: Task) -> Outcome:
    kind = type(outcome.fit.device)
    found = fit_population(
        outcome.measurement, kind, cancelled=task.cancelled, share=_share(task), weights=outcome.fit.weights
    )
    return replace(outcome, population=found)


_MORE: dict[str, Callable[[Outcome, Task], Outcome]] = {
    "bootstrap": _bootstrapped,
    "second pass": _second_pass,
    "devices": _devices,
}


def best_so_far(task: Task, measurement: Measurement) -> list[NDArray[Any]] | None:
    """Model responses at the best values a running fit has reported; None while there are none to draw."""
    device_class, values = task.progress.get("device_class"), task.progress.get("values")
    if device_class is None or not values:
        return None
    device = started_device(device_class, measurement)
    starts = {name for name in values if name.startswith("w0")}
    assign(device, {name: float(value) for name, value in values.items() if name not in starts})
    models = []
    for number, record in enumerate(measurement.records[:MOST_RECORDS], start=1):
        start = values.get(f"w0_{number}", values.get("w0", record.response[0]))
        models.append(nominal_response(device, record.pulses, float(start))[:-1])
    return models


def of_model(outcome: Outcome, class_name: str) -> Outcome:
    """The outcome for another model of a ranking."""
    if outcome.ranking is None or class_name == outcome.fit.class_name:
        return outcome
    if class_name not in outcome.other_models:
        fit = outcome.ranking[class_name].fit
        measurement = outcome.measurement
        if len(measurement.devices) > 1:  # a few of the devices were fitted
            ranked = set(ranked_devices(measurement))
            measurement = replace(measurement, records=tuple(r for r in measurement.records if r.device in ranked))
            made = Outcome(measurement, fit, noise_of(measurement, fit), quality=outcome.quality)
        else:
            made = _completed(measurement, fit)
        outcome.other_models[class_name] = replace(made, ranking=outcome.ranking, settings=outcome.settings)
    return outcome.other_models[class_name]


def noise_of(measurement: Measurement, fit: DeviceFit) -> NoiseEstimate | None:
    """The noise round a fit; None where the record is too short to tell its scales apart."""
    try:
        return estimate_noise(measurement, fit)
    except ValueError:
        return None


def _share(task: Task) -> Callable[[float], None]:
    return lambda share: task.report(share=share)


def _reporter(task: Task) -> Any:
    def report(evaluation: int, best_rms: float, best_values: dict[str, float]) -> None:
        task.report(evaluation=evaluation, rms=best_rms, values=dict(best_values))

    return report


# --- the device that is saved -----------------------------------------------------------------------------------------


def with_noise(outcome: Outcome) -> PulsedDevice:
    """The fitted device with the noise that was found, and with the spread over devices where that was found."""
    device = outcome.population.device if outcome.population else outcome.fit.device
    return outcome.noise.apply(device) if outcome.noise else device


def with_typical_spread(device: PulsedDevice) -> PulsedDevice:
    """The device with the spread between devices of the RRAM preset, since one device cannot tell its own."""
    typical = TutorialRRAMPresetDevice()
    fields = {name: getattr(device, name) for name in type(device).model_fields}
    spread = [
        name for name in fields if name.endswith(("_dtod", "_dtod_log_normal")) and name in type(typical).model_fields
    ]
    extra = [n for n in ("subtract_symmetry_point", "reference_std", "enforce_consistency") if n in fields]
    return type(device)(**fields | {name: getattr(typical, name) for name in [*spread, *extra]})


def verdict_on(outcome: Outcome, device: PulsedDevice, typical: bool) -> DeviceVerdict:
    """The verdict on the device as it would be saved, with what is not sure about it."""
    return device_verdict(device, tuple(_doubts(outcome, typical)))


def _doubts(outcome: Outcome, typical: bool) -> Sequence[str]:
    fit, found = outcome.fit, list(outcome.quality)
    if fit.r2 < 0.5:
        found.append(f"The model explains {100 * max(fit.r2, 0):.0f} % of the variance only.")
    undetermined = [item.name for item in fit.parameters if item.vary and not item.determined]
    if undetermined:
        found.append(f"The data does not determine {', '.join(undetermined)}.")
    if outcome.noise is None:
        found.append("The noise is not known.")
    for spread in outcome.population.spreads if outcome.population else []:
        if spread.lost:
            found.append(f"The spread of {spread.name} between devices is not in the model.")
    if outcome.population is None:
        assumed = "that of a preset" if typical else "none"
        found.append(f"The spread between devices was not measured; {assumed} is assumed.")
    return found
