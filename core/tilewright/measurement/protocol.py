"""Pulse protocols: writing them down, reading them from words, and finding them in a response.

The tutorial's protocol is 200 up pulses, 200 down pulses, then 100 pairs (up, down) that pull the device to its
symmetry point.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.record import MeasurementError

TUTORIAL_PROTOCOL = "200 up, 200 down, 100 × (up, down)"
MAX_PULSES = 2_000_000
_LONGEST_TUTORIAL = 60_000
_MANY_TURNS = 60
_WIDEST_SEARCH = 4000
_SHORTEST_ALTERNATION = 30  # samples
_SHORTEST_RAMP = 10
_CLEARLY = 6.0  # standard errors by which samples go up and down in turn

Pulses = NDArray[np.int8]
Samples = NDArray[np.float64]


def tutorial_pulses(scale: int = 1) -> Pulses:
    """``[+1]*200 + [-1]*200 + [+1, -1]*100``, each part ``scale`` times as long."""
    return np.array([1] * (200 * scale) + [-1] * (200 * scale) + [1, -1] * (100 * scale), dtype=np.int8)


# --- from words ---------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(?:(\d+)|(up|down|potentiation|depression|set|reset|[+-]1?)|([x×*])|([(),;+]))", re.IGNORECASE)
_UP_WORDS = {"up", "potentiation", "set", "+", "+1"}


def parse_protocol(text: str) -> Pulses:
    """Pulses from words such as ``"200 up, 200 down, 100 x (up, down)"``.

    Raises:
        MeasurementError: with the place in the text that was not understood.
    """
    tokens = _tokens(text)
    position, pulses = _sequence(tokens, 0, text)
    if position != len(tokens):
        raise MeasurementError(f"protocol {text!r}: ')' without '('")
    if not pulses:
        raise MeasurementError("the protocol names no pulses; write for example '200 up, 200 down'")
    return np.array(pulses, dtype=np.int8)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise MeasurementError(
                f"protocol {text!r}: cannot read {text[position:].strip()[:20]!r}; "
                "write for example '200 up, 200 down, 100 x (up, down)'"
            )
        tokens.append(match.group(0).strip().lower())
        position = match.end()
    return tokens


def _sequence(tokens: list[str], i: int, text: str, depth: int = 0) -> tuple[int, list[int]]:
    if depth > 4:
        raise MeasurementError(f"protocol {text!r}: brackets nested too deep")
    pulses: list[int] = []
    while i < len(tokens) and tokens[i] != ")":
        if tokens[i] in {",", ";"}:
            i += 1
            continue
        count = 1
        if tokens[i].isdigit():
            count = int(tokens[i][:9])
            i += 1
            if i < len(tokens) and tokens[i] in {"x", "×", "*"}:
                i += 1
        if i >= len(tokens):
            raise MeasurementError(f"protocol {text!r}: a count at the end is not followed by 'up', 'down' or '('")
        if tokens[i] == "(":
            i, inner = _sequence(tokens, i + 1, text, depth + 1)
            if i >= len(tokens):
                raise MeasurementError(f"protocol {text!r}: '(' without ')'")
            i += 1
        elif tokens[i] in _UP_WORDS or tokens[i] in {"down", "depression", "reset", "-", "-1"}:
            inner = [1 if tokens[i] in _UP_WORDS else -1]
            i += 1
        else:
            raise MeasurementError(f"protocol {text!r}: expected 'up', 'down' or '(', found {tokens[i]!r}")
        if len(pulses) + count * len(inner) > MAX_PULSES:
            raise MeasurementError(f"protocol {text!r}: more than {MAX_PULSES} pulses")
        pulses += inner * count
    return i, pulses


# --- from a response ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoundProtocol:
    """Pulses found in a response, with how sure that is (0 to 1) and what was assumed."""

    pulses: Pulses
    confidence: float
    notes: tuple[str, ...] = ()


def find_protocol(response: Samples) -> FoundProtocol:
    """The pulses that most likely gave a one-column response.

    The tutorial's protocol (and multiples of it) is tried first where the length fits; otherwise the turning points
    decide.
    """
    tutorial = _as_tutorial(response)
    if tutorial is not None:
        return tutorial
    return _with_alternating_end(response) or _from_turns(response)


def _from_turns(response: Samples) -> FoundProtocol:
    turns, snapped = turning_points(response)
    edges = [0, *turns, len(response)]
    direction = 1 if _level(response, edges[1] - 1) >= _level(response, 0) else -1
    pulses = np.empty(len(response), dtype=np.int8)
    for start, stop in itertools.pairwise(edges):
        pulses[start:stop] = direction
        direction = -direction
    if not turns:
        word = "rises" if pulses[0] > 0 else "falls"
        return FoundProtocol(pulses, 0.8, (f"The response {word} throughout: taken as one ramp of pulses.",))
    how = "evenly spaced" if snapped else "unevenly spaced"
    points = "1 turning point was" if len(turns) == 1 else f"{len(turns)} turning points were"
    note = f"No pulse column: {points} found in the response, {how}."
    return FoundProtocol(pulses, 0.9 if snapped else 0.65, (note,))


def _with_alternating_end(response: Samples) -> FoundProtocol | None:
    """Ramps, if any, and then up and down pulses in turn to the end; None where the end does not alternate."""
    start = alternating_end(response)
    if start is None:
        return None
    rises = float(np.sum(np.diff(response[start:]) * _in_turn(len(response) - start - 1))) > 0
    tail = (_in_turn(len(response) - start) * (1 if rises else -1)).astype(np.int8)
    if start == 0:
        return FoundProtocol(tail, 0.85, ("The response goes up and down in turn: taken as alternating pulses.",))
    head = _from_turns(response[: start + 1])
    note = f"From sample {start} on the response goes up and down in turn: taken as alternating pulses."
    pulses = np.concatenate([head.pulses[:-1], tail])
    return FoundProtocol(pulses, min(head.confidence, 0.85), (note, *head.notes))


def alternating_end(response: Samples) -> int | None:
    """The sample from which on the response goes up and down in turn; None where its end does not."""
    steps = np.diff(response)
    if len(steps) < _SHORTEST_ALTERNATION:
        return None
    signed = steps * _in_turn(len(steps))
    # Steps of a ramp cancel each other, those of alternating pulses add up.
    sums, counts = np.cumsum(signed[::-1])[::-1], np.arange(len(steps), 0, -1)
    start = int(np.argmax(sums**2 / counts))
    start = 0 if start < _SHORTEST_RAMP else start
    tail = response[start:]
    if len(tail) < _SHORTEST_ALTERNATION or abs(_alternation(tail)) < _CLEARLY:
        return None
    return start


def _in_turn(n: int) -> Samples:
    """+1, -1, +1, ..."""
    return np.where(np.arange(n) % 2 == 0, 1.0, -1.0)


def _as_tutorial(response: Samples) -> FoundProtocol | None:
    """The tutorial's protocol where length and course agree: up, down, and a tail that settles or alternates.

    The course is judged by the squared error of a rise, a fall and a monotone tail, against that of a rise and a fall
    split where they fit best.
    """
    n = len(response)
    if n % 600 or n > _LONGEST_TUTORIAL:
        return None
    third = n // 3
    calm = _without_glitches(response)
    rise, fall, tail = calm[:third], calm[third : 2 * third], calm[2 * third :]
    ends = max(third // 10, 5)
    start, top, bottom = (float(np.median(part)) for part in (rise[:ends], rise[-ends:], fall[-ends:]))
    if not (top > start and top > bottom):
        return None
    error = _isotonic_errors(rise)[-1] + _isotonic_errors(-fall)[-1]
    error += min(_isotonic_errors(tail)[-1], _isotonic_errors(-tail)[-1])
    split = _split(calm)
    other = _isotonic_errors(calm[:split])[-1] + _isotonic_errors(-calm[split:])[-1]
    if error > 1.3 * other + 1e-9 * float(np.sum((calm - calm.mean()) ** 2)):
        return None
    alternates = _alternation(response[2 * third :]) > 4
    if not alternates and n != 600:
        return None  # a length of 1200 or more is no evidence by itself
    if not alternates and float(np.median(tail[-ends:])) > top - 0.1 * (top - bottom):
        return None  # the tail comes back up: a third ramp
    words = describe_scaled(n // 600)
    if alternates:
        return FoundProtocol(tutorial_pulses(n // 600), 0.97, (f"The last third alternates: taken as {words} pulses.",))
    note = f"{n} samples that rise, fall and settle: taken as {words} pulses."
    return FoundProtocol(tutorial_pulses(n // 600), 0.85, (note,))


def _alternation(values: Samples) -> float:
    """How clearly samples go up and down in turn: mean alternating step over its standard error.

    Steps are averaged over pairs, in both ways of pairing them, so that neither the slope of a ramp nor its curvature
    counts, nor that up and down steps differ.
    """
    signed = np.diff(values) * _in_turn(len(values) - 1)
    found = []
    for first in (0, 1):
        pairs = (signed[first:-1:2] + signed[first + 1 :: 2]) / 2
        error = 1.2 * float(np.std(pairs)) / np.sqrt(len(pairs))  # neighbouring pairs share a sample
        found.append(float(np.mean(pairs)) / error if error > 0 else 0.0)
    return min(found, key=abs) if found[0] * found[1] > 0 else 0.0


def describe_scaled(scale: int) -> str:
    """The tutorial's protocol in words, ``scale`` times as long."""
    return f"{200 * scale} up, {200 * scale} down, {100 * scale} × (up, down)"


def _level(response: Samples, at: int) -> float:
    width = max(len(response) // 200, 2)
    lo = max(min(at - width // 2, len(response) - width), 0)
    return float(np.median(response[lo : lo + width]))


def smooth(values: Samples, width: int) -> Samples:
    """Running mean over ``width`` samples, with shorter windows at the ends."""
    width = max(1, min(width, len(values)))
    if width == 1:
        return values.astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    lo = np.maximum(index - width // 2, 0)
    hi = np.minimum(index + (width + 1) // 2, len(values))
    return np.asarray((sums[hi] - sums[lo]) / (hi - lo), dtype=np.float64)


def trend_share(values: NDArray[np.float64]) -> float:
    """Share (0 to 1) of the variance that a running mean explains, without outliers.

    The mean runs over a twentieth of the record, or over 15 or 60 samples where short cycles fill a long record.
    """
    low, high = np.quantile(values, [0.005, 0.995])
    clipped = np.clip(values, low, high)
    total = float(np.var(clipped))
    if total == 0:
        return 0.0
    widths = {max(5, len(values) // 20), *(w for w in (15, 60) if w < len(values) // 20)}
    return max(0.0, 1 - min(float(np.var(clipped - smooth(clipped, width))) for width in widths) / total)


def turning_points(response: Samples) -> tuple[list[int], bool]:
    """Samples at which the direction changes, and whether they were moved onto an even grid.

    A turn counts when the smoothed response comes back by 0.3 of its range. The smoothing is the finest at which the
    number of turns no longer depends on it, so that noise makes no turns and short ramps are kept.
    """
    n = len(response)
    if n < 8:
        return [], False
    calm = _without_glitches(response)
    scales: list[list[int]] = []
    width = 3
    while width <= max(n // 6, 3):
        smoothed = smooth(calm, width)
        low, high = np.quantile(smoothed, [0.01, 0.99])
        scales.append(_extremes(smoothed, 0.3 * float(high - low)))
        width = 2 * width - 1
        if len(scales) > 2 and len(scales[-1]) == len(scales[-2]) == len(scales[-3]):
            break
    stable = len(scales) > 2 and len(scales[-1]) == len(scales[-2]) == len(scales[-3])
    turns = scales[-3] if stable else scales[-1]
    edges = [0, *turns, n]
    rising = bool(turns) and bool(calm[turns[0]] >= calm[0])
    # Of many turns a sample tells whether they are evenly spaced; only if they are not, all are placed exactly.
    few = range(1, len(edges) - 1)
    if len(turns) > _MANY_TURNS:
        few = range(1, _MANY_TURNS // 2)
        tried, snapped = _snap(_placed(calm, list(edges), few, rising)[1:-1], n, tolerance=3)
        if snapped:
            return tried, True
        few = range(1, len(edges) - 1)
    return _snap(_placed(calm, edges, few, rising)[1:-1], n, tolerance=3)


def _placed(calm: Samples, edges: list[int], which: range, rising: bool) -> list[int]:
    """Edges with the chosen turns moved to where a rise and a fall fit best."""
    for i in which:
        sign = 1.0 if rising == (i % 2 == 1) else -1.0
        start = max(edges[i - 1], edges[i] - _WIDEST_SEARCH)
        stop = min(edges[i + 1], edges[i] + _WIDEST_SEARCH)
        edges[i] = start + _split(sign * calm[start:stop])
    return edges


def _split(values: Samples) -> int:
    """Where a rising course turns into a falling one: the end of the plateau, if the top is flat within the noise."""
    if len(values) < 4:
        return len(values) // 2
    rising = np.concatenate([[0.0], _isotonic_errors(values)])
    falling = np.concatenate([[0.0], _isotonic_errors(values[::-1])])[::-1]
    total = rising + falling
    least = float(total.min())
    # A monotone fit swallows part of the noise; second differences show it whole.
    noise = max(least / len(values), (float(np.median(np.abs(np.diff(values, 2)))) / 0.6745) ** 2 / 6)
    good = np.flatnonzero(total <= least + 8 * noise + 1e-12 * float(np.var(values)))
    return int(np.clip(good[-1] - 1, 1, len(values) - 1))


def _isotonic_errors(values: Samples) -> Samples:
    """Squared error of the best non-decreasing fit to each leading part, by pooling adjacent violators."""
    levels: list[tuple[float, int, float]] = []  # mean, weight, squared error of the blocks before and in this one
    errors = np.empty(len(values))
    for k, value in enumerate(values.tolist()):
        mean, weight, inner = value, 1, 0.0
        before = levels[-1][2] if levels else 0.0
        while levels and levels[-1][0] > mean:
            other, count, _ = levels.pop()
            before_other = levels[-1][2] if levels else 0.0
            inner += (before - before_other) + (other - mean) ** 2 * weight * count / (weight + count)
            mean = (mean * weight + other * count) / (weight + count)
            weight, before = weight + count, before_other
        levels.append((mean, weight, before + inner))
        errors[k] = before + inner
    return errors


def _without_glitches(response: Samples) -> Samples:
    """The response with single wild samples replaced by the median of five."""
    padded = np.pad(response, 2, mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    rest = np.abs(response - calm)
    return np.asarray(np.where(rest > 8 * np.median(rest) + 1e-12 * np.ptp(response), calm, response))


def _extremes(values: Samples, threshold: float) -> list[int]:
    turns: list[int] = []
    high = low = 0
    direction = 0
    for k in range(1, len(values)):
        if values[k] > values[high]:
            high = k
        if values[k] < values[low]:
            low = k
        if direction >= 0 and values[high] - values[k] > threshold:
            if direction > 0:
                turns.append(high)
            direction, low = -1, k
        elif direction <= 0 and values[k] - values[low] > threshold:
            if direction < 0:
                turns.append(low)
            direction, high = 1, k
    return turns


def _snap(turns: list[int], n: int, tolerance: int) -> tuple[list[int], bool]:
    """Move turning points onto equal lengths, or onto a repeated (up, down) pattern, when they nearly are."""
    ramps = len(turns) + 1
    if ramps < 2:
        return turns, False
    length = n / ramps
    even = [round(length * k) for k in range(1, ramps)]
    off = np.abs(np.subtract(turns, even))
    # Flat tops hide single turns; many of them together still tell equal lengths.
    if n % ramps == 0 and off.max() <= max(tolerance, 0.1 * length) and np.median(off) <= max(tolerance, 0.05 * length):
        return even, True
    if ramps % 2 == 0 and ramps >= 4 and n % (ramps // 2) == 0:
        cycle = n // (ramps // 2)
        offset = round(float(np.median([t - (k // 2) * cycle for k, t in enumerate(turns) if k % 2 == 0])))
        if cycle % 10 == 0 and abs(offset - 10 * round(offset / 10)) <= max(2, 0.005 * cycle):
            offset = 10 * round(offset / 10)  # people count in tens
        pattern = [(k // 2) * cycle + (offset if k % 2 == 0 else cycle) for k in range(ramps - 1)]
        if all(abs(a - b) <= max(tolerance, 0.03 * cycle) for a, b in zip(turns, pattern, strict=True)):
            return pattern, True
    return turns, False
