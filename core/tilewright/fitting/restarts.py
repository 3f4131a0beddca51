"""Second chances for hard bounds: a bound outside the data leaves no trace in the slope of the error.

A search that starts with a bound beyond the reach of the model never learns that the response was clipped. So the
bounds are moved a little inside the reach of the model, the slope being kept, and the fit is polished again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilewright.devices.pow_step import PowerLawDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsDevice
from tilewright.fitting.objective import Objective, Samples

INSIDE = (0.98, 0.94, 0.88)
_SLOPE_OF = {"w_max": "gamma_up", "w_min": "gamma_down"}


def with_bounds_inside(
    device: PulsedDevice, objective: Objective, best: Any, polish: Callable[[Any], tuple[Any, float]], error: float
) -> tuple[Any, float]:
    """Better parameters where clipping explains more, and their squared error; the given ones otherwise."""
    if isinstance(device, (SoftBoundsDevice, PowerLawDevice)):  # their steps vanish at the bounds
        return best, error
    for name in ("w_max", "w_min"):
        if name not in best or not best[name].vary:
            continue
        reach = _reach(objective, best, name)
        for share in INSIDE:
            trial = _moved(best, name, share * reach)
            if trial is None:
                continue
            found, trial_error = polish(trial)
            if trial_error < error * (1 - 1e-6):
                best, error = found, trial_error
    return best, error


def _reach(objective: Objective, parameters: Any, name: str) -> float:
    models: list[Samples] = objective.model({key: float(item.value) for key, item in parameters.items()})
    joined = np.concatenate(models)
    return float(joined.max() if name == "w_max" else joined.min())


def _moved(parameters: Any, name: str, value: float) -> Any:
    """A copy with the bound at ``value`` and the same slope of the step; None where the range forbids it."""
    item = parameters[name]
    if not item.min < value < item.max:
        return None
    moved = parameters.copy()
    slope = _SLOPE_OF[name]
    if slope in moved and moved[slope].vary and item.value:
        gamma = moved[slope]
        gamma.value = float(np.clip(gamma.value * value / item.value, gamma.min, gamma.max))
    moved[name].value = value
    return moved
