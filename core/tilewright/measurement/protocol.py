"""Pulse protocols: writing them down, reading them from words, and finding them in a response.

The tutorial's protocol is 200 up pulses, 200 down pulses, then 100 pairs (up, down) that pull the device to its
symmetry point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.record import MeasurementError

TUTORIAL_PROTOCOL = "200 up, 200 down, 100 × (up, down)"
MAX_PULSES = 2_000_000

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
    turns, snapped = turning_points(response)
    edges = [0, *turns, len(response)]
    direction = 1 if _level(response, edges[1] - 1) >= _level(response, 0) else -1
    pulses = np.empty(len(response), dtype=np.int8)
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        pulses[start:stop] = direction
        direction = -direction
    if not turns:
        word = "rises" if pulses[0] > 0 else "falls"
        return FoundProtocol(pulses, 0.8, (f"The response {word} throughout: taken as one ramp of pulses.",))
    how = "evenly spaced" if snapped else "unevenly spaced"
    note = f"No pulse column: {len(turns)} turning points were found in the response, {how}."
    return FoundProtocol(pulses, 0.9 if snapped else 0.65, (note,))


def _as_tutorial(response: Samples) -> FoundProtocol | None:
    n = len(response)
    if n % 600:
        return None
    third = n // 3
    parts = [response[:third], response[third : 2 * third], response[2 * third :]]
    tail = max(third // 10, 5)
    start, top, bottom, end = (
        float(np.median(part)) for part in (parts[0][:tail], parts[0][-tail:], parts[1][-tail:], parts[2][-tail:])
    )
    height = top - bottom
    noise = float(np.std(np.diff(response))) / np.sqrt(2)
    rises = top - start > max(0.25 * height, noise)
    returns = bottom < end < top - 0.1 * height
    settles = abs(float(np.median(parts[2][third // 2 :])) - end) < 0.25 * height + noise
    if not (height > noise and rises and returns and settles):
        return None
    scale = n // 600
    words = describe_scaled(scale)
    return FoundProtocol(
        tutorial_pulses(scale), 0.9, (f"{n} samples that rise, fall and settle: taken as {words} pulses.",)
    )


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


def turning_points(response: Samples) -> tuple[list[int], bool]:
    """Samples at which the direction changes, and whether they were moved onto an even grid.

    A turn counts when the smoothed response comes back by a quarter of its range.
    """
    n = len(response)
    if n < 8:
        return [], False
    width = max(3, n // 400)
    noise = float(np.median(np.abs(np.diff(response)))) / 0.954
    smoothed = smooth(response, width)
    low, high = np.quantile(smoothed, [0.01, 0.99])
    while noise / np.sqrt(width) > 0.06 * (high - low) and width < n // 20:
        width *= 2
        smoothed = smooth(response, width)
        low, high = np.quantile(smoothed, [0.01, 0.99])
    threshold = max(0.25 * float(high - low), 4 * noise / np.sqrt(width))
    turns = _extremes(smoothed, threshold)
    return _snap(turns, n, tolerance=max(width, 3))


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
            if direction > 0 or high > 0:
                turns.append(high)
            direction, low = -1, k
        elif direction <= 0 and values[k] - values[low] > threshold:
            if direction < 0 or low > 0:
                turns.append(low)
            direction, high = 1, k
    return turns


def _snap(turns: list[int], n: int, tolerance: int) -> tuple[list[int], bool]:
    """Move turning points onto equal lengths, or onto a repeated (up, down) pattern, when they nearly are."""
    ramps = len(turns) + 1
    if ramps < 2:
        return turns, False
    length = n / ramps
    allowed = max(tolerance, 0.03 * length)
    even = [round(length * k) for k in range(1, ramps)]
    if n % ramps == 0 and all(abs(a - b) <= allowed for a, b in zip(turns, even, strict=True)):
        return even, True
    if ramps % 2 == 0 and ramps >= 4 and n % (ramps // 2) == 0:
        cycle = n // (ramps // 2)
        offset = round(float(np.median([t - (k // 2) * cycle for k, t in enumerate(turns) if k % 2 == 0])))
        pattern = [(k // 2) * cycle + (offset if k % 2 == 0 else cycle) for k in range(ramps - 1)]
        if all(abs(a - b) <= max(tolerance, 0.03 * cycle) for a, b in zip(turns, pattern, strict=True)):
            return pattern, True
    return turns, False
