"""One thing to time, as plain data, so that it can be sent to a process that knows nothing of this package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SLOW = 0.3  # seconds of a call from which warming up is a waste


@dataclass(frozen=True)
class Case:
    """A call to time.

    Args:
        name: unique, e.g. ``"update SoftBoundsDevice n=512 B=32 density=0.08"``.
        kind: which routine of the sides prepares it, e.g. ``"update"``.
        goal: key of the goal it counts towards, see :mod:`tilewright.bench.goals`.
        settings: everything else a side needs, as JSON.
        quick: whether the quick selection holds it.
        in_table: whether the selection that stands for every goal holds it.
        two_threads: whether our side is timed on two threads as well.
        expected: guess of one call of the reference in seconds, for planning and for leaving a case out.
    """

    name: str
    kind: str
    goal: str
    settings: dict[str, Any] = field(default_factory=dict)
    quick: bool = False
    in_table: bool = False
    two_threads: bool = False
    expected: float = 1e-3

    def message(self) -> dict[str, Any]:
        """What a worker is told."""
        return {"name": self.name, "kind": self.kind, "settings": self.settings, "warm": self.expected < SLOW}
