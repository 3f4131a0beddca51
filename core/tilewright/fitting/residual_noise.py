"""What the residuals of a fit are made of, by restricted maximum likelihood.

A noisy device leaves three kinds of noise on its nominal response ``m``: white noise of writing and reading, a walk
that every pulse kicks by ``step`` times the size of the step there and that the slope of the step damps, and read noise
with memory (telegraph or 1/f), which levels off within its correlation time::

    r[k] = a[k] + b[k] + white,   a[k+1] = (1 - slope(m[k])) a[k] + step * size(m[k]) * xi,
    b[k+1] = exp(-1 / time) b[k] + slow * sqrt(1 - exp(-2 / time)) * xi

A fit bends towards its own noise. The restricted likelihood (Patterson and Thompson, Biometrika 58:545, 1971) allows
for it: it is that of the part of the residual which no change of the fitted parameters can reach.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded
from scipy.optimize import minimize, minimize_scalar

from tilewright import kernels
from tilewright.devices import trace_pulses
from tilewright.devices.pulsed import PulsedDevice
from tilewright.measurement.record import Record

Samples = NDArray[np.float64]

MOST_SAMPLES = 6_000  # the rest of a long measurement would tell no more about three numbers
SLOW_GAIN = 50.0  # of twice the log-likelihood, for noise with memory to count: small gains come from bent step noise
FIRST_CLIMB, PROMISING = 80, 3.0  # evaluations, and the gain from which on more of them are spent
SHORTEST, LONGEST = 1.5, 200.0  # correlation times looked for, in pulses
STEPS_TRIED = 9  # values of the step noise that an average is taken over
STATES_DRAWN = 1000  # traces that show how bounds stop noisy states
FEW_STOPPED = 0.01  # of them
SLOWEST_BESIDE_BOUNDS = 20.0  # pulses; slower noise cannot be told from states that bounds stop
FASTER = 4.0  # noise with memory levels off so much faster than the device relaxes; else it is step noise


@dataclass(frozen=True)
class RecordShape:
    """How step noise spreads along one record: damping per pulse, and its standard deviation for ``dw_min_std = 1``.

    ``under_noise`` gives the same as noise of a number of steps leaves it, which bounds stop; None where not known.
    """

    damping: Samples
    kick: Samples
    under_noise: Callable[[float], RecordShape] | None = None

    def at(self, kept: NDArray[np.bool_]) -> RecordShape:
        """The same for the samples that are kept: what the pulses between two of them do, taken together."""
        if kept.all():
            return self
        where = np.flatnonzero(kept)
        damping, kick = self.damping[where], self.kick[where] ** 2
        for j in np.flatnonzero(np.diff(where) > 1):
            for k in range(where[j] + 1, where[j + 1]):
                damping[j] *= self.damping[k]
                kick[j] = self.damping[k] ** 2 * kick[j] + self.kick[k] ** 2
        noisy = self.under_noise
        return RecordShape(damping, np.sqrt(kick), None if noisy is None else lambda step: noisy(step).at(kept))

    def stretch(self, where: slice) -> RecordShape:
        """The same for a stretch of the record."""
        noisy = self.under_noise
        return RecordShape(
            self.damping[where], self.kick[where], None if noisy is None else lambda step: noisy(step).stretch(where)
        )


@dataclass(frozen=True)
class ResidualNoise:
    """The three parts and how sure they are.

    Attributes:
        white: standard deviation of the white part, in weight units.
        step: step noise, in units of the step (``dw_min_std``).
        slow: standard deviation of the part with memory; 0 where there is none.
        time: its correlation time in pulses; NaN where there is none.
        white_error, step_error, slow_error: standard errors.
    """

    white: float
    step: float
    slow: float
    time: float
    white_error: float = math.nan
    step_error: float = math.nan
    slow_error: float = math.nan
    likelihood: float = field(default=math.nan, repr=False)

    @property
    def memory(self) -> float:
        """Part of the slow noise that outlives a pulse."""
        return math.exp(-1 / self.time) if math.isfinite(self.time) else 0.0

    def whiten(self, shape: RecordShape, columns: Samples) -> tuple[Samples, float]:
        """Columns (n, m) of one record divided by a root of the covariance, and the logarithm of its determinant."""
        white = max(
            self.white**2, 1e-8 * (self.slow**2 + (self.step * float(np.max(shape.kick, initial=0.0))) ** 2), 1e-300
        )
        return kernels.whiten(
            shape.damping,
            (self.step * shape.kick) ** 2,
            self.memory,
            self.slow**2 if self.memory else 0.0,
            white,
            columns,
        )

    def covariance_of(self, shape: RecordShape, columns: Samples) -> Samples:
        """``columns' C columns`` with the covariance C of one record."""
        total = self.white**2 * columns.T @ columns
        if self.step > 0:
            back = _reached(columns, shape.damping)
            total += self.step**2 * (back * shape.kick[:-1, None] ** 2).T @ back
        if self.slow > 0 and self.memory > 0:
            back = _reached(columns, np.full(len(columns), self.memory))
            first = columns[0] + self.memory * back[0] if len(back) else columns[0]
            fresh = self.slow**2 * (1 - self.memory**2)
            total += fresh * back.T @ back + self.slow**2 * np.outer(first, first)
        return np.asarray(total)


def _reached(columns: Samples, damping: Samples) -> Samples:
    """What a kick at each pulse (but the last) adds up to later: ``b[k] = c[k+1] + damping[k+1] b[k+1]``."""
    n = len(columns) - 1
    if n < 1:
        return np.zeros((0, columns.shape[1]))
    bands = np.ones((2, n))
    bands[0, 1:] = -damping[1:n]
    return np.asarray(solve_banded((0, 1), bands, columns[1:], check_finite=False))


def record_shape(device: PulsedDevice, record: Record, model: Samples) -> RecordShape:
    """Damping and kicks of step noise along the nominal response ``model`` of a record."""
    noisy = device.model_copy(update={"dw_min_std": 1.0})
    rising = record.pulses > 0
    small = 1e-5 * max(device.w_max - device.w_min, 1e-9)
    up, down = device.nominal_steps(model)
    up_next, down_next = device.nominal_steps(model + small)
    raw = model + device.nominal_reference
    scales = device.steps
    kicks = [noisy.cycle_noise(step, scale, raw) for step, scale in zip((up, down), scales, strict=True)]
    slope = np.where(rising, up_next - up, -(down_next - down)) / small
    landing = raw + np.where(rising, up, -down)
    clipped = (landing >= device.w_max) | (landing <= device.w_min)
    damping = np.where(clipped, 0.0, np.clip(1 + slope, 0.0, 1.0))
    shape = RecordShape(np.asarray(damping), np.asarray(np.where(rising, kicks[0], kicks[1])))
    return replace(shape, under_noise=lambda step: _shape_under_noise(device, record, float(model[0]), shape, step))


def _shape_under_noise(
    device: PulsedDevice, record: Record, start: float, nominal: RecordShape, step: float
) -> RecordShape:
    """How states spread that bounds stop: regression of each on the one before, over traces with step noise.

    Where no trace meets a bound it is the nominal shape, which has no scatter.
    """
    noisy = device.model_copy(deep=True)
    noisy.dw_min_std = step
    states = np.asarray(
        trace_pulses(noisy, record.pulses[:-1], n_traces=STATES_DRAWN, seed=1, w0=start), dtype=np.float64
    )
    raw = states + device.nominal_reference
    small = 1e-6 * (device.w_max - device.w_min)
    stopped = np.mean((raw >= device.w_max - small) | (raw <= device.w_min + small), axis=1)
    away = states - states.mean(axis=1, keepdims=True)
    variance = np.mean(away**2, axis=1)
    joint = np.append(np.mean(away[1:] * away[:-1], axis=1), 0.0)
    following = np.append(variance[1:], variance[-1])
    damping = np.clip(np.divide(joint, variance, out=np.zeros_like(joint), where=variance > small**2), 0.0, 1.0)
    kick = np.sqrt(np.maximum(following - damping**2 * variance, 0.0)) / step
    met = np.maximum(stopped, np.append(stopped[1:], stopped[-1])) > FEW_STOPPED
    return RecordShape(np.where(met, damping, nominal.damping), np.where(met, kick, nominal.kick))


@dataclass(frozen=True)
class _Part:
    """A record, or a stretch of one: its residual, and derivatives by what moves several parts and this one only."""

    shape: RecordShape
    residual: Samples
    design: Samples
    own: Samples

    @functools.cached_property
    def columns(self) -> Samples:
        """Residual, shared and own derivatives side by side."""
        return np.column_stack([self.residual, self.design, self.own])


Parts = list[_Part]


def fit_noise(
    shapes: Sequence[RecordShape],
    residuals: Sequence[Samples],
    designs: Sequence[Samples],
    averaged: bool = False,
    apart: bool = False,
) -> ResidualNoise:
    """The most likely noise.

    Args:
        shapes: of the records.
        residuals: of the records, in weight units.
        designs: derivatives (samples, parameters) of each record by what was fitted; may have no columns.
        averaged: give the step noise as the root of its mean square over the likelihood instead of the most likely
            one, which is 0 in some draws of every small noise; errors that rest on such a 0 are too small.
        apart: the columns of each record's derivatives stand for parameters of its own.
    """
    parts = _bounded(_parts(shapes, residuals, designs, apart))
    joined = np.concatenate([part.residual for part in parts])
    size = float(np.std(joined))
    if size <= 1e-12:
        return ResidualNoise(size, 0.0, 0.0, math.nan, 0.0, 0.0, 0.0)
    kick = max(float(np.sqrt(np.mean(np.concatenate([part.shape.kick for part in parts]) ** 2))), 1e-300)
    jumps = float(np.std(np.concatenate([np.diff(part.residual) for part in parts]))) / math.sqrt(2)
    first = max(jumps, 0.02 * size)
    plain = min(
        (_climb(parts, [math.log(first), math.log(share * first / kick)]) for share in (1.0, 0.1, 0.01)),
        key=lambda found: found.likelihood,
    )
    rest = math.sqrt(max(size**2 - first**2, (0.1 * size) ** 2))
    starts = [
        [math.log(first), math.log(share * first / kick), math.log(rest), math.log(time)]
        for share, time in ((1e-3, 4.0), (1e-3, 15.0), (0.1, 5.0))
    ]
    longest = min(LONGEST, max(_relaxation(parts) / FASTER, 2 * SHORTEST))
    # A short climb tells whether a long one is worth it.
    slow = min((_climb(parts, start, longest, FIRST_CLIMB) for start in starts), key=lambda found: found.likelihood)
    if plain.likelihood - slow.likelihood > PROMISING:
        logs = [math.log(max(value, 1e-3 * first)) for value in (slow.white, slow.slow)]
        step = math.log(max(slow.step, 1e-3 * first / kick))
        slow = _climb(parts, [logs[0], step, logs[1], math.log(slow.time)], longest)
    if plain.likelihood - slow.likelihood <= SLOW_GAIN:
        return _finished(parts, plain, averaged)
    stopped, stopped_parts = _stopped_by_bounds(parts, plain)
    if stopped.likelihood - slow.likelihood <= SLOW_GAIN or (
        stopped_parts is not parts and slow.time > SLOWEST_BESIDE_BOUNDS
    ):
        return _finished(stopped_parts, stopped, averaged)
    return _finished(parts, slow, averaged)


def _stopped_by_bounds(parts: Parts, plain: ResidualNoise) -> tuple[ResidualNoise, Parts]:
    """The most likely noise without memory where bounds stop noisy states, and the parts as such noise leaves them.

    States that come back from a bound within a few pulses look as if they had memory to a walk about nominal states.
    """
    best, best_parts = plain, parts
    for _ in range(2):
        if not best.step > 0 or any(part.shape.under_noise is None for part in parts):
            break
        step = best.step
        changed = [
            _Part(part.shape.under_noise(step), part.residual, part.design, part.own)
            for part in parts
            if part.shape.under_noise is not None
        ]
        found = _climb(changed, [math.log(max(best.white, 1e-12)), math.log(step)])
        if found.likelihood >= best.likelihood - 0.1:
            break
        best, best_parts = found, changed
    return best, best_parts


def _finished(parts: Parts, found: ResidualNoise, averaged: bool) -> ResidualNoise:
    found = _with_errors(parts, found)
    return replace(found, step=_averaged_step(parts, found)) if averaged else found


def _averaged_step(parts: Parts, best: ResidualNoise) -> float:
    """Root mean square of the step noise over its likelihood, flat in the step noise, the white noise following."""
    if not best.step_error > 0:
        return best.step
    steps = np.linspace(0.0, best.step + 3.5 * best.step_error, STEPS_TRIED)
    deviances = []
    white = best.white
    for step in steps[::-1]:
        found = minimize_scalar(
            lambda log, step=step: _deviance(parts, replace(best, step=step, white=math.exp(log))),
            bounds=(math.log(white) - 0.3, math.log(white) + 0.3), method="bounded", options={"xatol": 0.01},
        )  # fmt: skip
        white = math.exp(float(found.x))
        deviances.append(float(found.fun))
    weight = np.exp(-0.5 * (np.array(deviances[::-1]) - min(deviances)))
    return float(np.sqrt(np.sum(weight * steps**2) / np.sum(weight)))


def _parts(
    shapes: Sequence[RecordShape], residuals: Sequence[Samples], designs: Sequence[Samples], apart: bool
) -> Parts:
    """The records, with what moves a single one apart from what moves several."""
    if apart:
        return [
            _Part(shape, residual, np.zeros((len(design), 0)), design)
            for shape, residual, design in zip(shapes, residuals, designs, strict=True)
        ]
    moved = [design.any(axis=0) for design in designs]
    several = np.sum(moved, axis=0) > 1 if len(designs) > 1 else np.ones(designs[0].shape[1], dtype=bool)
    return [
        _Part(shape, residual, design[:, several], design[:, own & ~several])
        for shape, residual, design, own in zip(shapes, residuals, designs, moved, strict=True)
    ]


def _bounded(parts: Parts) -> Parts:
    """The parts, or an even choice of stretches of them where they are long."""
    total = sum(len(part.residual) for part in parts)
    if total <= MOST_SAMPLES:
        return parts
    stretch = 1500
    cut: Parts = []
    for part in parts:
        n = len(part.residual)
        for at in range(0, max(n - stretch // 2, 1), stretch):
            where = slice(at, at + stretch)
            piece = part.shape.stretch(where)
            own = part.own[where]
            if at:  # the walk of a later stretch does not start at 0: its level is left to the data
                own = np.hstack([own, np.ones((len(own), 1))])
            cut.append(_Part(piece, part.residual[where], part.design[where], own))
    return cut[:: max(1, math.ceil(total / MOST_SAMPLES))]


def _deviance(parts: Parts, noise: ResidualNoise) -> float:
    """Minus twice the restricted log-likelihood."""
    columns = parts[0].design.shape[1]
    total, normal, right = 0.0, np.zeros((columns, columns)), np.zeros(columns)
    for part in parts:
        white, log_determinant = noise.whiten(part.shape, part.columns)
        total += log_determinant + float(white[:, 0] @ white[:, 0])
        inner = np.einsum("ki,kj->ij", white, white)[1:]
        within, across, towards = inner[:columns, 1 : columns + 1], inner[:columns, columns + 1 :], inner[:columns, 0]
        if part.own.shape[1]:  # what moves this record alone is fitted to it at once
            logs, solved, gain = _solved(inner[columns:, columns + 1 :], np.c_[across.T, inner[columns:, 0]])
            total += logs - gain
            within, towards = within - across @ solved[:, :-1], towards - across @ solved[:, -1]
        normal += within
        right += towards
    if columns:
        logs, _, gain = _solved(normal, right[:, None])
        total += logs - gain
    return total


def _solved(matrix: Samples, right: Samples) -> tuple[float, Samples, float]:
    """Logarithm of the determinant, the solution, and what its last column explains; of a rank that may be lower."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    turned = vectors[:, kept].T @ right
    solution = vectors[:, kept] @ (turned / values[kept, None])
    return float(np.sum(np.log(values[kept]))), solution, float(right[:, -1] @ solution[:, -1])


def _relaxation(parts: Parts) -> float:
    """Pulses in which the device forgets, away from bounds that make it forget at once."""
    damping = np.concatenate([part.shape.damping for part in parts])
    return 1 / max(1 - float(np.mean(damping[damping > 0])), 1e-9) if np.any(damping > 0) else 1.0


def _noise_at(logs: Sequence[float], longest: float) -> ResidualNoise:
    numbers = [math.exp(min(max(value, -40.0), 40.0)) for value in logs]
    if len(numbers) == 2:
        return ResidualNoise(numbers[0], numbers[1], 0.0, math.nan)
    return ResidualNoise(numbers[0], numbers[1], numbers[2], min(max(numbers[3], SHORTEST), longest))


def _climb(parts: Parts, start: list[float], longest: float = LONGEST, evaluations: int = 0) -> ResidualNoise:
    found = minimize(
        lambda logs: _deviance(parts, _noise_at(logs, longest)), start, method="Nelder-Mead",
        options={
            "xatol": 0.01, "fatol": 0.02, "maxfev": evaluations or 70 * len(start), "initial_simplex": _simplex(start),
        },
    )  # fmt: skip
    best = _noise_at(found.x, longest)
    without = replace(best, step=0.0)  # a logarithm never reaches 0
    deviance = _deviance(parts, without)
    if deviance <= found.fun + 0.05:
        return replace(without, likelihood=deviance)
    return replace(best, likelihood=float(found.fun))


def _simplex(start: list[float]) -> NDArray[np.float64]:
    corners = np.tile(start, (len(start) + 1, 1))
    corners[1:] += np.diag(np.full(len(start), 0.7))
    return corners


def _with_errors(parts: Parts, best: ResidualNoise) -> ResidualNoise:
    """Standard errors: from the curvature in the logarithm of what is there; a drop by one half for what is not."""
    fields = ("white", "step", "slow") if best.slow > 0 else ("white", "step")
    small = 1e-3 * max(best.white, best.slow)
    present = [name for name in fields if getattr(best, name) > (small if name != "step" else 0.0)]
    logs = [math.log(getattr(best, name)) for name in present]

    def deviance(moved: list[float]) -> float:
        changed = {name: math.exp(value) for name, value in zip(present, moved, strict=True)}
        return _deviance(parts, replace(best, **changed))

    values, vectors = np.linalg.eigh(_curvature(deviance, logs) / 2)
    spread = np.sqrt(np.diag((vectors / np.maximum(values, 0.1)) @ vectors.T))
    errors = {name: getattr(best, name) * float(e) for name, e in zip(present, spread, strict=True)}
    scale = {"white": max(best.white, best.slow), "step": _one_step(parts, best), "slow": best.slow}
    errors |= {name: _upper(parts, best, name, scale[name]) for name in fields if name not in present}
    return replace(best, **{f"{name}_error": error for name, error in errors.items()})


def _one_step(parts: Parts, best: ResidualNoise) -> float:
    """The step noise whose single kicks are as large as the other noise."""
    kicks = np.concatenate([part.shape.kick for part in parts])
    return max(best.white, best.slow) / max(float(np.sqrt(np.mean(kicks**2))), 1e-300)


def _upper(parts: Parts, best: ResidualNoise, name: str, scale: float) -> float:
    """The value at which twice the log-likelihood has dropped by one from that at 0."""
    low, high = 1e-5 * scale, 3 * scale
    base = _deviance(parts, replace(best, **{name: 0.0}))
    for _ in range(12):
        middle = math.sqrt(low * high)
        if _deviance(parts, replace(best, **{name: middle})) > base + 1:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)


def _curvature(function: Callable[[list[float]], float], at: list[float], step: float = 0.1) -> Samples:
    count = len(at)
    found = np.empty((count, count))

    def value(*moves: tuple[int, float]) -> float:
        moved = list(at)
        for index, size in moves:
            moved[index] += size
        return function(moved)

    middle = value()
    for i in range(count):
        found[i, i] = (value((i, step)) - 2 * middle + value((i, -step))) / step**2
        for j in range(i):
            mixed = value((i, step), (j, step)) - value((i, step), (j, -step))
            mixed += value((i, -step), (j, -step)) - value((i, -step), (j, step))
            found[i, j] = found[j, i] = mixed / (4 * step**2)
    return found
