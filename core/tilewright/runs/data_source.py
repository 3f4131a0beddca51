"""Which data a run is trained and tested on."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from tilewright.data import Dataset, DatasetSummary, TableLayout, describe_dataset, load_dataset
from tilewright.data.dataset import CLASSES, VALUES
from tilewright.data.sets import IDX_FOLDER, TABLE
from tilewright.parameters import ParameterError, Parameters, parameter


class DataSource(Parameters):
    """Which data, and what of it is set aside for validation."""

    name: str = parameter(
        "mnist-small", "mnist-small, digits8x8, linear20, idx for a folder of idx files, csv for a table of your own"
    )
    folder: str = parameter("", "folder of the four idx files; only for idx")
    file: str = parameter("", "path of the table; only for csv")
    targets: str = parameter("", "columns of the table to learn, separated by commas; empty takes the last one")
    task: str = parameter("", "classes or values; empty tells from the column to learn; only for csv")
    test_share: float = parameter(0.2, "share of a table's rows kept for testing; only for csv", gt=0, lt=1)
    validation: float = parameter(
        0.0, "share of the training part set aside for validation: what settings are chosen by", ge=0, le=0.9
    )
    validation_seed: int = parameter(1, "which samples are set aside", ge=0, le=2**31 - 1)
    checksum: str = parameter("", "SHA-256 of the values; filled in when the run is submitted, checked when it starts")

    @model_validator(mode="after")
    def _place_fits_the_name(self) -> DataSource:
        if bool(self.folder) != (self.name == IDX_FOLDER):
            raise ValueError(f"a folder belongs to data set {IDX_FOLDER!r} and to no other (name {self.name!r})")
        if bool(self.file) != (self.name == TABLE):
            raise ValueError(f"a file belongs to data set {TABLE!r} and to no other (name {self.name!r})")
        if self.task not in ("", CLASSES, VALUES):
            raise ValueError(f"task {self.task!r}: must be {CLASSES!r}, {VALUES!r} or empty")
        return self

    def summary(self) -> DatasetSummary:
        """Shape, sizes and checksum of the data; raises ``DataError`` when it cannot be read."""
        return describe_dataset(self.name, self.folder or None, self._table())

    def load(self) -> Dataset:
        """The data with its validation part set aside; raises ``DataError`` when it cannot be read."""
        return self.divided(load_dataset(self.name, self.folder or None, self._table()))

    def divided(self, dataset: Dataset) -> Dataset:
        """``dataset`` with its validation part set aside."""
        if dataset.validation_labels is not None or not self.validation:
            return dataset
        try:
            return dataset.with_validation(self.validation, self.validation_seed)
        except ValueError as error:
            raise ParameterError(str(error)) from None

    def identity(self) -> Any:
        """What of this decides a result: the checksum instead of where the data lies."""
        fields = self.to_dict(full=True)
        if self.checksum:
            for name in ("name", "folder", "file"):
                del fields[name]
        return fields

    def _table(self) -> TableLayout | None:
        if self.name != TABLE:
            return None
        return TableLayout(self.file, self.targets, self.task, self.test_share)
