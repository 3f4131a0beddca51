"""Devices drawn at random, each by its number: of every class, with step, noise, bounds and asymmetry of its own.

The ranges are those that published devices span: 40 to 4,000 states, cycle noise of a tenth of a step to five, write
noise up to a tenth of the range in a quarter of the devices of the classes that have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilewright.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)


def _step_shape(kind: str, random: np.random.Generator) -> dict[str, Any]:
    def uniform(low: float, high: float) -> float:
        return round(float(random.uniform(low, high)), 2)

    if kind == "linear":
        return {"gamma_up": uniform(0, 1), "gamma_down": uniform(0, 1)}
    if kind == "exponential":
        return {
            "A_up": uniform(0.1, 0.6), "A_down": uniform(0.1, 0.6), "gamma_up": uniform(1, 4),
            "gamma_down": uniform(1, 4), "a": 0.5, "b": 0.0,
        }  # fmt: skip
    if kind == "power":
        return {"pow_gamma": uniform(0.5, 2.5), "pow_up_down": uniform(-0.3, 0.3)}
    if kind == "piecewise":
        return {
            "piecewise_up": [uniform(0.3, 1.5) for _ in range(5)],
            "piecewise_down": [uniform(0.3, 1.5) for _ in range(5)],
        }
    if kind == "soft bounds with reference":
        return {
            "subtract_symmetry_point": bool(random.random() < 0.7),
            "reference_std": uniform(0.02, 0.3) if random.random() < 0.5 else 0.0,
        }
    return {}


KINDS: dict[str, Callable[..., PulsedDevice]] = {
    "constant": ConstantStepDevice, "linear": LinearStepDevice, "soft bounds": SoftBoundsDevice,
    "soft bounds with reference": SoftBoundsReferenceDevice, "exponential": ExpStepDevice, "power": PowStepDevice,
    "piecewise": PiecewiseStepDevice,
}  # fmt: skip


def drawn_device(number: int) -> tuple[str, PulsedDevice]:
    """Kind and device of a number; the same for ever."""
    random = np.random.default_rng([number, 2026])
    kind = list(KINDS)[number % len(KINDS)]

    def logarithmic(low: float, high: float) -> float:
        return float(f"{np.exp(random.uniform(np.log(low), np.log(high))):.2g}")

    fields: dict[str, Any] = {
        "dw_min": logarithmic(0.0005, 0.05),
        "dw_min_std": logarithmic(0.1, 5.0),
        "w_max": round(float(random.uniform(0.6, 1.4)), 2),
        "w_min": -round(float(random.uniform(0.6, 1.4)), 2),
        "up_down": round(float(random.uniform(-0.4, 0.4)), 2) if random.random() < 0.5 else 0.0,
        "dw_min_dtod": round(float(random.uniform(0, 0.3)), 2),
        "up_down_dtod": round(float(random.uniform(0, 0.05)), 3),
    }
    fields["w_max_dtod"] = fields["w_min_dtod"] = round(float(random.uniform(0, 0.3)), 2)
    noisy_write = random.random() < 0.25
    if noisy_write and KINDS[kind].supports_write_noise:  # type: ignore[attr-defined]
        fields["write_noise_std"] = float(f"{random.uniform(0.01, 0.1) / fields['dw_min']:.2g}")
    return kind, KINDS[kind](**fields, **_step_shape(kind, random))
