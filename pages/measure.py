"""Measure: what a file of pulses and responses holds."""

import streamlit as st

from studio.errors import show_error
from studio.forms import named_choice
from studio.places import go, heading, next_step
from studio.plots import show_figure
from studio.reading import saved_code, show_guesses, understood
from studio.words import plain
from studio.workspace import workspace
from tilewright.assets import asset_path
from tilewright.figures import plot_measurement
from tilewright.measurement import (
    FORMULAS,
    NORMALISATIONS,
    Finding,
    Measurement,
    MeasurementError,
    Reading,
    example_names,
    quality_report,
    suggested_normalisation,
)

SOURCES = ["Example", "My file", "Saved"]
KINDS = ["csv", "txt", "tsv", "dat", "asc", "lvm", "xlsx", "mat", "npy", "npz"]
MARKS = {
    "good": ":green[:material/check_circle:]",
    "info": ":blue[:material/info:]",
    "warning": ":orange[:material/warning:]",
    "problem": ":red[:material/error:]",
}

place = heading(
    "Measure", "A table of responses to pulses, from a file or an example. Units and pulses are found for you."
)


def pick() -> tuple[str, Reading | None, list[str]]:
    """Name of the source, how it was read, and the Python that reads it; None before a file was chosen."""
    saved = workspace().measurements.names()
    source = st.segmented_control(
        "Take it from", SOURCES if saved else SOURCES[:2], default="Example", required=True, key="source",
        bind="query-params", width="stretch",
    )  # fmt: skip
    if source == "Saved":
        name = named_choice("Saved measurement", saved, "measurement") or ""
        code = ["from tilewright.workspace import Workspace", "", saved_code(name)]
        return name, Reading(workspace().measurements.load(name), None), code
    if source == "Example":
        name = named_choice("Example", example_names(), "example", format_func=lambda n: n.replace("-", " ")) or ""
        path = asset_path("examples", f"{name}.csv")
        return name, *understood(path.read_bytes(), name, f'asset_path("examples", {path.name!r})')
    upload = st.file_uploader(
        "Measurement file", type=KINDS, key="upload",
        help="A column of responses, or several; with or without pulses. CSV, TSV, TXT, XLSX, MAT, NPY, NPZ; "
        "up to 64 MB and a few million readings.",
    )  # fmt: skip
    if not upload:
        return "", None, []
    name = upload.name.rsplit(".", 1)[0]
    return name, *understood(upload.getvalue(), name, repr(upload.name))


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"


def show_verdict(measurement: Measurement, findings: list[Finding]) -> None:
    """One line: what it is, how sure, and whether it can be fitted."""
    sure = measurement.confidence
    trust = "Read with confidence" if sure >= 0.85 else "Probably right, please check" if sure > 0.6 else "A guess"
    problems = sum(finding.severity == "problem" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    state = f"solve {counted(problems, 'problem')} first" if problems else counted(warnings, "warning")
    facts = st.columns([1, 1, 1, 4], vertical_alignment="center")
    facts[0].metric("Devices", len(measurement.devices))
    facts[1].metric("Records", len(measurement.records))
    facts[2].metric("Samples", f"{measurement.n_samples:,}")
    box = facts[3].error if problems else facts[3].warning if warnings or sure <= 0.6 else facts[3].success
    unit = f" in {measurement.unit}" if measurement.unit else ""
    box(f"**{trust}** ({100 * sure:.0f} %): {measurement.layout or 'one column'}{unit}; {measurement.protocol}. "
        f"Quality: {state if problems or warnings else 'nothing to complain about'}.")  # fmt: skip


def show_findings(measurement: Measurement, findings: list[Finding]) -> None:
    for finding in findings:
        where = f" :gray[({plain(finding.where)})]" if finding.where else ""
        st.markdown(f"{MARKS[finding.severity]} {plain(finding.text)}{where}")
    if measurement.notes:
        with st.expander("What was assumed while reading"):
            for note in measurement.notes:
                st.caption(plain(note))


def keep(measurement: Measurement, name: str) -> str:
    """Save under a name, unless the very same is there already."""
    shelf = workspace().measurements
    if shelf.exists(name) and shelf.load(name).records == measurement.records:
        return str(shelf.path(name).stem)
    return str(shelf.save(shelf.free_name(name), measurement.with_name(name)))


settings, view = st.columns([1, 2.3], gap="medium")
with settings:
    name, reading, read = pick()
    measurement = reading.measurement if reading else None
    if measurement is not None:
        rule = st.selectbox(
            "Show as", ["measured", *NORMALISATIONS], key="shown", bind="query-params",
            format_func=lambda r: "measured" if r == "measured" else f"normalised: {NORMALISATIONS[r]}",
            help=f"Weights run from about -1 to 1. Suggested here: {suggested_normalisation(measurement)}.",
        )  # fmt: skip
        formula = st.empty()
        title = st.text_input("Name", value=name, key=f"name.{name}", max_chars=60)
        show_guesses(reading)

with view:
    if reading is None:
        st.info("Drop a file (CSV, XLSX, MAT ...) on the left, or look at an **Example**.", icon=":material/upload:")
    if reading is not None and measurement is None:
        show_error(reading.declined)
        st.caption(
            "Nothing was kept. If it is a pulse response after all, say under “How to read it” what the columns are, "
            "or state its pulses, e.g. `200 up, 200 down`."
        )
    if measurement is None:
        st.stop()
    shown = measurement
    if rule != "measured":
        try:
            shown = measurement.normalised(rule)
            formula.caption(f"{FORMULAS[rule]}. Here {shown.affine.formula()}")
        except MeasurementError as error:
            show_error(error)
    findings = quality_report(measurement)
    drawn = "measurement" if rule == "measured" else f"measurement.normalised({rule!r})"
    code = "\n".join(
        ["from tilewright.figures import plot_measurement", "from tilewright.measurement import quality_report", *read,
         f"plot_measurement({drawn}, quality_report(measurement)).show()"]
    )  # fmt: skip
    show_verdict(measurement, findings)
    show_figure(plot_measurement(shown, findings), "measurement", settings=f"{name}: {shown.protocol}", code=code)
    show_findings(measurement, findings)
with place:
    if next_step("Fit a device to it", "fit", why="Keeps the measurement in your workspace under its name."):
        go("fit", measurement=keep(measurement, title or name))
