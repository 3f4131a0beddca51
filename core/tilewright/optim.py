"""The optimiser: stochastic gradient descent for digital parameters, pulses for analog tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD

from tilewright.replicas import gather_records, mean_of_replicas
from tilewright.tile import AnalogTile, AnalogWeight


class AnalogSGD(SGD):
    """``torch.optim.SGD`` for digital parameters; tiles get their pulsed update at the learning rate of their group.

    Momentum, weight decay and nesterov act on digital parameters only: an analog weight has no gradient a digital
    optimiser could keep. One update call per tile and step, with all samples since the last step.

    Args:
        params: parameters or groups, as for any torch optimiser.
        lr: learning rate.
        kwargs: further options of ``torch.optim.SGD``.

    Raises:
        ValueError: ``maximize``; change the sign of the loss instead.
    """

    # So that torch's GradScaler hands over its scale instead of stepping as if nothing were scaled.
    _step_supports_amp_scaling = True

    def __init__(self, params: Any, lr: float = 0.1, **kwargs: Any) -> None:
        super().__init__(params, lr=lr, **kwargs)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, with options of its own."""
        if param_group.get("maximize", self.defaults["maximize"]):
            raise ValueError("tiles only descend: leave maximize off and change the sign of the loss instead")
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if isinstance(parameter, AnalogWeight):
                parameter.pulsed = True

    def regroup_param_groups(self, model: nn.Module | None = None) -> None:
        """Accepted so that existing scripts run; tiles are found in any group, which keeps its own options."""

    def tiles(self) -> list[tuple[AnalogTile, float]]:
        """Every tile with the learning rate of its group."""
        found = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if type(parameter) is AnalogWeight:  # quicker than isinstance, which asks torch's metaclass
                    found.append((parameter.tile, float(group["lr"])))
        return found

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the digital parameters, then an update of every tile, then diffusion and decay."""
        if hasattr(self, "found_inf"):
            raise RuntimeError(
                "AnalogSGD does not work with GradScaler: tiles are pulsed by the errors as they are, so the loss must "
                "not be scaled; call loss.backward() and step() directly, with bfloat16 autocast if wanted"
            )
        loss = super().step(closure)
        with torch.no_grad():
            tiles = self.tiles()
            gather_records([tile for tile, _ in tiles])
            for tile, lr in tiles:
                tile.apply_pending(lr)
                tile.pass_time()
        return loss

    def note_loss(self, loss: float) -> None:
        """Tell tiles the loss of a mini-batch: those whose algorithm acts on a plateau of it.

        Replicas hear the mean of all processes.
        """
        tiles = [tile for tile, _ in self.tiles() if tile.cell.follows_loss]
        if not tiles:
            return
        loss = mean_of_replicas(loss, tiles)
        for tile in tiles:
            tile.cell.note_loss(loss)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, and what tiles recorded since the last step."""
        if set_to_none:  # what torch's own method comes to, without its hooks for profilers and compilers
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        else:
            super().zero_grad(set_to_none)
        for tile, _ in self.tiles():
            tile.pending.clear()
