"""Responses of devices to sequences of pulses, and the likelihood of their residuals."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tilewright import _cpu
from tilewright._cpu import DeviceModel, StepShape
from tilewright.kernels.arrays import Crosspoints


def pulse_trace(
    model: DeviceModel,
    crosspoints: Crosspoints,
    pulses: NDArray[np.int8],
    seed: int,
    *,
    keep: bool = True,
    first: int = 0,
) -> NDArray[np.float32]:
    """Visible weights (n_pulses + 1, devices) of devices that take the same pulses; their state is updated.

    Args:
        model: kind of device and its noise.
        crosspoints: state and parameters.
        pulses: signed pulse counts.
        seed: key of the noise.
        keep: False keeps no weights but the last, in ``crosspoints.visible``, and returns an empty array.
        first: number of the first device, a multiple of 8, when these are a part of a larger set: noise goes by number.
    """
    devices = crosspoints.visible.numel()
    out = np.empty((len(pulses) + 1 if keep else 0, devices), dtype=np.float32)
    _cpu.trace(
        model, crosspoints.addresses(), devices, pulses.ctypes.data, len(pulses), out.ctypes.data if keep else 0,
        seed, first, torch.get_num_threads(),
    )  # fmt: skip
    return out


def nominal_response(
    kind: int,
    shape: StepShape,
    up: float,
    down: float,
    max_bound: float,
    min_bound: float,
    slope_up: float,
    slope_down: float,
    pulses: NDArray[np.int8],
    start: float,
) -> NDArray[np.float64]:
    """State (n_pulses + 1,) of one noise-free device in double precision."""
    out = np.empty(len(pulses) + 1, dtype=np.float64)
    _cpu.nominal_response(
        kind,
        shape,
        up,
        down,
        max_bound,
        min_bound,
        slope_up,
        slope_down,
        pulses.ctypes.data,
        len(pulses),
        start,
        out.ctypes.data,
    )
    return out


def whiten(
    damping: NDArray[np.float64],
    kick_variance: NDArray[np.float64],
    slow_memory: float,
    slow_variance: float,
    white_variance: float,
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Columns divided by a root of the covariance of the noise of one record, and the logarithm of its determinant.

    Args:
        damping: (n,) part of the walk that outlives each pulse; the walk starts at 0.
        kick_variance: (n,) variance each pulse adds to the walk.
        slow_memory: part of the slow read noise that outlives a pulse, below 1.
        slow_variance: of that noise.
        white_variance: of what each sample adds; above 0.
        values: (n, columns) float64.
    """
    damping, kick_variance, values = (
        np.ascontiguousarray(a, dtype=np.float64) for a in (damping, kick_variance, values)
    )
    if values.ndim != 2 or damping.shape != kick_variance.shape or damping.shape != values.shape[:1]:
        raise ValueError(
            f"whiten: shapes {damping.shape}, {kick_variance.shape} and {values.shape} do not belong together"
        )
    out = np.empty_like(values)
    log_determinant = _cpu.whiten(
        damping.ctypes.data, kick_variance.ctypes.data, slow_memory, slow_variance, white_variance,
        len(values), values.ctypes.data, out.ctypes.data, values.shape[1],
    )  # fmt: skip
    return out, log_determinant
