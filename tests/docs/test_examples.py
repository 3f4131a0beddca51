"""Every Python example of the documentation and of the README runs, page by page, as a reader would type it."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from tilewright.cli import _parser

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "assets" / "examples" / "tutorial-rram.csv"
# Long runs of the examples, made short: what is typed and what runs here.
SHORTER = {"epochs=3)": "epochs=1, train_limit=100, batch_size=20)"}


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "assets" / "docs").glob("*.md"))) if blocks(page)]


def what_readers_have():
    """Names that the texts take for granted: a measured response, images with labels, a network."""
    rng = np.random.default_rng(0)
    response = 0.4 * np.sin(np.linspace(0, 6, 600)) + 0.01 * rng.standard_normal(600)
    network = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Sigmoid(), torch.nn.Linear(4, 2))
    loader = [(torch.rand(5, 1, 28, 28), torch.randint(0, 10, (5,))) for _ in range(2)]
    return {"response": response, "network": network, "loader": loader}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("TILEWRIGHT_ENGINE", "sync")
    monkeypatch.setattr(go.Figure, "show", lambda figure: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    what_torchrun_sets = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": 0, "WORLD_SIZE": 1}
    for name, value in {**what_torchrun_sets, "GLOO_SOCKET_IFNAME": "lo"}.items():
        monkeypatch.setenv(name, str(value))
    for name in ("device.csv", "my device.csv"):
        shutil.copy(EXAMPLE, tmp_path / name)
    namespace = what_readers_have()
    for number, block in enumerate(blocks(page), start=1):
        for typed, short in SHORTER.items():
            block = block.replace(typed, short)
        exec(compile(block, f"{page.name}, example {number}", "exec"), namespace)


def commands():
    """Every line of a shell example, without its comment and its prompt."""
    for page in (ROOT / "README.md", *sorted((ROOT / "assets" / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        assert {language for language, _ in fences} <= {"", "bash", "python", "yaml", "csv"}, page.name
        for language, block in fences:
            if language in ("", "bash"):
                for line in block.replace("\\\n", " ").splitlines():
                    if language == "bash" or line.startswith("tilewright "):
                        yield page.name, line.partition(" #")[0].strip()


OUTSIDE = ("reference/", "CXXFLAGS=", "tar ", "python3 -m venv")  # how to build another toolkit


@pytest.mark.parametrize(("page", "line"), [(page, line) for page, line in commands() if line])
def test_commands_are_ones_we_understand(page, line):
    program, *arguments = shlex.split(line)
    if program == "tilewright":
        assert _parser().parse_args(arguments)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert set(arguments) <= set(targets)
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
    else:
        assert line.startswith(OUTSIDE), line


def test_every_page_is_listed_in_the_studio():
    source = (ROOT / "pages" / "help.py").read_text()
    listed = set(re.findall(r'^    "([a-z]+)": "', source, flags=re.MULTILINE))
    assert listed == {page.stem for page in (ROOT / "assets" / "docs").glob("*.md")}
