"""Keeping tabulated steps smooth: a penalty on their second differences, as strong as left-out samples ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

STRENGTHS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FOLDS = 5
BLOCK = 20
WORTH = 1e-3  # of the error, that a penalty must save to be taken


@dataclass(frozen=True)
class Penalty:
    """Rows ``strength * (second differences of the nodes)``, for each table of nodes by the names of its parameters."""

    tables: tuple[tuple[str, ...], ...]
    strength: float

    def rows(self, values: Mapping[str, float]) -> Samples:
        """The rows at parameter values."""
        return np.concatenate([self.strength * np.diff([values[name] for name in table], 2) for table in self.tables])

    def matrix(self, names: Sequence[str]) -> Samples:
        """Derivatives (rows, parameters) of :meth:`rows` for strength 1."""
        rows = []
        for table in self.tables:
            for first in range(len(table) - 2):
                row = np.zeros(len(names))
                for name, weight in zip(table[first : first + 3], (1.0, -2.0, 1.0), strict=True):
                    if name in names:
                        row[names.index(name)] = weight
                rows.append(row)
        return np.array(rows).reshape(-1, len(names))


def tables_of(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The tables of at least three nodes among parameter names, such as ``points_up_0``, ``points_up_1`` ..."""
    found: dict[str, list[str]] = {}
    for name in names:
        stem, _, index = name.rpartition("_")
        if stem and index.isdigit():
            found.setdefault(stem, []).append(name)
    return tuple(tuple(table) for table in found.values() if len(table) >= 3)


def chosen_strength(
    jacobian: Samples, residual: Samples, at: Samples, roughness: Samples, lengths: Sequence[int]
) -> float:
    """The strength that predicts left-out blocks best, to first order round a fit without penalty.

    Args:
        jacobian: (samples, parameters) of the residual.
        residual: (samples,) model minus response at that fit.
        at: (parameters,) its values.
        roughness: (rows, parameters) of the penalty, for strength 1.
        lengths: samples of each record.
    """
    scale = float(np.sqrt(np.mean(residual**2)))
    folds = np.concatenate([(np.arange(n) // BLOCK) % FOLDS for n in lengths])
    inner = roughness.T @ roughness
    bend = inner @ at
    errors = []
    for strength in STRENGTHS:
        weight = (strength * scale) ** 2
        error = 0.0
        for fold in range(FOLDS):
            kept, left = folds != fold, folds == fold
            normal = jacobian[kept].T @ jacobian[kept] + weight * inner
            ridge = 1e-10 * float(np.trace(normal)) / len(at) * np.eye(len(at))
            move = -np.linalg.solve(normal + ridge, jacobian[kept].T @ residual[kept] + weight * bend)
            error += float(np.sum((residual[left] + jacobian[left] @ move) ** 2))
        errors.append(error)
    best = int(np.argmin(errors))
    return STRENGTHS[best] * scale if errors[best] < errors[0] * (1 - WORTH) else 0.0
