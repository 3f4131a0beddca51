"""A warning where an optimiser of torch is left alone with tiles: it passes them over, and they would never learn."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tilewright.tile import AnalogWeight

_looked_at: weakref.WeakSet[Optimizer] = weakref.WeakSet()


def _look(optimiser: Optimizer, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> None:
    """Warn at the first step of an optimiser whose tiles no :class:`tilewright.optim.AnalogSGD` holds."""
    if optimiser in _looked_at:
        return
    _looked_at.add(optimiser)
    weights = [p for group in optimiser.param_groups for p in group["params"] if isinstance(p, AnalogWeight)]
    forgotten = [weight for weight in weights if weight.requires_grad and not weight.pulsed]
    if forgotten:
        name = type(optimiser).__name__
        warnings.warn(
            f"{name} passes over {len(forgotten)} analog tile{'s' * (len(forgotten) > 1)}, which would never learn: "
            "devices move by pulses, which tilewright.optim.AnalogSGD sends. Use AnalogSGD(model.parameters(), lr=...) "
            f"for the whole model, or for the analog weights beside {name} for the digital parameters",
            stacklevel=3,
        )


register_optimizer_step_pre_hook(_look)
