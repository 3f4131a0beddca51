"""Devices whose step is given at a few weights and interpolated between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import model_validator

from tilewright import kernels
from tilewright.devices.exp_step import relative_range
from tilewright.devices.pulsed import Array
from tilewright.devices.write_noise import WriteNoiseDevice
from tilewright.parameters import parameter

MOST_NODES = 4096


def interpolated(nodes: Sequence[float] | Array, drawn: Mapping[str, Array], raw: Array) -> Array:
    """Values at raw weights, from nodes equally spaced between the bounds of each device."""
    values = np.asarray(nodes, dtype=float)
    place = np.clip((raw - drawn["min_bound"]) * relative_range(drawn), 0, 1) * (len(values) - 1)
    return np.asarray(np.interp(place, np.arange(len(values)), values))


class PiecewiseStepDevice(WriteNoiseDevice):
    """Piecewise linear step: ``s`` times the value between the two nodes around the weight.

    Nodes are equally spaced from the lower bound (first) to the upper bound (last) of each device. Source: Rasch et
    al., AICAS (2021).
    """

    piecewise_up: list[float] = parameter(
        factory=lambda: [1.0],
        meaning="up step at the nodes, from the lower to the upper bound",
        unit="dw_min",
        min_length=1,
        max_length=MOST_NODES,
        group="Step",
    )
    piecewise_down: list[float] = parameter(
        factory=lambda: [1.0],
        meaning="down step at the nodes, from the lower to the upper bound",
        unit="dw_min",
        min_length=1,
        max_length=MOST_NODES,
        group="Step",
    )

    @model_validator(mode="after")
    def _nodes_fit(self) -> PiecewiseStepDevice:
        for name in ("piecewise_up", "piecewise_down"):
            if min(getattr(self, name)) < 0:
                raise ValueError(f"{name} holds {min(getattr(self, name)):g}; steps at the nodes must not be negative")
        lengths = {len(self.piecewise_up), len(self.piecewise_down)} - {1}
        if len(lengths) > 1:
            raise ValueError(
                f"piecewise_up has {len(self.piecewise_up)} nodes but piecewise_down has {len(self.piecewise_down)}; "
                "give both the same number, or one of them a single node"
            )
        if max(self.piecewise_up) == max(self.piecewise_down) == 0:
            raise ValueError("piecewise_up and piecewise_down are all 0: the device would never move")
        return self

    @property
    def kernel_kind(self) -> int:
        """Tabulated step."""
        return 5

    def _nodes(self) -> tuple[list[float], list[float]]:
        """Equally many nodes both ways, two or more; a single one stands for a constant."""
        up, down = self.piecewise_up, self.piecewise_down
        n = max(len(up), len(down), 2)
        return up if len(up) == n else up * n, down if len(down) == n else down * n

    def step_shape(self) -> kernels.StepShape:
        """The nodes."""
        up, down = self._nodes()
        return kernels.StepShape(nodes=[*up, *down])

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        up, down = self._nodes()
        return drawn["up"] * interpolated(up, drawn, raw), drawn["down"] * interpolated(down, drawn, raw)
