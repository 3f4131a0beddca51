"""The same seed gives the same bits for any number of threads and on any compiled instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tilewright.kernels import capabilities

PROGRAM = Path(__file__).with_name("digest.py")


def digests(instruction_set: str, threads: int) -> dict[str, str]:
    """Digests by name, computed in a fresh process."""
    environment = os.environ | {"TILEWRIGHT_ISA": instruction_set}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(threads)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.strip().splitlines()
    assert first == f"running on {instruction_set} with {threads} threads"
    return dict(line.split() for line in lines)


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """The portable build on one thread."""
    return digests("generic", 1)


def test_work_differs_from_work(plain):
    """Digests tell results apart: no two kinds of work share one (deterministic pairs aside)."""
    assert len(plain) > 40
    pairs = {"signed", "exact"}  # the same pulses as default; no device in it
    telling = [value for name, value in plain.items() if name.rpartition("/")[2] not in pairs]
    assert len(set(telling)) == len(telling)


INSTRUCTION_SETS = capabilities()["instruction_sets"]


def same_as(plain: dict[str, str], instruction_set: str, threads: int) -> None:
    found = digests(instruction_set, threads)
    assert [name for name in plain if found.get(name) != plain[name]] == []
    assert found.keys() == plain.keys()


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS[1:])
def test_bits_do_not_depend_on_the_machine(plain, instruction_set):
    same_as(plain, instruction_set, 1)


@pytest.mark.parametrize(("instruction_set", "threads"), [(INSTRUCTION_SETS[0], 2), (INSTRUCTION_SETS[-1], 5)])
def test_bits_do_not_depend_on_threads(plain, instruction_set, threads):
    same_as(plain, instruction_set, threads)


def test_an_instruction_set_that_cannot_run_is_refused():
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "1"],
        env=os.environ | {"TILEWRIGHT_ISA": "sparc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "TILEWRIGHT_ISA = sparc" in done.stderr
    assert "generic" in done.stderr, "the message lists what can run"


def test_capabilities_say_what_runs():
    found = capabilities()
    assert "cpu" in found["backends"]
    assert found["instruction_sets"][0] == "generic"
    assert found["instruction_set"] in found["instruction_sets"]
    assert found["threads"] >= 1
