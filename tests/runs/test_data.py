from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch

from tilewright.data import DataError, describe_dataset, load_dataset, read_idx


def idx_bytes(values: np.ndarray, kind: int = 0x08) -> bytes:
    return bytes((0, 0, kind, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    """A valid folder of four images for training and two for testing, one file compressed."""
    images = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1, 2, 1], dtype=np.uint8)))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images[:2])))
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(idx_bytes(np.array([2, 0], dtype=np.uint8)))
    return tmp_path


@pytest.mark.parametrize("name", ["mnist-small", "digits8x8"])
def test_bundled_sets_are_complete(name):
    data = load_dataset(name)
    sizes = {"mnist-small": (6000, 1000, (28, 28)), "digits8x8": (1433, 364, (8, 8))}
    assert (len(data.train_labels), len(data.test_labels), data.image_shape) == sizes[name]
    assert data.train_images.dtype == torch.float32
    assert data.train_labels.dtype == torch.int64
    assert data.train_images.min() == 0
    assert data.train_images.max() == 1
    assert data.n_classes == 10
    assert torch.bincount(data.test_labels, minlength=10).min() >= 34
    summary = describe_dataset(name)
    assert (summary.checksum, summary.image_shape, summary.n_train) == (data.checksum, data.image_shape, sizes[name][0])


def test_mnist_small_is_balanced_and_looks_like_mnist():
    data = load_dataset("mnist-small")
    assert torch.bincount(data.train_labels).tolist() == [600] * 10
    assert torch.bincount(data.test_labels).tolist() == [100] * 10
    assert data.train_images.mean().item() == pytest.approx(0.1307, abs=0.003)
    assert data.train_images.std().item() == pytest.approx(0.3081, abs=0.003)


def test_training_and_test_digits_do_not_overlap():
    data = load_dataset("digits8x8")
    train = {row.numpy().tobytes() for row in data.train_images}
    shared = sum(row.numpy().tobytes() in train for row in data.test_images)
    assert shared == 0


def test_full_mnist_reads_as_documented(shared_data):
    summary = describe_dataset("idx", shared_data / "data" / "mnist")
    assert (summary.n_train, summary.n_test, summary.image_shape, summary.n_classes) == (60000, 10000, (28, 28), 10)


def test_idx_folder_mixes_plain_and_compressed_files(idx_folder):
    data = load_dataset("idx", idx_folder)
    assert data.train_images.shape == (4, 3, 2)
    assert data.train_images[1, 0, 1].item() == pytest.approx(7 / 255)
    assert data.test_labels.tolist() == [2, 0]
    assert data.n_classes == 3
    assert data.name == idx_folder.name


def test_checksum_is_of_the_values_not_of_the_file(idx_folder):
    before = describe_dataset("idx", idx_folder).checksum
    plain = idx_folder / "train-images-idx3-ubyte"
    (idx_folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(plain.read_bytes(), 1))
    plain.unlink()
    assert describe_dataset("idx", idx_folder).checksum == before
    (idx_folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([1, 1, 2, 1], dtype=np.uint8)))
    assert describe_dataset("idx", idx_folder).checksum != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"PK\x03\x04 an archive", "not an idx file"),
        (b"\0\0\x0d\x03" + b"\0" * 40, "type 0x0d"),
        (b"\0\0\x08\x01" + b"\0\0\0\x04", "1 dimensions, expected 3"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "claims the shape"),
        (b"\0\0\x08\x03" + b"\0" * 12, "claims the shape"),
        (idx_bytes(np.zeros((2, 2, 2), dtype=np.uint8))[:-1], "ends after 7 of 8 values"),
        (idx_bytes(np.zeros((2, 2, 2), dtype=np.uint8)) + b"x", "more values than its shape"),
        (gzip.compress(idx_bytes(np.zeros((40, 40, 40), dtype=np.uint8)), mtime=0)[:-20], "cannot be read"),
        (b"\x1f\x8b" + b"not gzip at all", "cannot be read"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path, 3)
    assert str(path) in str(error.value)


def test_files_that_do_not_belong_together(idx_folder):
    (idx_folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1, 2], dtype=np.uint8)))
    with pytest.raises(DataError, match="4 train images but 3 train labels"):
        load_dataset("idx", idx_folder)


def test_a_class_only_in_the_test_part(idx_folder):
    (idx_folder / "t10k-labels.idx1-ubyte").write_bytes(idx_bytes(np.array([9, 0], dtype=np.uint8)))
    with pytest.raises(DataError, match="a class that the training labels do not"):
        load_dataset("idx", idx_folder)


def test_a_missing_file_is_named(idx_folder):
    (idx_folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte"):
        load_dataset("idx", idx_folder)


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("mnsit", None, "unknown data set 'mnsit'; known: mnist-small"),
        ("idx", None, "needs the folder"),
        ("idx", "/nowhere/at/all", "is not a folder"),
        ("mnist-small", "/tmp", "a folder is only for"),
    ],
)
def test_a_wrong_name_or_folder(name, folder, message):
    with pytest.raises(DataError, match=message):
        load_dataset(name, folder)
