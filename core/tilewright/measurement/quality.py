"""What a measurement is good for, in words a colleague would use, with the samples that each remark is about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.measurement.normalisation import alternating_section
from tilewright.measurement.record import AffineMap, Measurement, Record, runs_of
from tilewright.measurement.units import quantity_of_unit, readable_unit

Severity = Literal["good", "info", "warning", "problem"]
Marks = tuple[tuple[int, tuple[int, ...]], ...]

MOST_RECORDS = 100
STATED, GUESSED = 0.95, 0.66  # confidence of a reading whose pulses the file states, and below which they are guessed
GENTLE = 0.4  # of the steepest slope of a ramp: less than that at its end is a gentle turn


@dataclass(frozen=True)
class Finding:
    """One remark on a measurement.

    Attributes:
        severity: ``good``, ``info``, ``warning`` or ``problem``.
        text: a sentence.
        where: the place in words; empty when it is the whole measurement.
        marks: for a plot: index of a record and the samples of it that are meant, for each record concerned.
        size: height of the effect in the unit of the response, drawn as a bar at the marks; 0 for none.
        check: short name of the check.
    """

    severity: Severity
    text: str
    where: str = ""
    marks: tuple[tuple[int, tuple[int, ...]], ...] = ()
    size: float = 0.0
    check: str = ""


def quality_report(measurement: Measurement) -> list[Finding]:
    """Remarks on a measurement, most serious first.

    Looked for: pulses that may be none, directions covered, noise against the step size, read-out grid, outliers,
    missing readings, clipping, branches that do not meet, a mirrored branch, negative conductance, uneven index, drift
    between cycles. Of more than ``MOST_RECORDS`` records, as many are looked at, evenly chosen.
    """
    chosen = np.unique(np.linspace(0, len(measurement.records) - 1, MOST_RECORDS).astype(int))
    if len(chosen) == len(measurement.records):
        found = [finding for check in _CHECKS for finding in check(measurement)]
    else:
        part = replace(measurement, records=tuple(measurement.records[k] for k in chosen.tolist()))
        found = [_renumbered(finding, chosen) for check in _CHECKS for finding in check(part)]
        text = f"{len(chosen)} of the {len(measurement.records)} records were looked at, evenly chosen."
        found.append(Finding("info", text, check="sample"))
    order = {"problem": 0, "warning": 1, "info": 2, "good": 3}
    return sorted(found, key=lambda finding: order[finding.severity])


def _renumbered(finding: Finding, chosen: NDArray[np.int_]) -> Finding:
    return replace(finding, marks=tuple((int(chosen[record]), samples) for record, samples in finding.marks))


def long_ramps(record: Record, least: int = 10) -> list[tuple[int, int, int]]:
    """Ramps of at least ``least`` equal pulses as ``(start, stop, direction)``."""
    return [(start, stop, direction) for start, stop, direction in runs_of(record.pulses) if stop - start >= least]


def read_noise(measurement: Measurement) -> float:
    """Standard deviation of sample-to-sample noise, from second differences within ramps (they remove the slope)."""
    parts = []
    for record in measurement.records:
        for start, stop, _ in long_ramps(record):
            if stop - start >= 12:
                parts.append(np.diff(record.response[start:stop], 2))
    if not parts:  # pulses in turn: every other sample
        halves = [record.response[first::2] for record in measurement.records for first in (0, 1)]
        parts = [np.diff(half, 2) for half in halves if len(half) > 3]
    if not parts:
        return 0.0
    joined = np.concatenate(parts)
    spread = float(np.median(np.abs(joined - np.median(joined)))) / 0.6745
    return (spread or float(np.std(joined))) / math.sqrt(6)


def mean_step(measurement: Measurement) -> float:
    """Mean change per pulse over the long ramps, or over all pulses where there are none, in the units of the
    response."""
    changes, counts = 0.0, 0
    for record in measurement.records:
        for start, stop, _ in long_ramps(record):
            tenth = max((stop - start) // 10, 1)
            part = record.response[start:stop]
            changes += abs(float(np.mean(part[-tenth:]) - np.mean(part[:tenth])))
            counts += stop - start - tenth
    if counts:
        return changes / counts
    steps = [np.diff(record.response) * record.pulses[:-1] for record in measurement.records]
    return abs(float(np.mean(np.concatenate(steps)))) if any(len(part) for part in steps) else 0.0


# --- words and places -------------------------------------------------------------------------------------------------


def _with_unit(value: float, measurement: Measurement, digits: int = 3) -> str:
    factor, unit = readable_unit(value, measurement.unit)
    text = f"{value * factor:.{digits}g}"
    if "e" in text and 0.001 <= abs(value * factor) < 1e6:
        text = f"{float(text):.12g}"  # 220 instead of 2.2e+02
    return f"{text} {unit}".strip()


def _name(measurement: Measurement, number: int) -> str:
    record = measurement.records[number]
    cycle = f"cycle {record.cycle}" if record.cycle and "cycle" not in record.label else ""
    return ", ".join(filter(None, (record.device, record.label, cycle))) or f"record {number + 1}"


def _places(measurement: Measurement, marks: Marks) -> str:
    """The first places of some marks, in words."""
    number, samples = marks[0]
    shown = ", ".join(str(k) for k in samples[:5]) + (" ..." if len(samples) > 5 else "")
    where = f"samples {shown}" if len(measurement.records) == 1 else f"{_name(measurement, number)}, samples {shown}"
    return where + (f", and {len(marks) - 1} more record(s)" if len(marks) > 1 else "")


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.2g} %)"


def _levels(record: Record, start: int, stop: int) -> tuple[float, float, float]:
    """Level at the begin and at the end of a ramp by straight lines through its first and last samples, and the
    larger change of these lines over one sample."""
    part = record.response[start:stop]
    m = max(2, min(8, len(part) // 4))
    places = np.arange(m) - (m - 1) / 2
    slopes, ends = [], []
    for piece, edge in ((part[:m], places[0]), (part[-m:], places[-1])):
        slope = float(np.dot(places, piece) / np.dot(places, places))
        slopes.append(abs(slope))
        ends.append(float(np.mean(piece)) + slope * float(edge))
    return ends[0], ends[1], max(slopes)


def _range(measurement: Measurement) -> float:
    """Range of the readings without the wildest."""
    low, high = np.quantile(measurement.all_samples(), [0.005, 0.995])
    return float(high - low)


# --- checks -----------------------------------------------------------------------------------------------------------


def _coverage(measurement: Measurement) -> list[Finding]:
    directions = {direction for record in measurement.records for _, _, direction in long_ramps(record)}
    found = []
    if directions == {1} or directions == {-1}:
        here, missing = ("up", "down") if directions == {1} else ("down", "up")
        text = (
            f"Only {here} pulses were measured: the {missing} step and the symmetry point cannot be known; "
            "up_down must be held fixed in a fit."
        )
        found.append(Finding("warning", text, check="directions"))
    elif directions:
        found.append(Finding("good", "Both directions were measured.", check="directions"))
    if not any(alternating_section(record) for record in measurement.records):
        text = "No alternating pulses: the symmetry point follows from the model only."
        found.append(Finding("info", text, check="symmetry"))
    lengths = [stop - start for record in measurement.records for start, stop, _ in long_ramps(record)]
    if lengths and max(lengths) < 50:
        text = f"The longest ramp has {max(lengths)} pulses; noise and bounds will be uncertain."
        found.append(Finding("warning", text, check="length"))
    return found


def _noise(measurement: Measurement) -> list[Finding]:
    noise, step = read_noise(measurement), mean_step(measurement)
    if step == 0:
        return [Finding("problem", "The response does not change with its pulses.", check="noise")]
    ratio = noise / step
    size = _with_unit(noise, measurement, 2)
    if ratio < 0.5:
        text = f"Low noise: {size} from sample to sample, {ratio:.1g} of a mean step."
        return [Finding("good", text, check="noise")]
    text = (
        f"Noise from sample to sample is {size}, {ratio:.1f} mean steps ({_with_unit(step, measurement, 2)}). "
        "The state at the start is better fitted than read from the first sample."
    )
    severity: Severity = "warning" if ratio > 20 else "info"
    return [Finding(severity, text, marks=_middles(measurement), size=2 * noise, check="noise")]


def _middles(measurement: Measurement) -> Marks:
    """The middles of the ramps of the first record: where the size of noise or of the grid is shown."""
    middles = tuple((start + stop) // 2 for start, stop, _ in long_ramps(measurement.records[0])[:2])
    return ((0, middles),) if middles else ()


def _grid(measurement: Measurement) -> tuple[float, int]:
    """Step of a read-out that is coarse against the pulse steps, else 0, and how many different values there are."""
    samples = measurement.all_samples()
    values = np.unique(samples)
    if len(values) < 2 or len(values) > 0.7 * len(samples):
        return 0.0, len(values)
    steps = np.diff(values)
    grid = float(np.quantile(steps[steps > 1e-9 * float(np.ptp(values))], 0.25))
    return (grid if grid >= 0.3 * mean_step(measurement) else 0.0), len(values)


def _resolution(measurement: Measurement) -> list[Finding]:
    (grid, different), step = _grid(measurement), mean_step(measurement)
    if step == 0 or grid == 0:
        return []
    severity: Severity = "warning" if grid > 5 * step and grid > 2 * read_noise(measurement) else "info"
    text = (
        f"The read-out is digitised in steps of about {_with_unit(grid, measurement, 2)}, {grid / step:.1f} mean pulse "
        f"steps: {different} different values in {measurement.n_samples} readings."
    )
    return [Finding(severity, text, marks=_middles(measurement), size=grid, check="grid")]


def _outliers(measurement: Measurement) -> list[Finding]:
    marks = _marks(measurement, outlying_samples)
    if not marks:
        return []
    count = sum(len(samples) for _, samples in marks)
    number, samples = marks[0]
    response = measurement.records[number].response
    furthest = max(samples, key=lambda k: abs(response[k] - np.median(response[max(k - 4, 0) : k + 5])))
    text = (
        f"{_share(count, measurement.n_samples)} samples lie far from their neighbours, "
        f"e.g. {_with_unit(float(response[furthest]), measurement)} at sample {furthest}."
    )
    severity: Severity = "warning" if count > 0.01 * measurement.n_samples else "info"
    return [Finding(severity, text, _places(measurement, marks), marks, check="outliers")]


def _marks(measurement: Measurement, find: Callable[[Record], list[int]]) -> Marks:
    found = ((number, tuple(find(record))) for number, record in enumerate(measurement.records))
    return tuple((number, samples) for number, samples in found if samples)


def outlying_samples(record: Record, sigmas: float = 6.0) -> list[int]:
    """Samples further than ``sigmas`` robust deviations from the median of their neighbours on the same ramp."""
    bad: list[int] = []
    for start, stop, _ in long_ramps(record, 15):
        part = record.response[start:stop]
        padded = np.pad(part, 3, mode="reflect", reflect_type="odd")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 7)
        rest = part - np.median(windows, axis=1)
        spread = float(np.median(np.abs(rest))) / 0.6745
        # On a coarse read-out most steps are 0 and the others are one step of the grid.
        steps = np.abs(np.diff(part))
        usual = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
        spread = max(spread, float(np.std(part)) * 1e-3, usual)
        bad += [int(start + k) for k in np.flatnonzero(np.abs(rest) > sigmas * spread)]
    missing = set(record.missing.tolist())
    return [k for k in bad if k not in missing]


def _missing(measurement: Measurement) -> list[Finding]:
    marks = _marks(measurement, lambda record: record.missing.tolist())
    if not marks:
        return []
    count = sum(len(samples) for _, samples in marks)
    text = (
        f"{_share(count, measurement.n_samples)} readings are missing. Their pulses count; the readings are "
        "interpolated in the plot and have no weight in a fit."
    )
    severity: Severity = "warning" if count > 0.01 * measurement.n_samples else "info"
    return [Finding(severity, text, _places(measurement, marks), marks, check="missing")]


def _clipping(measurement: Measurement) -> list[Finding]:
    found = []
    samples = measurement.all_samples()
    # A coarse read-out of a saturating device stays on one value for a while.
    longest = 0.15 if _grid(measurement)[0] else 0.05
    for level, word in ((float(samples.max()), "highest"), (float(samples.min()), "lowest")):
        runs = [_longest_run(record.response == level) for record in measurement.records]
        shares = [(stop - start) / len(r) for (start, stop), r in zip(runs, measurement.records, strict=True)]
        worst = int(np.argmax(shares))
        if shares[worst] > longest:
            text = (
                f"{100 * shares[worst]:.0f} % of a record sits at the {word} value, {_with_unit(level, measurement)}, "
                "in one piece: the read-out may be clipped."
            )
            marks = ((worst, tuple(range(*runs[worst]))),)
            found.append(Finding("warning", text, _places(measurement, marks), marks, check="clipping"))
    return found


def _longest_run(mask: NDArray[np.bool_]) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    if not len(edges):
        return 0, 0
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])


def _branches(measurement: Measurement) -> list[Finding]:
    """Whether a ramp begins where the one before it, of the other direction, ended."""
    noise, span = read_noise(measurement), _range(measurement)
    worst: tuple[float, float, float, int, tuple[int, int]] | None = None
    marks: dict[int, list[int]] = {}
    count = 0
    for (a, first), (b, second) in itertools.pairwise(_ramps_in_order(measurement)):
        if measurement.records[a].device != measurement.records[b].device or first[2] == second[2]:
            continue
        if a != b and (measurement.records[a].cycle != measurement.records[b].cycle):
            continue
        if _rises(measurement.records[b], second) == _rises(measurement.records[a], first):
            continue  # mirrored: another remark
        _, end, slope_a = _levels(measurement.records[a], first[0], first[1])
        begin, _, slope_b = _levels(measurement.records[b], second[0], second[1])
        # A line through eight samples misses its edge by 0.65 of their noise; two edges by 0.9.
        if abs(end - begin) <= 0.05 * span + 5 * 0.9 * noise + 1.5 * max(slope_a, slope_b):
            continue
        count += 1
        marks.setdefault(a, []).append(first[1] - 1)
        marks.setdefault(b, []).append(second[0])
        if worst is None or abs(end - begin) > abs(worst[0] - worst[1]):
            worst = (end, begin, abs(end - begin) / span, first[2], (a, b))
    if worst is None:
        return []
    end, begin, share, direction, _ = worst
    before, after = ("up", "down") if direction > 0 else ("down", "up")
    text = (
        f"The branches do not meet at {count} turn(s): an {before} branch ends at {_with_unit(end, measurement)}, the "
        f"{after} branch after it begins at {_with_unit(begin, measurement)}, {100 * share:.0f} % of the range away. "
        "Were pulses left out, or is it another device?"
    ).replace("an down", "a down")
    places = tuple((number, tuple(samples)) for number, samples in marks.items())
    return [Finding("warning", text, _places(measurement, places), places, check="branches")]


def _ramps_in_order(measurement: Measurement) -> Iterator[tuple[int, tuple[int, int, int]]]:
    for number, record in enumerate(measurement.records):
        for ramp in long_ramps(record):
            yield number, ramp


def _rises(record: Record, ramp: tuple[int, int, int]) -> bool:
    first, last, _ = _levels(record, ramp[0], ramp[1])
    return last > first


def _mirrored(measurement: Measurement) -> list[Finding]:
    """Down branches that rise: recorded last pulse first; or all directions the wrong way round."""
    noise, span = read_noise(measurement), _range(measurement)
    against: dict[int, list[tuple[int, int, int]]] = {}
    clear = {1: 0, -1: 0}
    for number, ramp in _ramps_in_order(measurement):
        first, last, _ = _levels(measurement.records[number], ramp[0], ramp[1])
        change = (last - first) * ramp[2]
        if abs(change) < max(0.25 * span, 4 * noise):
            continue
        clear[ramp[2]] += 1
        if change < 0:
            against.setdefault(number, []).append(ramp)
    wrong = {direction: sum(r[2] == direction for ramps in against.values() for r in ramps) for direction in (1, -1)}
    if not against:
        return []
    marks = tuple((n, tuple(k for a, b, _ in ramps for k in range(a, b))) for n, ramps in against.items())
    number, ramp = next((n, ramps[0]) for n, ramps in against.items())
    first, last, _ = _levels(measurement.records[number], ramp[0], ramp[1])
    course = f"from {_with_unit(first, measurement)} to {_with_unit(last, measurement)}"
    if wrong[-1] and not wrong[1]:
        text = (
            f"The response rises along {wrong[-1]} of {clear[-1]} down branch(es), {course}: mirrored, recorded "
            "last pulse first. Say so under How to read it, and it is turned round."
        )
    elif wrong[1] == clear[1] and wrong[-1] == clear[-1]:
        text = (
            f"The response falls along up pulses and rises along down pulses ({course}): the directions are the wrong "
            "way round, or the values are resistances."
        )
    else:
        text = f"{wrong[1]} up and {wrong[-1]} down branch(es) run against their pulses, e.g. {course}."
    return [Finding("problem", text, _places(measurement, marks), marks, check="mirrored")]


def _negative(measurement: Measurement) -> list[Finding]:
    if quantity_of_unit(measurement.unit) != "conductance" and measurement.quantity != "conductance":
        return []
    marks = _marks(measurement, lambda record: np.flatnonzero(record.response < 0).tolist())
    if not marks or measurement.affine != AffineMap():
        return []
    count = sum(len(samples) for _, samples in marks)
    lowest, noise = float(measurement.all_samples().min()), read_noise(measurement)
    small = -lowest < 4 * noise
    text = (
        f"{_share(count, measurement.n_samples)} conductances are below 0, "
        f"the lowest {_with_unit(lowest, measurement)}: "
        + ("within the noise." if small else "an offset was subtracted, or the sign of the read current is lost.")
    )
    return [Finding("info" if small else "problem", text, _places(measurement, marks), marks, check="negative")]


def _index(measurement: Measurement) -> list[Finding]:
    marks = _marks(measurement, uneven_samples)
    record = next((r for r in measurement.records if r.index is not None and len(r) > 3), None)
    if record is None or record.index is None:
        return []
    usual = float(np.median(np.diff(record.index)))
    name = record.index_name or "index"
    found = []
    if marks:
        count = sum(len(samples) for _, samples in marks)
        number, samples = marks[0]
        place = measurement.records[number].index
        assert place is not None
        text = (
            f"{name!r} is uneven at {_share(count, measurement.n_samples)} samples: its usual step is {usual:g}, "
            f"but it goes from {place[samples[0] - 1]:g} to {place[samples[0]]:g} at sample {samples[0]}."
        )
        severity: Severity = "warning" if usual == round(usual) else "info"
        found.append(Finding(severity, text, _places(measurement, marks), marks, check="index"))
    if usual > 1 and usual == round(usual) and "time" not in name.lower() and "pul" in name.lower():
        text = (
            f"{name!r} counts in steps of {usual:g}: if only every {usual:g}th state was read, a step is that of all."
        )
        found.append(Finding("warning", text, check="index step"))
    return found


def uneven_samples(record: Record) -> list[int]:
    """Samples whose index is not one usual step after the one before; a count that starts again is no fault."""
    if record.index is None or len(record) < 4:
        return []
    steps = np.diff(record.index)
    usual = float(np.median(steps))
    if usual == 0:
        return []
    restarts = (steps < 0) & (record.index[1:] <= record.index[0] + abs(usual))
    odd = (np.abs(steps - usual) > 0.5 * abs(usual)) & ~restarts
    return [int(k) for k in np.flatnonzero(odd) + 1] if np.mean(odd) < 0.5 else []


def _drift(measurement: Measurement) -> list[Finding]:
    """Whether the ends of equal ramps move from cycle to cycle."""
    found = []
    span, noise = _range(measurement), read_noise(measurement)
    if span == 0:
        return []
    for device in measurement.devices:
        ends: dict[int, list[tuple[float, int, int, int]]] = {1: [], -1: []}
        for number, (start, stop, direction) in _ramps_in_order(measurement):
            if measurement.records[number].device == device:
                tenth = max((stop - start) // 10, 1)
                level = float(np.mean(measurement.records[number].response[stop - tenth : stop]))
                ends[direction].append((level, number, stop - 1, tenth))
        for direction, entries in ends.items():
            if len(entries) < 3:
                continue
            levels = np.array([entry[0] for entry in entries])
            cycles = np.arange(len(levels)) - (len(levels) - 1) / 2
            slope = float(np.sum(cycles * levels) / np.sum(cycles**2))
            rest = float(np.std(levels - levels.mean() - slope * cycles)) * np.sqrt(
                len(levels) / max(len(levels) - 2, 1)
            )
            error = max(rest, noise / np.sqrt(entries[0][3])) / np.sqrt(np.sum(cycles**2)) * (len(levels) - 1)
            change = slope * (len(levels) - 1)
            if abs(change) < 0.05 * span or abs(change) < 4 * error:
                continue
            word = "up" if direction > 0 else "down"
            text = (
                f"The ends of the {len(levels)} {word} ramps move by {_with_unit(change, measurement)}, "
                f"{100 * change / span:+.0f} % of the range, from the first cycle to the last: the device drifts."
            )
            marks: dict[int, list[int]] = {}
            for _, number, sample, _ in entries:
                marks.setdefault(number, []).append(sample)
            places = tuple((number, tuple(samples)) for number, samples in marks.items())
            found.append(Finding("warning", text, device, places, check="drift"))
    return found if len(found) <= 4 else [_many_drift(found)]


def _many_drift(found: list[Finding]) -> Finding:
    marks = tuple(mark for finding in found for mark in finding.marks)
    devices = len({finding.where for finding in found})
    return Finding(
        "warning", f"{devices} devices drift; the first: {found[0].text}", found[0].where, marks, check="drift"
    )


def _course(measurement: Measurement) -> list[Finding]:
    """Whether pulses that no column tells, but the course of the values alone, may be none at all."""
    if measurement.confidence >= STATED:
        return []
    remedy = "If it is one, state its pulses under How to read it; if not, a fit means nothing."
    if measurement.confidence < GUESSED:
        text = f"The pulses are a guess from where the values turn: this may be no response to pulses. {remedy}"
        return [Finding("warning", text, check="course")]
    noise = read_noise(measurement)
    turns = [
        (number, before[1] - 1, gentle)
        for number, record in enumerate(measurement.records)
        for before, after in itertools.pairwise(long_ramps(record, 16))
        if before[1] == after[0]
        and (gentle := _turns_gently(record.response, before[:2], after[:2], noise)) is not None
    ]
    gentle_ones = [(number, sample) for number, sample, gentle in turns if gentle]
    if not gentle_ones or len(gentle_ones) < 0.8 * len(turns):
        return []
    text = (
        "The values turn gently, as a signal over time does; most devices answer with a large step when pulses change "
        f"direction. {remedy}"
    )
    marks = tuple((n, tuple(s for m, s in gentle_ones if m == n)) for n in dict.fromkeys(n for n, _ in gentle_ones))
    return [Finding("warning", text, _places(measurement, marks), marks, check="course")]


def _turns_gently(
    response: NDArray[np.float64], before: tuple[int, int], after: tuple[int, int], noise: float
) -> bool | None:
    """Whether the values move slowly both before and after a turn, against the steepest part of their ramps; None
    where noise hides it."""
    found = []
    for (start, stop), edge in ((before, -1), (after, 0)):
        width = max((stop - start) // 16, 4)
        places = np.arange(width) - (width - 1) / 2
        windows = np.lib.stride_tricks.sliding_window_view(response[start:stop], width)
        slopes = np.abs(windows @ places) / float(places @ places)
        if noise / math.sqrt(float(places @ places)) > 0.1 * slopes.max():
            return None
        found.append(bool(slopes[edge] < GENTLE * slopes.max()))
    return all(found)


_CHECKS: tuple[Callable[[Measurement], list[Finding]], ...] = (
    _course,
    _coverage,
    _noise,
    _resolution,
    _outliers,
    _missing,
    _clipping,
    _branches,
    _mirrored,
    _negative,
    _index,
    _drift,
)
