"""Measure: what a file of pulses and responses holds."""

import io

import streamlit as st

from studio.errors import show_error
from studio.forms import named_choice, parameter_form, slug
from studio.places import go, heading, next_step
from studio.plots import show_figure
from studio.workspace import workspace
from tilewright.figures import plot_measurement
from tilewright.measurement import (
    NORMALISATIONS,
    Finding,
    Measurement,
    MeasurementError,
    ReadOptions,
    example_names,
    load_example,
    quality_report,
    read_measurement,
    suggested_normalisation,
)

SOURCES = ["Example", "My file", "Saved"]
KINDS = ["csv", "txt", "tsv", "dat", "xlsx"]
MARKS = {
    "good": ":green[:material/check_circle:]",
    "info": ":blue[:material/info:]",
    "warning": ":orange[:material/warning:]",
    "problem": ":red[:material/error:]",
}

place = heading(
    "Measure", "A table of responses to pulses, from a file or an example. Units and pulses are found for you."
)


def pick() -> tuple[str, Measurement | None, bytes | None]:
    """Name of the source, the measurement of an example or of the workspace, or the bytes of an upload."""
    saved = workspace().measurements.names()
    source = st.segmented_control(
        "Take it from", SOURCES if saved else SOURCES[:2], default="Example", required=True, key="source",
        bind="query-params", width="stretch",
    )  # fmt: skip
    if source == "Saved":
        name = named_choice("Saved measurement", saved, "measurement")
        return name or "", workspace().measurements.load(name), None
    if source == "Example":
        name = named_choice("Example", example_names(), "example", format_func=lambda n: n.replace("_", " "))
        return name or "", load_example(name), None
    upload = st.file_uploader(
        "Measurement file", type=KINDS, help="A column of responses, or several; with or without pulses. Up to 20 MB.",
        key="upload",
    )  # fmt: skip
    return (upload.name.rsplit(".", 1)[0], None, upload.getvalue()) if upload else ("", None, None)


def read(name: str, content: bytes) -> Measurement | None:
    with st.expander("How to read it"):
        st.caption("Everything is found from the file; change what was found wrongly.")
        options = parameter_form(ReadOptions(), f"read.{slug(name)}", only=list(ReadOptions.model_fields))
    try:
        return read_measurement(io.BytesIO(content), name=name, options=options)
    except MeasurementError as error:
        show_error(error)
        st.caption("Set under “How to read it” what the file holds, or choose another file.")
        return None


def show_findings(measurement: Measurement, findings: list[Finding]) -> None:
    sure = measurement.confidence
    trust = "clear" if sure > 0.85 else "probable; please check" if sure > 0.6 else "a guess; please set it"
    facts = st.columns([1, 1, 2])
    facts[0].metric("Records", len(measurement.records))
    facts[1].metric("Samples", f"{measurement.n_samples:,}")
    facts[2].markdown(
        f"**Layout** {measurement.layout or 'one column'}  \n**Pulses** {measurement.protocol}  \n**Reading** {trust}"
    )
    for finding in findings:
        where = f" ({finding.where})" if finding.where else ""
        st.markdown(f"{MARKS[finding.severity]} {finding.text}{where}")
    if measurement.notes:
        with st.expander("What was assumed while reading"):
            for note in measurement.notes:
                st.caption(note)


def keep(measurement: Measurement, name: str) -> str:
    """Save under a name, unless the very same is there already."""
    shelf = workspace().measurements
    if shelf.exists(name) and shelf.load(name).records == measurement.records:
        return str(shelf.path(name).stem)
    return str(shelf.save(shelf.free_name(name), measurement.with_name(name)))


settings, view = st.columns([1, 2.3], gap="medium")
with settings:
    name, measurement, content = pick()
    if content is not None:
        measurement = read(name, content)
    if measurement is not None:
        rules = list(NORMALISATIONS)
        rule = st.selectbox(
            "Show as", ["measured", *rules], key="shown", bind="query-params",
            format_func=lambda r: "measured" if r == "measured" else f"normalised: {NORMALISATIONS[r]}",
            help=f"Weights run from about -1 to 1. Suggested here: {suggested_normalisation(measurement)}.",
        )  # fmt: skip
        title = st.text_input("Name", value=name, key=f"name.{name}", max_chars=60)

with view:
    if measurement is None:
        if content is None:
            st.info(
                "Drop a file on the left, or choose **Example** to see what one looks like.", icon=":material/upload:"
            )
        st.stop()
    shown = measurement
    if rule != "measured":
        try:
            shown = measurement.normalised(rule)
        except MeasurementError as error:
            show_error(error)
    findings = quality_report(measurement)
    code = (
        "from tilewright.figures import plot_measurement\nfrom tilewright.measurement import read_measurement\n\n"
        f'measurement = read_measurement("{name}.csv")\nplot_measurement(measurement).show()'
    )
    show_figure(plot_measurement(shown, findings), "measurement", settings=f"{name}: {shown.protocol}", code=code)
    show_findings(measurement, findings)
with place:
    if next_step("Fit a device to it", "fit", why="Keeps the measurement in your workspace under its name."):
        go("fit", measurement=keep(measurement, title or name))
