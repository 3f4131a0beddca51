"""A user's own table as a data set, and sets that are fetched."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading

import numpy as np
import pytest

from tilewright.data import DataError, TableLayout, download, download_images, load_dataset
from tilewright.runs import DataSource, LinearRegression, Perceptron, RunSpec, train


def table(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


@pytest.fixture
def flowers(tmp_path):
    rows = [f"{k % 7},{(k * 3) % 5},{'red' if k % 2 else 'blue'}" for k in range(40)]
    return table(tmp_path, "\n".join(["width,height,colour", *rows]))


def test_words_are_classes_and_inputs_are_scaled(flowers):
    data = load_dataset("csv", table=TableLayout(str(flowers)))
    assert (data.task, data.n_classes, data.image_shape) == ("classes", 2, (1, 2))
    assert (len(data.train_labels), len(data.test_labels)) == (32, 8)
    assert data.train_images.mean(dim=0).abs().max() < 1e-6
    assert data.train_images.std(dim=0, unbiased=False).sub(1).abs().max() < 1e-6
    again = load_dataset("csv", table=TableLayout(str(flowers)))
    assert again.checksum == data.checksum


def test_numbers_are_values_and_columns_are_named(tmp_path):
    generator = np.random.Generator(np.random.PCG64(1))
    x = generator.normal(size=(60, 2))
    rows = [f"{a:.6f}; {b:.6f}; {2 * a - b:.6f}; {a + b:.6f}" for a, b in x]
    path = table(tmp_path, "\n".join(["a;b;first;second", *rows]))
    spec = RunSpec(
        data=DataSource(name="csv", file=str(path), targets="first, second"),
        network=LinearRegression(inputs=2, outputs=2, bias=True), learning_rate=0.3, epochs=30,
    )  # fmt: skip
    events = list(train(spec.completed()))
    assert [e for e in events if e.kind == "epoch"][-1].values["test_error"] < 1e-3


def test_a_table_trains_a_network_of_classes(flowers):
    spec = RunSpec(
        data=DataSource(name="csv", file=str(flowers), validation=0.2), epochs=1,
        network=Perceptron(layer_sizes=[2, 4, 2]),
    )  # fmt: skip
    assert list(train(spec.completed()))[-1].kind == "finished"


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        ("a,b\n1,2\n", {}, "1 rows; at least 5"),
        ("a,b\n" + "1,2\n" * 9 + "x,2\n", {}, "column 'a' has 'x' in row 11"),
        ("a,b\n" + "1,2\n" * 9 + ",2\n", {}, "column 'a' has nothing in row 11"),
        ("a,b\n" + "1,2\n" * 9, {"targets": "c"}, "no column 'c'; it has a, b"),
        ("a,b\n" + "1,2\n" * 9, {"targets": "a,b"}, "only the columns to learn"),
        ("a,b,c\n" + "1,2,3\n" * 9, {"targets": "b,c", "task": "classes"}, "classes are one column"),
        ("a,b\n" + "1,red\n" * 30 + "".join(f"1,{k}th\n" for k in range(5)), {}, "so few rows"),
        ("", {}, "not a table"),
        ("a,a\n" + "1,2\n" * 9, {"targets": "x"}, "column"),
        ("\0\0\0\n" * 20, {}, "mine.csv"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, layout, message):
    with pytest.raises(DataError, match=message):
        load_dataset("csv", table=TableLayout(str(table(tmp_path, text)), **layout))


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset("csv", table=TableLayout(str(tmp_path / "none.csv")))
    with pytest.raises(DataError, match="needs the path"):
        load_dataset("csv")


@pytest.fixture
def server(tmp_path):
    """A server of files on this machine alone."""
    place = tmp_path / "served"
    place.mkdir()
    handler = functools.partial(_Quiet, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield place, f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing."""


def test_a_set_is_fetched_once_and_only_whole(server, tmp_path, monkeypatch):
    place, address = server
    files = {f"file{k}.gz": bytes([k]) * 100 for k in range(4)}
    for name, content in files.items():
        (place / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(download._SETS, "mnist", (address, sums))
    lines = []
    folder = download_images("mnist", tmp_path / "mnist", lines.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    (place / "file1.gz").write_bytes(b"other")
    download_images("mnist", folder, lines.append)
    assert sum("there already" in line for line in lines) == 4
    (folder / "file1.gz").unlink()
    with pytest.raises(DataError, match="not the published file"):
        download_images("mnist", folder)
    assert not (folder / "file1.gz").exists()
    with pytest.raises(DataError, match="cannot be reached"):
        download_images("mnist", tmp_path / "other", address="http://127.0.0.1:9/")
    with pytest.raises(DataError, match="can be downloaded"):
        download_images("cifar", folder)


def test_the_published_sets_are_known_by_their_checksums(shared_data):
    for name, (_, files) in download._SETS.items():
        for file, expected in files.items():
            content = (shared_data / "data" / name / file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == expected


@pytest.mark.parametrize(("place", "what"), [("/dev/zero", "not a regular file"), ("", "a folder")])
def test_what_is_no_file_is_not_read(tmp_path, place, what):
    with pytest.raises(DataError, match=what):
        load_dataset("csv", table=TableLayout(place or str(tmp_path)))
