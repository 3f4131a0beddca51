"""What a training run is given: inputs with their labels or values, for training, validation and testing apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CLASSES = "classes"
VALUES = "values"


@dataclass(frozen=True)
class Dataset:
    """Inputs with what is to be learned of them, training, validation and test apart.

    ``train_images`` and ``test_images`` are float32 of shape (samples, rows, columns); a sample of a table is one row.
    Labels are int64 of shape (samples,) for classes, float32 of shape (samples, outputs) for values. The validation
    part is empty until :meth:`with_validation` takes it from the training part: it is for choosing among settings,
    the test part only for reporting. ``checksum`` is the SHA-256 of the values, the same whatever file they came from.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    checksum: str
    validation_images: Tensor | None = None
    validation_labels: Tensor | None = None

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of a sample."""
        return int(self.train_images.shape[1]), int(self.train_images.shape[2])

    @property
    def task(self) -> str:
        """``classes`` or ``values``."""
        return VALUES if self.train_labels.is_floating_point() else CLASSES

    @property
    def n_classes(self) -> int:
        """Outputs a network needs: largest label of the training part plus one, or values per sample."""
        if self.task == VALUES:
            return int(self.train_labels.shape[1])
        return int(self.train_labels.max()) + 1

    def with_validation(self, share: float, seed: int) -> Dataset:
        """The same data with a share of the training part set aside for validation, drawn by ``seed``.

        What is set aside does not depend on how long or with what a network is trained, only on ``seed``.
        """
        n = len(self.train_labels)
        kept_apart = round(share * n)
        if kept_apart == 0:
            return self
        if kept_apart >= n:
            raise ValueError(f"validation = {share:g} leaves nothing of {n} samples to train on")
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(n, generator=generator)
        apart, rest = order[:kept_apart].sort().values, order[kept_apart:].sort().values
        return replace(
            self,
            train_images=self.train_images[rest],
            train_labels=self.train_labels[rest],
            validation_images=self.train_images[apart],
            validation_labels=self.train_labels[apart],
        )


@dataclass(frozen=True)
class DatasetSummary:
    """What a data set is, without its values."""

    name: str
    image_shape: tuple[int, int]
    n_train: int
    n_test: int
    n_classes: int
    checksum: str
    task: str = CLASSES


def checksum_of(arrays: Sequence[NDArray[np.generic]]) -> str:
    """SHA-256 over shapes and values, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
