"""Finding symmetry points by pulses alone, as it is done on a chip, and storing them in a reference.

Up and down pulses in turn, or in random order, pull every device to the weight where both steps are equal. What that
costs in pulses and reads, and how far from the true point it ends, is part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tilewright import kernels
from tilewright.devices.array import DeviceArray
from tilewright.devices.distribution import device_distribution
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.tracing import trace_pulses
from tilewright.periphery import UpdateParameters

Array = NDArray[Any]
Method = Literal["alternating", "random"]
METHODS: tuple[Method, ...] = ("alternating", "random")
_AT_ONCE = 4096  # pulses in one call


@dataclass(frozen=True)
class SymmetrySearch:
    """What a search found and what it cost.

    Attributes:
        method: ``alternating`` or ``random`` pulses.
        estimate: visible weight (devices,) or (outputs, inputs) that each device settled at, mean of its last reads.
        true: the symmetry point of each device from its parameters; nan where there is none, or where it is unknown.
        error: root mean square distance of the weights from the true points, (pulses + 1,); empty when not followed.
        path: weights of the first devices (pulses + 1, few); empty when not followed.
        pulses: pulses sent to each device.
        reads: reads of each device.
    """

    method: Method
    estimate: Array
    true: Array
    error: Array
    path: Array
    pulses: int
    reads: int

    @property
    def total_pulses(self) -> int:
        """Pulses sent to all devices together."""
        return self.pulses * self.estimate.size

    @property
    def residual(self) -> Array:
        """Estimate less true point of each device."""
        return np.asarray(self.estimate - self.true)

    @property
    def rms_residual(self) -> float:
        """Root mean square of the residual over the devices that have a symmetry point; nan when none has."""
        return _rms(self.residual)

    def pulses_to_reach(self, distance: float) -> int | None:
        """Pulses after which the weights stay within a root mean square distance of their points; None if never."""
        beyond = np.flatnonzero(self.error > distance)
        if beyond.size == 0:
            return 0
        settled = int(beyond[-1]) + 1
        return settled if settled < self.error.size else None


def search_symmetry_points(
    device: PulsedDevice,
    n_pulses: int = 2000,
    method: Method = "alternating",
    n_devices: int = 200,
    seed: int = 0,
    w0: ArrayLike | None = None,
    n_reads: int = 16,
    read_noise: float = 0.0,
    followed: int = 5,
) -> SymmetrySearch:
    """Pulse drawn devices to their symmetry points.

    Args:
        device: its parameters, with spread and noise.
        n_pulses: pulses to each device.
        method: ``alternating`` sends up and down in turn, ``random`` in random order, the same to all devices.
        n_devices: devices drawn.
        seed: of devices, noise and the random order.
        w0: visible weight at the start; None starts at each device's lower bound.
        n_reads: the estimate is the mean over reads after this many of the last pulses.
        read_noise: noise of each read, in weight units.
        followed: devices whose path is kept.

    Raises:
        ValueError: an unknown method, or fewer than one pulse or read.
    """
    _check(n_pulses, method, n_reads)
    pulses = _sequence(n_pulses, method, seed)
    traces = trace_pulses(device, pulses, n_traces=n_devices, seed=seed, w0=w0)
    true = np.asarray(device_distribution(device, n_devices, seed).symmetry_points, dtype=float)
    last = np.asarray(traces[-min(n_reads, n_pulses) :], dtype=float)
    if read_noise > 0:
        noise = kernels.normal_field(last.shape, kernels.derive_seed(seed, "search reads"))
        last = last + read_noise * noise.numpy()
    known = np.isfinite(true)
    distance = np.asarray(traces, dtype=float)[:, known] - true[known]
    error = np.sqrt(np.mean(distance**2, axis=1)) if known.any() else np.full(len(traces), np.nan)
    return SymmetrySearch(
        method, last.mean(axis=0), true, error, np.asarray(traces[:, :followed], dtype=float), n_pulses, len(last)
    )


@torch.no_grad()
def program_reference(
    array: DeviceArray,
    visible: torch.Tensor,
    n_pulses: int = 2000,
    method: Method = "alternating",
    n_reads: int = 16,
    read_noise: float = 0.0,
    write_noise: float = 0.0,
) -> SymmetrySearch:
    """Pulse an array to its symmetry points and store what is read there in its reference.

    Afterwards the visible weights count from the points that were found: the devices stand near 0, and what the search
    missed stays as an offset. All devices take their pulses at the same time, through all lines; in random order the
    signs of rows and columns are drawn, so that devices differ.

    Args:
        array: of devices with a reference, such as ``SoftBoundsReferenceDevice``.
        visible: its visible weights (outputs, inputs), changed in place.
        n_pulses: pulses to each device.
        method: ``alternating`` or ``random``.
        n_reads: the estimate is the mean over reads after this many of the last pulses.
        read_noise: noise of each read, in weight units.
        write_noise: noise of the reference that is written, in weight units.

    Returns:
        The search, in the weights visible before; the true points are not known to it (nan).

    Raises:
        ValueError: an unknown method, fewer than one pulse or read, or devices without a reference.
    """
    _check(n_pulses, method, n_reads)
    if array.reference is None:
        raise ValueError(
            f"{type(array.device).__name__} has no reference to program: use SoftBoundsReferenceDevice or "
            "PowStepReferenceDevice with reference_std above 0 or subtract_symmetry_point, or a ReferenceUnitCell"
        )
    seed, device = kernels.derive_seed(array.noise_seed, "symmetry search", array.sent.calls), visible.device
    reads = min(n_reads, n_pulses)
    _pulse(array, visible, 0, n_pulses - reads, method, seed)
    total = torch.zeros(array.shape, dtype=torch.float64, device=device)
    for k in range(reads):
        _pulse(array, visible, n_pulses - reads + k, 1, method, seed)
        total += visible
        if read_noise > 0:
            total += read_noise * kernels.normal_field(array.shape, kernels.derive_seed(seed, "read"), k).to(device)
    estimate = (total / reads).to(torch.float32)
    stored = estimate
    if write_noise > 0:
        noise = kernels.normal_field(array.shape, kernels.derive_seed(seed, "write"))
        stored = estimate + write_noise * noise.to(device)
    array.reference = (array.reference + stored).contiguous()
    visible.sub_(stored)
    return SymmetrySearch(
        method, estimate.cpu().numpy().astype(float), np.full(array.shape, np.nan), np.zeros(0), np.zeros((0, 0)),
        n_pulses, reads,
    )  # fmt: skip


def _pulse(array: DeviceArray, visible: torch.Tensor, first: int, count: int, method: Method, seed: int) -> None:
    """Send pulses ``first`` to ``first + count`` of a search: one to every device of the array each time."""
    outputs, inputs = array.shape
    scheme = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
    unit = array.device.granularity
    settings = scheme.compiled(unit)
    for start in range(first, first + count, _AT_ONCE):
        n = min(_AT_ONCE, first + count - start)
        if method == "alternating":
            turn = 1.0 - 2.0 * (torch.arange(start, start + n) % 2)
            x, d = turn[:, None].expand(n, inputs), torch.full((n, outputs), -1.0)
        else:
            x = 1.0 - 2.0 * (kernels.uniform_rows(n, inputs, kernels.derive_seed(seed, "x"), start) < 0.5).float()
            d = 1.0 - 2.0 * (kernels.uniform_rows(n, outputs, kernels.derive_seed(seed, "d"), start) < 0.5).float()
        # A rate of one step over inputs and errors of one fires every line in the one slot.
        x, d = ((vectors * 2).contiguous().to(visible.device) for vectors in (x, d))
        array.update(visible, x, d, torch.tensor([unit], dtype=torch.float32), settings)


def _sequence(n_pulses: int, method: Method, seed: int) -> NDArray[np.int8]:
    if method == "alternating":
        return (1 - 2 * (np.arange(n_pulses) % 2)).astype(np.int8)
    order = kernels.uniform_field((n_pulses,), kernels.derive_seed(seed, "search order")).numpy()
    return np.where(order < 0.5, 1, -1).astype(np.int8)


def _check(n_pulses: int, method: str, n_reads: int) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, found {method!r}")
    if n_pulses < 1 or n_reads < 1:
        raise ValueError(f"n_pulses and n_reads must be at least 1, found {n_pulses} and {n_reads}")


def _rms(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")
