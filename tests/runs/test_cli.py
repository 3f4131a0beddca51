from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from runs.recipes import small_spec
from tilewright import cli
from tilewright.runs import RunStore


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(tmp_path / "work"))


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(small_spec(epochs=1, train_limit=200).to_yaml())
    return path


def test_run_trains_into_the_store_of_the_workspace(spec_file, tmp_path, capsys):
    assert cli.main(["run", str(spec_file)]) == 0
    output = capsys.readouterr().out
    assert "finished" in output
    assert "test accuracy" in output
    store = RunStore(tmp_path / "work")
    row = store.list()[0]
    assert (row.state, row.step) == ("finished", 40)
    assert row.id in output
    store.close()


def test_run_takes_the_workspace_as_an_option(spec_file, tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", "restored by the fixture")
    assert cli.main(["run", str(spec_file), "--workspace", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "runs.sqlite").is_file()
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.yaml"], "missing.yaml cannot be read"),
        (["run", "--resume", "ghost"], "there is no run 'ghost'"),
        (["run"], "give either"),
        (["run", "{spec}", "--resume", "x"], "give either"),
        (["run", "{binary}"], "is not a text file"),
        (["run", "{typo}"], "did you mean 'epochs'"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(spec_file, tmp_path, capsys, arguments, message):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "typo").write_text("type: RunSpec\nepoch: 3\n")
    places = {"spec": spec_file, "binary": tmp_path / "binary", "typo": tmp_path / "typo"}
    assert cli.main([argument.format(**places) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("tilewright: ")
    assert "Traceback" not in captured.err


def test_a_failed_run_says_how_to_go_on(spec_file, tmp_path, capsys, monkeypatch):
    import tilewright.runs.execution as execution

    def broken(*args, **kwargs):
        raise RuntimeError("out of luck")
        yield

    monkeypatch.setattr(execution, "train", broken)
    assert cli.main(["run", str(spec_file)]) == 1
    output = capsys.readouterr().out
    assert "out of luck" in output
    monkeypatch.undo()
    run_id = output.split("--resume ")[1].strip()
    assert cli.main(["run", "--resume", run_id, "--workspace", str(tmp_path / "work")]) == 0


def test_doctor_shows_versions_kernels_and_workspace(capsys):
    assert cli.main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert f"torch {torch.__version__}" in output
    assert "instruction_set" in output
    assert "does not exist yet" in output


def test_doctor_reports_a_broken_workspace(tmp_path, capsys):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "runs.sqlite").write_bytes(b"damaged" * 1000)
    assert cli.main(["doctor"]) == 1
    assert "move it away" in capsys.readouterr().out


def test_the_studio_listens_on_this_machine_only_and_tells_nobody():
    command = cli.studio_command(port=8600)
    assert "--server.address=127.0.0.1" in command
    assert "--server.port=8600" in command
    assert "--browser.gatherUsageStats=false" in command
    script = Path(command[command.index("run") + 1])
    assert script.parts[-2:] == ("app", "main.py")
    assert script.is_file()


@pytest.mark.parametrize("port", ["0", "70000", "http", "-1"])
def test_a_bad_port_is_refused(port, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["studio", f"--port={port}"])
    assert end.value.code == 2
    assert "is not a port" in capsys.readouterr().err


def test_the_module_can_be_called_and_knows_its_version():
    answer = subprocess.run([sys.executable, "-m", "tilewright.cli", "--version"], capture_output=True, text=True)
    assert answer.stdout.startswith("tilewright 0.")
    assert answer.stderr == ""
