from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tilewright import cli
from tilewright.bench import report
from tilewright.bench.case import Case
from tilewright.bench.cases import device
from tilewright.bench.goals import Goal
from tilewright.bench.machine import load, machine
from tilewright.bench.process import WorkerProcess
from tilewright.bench.session import Pace, Row, measure
from tilewright.bench.timing import Prepared, Unavailable, timed_turn

TINY = Case(
    "update ConstantStepDevice tiny",
    "update",
    "update B=1 density=0.8",
    {"device": device("ConstantStepDevice"), "size": 16, "batch": 1, "lr": 0.02},
    two_threads=True,
)
UNKNOWN = Case("unknown", "update", "update B=1 density=0.8", {**TINY.settings, "device": {"class": "NoSuchDevice"}})
MEMORY = Case("memory", "memory", "bytes", {"device": device("SoftBoundsDevice"), "size": 512, "lr": 0.01})
BRIEF = Pace(seconds=0.01, fewest=2, most=3, turn=0.001, calls=4)


class Scripted:
    """Stands in for a worker: notes what it is asked, answers from a list of times."""

    def __init__(self, name, log, cpu, fingerprint="same"):
        self.name, self.log, self.cpu, self.fingerprint = name, log, cpu, fingerprint

    def prepare(self, case):
        if isinstance(self.cpu, str):
            raise Unavailable(self.cpu)
        return {"fingerprint": self.fingerprint, "measures": False, "seconds": 0.0}

    def ask(self, do, **request):
        self.log.append((self.name, request["threads"]))
        cpu = self.cpu[(len(self.log) // 3) % len(self.cpu)]
        return {"cpu": [cpu], "wall": [cpu / request["threads"]]}


@pytest.fixture(scope="module")
def workers():
    """Our side twice, the second in the place of the reference."""
    with WorkerProcess("ours") as ours, WorkerProcess("ours") as other:
        yield ours, other


def test_sides_take_turns_and_medians_are_compared():
    log = []
    ours, reference = Scripted("ours", log, [2e-6, 2e-6, 50e-6]), Scripted("reference", log, [10e-6, 10e-6, 900e-6])
    (row,) = measure([TINY], ours, reference, Pace(seconds=0, fewest=3, most=9), two_threads=True)
    assert log == [("ours", 1), ("ours", 2), ("reference", 1)] * 3
    assert (row.ours["cpu_us"], row.reference["cpu_us"]) == (pytest.approx(2), pytest.approx(10))
    assert row.ratio == pytest.approx(5)
    assert row.thread_gain == pytest.approx(2)
    assert row.ours["calls"] == 3


def test_a_side_that_cannot_says_why_and_the_other_is_timed():
    log = []
    (row,) = measure([TINY], Scripted("ours", log, [1e-6]), Scripted("ref", log, "not in it"), BRIEF, False)
    assert row.remarks == {"reference": "not in it"}
    assert row.ours is not None
    assert row.ratio is None
    assert {name for name, _ in log} == {"ours"}


def test_different_inputs_are_never_compared():
    log = []
    sides = Scripted("ours", log, [1e-6], "a"), Scripted("reference", log, [1e-6], "b")
    with pytest.raises(RuntimeError, match="different inputs"):
        measure([TINY], *sides, BRIEF, False)
    assert not log


def test_a_turn_resets_before_every_call_and_holds_at_most_its_calls():
    order = []
    prepared = Prepared(lambda: order.append("call"), lambda: order.append("reset"))
    times = timed_turn(prepared, seconds=60, most=3, cost=(0.0, 0.0))
    assert order == ["reset", "call"] * 4, "one to warm up"
    assert len(times["cpu"]) == len(times["wall"]) == 3
    assert all(value >= 0 for value in times["cpu"] + times["wall"])
    assert len(timed_turn(prepared, seconds=0, most=3, cost=(0.0, 0.0))["cpu"]) == 1


def test_two_processes_measure_tiny_cases(workers):
    rows = measure([TINY, UNKNOWN, MEMORY], *workers, BRIEF, two_threads=True)
    timed, unknown, memory = rows
    assert timed.ratio > 0
    assert timed.ours_two_threads["calls"] >= 2
    assert "NoSuchDevice" in unknown.remarks["ours"]
    assert unknown.value is None
    # visible weight, two steps, two bounds, two slopes or what a tile of ours needs at least: 4 bytes each.
    assert 16 < memory.ours["B"] < 60


def test_reports_hold_what_was_measured(workers):
    rows = measure([TINY, UNKNOWN, MEMORY], *workers, BRIEF, two_threads=False)
    about = {
        "machine": machine(), "ours": workers[0].description, "reference": None, "why_no_reference": "",
        "load_before": load(), "load_after": load(), "protocol": {},
    }  # fmt: skip
    document = json.loads(json.dumps(report.document(about, rows)))
    assert document["schema"] == report.SCHEMA
    assert [row["name"] for row in document["rows"]] == [TINY.name, UNKNOWN.name, MEMORY.name]
    first = document["rows"][0]
    assert {"ours", "reference", "ratio", "goal", "stretch", "reached", "settings", "remarks"} <= set(first)
    assert first["ratio"] == pytest.approx(first["reference"]["cpu_us"] / first["ours"]["cpu_us"])
    assert {group["key"] for group in document["groups"]} == {"update B=1 density=0.8", "bytes"}
    words = report.markdown(about, rows)
    assert "--reference-python" in words
    assert words.count("| " + TINY.name) == 1
    assert about["machine"]["processor"] in report.text(about, rows)


def test_groups_are_judged_by_their_worst_case():
    def row(name, ours, reference):
        case = Case(name, "update", "update B=8 density=0.8")
        return Row(case, {"cpu_us": ours, "wall_us": ours}, None, {"cpu_us": reference, "wall_us": reference})

    (group,) = report.group_rows([row("a", 1, 4), row("b", 1, 9), row("c", 1, 6)])
    assert (group["worst"], group["median"], group["best"]) == (4, 6, 9)
    assert (group["reached"], group["verdict"]) == (2, "below")


@pytest.mark.parametrize(
    ("value", "smaller", "verdict"),
    [(10, False, "stretch"), (6, False, "goal"), (4, False, "below"), (4, True, "goal"), (None, False, "")],
)
def test_verdicts(value, smaller, verdict):
    goal = Goal("", 5, 1 if smaller else 8, smaller_is_better=smaller)
    assert goal.verdict(value) == verdict


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "no such case"], "no case matches no such case"),
        (["--only", "n=1024 B=256 density=0.8", "--longest", "0.001"], "raise --longest"),
        (["--only", "trace 5", "--reference-python", "/no/such/python"], "/no/such/python cannot be started"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(arguments, message, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_interpreter_without_the_toolkit_is_named(tmp_path, capsys):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    assert cli.main(["bench", "--only", "trace 5", "--reference-python", str(python)]) == 2
    assert "ended with status 3" in capsys.readouterr().err


def test_the_command_names_its_cases(capsys):
    assert cli.main(["bench", "--only", "update*B=1 density=0.8", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert all(line.endswith("B=1 density=0.8") for line in lines)


def test_the_command_prints_a_table_without_a_reference(tmp_path, capsys):
    target = tmp_path / "times.json"
    arguments = ["--only", "trace 5", "--no-reference", "--seconds", "0.01", "--markdown", "--json", str(target)]
    assert cli.main(["bench", *arguments]) == 0
    out = capsys.readouterr().out
    assert "| trace 5 devices x 400 pulses | " in out
    assert "left out on request" in out
    assert json.loads(target.read_text())["rows"][0]["ours"]["calls"] >= 3


def test_the_table_of_the_readme_is_made_from_a_measurement(tmp_path):
    script = Path(__file__).resolve().parents[2] / "assets" / "make_speed_table.py"
    row = Row(TINY, {"cpu_us": 2.0, "wall_us": 2.0}, None, {"cpu_us": 9.0, "wall_us": 9.0})
    about = {
        "machine": machine(), "ours": {"name": "ours", "version": "1", "torch": "2"}, "reference": None,
        "why_no_reference": "", "load_before": [0.1], "load_after": [0.2],
    }  # fmt: skip
    report.write_json(str(tmp_path / "times.json"), report.document(about, [row]))
    readme = tmp_path / "README.md"
    shutil.copy(script.parents[1] / "README.md", readme)
    command = [sys.executable, str(script), str(tmp_path / "times.json"), "--readme", str(readme)]
    for _ in range(2):  # a second time it replaces the first table
        subprocess.run(command, check=True)
    text = readme.read_text()
    assert text.count("| update exact, B = 1, density .8 | 1 | 4.5 | 4 | 6 | goal |") == 1
    assert text.count("## Architecture") == 1
