from __future__ import annotations

import os
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tilewright import measurement
from tilewright.atomic_write import write_atomically
from tilewright.configs import ConstantStepDevice, build_config
from tilewright.presets import DEVICE_PRESETS, TutorialRRAMPresetDevice
from tilewright.workspace import Workspace, WorkspaceError, file_name


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "work")


HOSTILE = [
    "../../etc/passwd", "/etc/passwd", "..", ".", "", " ", "a/b\\c", "con", "NUL.txt", "-rf", ".hidden", "x" * 5000,
    "ключ", "装置 一", "e\u0301", "\ud800", "a\0b", "tab\tnew\nline", "😀", "name.yaml", "%2e%2e%2f", "~root", "$HOME",
    "𝔘" * 200, "a" + "\u0301" * 300, "...a...", "COM1", "trailing.", "ﬁ", "İ" * 90,
]  # fmt: skip


@given(st.one_of(st.text(max_size=300), st.sampled_from(HOSTILE)))
@example("a" * 79 + ".con")
@example("x" * 79 + "-" + "y")
def test_no_text_escapes_the_folder(tmp_path_factory, text):
    shelf = Workspace(tmp_path_factory.getbasetemp() / "fuzzed").devices
    try:
        name = file_name(text)
    except WorkspaceError:
        assert shelf.exists(text) is False
        return
    assert file_name(name) == name
    path = shelf.path(text)
    assert path.parent == shelf.folder
    assert os.path.basename(path) == f"{name}.yaml"
    assert not name.startswith((".", "-"))
    assert not set(name) & set('/\\:*?"<>|\0\n\t ')
    assert len(path.name.encode()) <= 255


@given(st.text(min_size=1, max_size=60))
def test_what_is_saved_under_any_usable_name_is_found_under_it(tmp_path_factory, text):
    shelf = Workspace(tmp_path_factory.getbasetemp() / "saved").devices
    try:
        kept = shelf.save(text, ConstantStepDevice(dw_min=0.01))
    except WorkspaceError:
        return
    assert kept in shelf.names()
    assert shelf.exists(text)
    assert shelf.exists(kept)
    assert shelf.load(text) == shelf.load(kept) == ConstantStepDevice(dw_min=0.01)
    shelf.delete(text)
    assert kept not in shelf.names()


@pytest.mark.parametrize("name", ["..", "", "???", "con", "Lpt1.txt", "?" * 5000])
def test_names_that_cannot_be_used_say_why(workspace, name):
    with pytest.raises(WorkspaceError, match=r"not usable|reserved") as error:
        workspace.devices.save(name, ConstantStepDevice())
    assert len(str(error.value)) < 200
    assert workspace.devices.names() == []


@pytest.mark.parametrize("preset", DEVICE_PRESETS.values(), ids=DEVICE_PRESETS)
def test_devices_come_back_as_they_were(workspace, preset):
    device = preset(construction_seed=7)
    workspace.devices.save("mine", device)
    again = workspace.devices.load("mine")
    assert again == device
    assert type(again) is type(device)


@pytest.mark.parametrize("algorithm", ["sgd", "ttv2", "c-ttv2", "mp"])
def test_tiles_come_back_as_they_were(workspace, algorithm):
    tile = build_config(algorithm, TutorialRRAMPresetDevice, construction_seed=3)
    workspace.tiles.save(algorithm, tile)
    assert workspace.tiles.load(algorithm) == tile
    assert "schema_version" in workspace.tiles.path(algorithm).read_text()


def test_measurements_come_back_as_they_were(workspace):
    found = measurement.load_example(measurement.example_names()[0])
    name = workspace.measurements.save("my first chip (lot 3)", found)
    again = workspace.measurements.load(name)
    assert name == "my-first-chip-lot-3"
    assert len(again.records) == len(found.records)
    for one, other in zip(again.records, found.records, strict=True):
        assert one.pulses.tolist() == other.pulses.tolist()
        assert one.response.tolist() == other.response.tolist()


def test_saving_again_replaces_and_a_free_name_does_not(workspace):
    shelf = workspace.devices
    shelf.save("device", ConstantStepDevice(dw_min=0.1))
    assert shelf.free_name("device") == "device-2"
    shelf.save(shelf.free_name("device"), ConstantStepDevice(dw_min=0.2))
    shelf.save("device", ConstantStepDevice(dw_min=0.3))
    assert shelf.names() == ["device", "device-2"]
    assert [shelf.load(name).dw_min for name in shelf.names()] == [0.3, 0.2]
    assert shelf.free_name("device") == "device-3"
    long = "x" * 300
    shelf.save(long, ConstantStepDevice())
    assert not shelf.exists(shelf.free_name(long))


DAMAGE = [
    (b"", "expected the fields"),
    (b"\xff\xfe\x00binary", "not a text file"),
    (b"type: SoftBoundsDevice\n  dw_min: [", "not valid YAML"),
    (b"type: SoftBondsDevice", "did you mean"),
    (b"type: SoftBoundsDevice\ndw_min: -1", "dw_min"),
    (b"type: SoftBoundsDevice\nup_up: 0", "has no field"),
    (b"type: SingleRPUConfig", "expected PulsedDevice"),
    (b"schema_version: 99\ntype: SoftBoundsDevice", "schema_version 99"),
    (b"!!python/object/apply:os.system ['touch executed']", "not valid YAML"),
    (b"- a\n- list", "expected the fields"),
]


@pytest.mark.parametrize(("content", "message"), DAMAGE)
def test_a_damaged_item_says_so_and_spares_the_others(workspace, content, message):
    workspace.devices.save("good", ConstantStepDevice())
    workspace.devices.path("bad").write_bytes(content)
    assert workspace.devices.names() == ["bad", "good"]
    with pytest.raises(WorkspaceError, match=message) as error:
        workspace.devices.load("bad")
    assert str(workspace.devices.path("bad")) in str(error.value)
    assert workspace.devices.load("good") == ConstantStepDevice()
    workspace.devices.delete("bad")
    assert workspace.devices.names() == ["good"]


@given(st.binary(max_size=200))
def test_no_content_of_a_file_leads_to_another_error(tmp_path_factory, content):
    shelf = Workspace(tmp_path_factory.getbasetemp() / "content").tiles
    write_atomically(shelf.path("item"), content)
    with pytest.raises(WorkspaceError):
        shelf.load("item")


def test_what_is_not_there_is_named(workspace):
    for action in (workspace.devices.load, workspace.devices.delete):
        with pytest.raises(WorkspaceError, match="no device 'ghost'"):
            action("ghost")
    assert workspace.tiles.names() == []


def test_the_wrong_kind_of_item_is_refused(workspace):
    with pytest.raises(WorkspaceError, match="a device is expected here"):
        workspace.devices.save("tile", build_config("sgd", ConstantStepDevice))
    assert workspace.devices.names() == []


def test_the_folder_comes_from_argument_variable_or_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(tmp_path / "variable"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Workspace(tmp_path / "argument").folder == tmp_path / "argument"
    assert Workspace().folder == tmp_path / "variable"
    monkeypatch.delenv("TILEWRIGHT_WORKSPACE")
    assert Workspace().folder == tmp_path / "tilewright"
    assert not (tmp_path / "tilewright").exists(), "looking makes nothing"


def test_a_workspace_that_is_a_file_or_has_a_damaged_index(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="is a file"):
        Workspace(tmp_path / "file")
    (tmp_path / "runs.sqlite").write_bytes(b"no database" * 1000)
    workspace = Workspace(tmp_path)
    workspace.devices.save("device", ConstantStepDevice())
    with pytest.raises(WorkspaceError, match="move it away"):
        _ = workspace.runs
    assert workspace.devices.names() == ["device"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, sizes, stop = tmp_path / "file", set(), threading.Event()
    contents = [bytes([65 + i]) * 200_000 for i in range(2)]
    write_atomically(path, contents[0])

    def read() -> None:
        while not stop.is_set():
            data = path.read_bytes()
            sizes.add((len(data), len(set(data))))

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(100):
        write_atomically(path, contents[i % 2])
    stop.set()
    reader.join()
    assert sizes == {(200_000, 1)}
