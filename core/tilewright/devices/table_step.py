"""Devices whose step is a table: points, quantiles of measured jumps, or a formula in the weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import model_validator
from scipy.special import ndtr, ndtri

from tilewright import kernels
from tilewright.devices.piecewise_step import MOST_NODES, interpolated
from tilewright.devices.pulsed import Array
from tilewright.devices.step_expression import ExpressionError, evaluate
from tilewright.devices.write_noise import WriteNoiseDevice
from tilewright.parameters import ParameterError, parameter

GRID_NODES = 257
SCORES = 65
SCORE_SPAN = 4.5
MEAN_POINTS = 4001
MOST_LEVELS = 199
JUMP_LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class TableStepDevice(WriteNoiseDevice):
    """Step size against weight as a table, in units of ``dw_min``; no rebuild is needed for a new model.

    The table is one of

    - points: ``points_up`` and ``points_down`` at ``points_weight`` (any spacing; equally spaced over the range when
      left empty), interpolated linearly and constant beyond the ends;
    - a formula: ``formula_up`` and ``formula_down`` in ``w`` (also ``w_min``, ``w_max``), such as
      ``1 - 0.8 * (w / w_max) ^ 2``;
    - quantiles of measured jumps: ``quantiles_up[i][k]`` is the jump at ``points_weight[i]`` that a share
      ``quantile_levels[k]`` of jumps stays below; see :meth:`from_jumps`. Then ``dw_min_std`` scales the measured
      scatter: 1 is as measured, 0 the mean jump alone.

    Weights of the table are those of the nominal device; each device stretches it to its own bounds. Formulas and
    points are sampled at 257 weights, so their kinks may move by 1/512 of the range.
    """

    points_weight: list[float] = parameter(
        factory=list,
        meaning="weights of the points, increasing",
        unit="weight",
        max_length=MOST_NODES,
        group="Step",
    )
    points_up: list[float] = parameter(
        factory=lambda: [1.0], meaning="up step at the points", unit="dw_min", max_length=MOST_NODES, group="Step"
    )
    points_down: list[float] = parameter(
        factory=lambda: [1.0], meaning="down step at the points", unit="dw_min", max_length=MOST_NODES, group="Step"
    )
    formula_up: str = parameter("", "up step as a formula in w; replaces the points", unit="dw_min", group="Step")
    formula_down: str = parameter("", "down step as a formula in w; replaces the points", unit="dw_min", group="Step")
    quantile_levels: list[float] = parameter(
        factory=list,
        meaning="levels of the jump quantiles, increasing, within 0 and 1",
        max_length=MOST_LEVELS,
        group="Step",
    )
    quantiles_up: list[list[float]] = parameter(
        factory=list, meaning="quantiles of up jumps, a list for each point", unit="dw_min", group="Step"
    )
    quantiles_down: list[list[float]] = parameter(
        factory=list, meaning="quantiles of down jumps, a list for each point", unit="dw_min", group="Step"
    )

    @model_validator(mode="after")
    def _table_is_whole(self) -> TableStepDevice:
        if self.points_weight and np.any(np.diff(self.points_weight) <= 0):
            raise ValueError("points_weight must increase from one point to the next")
        if bool(self.formula_up) != bool(self.formula_down):
            raise ValueError("give formula_up and formula_down both, or neither")
        if bool(self.quantiles_up) != bool(self.quantiles_down):
            raise ValueError("give quantiles_up and quantiles_down both, or neither")
        if self.quantiles_up and self.formula_up:
            raise ValueError("give either quantiles or formulas, not both")
        if self.quantiles_up:
            self._check_quantiles()
        elif not self.formula_up:
            self._check_points()
        up, down = self._mean_steps()
        if not (np.any(up) or np.any(down)):
            raise ValueError("the steps are 0 at every weight: the device would never move")
        return self

    def _check_points(self) -> None:
        for name in ("points_up", "points_down"):
            points = getattr(self, name)
            if not points:
                raise ValueError(f"{name} is empty; give at least one step")
            if min(points) < 0:
                raise ValueError(f"{name} holds {min(points):g}; steps must not be negative")
            if self.points_weight and len(points) not in (1, len(self.points_weight)):
                raise ValueError(f"{name} has {len(points)} steps for {len(self.points_weight)} weights")

    def _check_quantiles(self) -> None:
        levels = np.asarray(self.quantile_levels)
        if len(levels) < 2 or np.any(np.diff(levels) <= 0) or levels[0] < 0 or levels[-1] > 1:
            raise ValueError("quantile_levels must hold two or more increasing numbers within 0 and 1")
        for name in ("quantiles_up", "quantiles_down"):
            rows = getattr(self, name)
            if len(rows) > MOST_NODES or any(len(row) != len(levels) for row in rows):
                raise ValueError(f"{name} needs one list of {len(levels)} jumps (one a level) for each point")
            if self.points_weight and len(rows) != len(self.points_weight):
                raise ValueError(f"{name} has {len(rows)} lists for {len(self.points_weight)} weights")
            if any(np.any(np.diff(row) < 0) for row in rows):
                raise ValueError(f"{name}: the jumps of a point must not fall from one level to the next")
        if len(self.quantiles_up) != len(self.quantiles_down):
            raise ValueError("quantiles_up and quantiles_down need as many points as each other")

    # --- the table --------------------------------------------------------------------------------------------------

    def _grid(self) -> Array:
        return np.linspace(self.w_min, self.w_max, GRID_NODES)

    def _point_weights(self, n: int) -> Array:
        return np.asarray(self.points_weight) if self.points_weight else np.linspace(self.w_min, self.w_max, n)

    def _at_grid(self, points: Sequence[float] | Array) -> Array:
        values = np.asarray(points, dtype=float)
        if len(values) == 1:
            return np.full(GRID_NODES, values[0])
        return np.asarray(np.interp(self._grid(), self._point_weights(len(values)), values))

    def _from_formula(self, name: str) -> Array:
        grid = self._grid()
        names: dict[str, Array | float] = {"w": grid, "w_min": self.w_min, "w_max": self.w_max}
        try:
            steps = np.broadcast_to(evaluate(getattr(self, name), names), grid.shape)
        except ExpressionError as error:
            raise ValueError(f"{name}: {error}") from None
        wrong = ~np.isfinite(steps) | (steps < 0) | (steps > 1e6)
        if np.any(wrong):
            at = int(np.argmax(wrong))
            raise ValueError(
                f"{name} gives {steps[at]:g} at w = {grid[at]:.4g}; "
                "steps must lie within 0 and 1e6 over the whole range"
            )
        return np.array(steps)

    def _mean_steps(self) -> tuple[Array, Array]:
        """Mean up and down step at the grid."""
        if self.formula_up:
            return self._from_formula("formula_up"), self._from_formula("formula_down")
        if self.quantiles_up:
            return self._at_grid(self._mean_jumps("quantiles_up")), self._at_grid(self._mean_jumps("quantiles_down"))
        return self._at_grid(self.points_up), self._at_grid(self.points_down)

    def _jumps(self, name: str, scores: Array) -> Array:
        """Jumps (points, scores) at normal scores; beyond the outermost levels as at those."""
        levels = np.clip(ndtri(np.asarray(self.quantile_levels)), -2 * SCORE_SPAN, 2 * SCORE_SPAN)
        return np.array([np.interp(scores, levels, row) for row in getattr(self, name)])

    def _mean_jumps(self, name: str) -> Array:
        """Mean jump at each point: of jumps linear in the normal score between levels, constant beyond them."""
        at = np.clip(ndtri(np.asarray(self.quantile_levels)), -2 * SCORE_SPAN, 2 * SCORE_SPAN)
        below, density = ndtr(at), np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
        mass, moment = np.diff(below), -np.diff(density)
        upper = (moment - at[:-1] * mass) / np.diff(at)  # share of an interval that its upper level stands for
        weight = np.zeros(len(at))
        weight[:-1] += mass - upper
        weight[1:] += upper
        weight[0] += below[0]
        weight[-1] += 1 - below[-1]
        return np.asarray(np.array(getattr(self, name)) @ weight)

    def _drawn_means(self, jumps: Array) -> Array:
        """Mean (points,) of what the kernels draw from jumps (points, scores), linear between scores."""
        fine = np.linspace(-SCORE_SPAN, SCORE_SPAN, MEAN_POINTS)
        weight = np.diff(ndtr(np.concatenate(([-np.inf], (fine[1:] + fine[:-1]) / 2, [np.inf]))))
        scores = np.linspace(-SCORE_SPAN, SCORE_SPAN, SCORES)
        return np.array([np.interp(fine, scores, row) @ weight for row in jumps])

    def _deviations(self, name: str) -> Array:
        """Deviation (grid, scores) of a jump from its mean."""
        jumps = self._jumps(name, np.linspace(-SCORE_SPAN, SCORE_SPAN, SCORES))
        at_points = jumps - self._drawn_means(jumps)[:, None]
        return self.dw_min_std * np.stack([self._at_grid(column) for column in at_points.T], axis=1)

    # --- what the kernels and the analysis ask ------------------------------------------------------------------------

    @property
    def kernel_kind(self) -> int:
        """Tabulated step."""
        return 5

    @property
    def kernel_cycle_noise(self) -> float:
        """With quantiles the noise is the score itself, and the table holds the scale."""
        if self.quantiles_up:
            return 1.0 if self.dw_min_std > 0 else 0.0
        return self.dw_min_std

    def step_shape(self) -> kernels.StepShape:
        """The table at equally spaced weights."""
        nodes = np.concatenate(self._mean_steps())
        if not (self.quantiles_up and self.dw_min_std > 0):
            return kernels.StepShape(nodes=nodes.tolist())
        jumps = np.concatenate([self._deviations("quantiles_up"), self._deviations("quantiles_down")])
        return kernels.StepShape(
            nodes=nodes.tolist(), jumps=jumps.ravel().tolist(), n_scores=SCORES, score_span=SCORE_SPAN
        )

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        up, down = self._mean_steps()
        return drawn["up"] * interpolated(up, drawn, raw), drawn["down"] * interpolated(down, drawn, raw)

    def cycle_noise(self, step: Array, scale: Any, raw: Array) -> Array:
        """Standard deviation of one pulse; with quantiles the mean of both directions, at nominal weights."""
        if not self.quantiles_up:
            return super().cycle_noise(step, scale, raw)
        scores = np.linspace(-SCORE_SPAN, SCORE_SPAN, SCORES)
        weight = np.diff(ndtr(np.concatenate(([-np.inf], (scores[1:] + scores[:-1]) / 2, [np.inf]))))
        spread = np.mean([self._deviations(name) ** 2 @ weight for name in ("quantiles_up", "quantiles_down")], axis=0)
        return np.asarray(np.abs(scale) * np.sqrt(np.interp(raw, self._grid(), spread)))

    @classmethod
    def from_jumps(
        cls,
        weights: ArrayLike,
        jumps: ArrayLike,
        points: int = 9,
        levels: Sequence[float] = JUMP_LEVELS,
        **fields: Any,
    ) -> Self:
        """The device whose jumps are distributed as measured ones.

        Args:
            weights: (n,) weight before each pulse.
            jumps: (n,) change of the weight, positive for up pulses and negative for down pulses.
            points: number of weights of the table, at equal shares of the jumps of either direction.
            levels: quantiles to keep.
            fields: further fields; ``dw_min`` is the mean size of a jump and the bounds the extremes unless given.

        Raises:
            ParameterError: fewer than 10 jumps a point in either direction.
        """
        w, dw = np.asarray(weights, dtype=float).ravel(), np.asarray(jumps, dtype=float).ravel()
        if w.shape != dw.shape or not (np.all(np.isfinite(w)) and np.all(np.isfinite(dw))):
            raise ParameterError("weights and jumps must be finite and of the same length")
        fewest = min(int(np.sum(dw > 0)), int(np.sum(dw < 0)))
        if fewest < 10 * points:
            raise ParameterError(
                f"{points} points need at least {10 * points} jumps in each direction, found {fewest}; "
                "measure more pulses or take fewer points"
            )
        size = float(np.mean(np.abs(dw)))
        at = np.unique(np.quantile(w, (np.arange(points) + 0.5) / points))
        made: dict[str, Any] = {"dw_min": size, "w_max": max(float(w.max()), 0.0), "w_min": min(float(w.min()), 0.0)}
        made |= {"dw_min_std": 1.0, "points_weight": at.tolist(), "quantile_levels": list(levels)}
        edges = (at[1:] + at[:-1]) / 2
        for name, sign in (("quantiles_up", 1), ("quantiles_down", -1)):
            chosen = dw * sign > 0
            place = np.searchsorted(edges, w[chosen])
            sizes = np.abs(dw[chosen]) / fields.get("dw_min", size)
            rows = [sizes[place == k] for k in range(len(at))]
            if any(len(row) == 0 for row in rows):
                raise ParameterError(f"no jumps of one direction near some weights; take fewer points than {points}")
            made[name] = [np.quantile(row, levels).tolist() for row in rows]
        return cls(**(made | fields))
