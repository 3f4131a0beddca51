"""Names of runs and settings as a figure writes them: short, told apart, and never taken for markup."""

from __future__ import annotations

import html
from collections.abc import Sequence

BETWEEN = ", "  # the parts of a name: "TTv2, my-device, seed 2"


def shortened(name: str, length: int = 40) -> str:
    """Long names differ at their ends as often as at their beginnings."""
    if len(name) <= length:
        return name
    end = length // 2 - 1
    return f"{name[: length - end - 1].rstrip()}…{name[-end:].lstrip()}"


def told_apart(names: Sequence[str]) -> list[str]:
    """Names without the first and last parts that all of them share; at least one part of each is left."""
    parts = [name.split(BETWEEN) for name in names]
    if len(set(names)) < 2:
        return list(names)
    for end in (0, -1):
        while all(len(part) > 1 for part in parts) and len({part[end] for part in parts}) == 1:
            for part in parts:
                part.pop(end)
    return [BETWEEN.join(part) for part in parts]


def literal(name: str) -> str:
    """A name for plotly, which reads texts as markup."""
    return html.escape(name, quote=False)


def in_lines(name: str, length: int = 28) -> str:
    """A name for a tick: broken between its parts where it is long, each line shortened, two lines at most."""
    lines: list[str] = []
    for part in name.split(BETWEEN):
        if lines and (len(lines) == 2 or len(lines[-1]) + len(BETWEEN) + len(part) <= length):
            lines[-1] += BETWEEN + part
        else:
            lines.append(part)
    return ",<br>".join(literal(shortened(line, length)) for line in lines)
