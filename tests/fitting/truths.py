"""A device of each class, pulses that show all of it, and which of its parameters a fit must find again."""

from __future__ import annotations

import numpy as np

from tilewright.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    TableStepDevice,
)
from tilewright.devices import nominal_response, trace_pulses
from tilewright.fitting import default_ranges
from tilewright.measurement import Measurement, Record

TUTORIAL = np.array([1] * 200 + [-1] * 200 + [1, -1] * 100, dtype=np.int8)
RAMPS = np.array([1] * 400 + [-1] * 400, dtype=np.int8)
THREE = np.concatenate([RAMPS, RAMPS[:400]])  # every weight is left in both directions

SOFT = {"dw_min": 0.0116, "up_down": -0.24, "w_max": 1.7, "w_min": -0.777}
LINEAR = {"dw_min": 0.006, "up_down": 0.1, "w_max": 0.9, "w_min": -0.8, "gamma_up": 0.3, "gamma_down": 0.6}
CONSTANT = {"dw_min": 0.006, "up_down": -0.1, "w_max": 0.8, "w_min": -0.9}
EXPONENTIAL = {
    "dw_min": 0.012, "up_down": -0.2, "A_up": 0.4, "A_down": 0.3, "gamma_up": 2.0, "gamma_down": 3.0,
}  # fmt: skip
POWER = {"dw_min": 0.03, "up_down": -0.2, "pow_gamma": 1.7, "pow_up_down": 0.3, "w_max": 1.1, "w_min": -0.9}
UP, DOWN = [1.9, 1.5, 1.1, 0.9, 0.6, 0.2], [0.3, 0.5, 0.9, 1.4, 1.6, 2.2]
POINTS = np.linspace(-0.8, 0.9, 9).tolist()
TABLE_UP, TABLE_DOWN = np.linspace(1.8, 0.2, 9) ** 1.3, np.linspace(0.3, 1.9, 9) ** 0.8

# (device, pulses, start, ranges that are not the default ones)
TRUTHS = {
    "SoftBoundsDevice": (SoftBoundsDevice(**SOFT), TUTORIAL, -0.3, {}),
    "SoftBoundsReferenceDevice": (SoftBoundsReferenceDevice(**SOFT), TUTORIAL, -0.3, {}),
    "SoftBoundsPmaxDevice": (
        SoftBoundsPmaxDevice(p_max=200, alpha=0.006, range_min=-0.7, range_max=0.8), TUTORIAL, -0.3, {},
    ),
    "LinearStepDevice": (LinearStepDevice(**LINEAR), RAMPS, -0.5, {}),
    "ConstantStepDevice": (ConstantStepDevice(**CONSTANT), RAMPS, -0.5, {}),
    "ExpStepDevice": (
        ExpStepDevice(a=0.5, b=0.0, w_max=1.2, w_min=-1.2, **EXPONENTIAL), RAMPS, -0.6, {"w_max": 1.2, "w_min": -1.2},
    ),
    "PowStepDevice": (PowStepDevice(**POWER), RAMPS, -0.4, {}),
    "PowStepReferenceDevice": (PowStepReferenceDevice(**POWER), RAMPS, -0.4, {}),
    "PiecewiseStepDevice": (
        PiecewiseStepDevice(dw_min=0.006, w_max=0.9, w_min=-0.8, piecewise_up=UP, piecewise_down=DOWN), THREE, -0.5,
        {"dw_min": 0.006},
    ),
    "TableStepDevice": (
        TableStepDevice(
            dw_min=0.012, w_max=0.9, w_min=-0.8, points_weight=POINTS, points_up=TABLE_UP.tolist(),
            points_down=TABLE_DOWN.tolist(),
        ), THREE, -0.5, {"dw_min": 0.012},
    ),
}  # fmt: skip

NAMES = {
    "SoftBoundsDevice": list(SOFT),
    "SoftBoundsReferenceDevice": list(SOFT),
    "SoftBoundsPmaxDevice": ["alpha", "range_min", "range_max"],
    "LinearStepDevice": list(LINEAR),
    "ConstantStepDevice": list(CONSTANT),
    "ExpStepDevice": list(EXPONENTIAL),
    "PowStepDevice": list(POWER),
    "PowStepReferenceDevice": list(POWER),
    # tables: every entry, and the bounds, which the response reaches
    "PiecewiseStepDevice": [f"piecewise_{way}_{k}" for way in ("up", "down") for k in range(6)] + ["w_max", "w_min"],
    "TableStepDevice": [f"points_{way}_{k}" for way in ("up", "down") for k in range(9)] + ["w_max", "w_min"],
}


def value_of(device, name):
    """Field of a device, or entry of a list field."""
    if name in type(device).model_fields:
        return getattr(device, name)
    field, _, index = name.rpartition("_")
    return getattr(device, field)[int(index)]


def noise_free(name):
    """The measurement of a class without any noise."""
    device, pulses, start, _ = TRUTHS[name]
    return Measurement("made", "", (Record(pulses, nominal_response(device, pulses, start)[:-1]),))


def noisy(name, seed, step=0.0, write=0.0, read=0.0, repeats=1):
    """The measurement of a class with step noise and write noise (in steps) and read noise (in weight units)."""
    device, pulses, start, _ = TRUTHS[name]
    quiet = {field: 0.0 for field in type(device).model_fields if field.endswith(("dtod", "std"))}
    given = {field: getattr(device, field) for field in type(device).model_fields}
    quiet["dw_min_std"] = step
    if device.supports_write_noise:
        quiet["write_noise_std"] = write
    made = type(device)(**(given | quiet))
    traces = trace_pulses(made, pulses, n_traces=repeats, seed=seed, w0=start)[:-1].astype(float)
    traces += read * np.random.default_rng(seed).standard_normal(traces.shape)
    return Measurement("made", "", tuple(Record(pulses, trace) for trace in traces.T))


def ranges_for(name, measurement):
    """Default ranges, with what must be held at the truth."""
    device, _, _, other = TRUTHS[name]
    return default_ranges(device, measurement) | other


def fitted_to(name, measurement, **options):
    """A fit of the class to the measurement."""
    from tilewright.fitting import fit_device

    return fit_device(measurement, TRUTHS[name][0], ranges_for(name, measurement), **options)
