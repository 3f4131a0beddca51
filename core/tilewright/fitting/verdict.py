"""What a device is worth for training: states, symmetry point, asymmetry, noise, and which algorithm suits it and why.

With F = (down + up) / 2 and G = (down - up) / 2 at a weight, a pulsed update by ``g`` moves it by ``-g F - |g| G``
(Gokmen and Haensch, Front. Neurosci. 14:103, 2020): G / F is the share of every pulse that does not follow the
gradient. Its slope over the weights pulls them to the symmetry point, its mean is an offset that does not rest at 0.
From these, the noise and the speed of transfers follows how many answers each algorithm is expected to get wrong on a
task of reference; how much each cause weighs was fitted to trainings on devices of all kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.devices.distribution import DeviceDistribution, device_distribution
from tilewright.devices.pulsed import PulsedDevice

Array = NDArray[np.float64]

DEVICES = 400  # drawn to see the spread
USED = 0.5  # weights of a trained layer lie within about this
# The task of reference: a 64-64-10 network on 8x8 digits, batch 5, six passes, settings as recommended.
VECTORS, LINES = 6 * 1433, 64  # images of its training, and lines of an array, of which one is read after each image
WORST = 0.9  # answers that guessing gets wrong
# Change of a weight that one update asks for. Mixed precision sends a pulse once such changes have filled a step, so
# its pulses are as many as those of SGD where steps are finer than this, and rarer in proportion where coarser.
ASKED = 0.004
NOISY_STEP, SLOWED = 1.0, 0.2  # from this cycle noise on the recommended buffer waits five times longer
MOST_NOISE = 6.0  # steps, beyond which noise does no more harm
LITTLE = 0.02  # of all answers: a cause that costs less is no reason
HALF_WAY = 0.15  # way that single steps can move a weight within the training, which halves what slowness costs

TASK, PULL, OFFSET, PULSES, WRITES, SLOW = (
    "the task itself", "pull to the symmetry point", "offset of the symmetry point", "noisy pulses", "write noise",
    "slow transfer",
)  # fmt: skip
# What each cause costs an algorithm, for one unit of the size that ``causes_of`` gives it: fitted to trainings on 85
# devices by tests/benchmarks/fit_verdict.py.
COSTS: dict[str, dict[str, float]] = {
    "sgd": {TASK: 0.046, PULL: 0.27, OFFSET: 0.88, PULSES: 0.42, WRITES: 16},
    "mp": {TASK: 0.055, PULL: 0.093, OFFSET: 0.2, PULSES: 0, WRITES: 0.98},
    "tiki-taka": {TASK: 0.066, PULL: 0.062, OFFSET: 1.8, PULSES: 0.14, WRITES: 6.9},
    "ttv2": {TASK: 0.019, PULL: 0.077, OFFSET: 1.4, PULSES: 0.007, WRITES: 0.38, SLOW: 0.072},
    "c-ttv2": {TASK: 0.04, PULL: 0.074, OFFSET: 2.5, PULSES: 0.0061, WRITES: 0.93, SLOW: 0.19},
    "agad": {TASK: 0.058, PULL: 0.043, OFFSET: 0.29, PULSES: 0.0049, WRITES: 0.72, SLOW: 0.19},
}
# Spread of what is seen about what is predicted, for the difference of two algorithms over the root of the sum of their
# squares; from the same runs.
SPREAD = 0.23
ALIKE = 0.75  # probability to be better from which on one algorithm is called better

LABELS = {
    "sgd": "in-memory SGD", "mp": "mixed precision", "tiki-taka": "Tiki-Taka", "ttv2": "TTv2", "c-ttv2": "c-TTv2",
    "agad": "AGAD",
}  # fmt: skip
NOT_JUDGED = ("residual learning v2", "RIDER", "E-RIDER", "multi-tile residual learning")


@dataclass(frozen=True)
class AlgorithmAdvice:
    """How an algorithm fares on a device.

    Attributes:
        algorithm: its short name.
        error: share of the answers that are expected to be wrong after the training of reference, 0 to 0.9.
        parts: what it is made of, by cause, largest first; they add up.
        reason: a sentence.
    """

    algorithm: str
    error: float
    parts: dict[str, float]
    reason: str

    @property
    def mostly_from(self) -> str:
        """The cause that costs most beyond the task itself."""
        return next(cause for cause in self.parts if cause != TASK)


@dataclass(frozen=True)
class DeviceVerdict:
    """What a device is worth.

    Attributes:
        states: range over the mean step at weight 0, of the nominal device; NaN where most drawn devices
            take no steps.
        symmetry_point: visible weight where up and down steps are equal, median over devices; NaN where there is none.
        symmetry_spread: its standard deviation over devices.
        asymmetry: root mean square of G / F over the weights a layer uses, and over devices.
        noise_to_signal: noise of a read after one pulse over the step, at weight 0.
        advice: of each algorithm, the best first.
        confidence: 0 to 1, how sure the choice is: the probability that it does better than the next, by how far the
            rule was off where it was held against training, and less for each doubt.
        doubts: what lowers the confidence, in sentences.
    """

    states: float
    symmetry_point: float
    symmetry_spread: float
    asymmetry: float
    noise_to_signal: float
    advice: tuple[AlgorithmAdvice, ...]
    confidence: float
    doubts: tuple[str, ...] = ()

    @property
    def order(self) -> list[str]:
        """Algorithms, the best first."""
        return [item.algorithm for item in self.advice]

    @property
    def recommended(self) -> str:
        """The algorithm to start with."""
        return self.advice[0].algorithm

    @property
    def alike(self) -> list[str]:
        """Algorithms that the best is not surely better than, itself among them."""
        best = self.advice[0]
        return [item.algorithm for item in self.advice if item is best or _better(best, item) < ALIKE]

    @property
    def causes(self) -> list[str]:
        """What predicted errors are made of, the task itself first."""
        return list(dict.fromkeys(cause for name in COSTS for cause in COSTS[name]))

    @property
    def not_judged(self) -> str:
        """A sentence on the algorithms that it says nothing about."""
        return f"Not judged: {_listed([*NOT_JUDGED])}; what they leave was not held against training on many devices."

    @property
    def task(self) -> str:
        """A sentence on what the predicted errors are errors of."""
        return (
            "Errors are those to expect on 8×8 digits after six passes, with the settings that the Tile page "
            "recommends; a longer or harder task moves all of them."
        )

    def sentence(self) -> str:
        """The verdict as a colleague would say it."""
        if not math.isfinite(self.states):
            return "It takes no steps: nothing can be learned on it."
        parts = [f"About {self.states:,.0f} states"]
        if not math.isfinite(self.symmetry_point):
            parts.append("no symmetry point in the range")
        elif abs(self.symmetry_point) < 0.02:
            parts.append("up and down steps cancel at weight 0")
        else:
            parts.append(f"up and down steps cancel at {self.symmetry_point:.2f}")
        if self.noise_to_signal > 0.5:
            parts.append(f"noise of {self.noise_to_signal:.1f} steps in a read after a pulse")
        best = self.advice[0]
        others = [LABELS[name] for name in self.alike[1:]]
        tail = f" {_listed(others)[:1].upper()}{_listed(others)[1:]} should do as well." if others else ""
        return f"{'; '.join(parts)}. Start with {LABELS[best.algorithm]}: {_WORKS[best.algorithm]}{tail}"


def _median(values: Array) -> float:
    """Of those that exist; NaN where none does."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else math.nan


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _better(one: AlgorithmAdvice, other: AlgorithmAdvice) -> float:
    """Probability that one does better than the other."""
    size = math.hypot(lost(one.error), lost(other.error))
    return 0.5 * (1 + math.erf((lost(other.error) - lost(one.error)) / (SPREAD * size) / math.sqrt(2)))


@dataclass(frozen=True)
class Numbers:
    """What the rule looks at, in weight units where they have one."""

    step: float
    cycle: float  # noise of one pulse over its step
    write: float
    asymmetry: float  # root mean square of G / F
    slope: float  # of G / F over the weight, mean of the devices
    offset: float  # mean of G / F over the weights, median size of the devices
    follow: float  # way that transfers of single steps can move a weight within the training


def device_verdict(
    device: PulsedDevice, doubts: tuple[str, ...] = (), vectors: int = VECTORS, lines: int = LINES
) -> DeviceVerdict:
    """What a device is worth, and which algorithm suits it.

    Args:
        device: with its noise and spread, as far as they are known.
        doubts: what is not sure about it, in sentences; each lowers the confidence.
        vectors: images of the training it is meant for: algorithms that transfer move weights slowly.
        lines: of an array; one is read after each vector.
    """
    seen = device_distribution(device, DEVICES, seed=1)
    numbers = numbers_of(device, seen, vectors, lines)
    advice = sorted((_advise(name, numbers) for name in LABELS), key=lambda item: item.error)
    confidence = _better(advice[0], advice[1]) * 0.85 ** len(doubts)
    points = seen.symmetry_points[np.isfinite(seen.symmetry_points)]
    snr = _median(seen.snr)
    return DeviceVerdict(
        states=device.number_of_states if math.isfinite(_median(seen.states)) else math.nan,
        symmetry_point=float(np.median(points)) if 2 * len(points) >= DEVICES else math.nan,
        symmetry_spread=float(np.std(points)) if 2 * len(points) >= DEVICES else math.nan,
        asymmetry=numbers.asymmetry,
        noise_to_signal=1 / snr if snr > 0 else math.inf,
        advice=tuple(advice),
        confidence=float(confidence),
        doubts=doubts,
    )


def numbers_of(
    device: PulsedDevice, seen: DeviceDistribution | None = None, vectors: int = VECTORS, lines: int = LINES
) -> Numbers:
    """What the rule looks at; ``seen`` are drawn devices, when there are such already."""
    seen = seen or device_distribution(device, DEVICES, seed=1)
    weights = seen.weights
    used = np.abs(weights) <= USED
    if used.sum() < 3:
        used = np.abs(weights) <= np.sort(np.abs(weights))[min(2, len(weights) - 1)]
    f, g = seen.symmetric_part[used], seen.asymmetric_part[used]
    with np.errstate(invalid="ignore", divide="ignore"):
        skew = np.clip(np.where(np.abs(f) > 1e-12, g / f, np.sign(g)), -1, 1)
    # Devices and weights without a step are left out; a device that never steps counts as pulled all one way.
    seen_at, seen_of = np.isfinite(skew).any(axis=1), np.isfinite(skew).any(axis=0)
    skew = skew[seen_at][:, seen_of] if seen_at.any() else np.ones((1, 1))
    step = max(float(np.nanmean(np.abs(f))) if np.isfinite(f).any() else 0.0, 1e-12)
    at, reference = device.nominal_steps(np.zeros(1)), np.zeros(1) + device.nominal_reference
    cycles = [device.cycle_noise(s, scale, reference) for s, scale in zip(at, device.steps, strict=True)]
    typical = np.nanmean(skew, axis=1)
    reads = vectors / lines * (SLOWED if device.dw_min_std >= NOISY_STEP else 1.0)
    return Numbers(
        step=step,
        cycle=float(np.mean(cycles)) / step,
        write=device.write_noise,
        asymmetry=float(np.sqrt(np.nanmean(skew**2))),
        slope=abs(float(np.polyfit(weights[used][seen_at], typical, 1)[0])) if len(typical) > 1 else 0.0,
        offset=float(np.nanmedian(np.abs(np.nanmean(skew, axis=0)))),
        follow=reads * step,
    )


def causes_of(algorithm: str, n: Numbers) -> dict[str, float]:
    """The size of each cause; what they cost is in ``COSTS``."""
    rarely = min(1.0, ASKED / n.step) if algorithm == "mp" else 1.0
    causes = {TASK: 1.0, PULL: n.slope * rarely, OFFSET: n.offset**2 * rarely}
    if algorithm in ("sgd", "mp", "tiki-taka"):
        return causes | {PULSES: n.step * (1 + n.cycle**2), WRITES: n.write**2}
    # A buffer averages the reads of a fast array: what is left goes with the noise of a step, not with its size.
    cycle = min(n.cycle, MOST_NOISE) ** 2
    return causes | {PULSES: cycle, WRITES: n.write, SLOW: 1 / (1 + n.follow / HALF_WAY)}


def lost(error: float) -> float:
    """What costs add up to for a share of wrong answers, which those of guessing bound."""
    return -WORST * math.log(max(1 - error / WORST, 1e-9))


def wrong(costs: float) -> float:
    """Inverse of :func:`lost`."""
    return WORST * (1 - math.exp(-costs / WORST))


def _advise(algorithm: str, n: Numbers) -> AlgorithmAdvice:
    costs = {cause: COSTS[algorithm][cause] * size for cause, size in causes_of(algorithm, n).items()}
    total = sum(costs.values())
    error = wrong(total)
    parts = {cause: error * cost / total for cause, cost in sorted(costs.items(), key=lambda item: -item[1])}
    reason = _reason(algorithm, n, parts)
    return AlgorithmAdvice(algorithm, error, parts, reason[:1].upper() + reason[1:])


def _reason(algorithm: str, n: Numbers, parts: dict[str, float]) -> str:
    largest = next(cause for cause in parts if cause != TASK)
    if parts[largest] < LITTLE:
        return _WORKS[algorithm]
    if largest == PULL:
        return f"G/F changes by {n.slope:.2f} over a unit of weight; {_pulled(algorithm, n)}"
    if largest == OFFSET:
        return f"up and down steps differ by {200 * n.offset:.0f} % of their mean; {_SKEWED[algorithm]}"
    if largest == PULSES:
        return f"steps of {n.step:.2g} carry noise of {n.cycle:.1f} steps."
    if largest == WRITES:
        return f"each write leaves noise of {n.write:.2g} in weight units."
    return f"single steps of {n.step:.2g} take many transfers to move a weight."


_WORKS = {
    "sgd": "steps are symmetric and quiet, so nothing has to be averaged or stored elsewhere.",
    "mp": "the gradient is summed in digital and only whole steps are written, so asymmetry hardly matters.",
    "tiki-taka": "the fast array averages gradients about its symmetry point, and each read is written as it is.",
    "ttv2": "a digital buffer averages the reads of the fast array before a step is written.",
    "c-ttv2": "choppers average out that the symmetry points differ from the reference.",
    "agad": "the reference is measured while it trains, so the spread of symmetry points does no harm.",
}
_SKEWED = {
    "sgd": "weights drift one way.",
    "mp": "whole steps that are written rarely feel little of that.",
    "tiki-taka": "the fast array rests away from zero and that is taken for gradient.",
    "ttv2": "the fast array rests away from zero and that is taken for gradient.",
    "c-ttv2": "choppers take out a part of that.",
    "agad": "the reference is measured while it trains, so that does little harm.",
}


def _pulled(algorithm: str, n: Numbers) -> str:
    if algorithm == "sgd":
        return "that pulls every weight towards the symmetry point."
    if algorithm == "mp" and n.step < ASKED:
        return f"steps of {n.step:.2g} are so fine that pulses in both directions let that pull the weights."
    if algorithm == "mp":
        return "only whole steps are written, so that pulls little."
    return "that pulls only when the array that holds the weight is written."
