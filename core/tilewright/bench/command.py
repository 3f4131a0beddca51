"""What the ``tilewright bench`` command does."""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

from tilewright.bench import report
from tilewright.bench.case import Case
from tilewright.bench.cases import all_cases, quick_cases, table_cases
from tilewright.bench.machine import load, machine
from tilewright.bench.process import WorkerProcess
from tilewright.bench.session import Pace, Row, measure
from tilewright.bench.timing import Unavailable
from tilewright.runs.environment import usable_cores

REFERENCE_PACKAGE = "aihwkit"


def run(options: argparse.Namespace) -> int:
    """Measure and print; returns the exit status."""
    if options.roofline:
        return _roofline(options)
    if options.cuda:
        return _cuda(options)
    cases = chosen_cases(options)
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    about, rows = _session(cases, options)
    if options.json:
        report.write_json(options.json, report.document(about, rows))
    print(report.markdown(about, rows) if options.markdown else "\n" + report.text(about, rows))
    return 0


def _roofline(options: argparse.Namespace) -> int:
    from tilewright.bench.roofline import table

    about: dict[str, Any] = {"machine": machine(), "load_before": load()}
    rows, limits = table.standings(options.seconds)
    about["load_after"] = load()
    print("\n\n".join([report.where(about), table.text(rows, limits, options.markdown)]))
    if options.json:
        report.write_json(options.json, {**about, "limits": limits.describe(), "rows": [row.as_json() for row in rows]})
    return 0


def _cuda(options: argparse.Namespace) -> int:
    from tilewright.bench import cuda

    found = cuda.measure()
    print(cuda.text(found))
    if options.json:
        report.write_json(options.json, found)
    return 0


def chosen_cases(options: argparse.Namespace) -> list[Case]:
    """The cases the options ask for.

    Raises:
        ValueError: none match.
    """
    if options.only:
        cases = [case for case in all_cases() if any(_matches(case.name, pattern) for pattern in options.only)]
        if not cases:
            raise ValueError(f"no case matches {', '.join(options.only)}; --full --list names them all")
    else:
        cases = all_cases() if options.full else table_cases() if options.goals else quick_cases()
    kept = [case for case in cases if case.kind != "update" or case.expected <= options.longest]
    if not kept:
        raise ValueError(f"every chosen update is expected to take more than {options.longest:g} s; raise --longest")
    return kept


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if any(sign in pattern for sign in "*?") else pattern in name


def _session(cases: list[Case], options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    pace = Pace(seconds=options.seconds, fewest=options.turns, most=max(Pace.most, options.turns))
    before = load()
    reference, why_not = _reference(options)
    try:
        with WorkerProcess("ours") as ours:
            rows = measure(cases, ours, reference, pace, usable_cores() > 1, tell=_Progress(len(cases)))
            about = {
                "machine": machine(), "ours": ours.description,
                "reference": reference.description if reference else None, "why_no_reference": why_not,
                "load_before": before, "load_after": load(),
                "protocol": {"seconds": pace.seconds, "turns": [pace.fewest, pace.most], "turn_seconds": pace.turn},
            }  # fmt: skip
    finally:
        if reference is not None:
            reference.close()
    return about, rows


def _reference(options: argparse.Namespace) -> tuple[WorkerProcess | None, str]:
    """A worker of the reference, or why there is none.

    Raises:
        ValueError: an interpreter was named and does not serve.
    """
    if options.no_reference:
        return None, "The reference was left out on request."
    if not options.reference_python and find_spec(REFERENCE_PACKAGE) is None:
        return None, ""
    try:
        return WorkerProcess("reference", options.reference_python), ""
    except Unavailable as why:
        if options.reference_python:
            raise ValueError(f"--reference-python {options.reference_python}: {why}") from None
        return None, f"The reference toolkit does not run here: {why}. See assets/docs/benchmarks.md."


class _Progress:
    """Each row as it comes, on stderr, so that stdout holds the tables alone."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.width = len(str(total))

    def __call__(self, row: Row) -> None:
        self.done += 1
        name, ours, gain, reference, ratio, _, _, reached = report.case_cells(row)
        threads = "" if gain == "-" else f", 2 threads {gain}x"
        sides = f"{ours}{threads}; reference {reference}; ratio {ratio} {reached}"
        line = f"[{self.done:{self.width}}/{self.total}] {name}: {sides}"
        print(line.rstrip(), file=sys.stderr, flush=True)
