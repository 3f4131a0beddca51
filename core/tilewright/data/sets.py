"""Data sets for training runs: small ones that ship, any folder of idx files, and a user's own table."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewright.assets import asset_path
from tilewright.data.dataset import CLASSES, VALUES, Dataset, DatasetSummary, checksum_of
from tilewright.data.idx import DataError, read_idx
from tilewright.data.regression import linear_map
from tilewright.data.table import TableLayout, read_table

IDX_FOLDER = "idx"
TABLE = "csv"
LINEAR = "linear20"

_IDX_FILES = {
    "train_images": ("train-images", 3),
    "train_labels": ("train-labels", 1),
    "test_images": ("t10k-images", 3),
    "test_labels": ("t10k-labels", 1),
}


@dataclass(frozen=True)
class _Raw:
    """Values as they are stored; ``levels`` is the value that becomes 1."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    levels: int

    def checksum(self) -> str:
        return checksum_of([self.train_images, self.train_labels, self.test_images, self.test_labels])


def dataset_names() -> list[str]:
    """Names of the sets that ship; :func:`load_dataset` also reads ``idx`` folders and ``csv`` tables."""
    return ["mnist-small", "digits8x8", LINEAR]


def load_dataset(
    name: str = "mnist-small", folder: str | Path | None = None, table: TableLayout | None = None
) -> Dataset:
    """Load a data set.

    Args:
        name: ``mnist-small`` (6,000 + 1,000 digits of 28 x 28), ``digits8x8`` (1,797 digits of 8 x 8, every fifth of
            a class for testing), ``linear20`` (a linear map of 20 values to be learned), ``idx`` for the files in
            ``folder``, or ``csv`` for a ``table``.
        folder: for ``idx``: where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
            ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte`` are, with or without ``.gz``.
        table: for ``csv``: the file and what its columns are.

    Raises:
        DataError: unknown name, missing or unreadable file, images and labels that do not belong together.
    """
    whole = _whole(name, table)
    if whole is not None:
        return whole
    raw = _read(name, folder)
    return Dataset(
        name=_label(name, folder),
        train_images=_scaled(raw.train_images, raw.levels),
        train_labels=torch.from_numpy(raw.train_labels.astype(np.int64)),
        test_images=_scaled(raw.test_images, raw.levels),
        test_labels=torch.from_numpy(raw.test_labels.astype(np.int64)),
        checksum=raw.checksum(),
    )


def describe_dataset(
    name: str = "mnist-small", folder: str | Path | None = None, table: TableLayout | None = None
) -> DatasetSummary:
    """Shape, sizes and checksum of what :func:`load_dataset` would load; images at a quarter of its memory.

    Raises:
        DataError: as for :func:`load_dataset`.
    """
    whole = _whole(name, table)
    if whole is not None:
        return DatasetSummary(
            whole.name, whole.image_shape, len(whole.train_labels), len(whole.test_labels), whole.n_classes,
            whole.checksum, VALUES if whole.task == VALUES else CLASSES,
        )  # fmt: skip
    raw = _read(name, folder)
    rows, columns = raw.train_images.shape[1:]
    return DatasetSummary(
        name=_label(name, folder),
        image_shape=(int(rows), int(columns)),
        n_train=len(raw.train_labels),
        n_test=len(raw.test_labels),
        n_classes=int(raw.train_labels.max()) + 1,
        checksum=raw.checksum(),
    )


def _whole(name: str, table: TableLayout | None) -> Dataset | None:
    """Sets that are not images: they are small enough to be described by loading them."""
    if name == TABLE:
        if table is None or not table.file:
            raise DataError("data set 'csv' needs the path of its file")
        return read_table(table)
    return linear_map() if name == LINEAR else None


def _label(name: str, folder: str | Path | None) -> str:
    return Path(folder).name or name if folder is not None and name == IDX_FOLDER else name


def _scaled(images: NDArray[np.uint8], levels: int) -> Tensor:
    return torch.from_numpy(images.astype(np.float32) / np.float32(levels))


def _read(name: str, folder: str | Path | None) -> _Raw:
    if name == IDX_FOLDER:
        if not folder:
            raise DataError(f"data set {IDX_FOLDER!r} needs the folder of its four idx files")
        return _read_idx_folder(Path(folder).expanduser())
    if folder:
        raise DataError(f"a folder is only for data set {IDX_FOLDER!r}, not for {name!r}")
    if name == "mnist-small":
        return _read_idx_folder(asset_path("data", "mnist-small"))
    if name == "digits8x8":
        return _read_digits(asset_path("data", "digits8x8", "digits.csv.gz"))
    raise DataError(f"unknown data set {name!r}; known: {', '.join([*dataset_names(), IDX_FOLDER, TABLE])}")


def _read_idx_folder(folder: Path) -> _Raw:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    arrays = {part: read_idx(_find_idx(folder, stem, n), n) for part, (stem, n) in _IDX_FILES.items()}
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if len(images) != len(labels):
            raise DataError(f"{folder}: {len(images)} {part} images but {len(labels)} {part} labels")
    if arrays["train_images"].shape[1:] != arrays["test_images"].shape[1:]:
        sizes = [" x ".join(map(str, arrays[part].shape[1:])) for part in ("train_images", "test_images")]
        raise DataError(f"{folder}: training images are {sizes[0]}, test images {sizes[1]}")
    if arrays["test_labels"].max() > arrays["train_labels"].max():
        raise DataError(f"{folder}: the test labels hold a class that the training labels do not")
    return _Raw(**arrays, levels=255)


def _find_idx(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{dot}idx{dimensions}-ubyte{end}" for end in (".gz", "") for dot in ("-", ".")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} has no {names[0]} (nor {', '.join(names[1:])})")


def _read_digits(path: Path) -> _Raw:
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            rows = np.loadtxt(lines, delimiter=",", dtype=np.uint8, ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    images, labels = rows[:, :64].reshape(-1, 8, 8), rows[:, 64]
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[::5]] = True
    return _Raw(images[~test], labels[~test], images[test], labels[test], levels=16)
