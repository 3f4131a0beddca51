"""Pulse responses of devices: single pulses, no learning rate, no probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tilewright import kernels
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu

LANES = 8  # noise is drawn for so many devices together
TRACED_VALUES = 4_000_000  # held at a time by statistics


def pulse_sequence(pulses: ArrayLike) -> NDArray[np.int8]:
    """Signed pulse counts as the kernels take them.

    Raises:
        ValueError: not one-dimensional, not whole numbers, or more than 127 pulses in one entry.
    """
    array = np.asarray(pulses)
    if array.dtype == np.int8 and array.ndim == 1 and array.flags.c_contiguous:
        return array  # already checked: fits call this thousands of times
    if array.ndim != 1:
        raise ValueError(f"pulses must be one-dimensional, found shape {array.shape}")
    whole = np.rint(array)
    if array.size and (not np.all(np.isfinite(array)) or np.any(whole != array) or np.any(np.abs(whole) > 127)):
        raise ValueError("pulses must be whole numbers between -127 and 127: +1 is one up pulse, -1 one down pulse")
    return np.ascontiguousarray(whole, dtype=np.int8)


def trace_draw_seed(device: PulsedDevice, seed: int) -> int:
    """Key of the devices that traces and distributions of ``seed`` show: the first n are the same for any number."""
    return kernels.derive_seed(device.construction_seed or seed, "trace devices", int(device.construction_seed == 0))


def trace_pulses(
    device: PulsedDevice,
    pulses: ArrayLike,
    n_traces: int = 1,
    seed: int = 0,
    w0: ArrayLike | None = None,
    keep: Literal["all", "final"] = "all",
    on: torch.device | str | None = None,
) -> NDArray[np.float32]:
    """Visible weight of devices that all take the same pulses.

    Args:
        device: its parameters; device-to-device spread and noise are drawn as the fields say.
        pulses: (n_pulses,) signed counts, +1 one up pulse, -1 one down pulse.
        n_traces: number of devices.
        seed: seed of the noise, and of the devices when ``device.construction_seed`` is 0.
        w0: start weight, one or (n_traces,); None starts at each device's lower bound.
        keep: ``"final"`` keeps the last weights only, for more devices than fit into memory pulse by pulse; see also
            :func:`trace_statistics`.
        on: ``"cuda"`` traces on a GPU: the same bits where no cycle or write noise is drawn, else other numbers of the
            same distribution.

    Returns:
        (n_pulses + 1, n_traces) float32; row 0 is the start, row k the weight after k entries of ``pulses``. With
        ``keep="final"`` its last row, (n_traces,).
    """
    if keep not in ("all", "final"):
        raise ValueError(f"keep must be 'all' or 'final', found {keep!r}")
    sequence = pulse_sequence(pulses)
    array, visible = _devices_at_start(device, n_traces, seed, w0)
    noise = kernels.derive_seed(seed, "trace")
    if on is not None:
        if torch.device(on).type == "cuda" and (problem := gpu.problem()):
            raise RuntimeError(f"cannot trace on {on}: {problem}")
        array, visible = array.to(on), visible.to(on)
    traces = array.trace(array.crosspoints(visible), sequence, noise, keep=keep == "all")
    found: NDArray[np.float32] = traces.cpu().numpy() if keep == "all" else visible.cpu().numpy()[0]
    return found


@dataclass(frozen=True)
class TraceStatistics:
    """What many traces come to, pulse by pulse: row 0 is the start, row k the weight after k entries of the pulses.

    Attributes:
        mean, std, lowest, highest: over the devices, (n_pulses + 1,).
        final: the last visible weight of each device, (n_traces,) float32.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    final: NDArray[np.float32]


def trace_statistics(
    device: PulsedDevice,
    pulses: ArrayLike,
    n_traces: int = 1000,
    seed: int = 0,
    w0: ArrayLike | None = None,
) -> TraceStatistics:
    """Statistics of the very traces of :func:`trace_pulses`, for any number of devices: few are held at a time."""
    sequence = pulse_sequence(pulses)
    array, visible = _devices_at_start(device, n_traces, seed, w0)
    points, noise = array.crosspoints(visible), kernels.derive_seed(seed, "trace")
    at_once = max(TRACED_VALUES // (len(sequence) + 1) // LANES * LANES, LANES)
    sums, squares, origin = np.zeros(len(sequence) + 1), np.zeros(len(sequence) + 1), np.zeros(len(sequence) + 1)
    lowest = np.full(len(sequence) + 1, np.inf, dtype=np.float32)
    highest = -lowest
    for first in range(0, n_traces, at_once):
        part = points.part(first, min(first + at_once, n_traces))
        traces = kernels.pulse_trace(array.model, part, sequence, noise, first=first)
        if first == 0:  # squares of what lies near zero keep their digits
            origin = traces.mean(axis=1, dtype=np.float64)
        np.minimum(lowest, traces.min(axis=1), out=lowest)
        np.maximum(highest, traces.max(axis=1), out=highest)
        traces -= origin.astype(np.float32)[:, None]
        sums += traces.sum(axis=1, dtype=np.float64)
        squares += np.einsum("pd,pd->p", traces, traces, dtype=np.float64)
    offset = sums / n_traces
    return TraceStatistics(
        mean=origin.astype(np.float32) + offset,
        std=np.sqrt(np.maximum(squares / n_traces - offset**2, 0)),
        lowest=lowest,
        highest=highest,
        final=visible.numpy()[0],
    )


def _devices_at_start(
    device: PulsedDevice, n_traces: int, seed: int, w0: ArrayLike | None
) -> tuple[DeviceArray, torch.Tensor]:
    if n_traces < 1:
        raise ValueError(f"n_traces must be at least 1, found {n_traces}")
    array = DeviceArray(device, (1, n_traces), trace_draw_seed(device, seed), kernels.derive_seed(seed, "trace noise"))
    visible = torch.zeros(1, n_traces)
    array.set_weights(visible, _start_weights(w0, n_traces))
    return array, visible


def _start_weights(w0: ArrayLike | None, n_traces: int) -> torch.Tensor:
    if w0 is None:
        return torch.full((1, n_traces), -torch.inf)
    start = np.asarray(w0, dtype=np.float32)
    if start.shape not in ((), (1,), (n_traces,)):
        raise ValueError(f"w0 must hold one value or {n_traces}, found shape {start.shape}")
    if np.any(np.isnan(start)):
        raise ValueError("w0 must not be nan")
    return torch.from_numpy(np.broadcast_to(start, (1, n_traces)).copy())


def nominal_response(device: PulsedDevice, pulses: ArrayLike, w0: float) -> NDArray[np.float64]:
    """Visible weight (n_pulses + 1,) of the nominal device: no spread, no noise, double precision.

    The start is clipped to the device's window, as a tile would.
    """
    sequence = pulse_sequence(pulses)
    up, down = device.steps
    reference = device.nominal_reference
    slope_up, slope_down = device.nominal_slopes()
    start = min(max(float(w0) + reference, device.w_min), device.w_max)
    values = (up, down, device.w_max, device.w_min, slope_up, slope_down)
    response = kernels.nominal_response(device.kernel_kind, device.step_shape(), *values, sequence, start)
    return response - reference if reference else response
