"""What a visitor chooses before runs are launched: data, network, sweep, and the grid of runs they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from studio.background import find_task, start_task
from studio.devices import as_model
from studio.errors import guarded, show_error
from studio.forms import named_choice
from studio.workspace import workspace
from tilewright.data import DataError, DatasetSummary, dataset_names, download_images, downloadable_names
from tilewright.devices.pulsed import PulsedDevice
from tilewright.figures import algorithm_label
from tilewright.parameters import ParameterError
from tilewright.runs import (
    Activation,
    Contender,
    DataSource,
    DropSchedule,
    Grid,
    LayerList,
    LeNet5,
    LinearRegression,
    Network,
    Output,
    Perceptron,
    RunSpec,
    SequenceLSTM,
    SmallCNN,
    Variation,
    recommend,
)

HIDDEN = {"mnist-small": "256-128", "digits8x8": "32", "idx": "256-128"}
CLASS_NETWORKS = ("Perceptron", "LeNet-5", "CNN", "LSTM", "Layers in words")
VALUE_NETWORKS = ("Linear layer", "Perceptron", "Layers in words")
SWEPT = ("learning_rate", "batch_size", "train_limit", "rpu_config.device.fast_lr", "rpu_config.update.desired_bl")


# --- data -------------------------------------------------------------------------------------------------------------


def choose_data() -> DataSource:
    """The data set, and where it lies when it is the visitor's own."""
    name = named_choice(
        "Data", [*dataset_names(), "idx", "csv"], "data",
        help="idx: a folder of idx files, such as MNIST. csv: a table of your own, one sample a row.",
    )  # fmt: skip
    if name == "idx":
        folder = st.text_input("Folder of the idx files", key="folder").strip()
        _offer_download()
        if not folder:
            st.caption("Name the folder that holds the four idx files.")
            st.stop()
        return DataSource(name="idx", folder=folder)
    if name == "csv":
        file = st.text_input("Path of the CSV file", key="file").strip()
        targets = st.text_input("Columns to learn", key="targets", placeholder="the last one")
        if not file:
            st.caption("Name a file with a line of column names and a sample in each row.")
            st.stop()
        return DataSource(name="csv", file=file, targets=targets or "")
    return DataSource(name=name)


def _offer_download() -> None:
    with st.popover("Fetch a set", icon=":material/download:"):
        st.caption("Downloads the four published files, checks them and keeps them in your workspace.")
        for name in downloadable_names():
            folder, task = workspace().folder / "data" / name, find_task(f"fetch {name}")
            if st.button(name, key=f"fetch-{name}", disabled=task is not None and task.running):
                start_task(f"fetch {name}", lambda task, n=name, f=folder: download_images(n, f))
                st.caption(f"Fetching into {folder}")
            elif task is not None and task.error is not None:
                show_error(task.error)
            elif folder.is_dir() and any(folder.iterdir()):
                st.caption(f"{name} is in {folder}")


@st.cache_data(show_spinner=False, max_entries=16)
def _summary(data_json: str, changed: float) -> DatasetSummary | str:
    try:
        return DataSource.from_json(data_json).summary()
    except (DataError, ParameterError) as error:
        return str(error)


def summary_of(data: DataSource) -> DatasetSummary:
    """What the data is; stops the page with a message when it cannot be read."""
    place = Path(data.file or data.folder or ".").expanduser()
    found = _summary(data.to_json(), place.stat().st_mtime if place.exists() else 0.0)
    if isinstance(found, str):
        st.error(found, icon=":material/error:")
        st.stop()
    return found


# --- network ----------------------------------------------------------------------------------------------------------


def layer_sizes(text: str) -> list[int]:
    """``784-256-128-10`` as numbers."""
    parts = [part.strip() for part in text.replace(",", "-").split("-")]
    if len(parts) < 2 or not all(part.isdigit() for part in parts):
        raise ParameterError(f"layers {text!r}: write the neurons of each layer, for example 784-256-128-10")
    return [int(part) for part in parts]


def network_of(text: str, activation: str) -> Network:
    """A perceptron from its layers in words."""
    return Perceptron(layer_sizes=layer_sizes(text), activation=activation)


def choose_network(data: DataSource, summary: DatasetSummary) -> Network | None:
    """The network; None, with a message, while what is written describes none."""
    values = summary.task == "values"
    kinds = [kind for kind in (VALUE_NETWORKS if values else CLASS_NETWORKS) if _fits(kind, summary)]
    kind = named_choice("Network", kinds, f"network.{summary.task}")
    with guarded():
        return _network(kind or kinds[0], data, summary, Output.VALUES if values else Output.CLASSES)
    return None


def _fits(kind: str, summary: DatasetSummary) -> bool:
    rows, columns = summary.image_shape
    if kind == "LeNet-5":
        return (rows, columns) == (28, 28)
    return kind not in ("CNN", "LSTM") or min(rows, columns) >= 4


def _network(kind: str, data: DataSource, summary: DatasetSummary, output: Output) -> Network:
    rows, columns = summary.image_shape
    pixels, n, image = rows * columns, summary.n_classes, [rows, columns]
    if kind == "Linear layer":
        return LinearRegression(inputs=pixels, outputs=n)
    if kind == "LeNet-5":
        return LeNet5(classes=n)
    if kind == "CNN":
        text = st.text_input("Maps of each convolution", "8-16", key="channels", bind="query-params")
        channels = layer_sizes(f"1-{text}")[1:]
        return SmallCNN(image=image, classes=n, channels=channels)
    if kind == "LSTM":
        return SequenceLSTM(image=image, classes=n, hidden=st.number_input("Units", 1, 4096, 64, key="units"))
    if kind == "Layers in words":
        start = (
            f"flatten\nlinear 64\nsigmoid\nlinear {n}"
            if rows == 1
            else f"image\nconv 8 3 1\nrelu\nmaxpool 2\nflatten\nlinear {n}"
        )
        text = st.text_area("Layers, one a line", start, key=f"words.{data.name}", height=180, help=LayerList.__doc__)
        return LayerList(
            layers=[line.strip() for line in text.splitlines() if line.strip()], image=image, output=output
        )
    default = f"{pixels}-{HIDDEN.get(data.name, '64')}-{n}"
    sizes = st.columns([1.6, 1])
    text = sizes[0].text_input("Layers", default, key=f"layers.{data.name}", bind="query-params")
    activation = sizes[1].selectbox("Activation", [a.value for a in Activation], key="activation", bind="query-params")
    return Perceptron(layer_sizes=layer_sizes(text), activation=activation, output=output)


# --- the grid ---------------------------------------------------------------------------------------------------------


def choose_sweep() -> list[Variation]:
    """Up to two fields that take several values."""
    found = []
    for number in (1, 2):
        row = st.columns([1.3, 1])
        field = row[0].selectbox(
            "Field" if number == 1 else "Second field", SWEPT, index=None, key=f"field{number}",
            accept_new_options=True, placeholder="None",
            help="Any field of a run by its path, as its specification shows it.",
        )  # fmt: skip
        text = row[1].text_input("Values", key=f"values{number}", placeholder="0.01, 0.1, 1")
        values = list(dict.fromkeys(_value(part) for part in text.split(",") if part.strip()))
        if field and values:
            found.append(Variation(field=field, values=values))
    return found


def _value(text: str) -> Any:
    word = text.strip()
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(word.lower(), word)


def contenders_of(
    algorithms: Sequence[str], tiles: Sequence[str], device_name: str, device: PulsedDevice, rate: float | None
) -> list[Contender]:
    """Each algorithm with its recommended settings for the device, and each tile of the workspace.

    Args:
        algorithms: short names.
        tiles: names of the workspace's own tiles.
        device_name: how the device is called in the names of the runs.
        device: what the algorithms run on.
        rate: overrides the recommended learning rate.
    """
    short = device_name.removesuffix("PresetDevice")
    found = []
    for name in algorithms:
        advice = recommend(name, as_model(device))
        label = algorithm_label(name) if name == "fp" else f"{algorithm_label(name)}, {short}"
        found.append(
            Contender(
                name=label[:80],
                rpu_config=advice.rpu_config,
                learning_rate=rate or advice.learning_rate,
                lr_schedule=advice.lr_schedule,
            )
        )
    for name in tiles:
        tile = workspace().tiles.load(name)
        found.append(Contender(name=name[:80], rpu_config=tile, learning_rate=rate or 0.1, lr_schedule=DropSchedule()))
    if not found:
        raise ParameterError("nothing is chosen to train; pick at least one algorithm or tile")
    return found


def demo_specs(algorithms: Sequence[str], device_name: str, device: PulsedDevice) -> list[RunSpec]:
    """A run of each algorithm with its recommended settings: one pass over the bundled images."""
    base = RunSpec(data=DataSource(name="mnist-small"), epochs=1)
    contenders = contenders_of(algorithms, (), device_name, device, None)
    return Grid(base=base, contenders=contenders, seeds=1).specs()
