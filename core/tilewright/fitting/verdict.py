"""What a device is worth for training: states, symmetry point, asymmetry, noise, and which algorithm suits it and why.

With F = (down + up) / 2 and G = (down - up) / 2 at a weight, a pulsed update by ``g`` moves it by ``-g F - |g| G``
(Gokmen and Haensch, Front. Neurosci. 14:103, 2020). From this and from the noise an error floor of each algorithm
follows: the standard deviation, in weight units, by which it leaves weights off where the loss wants them.
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
VECTORS, LINES = 50_000, 128  # images of the training that is judged, and lines of an array
# Mean size of a gradient over the curvature of the loss, in weight units: how far a weight wanders for the share of the
# gradient that noise makes of it. A property of the task; that of digits at small batches.
WANDER = 0.3
# Change of a weight that one update asks for. Mixed precision sends a pulse once such changes have filled a step, so
# its pulses are as many as those of SGD where steps are finer than this, and rarer in proportion where coarser.
ASKED = 0.004
# Of the offset between the zero of the fast array and its symmetry point, the part that reaches the weights.
LEFT_OF_OFFSET = {"tiki-taka": 1.0, "ttv2": 0.5, "c-ttv2": 0.25, "agad": 0.1}
# Part of the reads of a line that ends in steps of the slow array, against TTv2: choppers throw some away, and
# Tiki-Taka has no buffer that waits.
PACE = {"tiki-taka": 3.0, "ttv2": 1.0, "c-ttv2": 0.5, "agad": 0.7}
WRITE_MOVE, MOST_WRITES = 0.01, 20.0  # what a read of a line may write, in weight units and in pulses
SETTLED_RATE = 0.2  # of the rate, that recommended transfers end at
SETTLING = 0.05  # pulses that a usual crosspoint of the fast array gets from a vector
NOISY_STEP, SLOWED = 1.0, 0.2  # from this cycle noise on the buffer is made to wait five times longer
FAR, NEAR = 0.25, 0.15  # weight error where nothing is written, and the way to go that halves it
UNAVERAGED = 0.07  # noise of single reads, which only a buffer averages
ALIKE = 1.15  # ratio of error floors from which on one algorithm is called better

LABELS = {
    "sgd": "in-memory SGD", "mp": "mixed precision", "tiki-taka": "Tiki-Taka", "ttv2": "TTv2", "c-ttv2": "c-TTv2",
    "agad": "AGAD",
}  # fmt: skip
# Their error floors follow from no rule that was held against training yet.
NOT_JUDGED = ("residual learning v2", "RIDER", "E-RIDER", "multi-tile residual learning")


@dataclass(frozen=True)
class AlgorithmAdvice:
    """How an algorithm fares on a device.

    Attributes:
        algorithm: its short name.
        error: error floor in weight units.
        parts: what it is made of, by name, largest first; the squares add up.
        reason: a sentence.
    """

    algorithm: str
    error: float
    parts: dict[str, float]
    reason: str

    @property
    def own(self) -> float:
        """The error without write noise, which every algorithm has."""
        return math.sqrt(max(self.error**2 - self.parts["write noise"] ** 2, 0.0))


@dataclass(frozen=True)
class DeviceVerdict:
    """What a device is worth.

    Attributes:
        states: range over the mean step at weight 0.
        symmetry_point: visible weight where up and down steps are equal, median over devices; NaN where there is none.
        symmetry_spread: its standard deviation over devices.
        asymmetry: root mean square of G / F over the weights a layer uses, and over devices.
        noise_to_signal: noise of a read after one pulse over the step, at weight 0.
        advice: of each algorithm, the best first.
        confidence: 0 to 1, how sure the choice is: how far the next algorithm lies behind, and what was measured.
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
        """Algorithms whose own part of the error hardly differs from that of the best, the best among them."""
        least = self.advice[0].own
        return [item.algorithm for item in self.advice if item.own <= ALIKE * least]

    @property
    def not_judged(self) -> str:
        """A sentence on the algorithms that it says nothing about."""
        return f"Not judged: {_listed([*NOT_JUDGED])}; their error floors have not been held against training."

    def sentence(self) -> str:
        """The verdict as a colleague would say it."""
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
        return f"{'; '.join(parts)}. Start with {LABELS[best.algorithm]}: {best.reason}{tail}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@dataclass(frozen=True)
class _Numbers:
    """What the error floors are made from, in weight units where they have one."""

    step: float
    cycle: float  # noise of one pulse over its step
    write: float
    asymmetry: float
    offset: float  # of symmetry points from the zero that reads are compared with, over devices
    reach: float  # way that TTv2 can move a weight within the training
    follow: float  # the same by single steps: what choppers leave, whose flips the fast array has to follow
    noisy: bool  # pulses are so noisy that the recommended buffer waits longer


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
    numbers = _numbers(device, seen, vectors, lines)
    advice = sorted((_advise(name, numbers) for name in LABELS), key=lambda item: item.error)
    ratio = advice[1].error / max(advice[0].error, 1e-12)
    confidence = (0.5 + 0.4 * min(math.log(max(ratio, 1.0)) / math.log(2.0), 1.0)) * 0.85 ** len(doubts)
    points = seen.symmetry_points[np.isfinite(seen.symmetry_points)]
    snr = float(np.nanmedian(seen.snr))
    return DeviceVerdict(
        states=float(np.nanmedian(seen.states)),
        symmetry_point=float(np.median(points)) if 2 * len(points) >= DEVICES else math.nan,
        symmetry_spread=float(np.std(points)) if 2 * len(points) >= DEVICES else math.nan,
        asymmetry=numbers.asymmetry,
        noise_to_signal=1 / snr if snr > 0 else math.inf,
        advice=tuple(advice),
        confidence=float(confidence),
        doubts=doubts,
    )


def _numbers(device: PulsedDevice, seen: DeviceDistribution, vectors: int, lines: int) -> _Numbers:
    weights, up, down, points = seen.weights, seen.up, seen.down, seen.symmetry_points
    used = np.abs(weights) <= USED
    if used.sum() < 3:
        used = np.abs(weights) <= np.sort(np.abs(weights))[min(2, len(weights) - 1)]
    f, g = (down[used] + up[used]) / 2, (down[used] - up[used]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        skew = np.clip(np.where(np.abs(f) > 1e-12, g / f, np.sign(g)), -1, 1)
    step = float(np.nanmean(np.abs(f)))
    at = device.nominal_steps(np.zeros(1)), np.zeros(1) + device.nominal_reference
    cycles = [device.cycle_noise(s, scale, at[1]) for s, scale in zip(at[0], device.steps, strict=True)]
    cycle = float(np.mean(cycles)) / max(step, 1e-12)
    asymmetry = float(np.sqrt(np.nanmean(skew**2)))
    known = np.isfinite(points)
    offset = float(np.sqrt(np.mean(points[known] ** 2))) if 2 * known.sum() >= len(points) else math.inf
    # a fast array comes to rest there only after as many pulses as its asymmetry needs
    slope = abs(float(np.polyfit(weights[used], np.nanmean(skew, axis=1), 1)[0]))
    offset = min(offset, 1.0) * (1 - math.exp(-slope * step * SETTLING * vectors))
    noisy = device.dw_min_std >= NOISY_STEP
    reads = vectors / lines * (SLOWED if noisy else 1.0)
    write = min(max(WRITE_MOVE / max(step, 1e-12), 1.0), MOST_WRITES)
    return _Numbers(step, cycle, device.write_noise, asymmetry, offset, reads * write * step, reads * step, noisy)


def _advise(algorithm: str, n: _Numbers) -> AlgorithmAdvice:
    noisy_step = n.step * math.sqrt(1 + n.cycle**2)
    parts = {"write noise": n.write}
    if algorithm == "sgd":
        parts["asymmetry"] = WANDER * n.asymmetry
        parts["coarse or noisy pulses"] = max(math.sqrt(WANDER * n.step * (1 + n.cycle**2) / 2), noisy_step)
    elif algorithm == "mp":
        parts["asymmetry"] = WANDER * n.asymmetry * min(1.0, ASKED / max(n.step, 1e-12))
        parts["coarse or noisy pulses"] = noisy_step
    else:
        buffered = algorithm != "tiki-taka"
        reach = n.follow if algorithm in ("c-ttv2", "agad") else n.reach
        reach = reach / SLOWED if n.noisy and not buffered else reach
        # noise in the fast array goes on writing however small the rate
        parts["coarse or noisy pulses"] = noisy_step * (1.0 if n.noisy else math.sqrt(SETTLED_RATE))
        parts["offset of the symmetry point"] = LEFT_OF_OFFSET[algorithm] * n.offset
        parts["slow transfer"] = FAR / (1 + PACE[algorithm] * reach / NEAR)
        parts["noisy reads of the fast array"] = n.write if buffered else math.hypot(n.write, UNAVERAGED)
    parts = dict(sorted(parts.items(), key=lambda item: -item[1]))
    error = math.sqrt(sum(value**2 for value in parts.values()))
    return AlgorithmAdvice(algorithm, error, parts, _reason(algorithm, n, parts))


def _reason(algorithm: str, n: _Numbers, parts: dict[str, float]) -> str:
    largest = next(iter(parts))
    if algorithm == "sgd":
        if n.asymmetry < 0.05 and largest != "coarse or noisy pulses":
            return "steps are symmetric and fine, so nothing has to be averaged or stored elsewhere."
        if largest == "asymmetry":
            return f"asymmetry G/F of {n.asymmetry:.2f} pulls every weight towards the symmetry point."
        return f"steps of {n.step:.2g} with noise of {n.cycle:.1f} steps shake the weights."
    if algorithm == "mp":
        if largest == "asymmetry" and parts["asymmetry"] > 0.05:
            return f"steps of {n.step:.2g} are so fine that pulses in both directions let asymmetry pull."
        return "the gradient is summed in digital and only whole steps are written, so asymmetry hardly matters."
    told = {
        "tiki-taka": "the fast array averages gradients about its symmetry point, and each read is written as it is.",
        "ttv2": "a digital buffer averages the reads of the fast array before a step is written.",
        "c-ttv2": "choppers average out that the symmetry points differ from the reference.",
        "agad": "the reference is measured while it trains, so the spread of symmetry points does no harm.",
    }[algorithm]
    if largest == "slow transfer" and parts[largest] > 0.05:
        return f"{told[:-1]}; with steps of {n.step:.2g} that takes many updates."
    if largest == "offset of the symmetry point":
        return f"{told[:-1]}; symmetry points lie {n.offset:.2f} off the reference."
    return told
