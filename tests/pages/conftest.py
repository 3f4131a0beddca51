"""The studio run by Streamlit's own test driver, on a workspace of its own."""

import shutil

import pytest
from studio_driver import small_run

from tilewright.measurement import load_example
from tilewright.presets import EcRamPresetDevice, TutorialRRAMPresetDevice
from tilewright.runs import SyncEngine, recommend
from tilewright.workspace import Workspace


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    workspace = Workspace(folder)
    workspace.measurements.save("ramp", load_example("tutorial-rram"))
    workspace.measurements.save("array", load_example("rram-array"))
    workspace.devices.save("mine", TutorialRRAMPresetDevice(dw_min=0.02))
    workspace.tiles.save("my tile", recommend("mp", EcRamPresetDevice()).rpu_config)
    engine = SyncEngine(workspace.runs)
    for algorithm in ("fp", "mp"):
        engine.submit(small_run(f"run {algorithm}", algorithm))
    for row in engine.list():
        engine.wait(row.id, timeout=60)
    engine.close()
    workspace.runs.close()
    return folder


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("TILEWRIGHT_ENGINE", "sync")
    return Workspace(tmp_path)


@pytest.fixture
def filled(filled_folder, tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    shutil.copytree(filled_folder, folder)
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(folder))
    monkeypatch.setenv("TILEWRIGHT_ENGINE", "sync")
    return Workspace(folder)
