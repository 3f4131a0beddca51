"""What each group of cases is to reach: ratios of the reference's CPU time to ours unless the unit says otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A group of cases with its goal and its stretch; ``None`` where no figure was set."""

    title: str
    goal: float | None
    stretch: float | None
    unit: str = "x"
    smaller_is_better: bool = False

    def verdict(self, value: float | None) -> str:
        """``"stretch"``, ``"goal"``, ``"below"``, or nothing when there is no value or no goal."""
        if value is None or self.goal is None:
            return ""
        sign = -1 if self.smaller_is_better else 1
        if self.stretch is not None and sign * value >= sign * self.stretch:
            return "stretch"
        return "goal" if sign * value >= sign * self.goal else "below"


def _update(goal: float, stretch: float, words: str) -> Goal:
    return Goal(f"update exact, {words}", goal, stretch)


GOALS = {
    "update B=1 density=0.8": _update(4, 6, "B = 1, density .8"),
    "update B=1 density=0.08": _update(2.5, 4, "B = 1, density .08"),
    "update B=1 density=0.008": _update(1.5, 2, "B = 1, density .008"),
    "update B=8 density=0.8": _update(5, 8, "B = 8, density .8"),
    "update B=8 density=0.08": _update(3.5, 6, "B = 8, density .08"),
    "update B=8 density=0.008": _update(2, 4, "B = 8, density .008"),
    "update B>=32 density>=0.08": _update(5, 10, "B ≥ 32, density ≥ .08"),
    "update B>=32 density=0.008": _update(3, 6, "B ≥ 32, density .008"),
    "update exp pow": _update(6, 12, "ExpStep and PowStep, B ≥ 32"),
    "constant density=0.8": Goal("update ConstantStep, B ≥ 32, density .8", 50, 90),
    "constant density=0.08": Goal("update ConstantStep, B ≥ 32, density .08", 10, 40),
    "constant density=0.008": Goal("update ConstantStep, B ≥ 32, density .008", 3, 8),
    "two threads": Goal("update, 2 threads over our own 1 (wall), B ≥ 32, density ≥ .08", 1.6, 1.9),
    "forward B=1": Goal("forward, B = 1", 2, 3),
    "forward B>=32": Goal("forward, B ≥ 32", 3, 4),
    "backward B=1": Goal("backward, B = 1", 1.5, 2.5),
    "backward B>=32": Goal("backward, B ≥ 32", 3, 4),
    "trace 5": Goal("trace, 5 devices x 400 pulses", 15, 30),
    "trace 1024": Goal("trace, 1024 devices x 400 pulses", 10, 20),
    "trace million": Goal("trace, a million devices x 400 pulses, peak memory", None, None, "MB", True),
    "compact core": Goal("compact device plot at its defaults, core", 5, None, "ms", True),
    "compact figure": Goal("compact device plot at its defaults, with figure", None, None),
    "fit": Goal("fit, Powell", 20, 50),
    "training B=5": Goal("training step 784-256-128-10, B = 5", 2, 4),
    "training B=64": Goal("training step, B = 64: SGD, Tiki-Taka, TTv2, mixed precision", 3, 6),
    "training B=64 chopped": Goal("training step, B = 64: c-TTv2, AGAD", 8, 15),
    "mixed precision": Goal("mixed-precision update call, 512 x 512", 10, 30),
    "bytes": Goal("bytes per crosspoint, no spread", 12, 8, "B", True),
    "bytes spread": Goal("bytes per crosspoint, with spread", 40, 24, "B", True),
}
