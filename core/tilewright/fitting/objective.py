"""The function a fit minimises: model minus response over all records, one compiled call per record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lmfit
import numpy as np
from numpy.typing import NDArray

from tilewright.devices import nominal_response
from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.result import FitCancelled
from tilewright.fitting.smoothing import Penalty
from tilewright.fitting.specification import assign

Samples = NDArray[np.float64]
Progress = Callable[[int, float, dict[str, float]], None]
Cancelled = Callable[[], bool]

# Between two better values, progress is still told every so many evaluations, so that a page sees it is alive.
REPORT_EVERY = 20


@dataclass(frozen=True)
class Trace:
    """One response to fit: pulses before it, samples, the weight of its deviations, its own start state."""

    pulses: NDArray[np.int8]
    response: Samples
    weight: Samples | float = 1.0

    def simulate(self, device: PulsedDevice, start: float) -> Samples:
        """Noise-free model response, one value per sample; the last pulse is not used."""
        return np.asarray(nominal_response(device, self.pulses[:-1], start), dtype=np.float64)


class Watch:
    """Counts evaluations, remembers the best, tells progress and stops on request."""

    def __init__(self, progress: Progress | None = None, cancelled: Cancelled | None = None) -> None:
        self.progress, self.cancelled = progress, cancelled
        self.evaluations = 0
        self.best_rms = float("inf")
        self.best_values: dict[str, float] = {}

    def see(self, residual: Samples, values: Mapping[str, float]) -> None:
        """Note one evaluation; raises :class:`FitCancelled` when asked to stop."""
        self.evaluations += 1
        rms = float(np.sqrt(np.mean(residual**2))) if residual.size else 0.0
        better = rms < self.best_rms
        if better:
            self.best_rms, self.best_values = rms, dict(values)
        if self.progress is not None and (better or self.evaluations % REPORT_EVERY == 0):
            self.progress(self.evaluations, self.best_rms, dict(self.best_values))
        if self.cancelled is not None and self.cancelled():
            raise FitCancelled(self.evaluations, self.best_rms, dict(self.best_values))


def minimise(function: Callable[[Any], Samples], parameters: Any, **options: Any) -> Any:
    """``lmfit.minimize``; a covariance it cannot estimate is not worth a warning, our errors come from elsewhere."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return lmfit.minimize(function, parameters, **options)


class Objective:
    """Residual vector of a device over several traces.

    Args:
        device: working copy; its fields are overwritten at every evaluation.
        traces: what to fit.
        starts: start state of each trace, a number or the name of a parameter.
        watch: told about every evaluation.
        penalty: what else is to be small, e.g. the roughness of tabulated steps.

    Attributes:
        own_rows: samples that a start moves, by its name; it moves no others.
    """

    def __init__(
        self,
        device: PulsedDevice,
        traces: Sequence[Trace],
        starts: Sequence[float | str],
        watch: Watch,
        penalty: Penalty | None = None,
    ) -> None:
        self.device, self.traces, self.starts, self.watch = device, list(traces), list(starts), watch
        self.penalty = penalty
        self.start_names = {start for start in starts if isinstance(start, str)}
        ends = np.cumsum([len(trace.response) for trace in self.traces]).tolist()
        self.own_rows = {
            start: slice(end - len(trace.response), end)
            for start, trace, end in zip(starts, self.traces, ends, strict=True)
            if isinstance(start, str) and list(starts).count(start) == 1
        }

    def model(self, values: Mapping[str, float]) -> list[Samples]:
        """Model response of each trace at ``values`` (device fields and start names)."""
        assign(self.device, {name: value for name, value in values.items() if name not in self.start_names})
        return [
            trace.simulate(self.device, values[start] if isinstance(start, str) else start)
            for trace, start in zip(self.traces, self.starts, strict=True)
        ]

    def residual(self, values: Mapping[str, float]) -> Samples:
        """Model minus response, weighted, all traces joined."""
        parts = [
            (model - trace.response) * trace.weight
            for model, trace in zip(self.model(values), self.traces, strict=True)
        ]
        return np.concatenate(parts)

    def watched(self, values: Mapping[str, float]) -> Samples:
        """The residual, told to the watch, and the penalty after it."""
        residual = self.residual(values)
        self.watch.see(residual, values)
        return residual if self.penalty is None else np.concatenate([residual, self.penalty.rows(values)])

    def __call__(self, parameters: Any) -> Samples:
        """What lmfit calls."""
        return self.watched({name: float(item.value) for name, item in parameters.items()})
