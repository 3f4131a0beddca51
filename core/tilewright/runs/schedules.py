"""How the learning rate changes over a run, and what the digital parameters are updated with."""

from __future__ import annotations

import math
from typing import Any

from tilewright.parameters import Parameters, parameter


class Schedule(Parameters):
    """How the learning rate changes over a run."""

    def factor(self, progress: float) -> float:
        """Factor on the learning rate at ``progress``, the share of all steps done, from 0 to 1 (1 in an extension)."""
        raise NotImplementedError


class ConstantSchedule(Schedule):
    """The learning rate stays as it is."""

    def factor(self, progress: float) -> float:
        """Always 1."""
        return 1.0


class DropSchedule(Schedule):
    """The learning rate drops once, by a factor."""

    drop: float = parameter(0.2, "factor on the learning rate after the drop", gt=0, le=1, typical=(0.01, 1))
    after: float = parameter(0.67, "share of all steps before the drop", ge=0, le=1)

    def factor(self, progress: float) -> float:
        """1 before the drop, ``drop`` from it on."""
        return self.drop if progress >= self.after else 1.0


class CosineSchedule(Schedule):
    """The learning rate falls along half a cosine, after a linear warm-up.

    Source: Loshchilov and Hutter, SGDR, ICLR (2017), equation 5, without restarts.
    """

    final: float = parameter(0.01, "factor on the learning rate at the end", ge=0, le=1)
    warm_up: float = parameter(0.0, "share of all steps over which the rate first rises", ge=0, lt=1)

    def factor(self, progress: float) -> float:
        """From 0 up to 1 within the warm-up, then down to ``final``."""
        if progress < self.warm_up:
            return max(progress / self.warm_up, 1e-3)
        done = (min(progress, 1.0) - self.warm_up) / (1.0 - self.warm_up)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * done))


class SGDOptimizer(Parameters):
    """Stochastic gradient descent. On tiles every algorithm takes the learning rate alone: pulses keep no momentum."""

    momentum: float = parameter(0.0, "momentum of the digital parameters", ge=0, lt=1)
    weight_decay: float = parameter(0.0, "weight decay of the digital parameters", ge=0, le=1, typical=(0, 0.01))
    nesterov: bool = parameter(False, "Nesterov's momentum for the digital parameters")

    def options(self) -> dict[str, Any]:
        """Keyword arguments of ``torch.optim.SGD``, those at their default left out."""
        return {name: value for name, value in self.changed().items() if value}
