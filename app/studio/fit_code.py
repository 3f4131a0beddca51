"""The Python that repeats a fit of the page, from the measurement in the workspace to the figure."""

from __future__ import annotations

from studio.fits import CHAIN, FitSettings, Outcome, edited_ranges
from studio.workspace import workspace_code

FITTING = "tilewright.fitting"
PROFILES = "fit, profiles = with_profiles(measurement, fit)"
# What may be asked of a fit that is done, and what it takes in Python.
THEN: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "second pass": (
        ("estimate_noise", "fit_with_noise", "with_profiles"),
        ["fit = fit_with_noise(measurement, fit, estimate_noise(measurement, fit))", PROFILES],
    ),
    "bootstrap": (("bootstrap",), ["fit = bootstrap(measurement, fit).fit"]),
    CHAIN: (("markov_chain",), ["fit = markov_chain(measurement, fit, steps=1000).fit"]),
}


def fit_code(outcome: Outcome, name: str) -> str:
    """A script that gives the numbers of the page; empty for a fit that was not made there.

    Args:
        outcome: the fit and how it was made.
        name: of the measurement in the workspace.
    """
    settings = outcome.settings
    if settings is None:
        return ""
    imports = {
        "tilewright.configs": {outcome.fit.class_name},
        "tilewright.figures": {"plot_fit"},
        "tilewright.workspace": {"Workspace"},
        FITTING: set(),
    }
    lines = [f"measurement = {workspace_code()}.measurements.load({name!r}).normalised({settings.rule!r})"]
    if settings.factors:
        imports["tilewright.figures.measurement"] = {"branches"}
        lines.append(f"factors = {settings.factors!r}  # of deviations: up ramps, down ramps, alternating pulses")
        lines.append("weights = [[factors[k] for k in branches(r.pulses).tolist()] for r in measurement.records]")
    lines += _call_of(outcome, settings, imports)
    lines += ["print(fit.table())", "plot_fit(measurement, fit).show()"]
    head = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(imports.items())]
    return "\n".join([*head, "", *lines])


def _call_of(outcome: Outcome, settings: FitSettings, imports: dict[str, set[str]]) -> list[str]:
    """The lines from the measurement to the fit; what they use goes into the imports."""
    fit_class, uses = outcome.fit.class_name, imports[FITTING]
    method = "" if settings.method in ("auto", CHAIN) else f", method={settings.method!r}"
    common = ", weights=weights" if settings.factors else ""
    if settings.free_start is not None:
        common += f", free_start={settings.free_start}"
    if outcome.population is not None and "devices" not in outcome.then:
        uses |= {"fit_population", "typical_fit"}
        edited = edited_ranges(outcome.measurement, settings)
        ranges = f", {edited!r}" if edited else ""
        return [
            f"devices = fit_population(measurement, {fit_class}{ranges}{method}{common})",
            "fit = typical_fit(measurement, devices)",
        ]
    if outcome.ranking is not None:
        uses.add("fit_all_devices")
        lines = [f"ranking = fit_all_devices(measurement{common})", f'fit = ranking["{fit_class}"].fit']
        imports.pop("tilewright.configs")
        if len(outcome.measurement.devices) > 1:
            imports |= {"dataclasses": {"replace"}, "tilewright.fitting.ranking": {"ranked_devices"}}
            few = "tuple(r for r in measurement.records if r.device in ranked_devices(measurement))"
            return [*lines, f"measurement = replace(measurement, records={few})"]
    else:
        uses.add("fit_device")
        ranges = f", {settings.ranges!r}" if settings.ranges else ""
        lines = [f"fit = fit_device(measurement, {fit_class}{ranges}{method}{common})"]
    if CHAIN not in outcome.then:
        uses.add("with_profiles")
        lines.append(PROFILES)
    for what in outcome.then:
        more, added = THEN.get(what, ((), []))
        uses |= set(more)
        lines += added
    return lines
