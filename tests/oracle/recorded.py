"""Comparison with recorded statistics of the reference toolkit, within the tolerances given with the recording.

The recording draws Gaussians from a fixed table, so besides standard errors a bias of one percent of one draw's noise
is allowed. Values are recorded to four digits or more (five for the means of pulse traces). A recorded std below
1.5e-4 |mean| is rounding and counts as none.

Two bounds hold at once. Every entry lies within the z limit of its file (false-alarm rate 1e-7 for the file); and not
more than two entries of a file lie beyond four standard errors, of which chance leaves less than a tenth of an entry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oracle.statistics import limit, standard_error_of_std


def load(shared: Path, name: str) -> dict[str, Any]:
    """One recorded file; skips nothing, so that a missing file is an error."""
    return json.loads((shared / "reference" / name).read_text())


@dataclass
class Comparison:
    """Collects scores |difference| / standard error, after the allowed bias, over a file."""

    digits: int = 4  # of the recorded means
    scores: list[float] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, what: str, samples: np.ndarray, record: dict[str, Any], n_recorded: int, bias: Any) -> None:
        """Compare means and stds along axis 0 of ``samples`` with a record.

        Args:
            what: name for messages.
            samples: (n, entries).
            record: with ``mean`` and ``std``.
            n_recorded: repeats behind the record.
            bias: allowed systematic difference, one or (entries,).
        """
        samples = np.asarray(samples, dtype=float)
        mean, std = np.array(record["mean"]), np.array(record["std"])
        std = np.where(std < 1.5e-4 * np.abs(mean), 0.0, std)
        found, spread = samples.mean(axis=0), samples.std(axis=0, ddof=1)
        spread = np.where(spread < 1.5e-4 * np.abs(found), 0.0, spread)
        mean_error = np.sqrt(std**2 / n_recorded + spread**2 / len(samples))
        own = standard_error_of_std(samples)
        std_error = own * np.sqrt(1 + len(samples) / n_recorded)
        digits_mean = 0.5 * 10.0 ** (1 - self.digits) * np.abs(mean) + 1e-6 * np.max(np.abs(mean))
        digits_std = 5e-4 * std + 1e-6 * np.max(np.abs(mean))
        self._score(f"{what}: mean", found, mean, mean_error, bias + digits_mean)
        self._score(f"{what}: std", spread, std, std_error, 0.01 * std + bias + digits_std)

    def _score(self, what: str, found: np.ndarray, recorded: np.ndarray, error: np.ndarray, bias: Any) -> None:
        excess = np.maximum(np.abs(found - recorded) - bias, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(excess > 0, excess / error, 0.0)
        for k, score in enumerate(scores):
            self.scores.append(float(score))
            self.places.append(f"{what}[{k}]: {found[k]:.6g}, recorded {recorded[k]:.6g}, {score:.1f} standard errors")

    def judge(self) -> None:
        """Raise if the file as a whole disagrees."""
        scores = np.array(self.scores)
        assert scores.size > 0
        far = [self.places[k] for k in np.argsort(-scores)[:10] if scores[k] > 4]
        assert scores.max() <= limit(scores.size), "\n".join(far)
        assert len(far) <= 2, "\n".join(far)
