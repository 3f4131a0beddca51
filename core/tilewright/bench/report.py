"""Tables of what was measured: for a terminal, for a page, for a program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tilewright.bench.goals import GOALS, Goal
from tilewright.bench.session import Row

SCHEMA = 1
NO_REFERENCE = (
    "No reference toolkit: its column is left out. `--reference-python PATH` names an interpreter that has one; "
    "how to build one that works is in assets/docs/benchmarks.md."
)


def duration(microseconds: float) -> str:
    """A time with three digits and a fitting unit."""
    for limit, factor, unit in ((1e3, 1, "µs"), (1e6, 1e3, "ms"), (float("inf"), 1e6, "s")):
        if microseconds < limit:
            return f"{microseconds / factor:.3g} {unit}"
    raise AssertionError


def _side(summary: dict[str, float] | None, unit: str) -> str:
    if summary is None:
        return "-"
    if "cpu_us" in summary:
        return duration(summary["cpu_us"])
    return f"{summary[unit]:.4g} {unit}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _target(goal: Goal, value: float | None) -> str:
    """A goal with its unit."""
    if value is None:
        return "-"
    return f"{value:g}" if goal.unit == "x" else f"{value:g} {goal.unit}"


# --- single cases -----------------------------------------------------------------------------------------------------

CASE_HEADER = ("case", "ours", "2 threads: gain", "reference", "ratio", "goal", "stretch", "reached")


def case_cells(row: Row) -> tuple[str, ...]:
    """One case as cells of a table."""
    goal = GOALS[row.case.goal]
    remark = "; ".join(f"{side}: {why}" for side, why in row.remarks.items() if side == "ours")
    return (
        row.case.name,
        _side(row.ours, goal.unit),
        _number(row.thread_gain),
        _side(row.reference, goal.unit),
        _number(row.ratio),
        _target(goal, goal.goal),
        _target(goal, goal.stretch),
        remark or goal.verdict(row.value),
    )


# --- groups -----------------------------------------------------------------------------------------------------------

GROUP_HEADER = ("what", "cases", "measured: worst, median, best", "goal", "stretch", "reached")


def group_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For every goal the worst, median and best value of its cases; the verdict is that of the worst."""
    found = []
    for key, goal in GOALS.items():
        if key == "two threads":
            values = [row.thread_gain for row in rows if row.case.kind == "update"]
        else:
            values = [row.value for row in rows if row.case.goal == key]
        known = sorted((value for value in values if value is not None), reverse=goal.smaller_is_better)
        if not known:
            continue
        worst, middle, best = known[0], known[len(known) // 2], known[-1]
        reached = sum(goal.verdict(value) in ("goal", "stretch") for value in known)
        found.append(
            {
                "key": key, "title": goal.title, "unit": goal.unit, "cases": len(known), "worst": worst,
                "median": middle, "best": best, "goal": goal.goal, "stretch": goal.stretch, "reached": reached,
                "verdict": goal.verdict(worst),
            }
        )  # fmt: skip
    return found


def _group_cells(group: dict[str, Any]) -> tuple[str, ...]:
    goal = GOALS[group["key"]]
    values = [_number(group[name]) for name in ("worst", "median", "best")]
    unit = "" if group["unit"] == "x" else f" {group['unit']}"
    shown = values[0] if group["cases"] == 1 else ", ".join(values)
    verdict = group["verdict"]
    if verdict == "below" and group["reached"]:
        verdict = f"in {group['reached']} of {group['cases']}"
    return (
        group["title"], str(group["cases"]), shown + unit, _target(goal, goal.goal), _target(goal, goal.stretch),
        verdict,
    )  # fmt: skip


# --- documents --------------------------------------------------------------------------------------------------------


def where(about: dict[str, Any]) -> str:
    """The machine, its load and the build, in one line."""
    machine = about["machine"]
    caches = ", ".join(f"{name} {size >> 10} KiB" for name, size in machine["caches"].items())
    before, after = (" ".join(f"{value:g}" for value in about[name]) for name in ("load_before", "load_after"))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {caches}; load {before} before, {after} after; "
        f"instruction set {machine['instruction_set']}, {machine['compiler']}"
    )


def head(about: dict[str, Any]) -> list[str]:
    """Lines that say where and how the figures were taken."""
    sides = ", ".join(
        f"{side['name']} {side['version']} (torch {side['torch']})"
        for side in (about["ours"], about["reference"])
        if side
    )
    lines = [
        where(about),
        sides,
        "Medians of CPU time on one thread, sides alternating in one session, same inputs and settings, weights reset "
        "before every call. Ratio: reference over ours.",
    ]
    if not about["reference"]:
        lines.append(about["why_no_reference"] or NO_REFERENCE)
    return lines


def text(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """The report for a terminal."""
    return "\n".join(head(about)) + "\n\n" + plain_table(GROUP_HEADER, map(_group_cells, group_rows(rows)))


def summary(about: dict[str, Any], groups: Sequence[dict[str, Any]]) -> str:
    """The goals for a page, from what :func:`document` holds."""
    return "\n\n".join(head(about)) + "\n\n" + markdown_table(GROUP_HEADER, map(_group_cells, groups)) + "\n"


def markdown(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """The report for a page: the goals first, every case below."""
    cases = markdown_table(CASE_HEADER, map(case_cells, rows))
    return f"{summary(about, group_rows(rows))}\n<details><summary>Every case</summary>\n\n{cases}\n\n</details>\n"


def document(about: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """The report for a program."""
    return {"schema": SCHEMA, **about, "groups": group_rows(rows), "rows": [row.as_json() for row in rows]}


def write_json(path: str, content: dict[str, Any]) -> None:
    """Write a report for a program."""
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded with spaces."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
