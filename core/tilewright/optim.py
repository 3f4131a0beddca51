"""The optimiser: stochastic gradient descent for digital parameters, pulses for analog tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from tilewright.kernels.gpu import rate_of
from tilewright.replicas import gather_records, mean_of_replicas
from tilewright.tile import AnalogTile, AnalogWeight


class AnalogSGD(SGD):
    """``torch.optim.SGD`` for digital parameters; tiles get their pulsed update at the learning rate of their group.

    Momentum, weight decay and nesterov act on digital parameters only: an analog weight has no gradient a digital
    optimiser could keep. One update call per tile and step, with all samples since the last step.

    Args:
        params: parameters or groups, as for any torch optimiser.
        lr: learning rate; one number in a tensor on the GPU of the model is read there, see
            :meth:`keep_rates_on_device`.
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
        group = self.param_groups[-1]
        for parameter in group["params"]:
            if isinstance(parameter, AnalogWeight):
                parameter.pulsed = True
        _read_rate_on_device(group)

    def keep_rates_on_device(self) -> None:
        """Turn the learning rates of groups on a GPU into tensors there, as steps that are captured in a graph need.

        Schedulers of torch change such a tensor in place, and so can anybody: ``group["lr"].fill_(0.05)``. A graph that
        is replayed reads it. Rates of 0 still pass the mini-batch to algorithms with rates of their own.
        """
        for group in self.param_groups:
            device = group["params"][0].device
            if device.type == "cuda" and not isinstance(group["lr"], Tensor):
                group["lr"] = torch.tensor(float(group["lr"]), device=device)
            _read_rate_on_device(group)

    def regroup_param_groups(self, model: nn.Module | None = None) -> None:
        """Accepted so that existing scripts run; tiles are found in any group, which keeps its own options."""

    def tiles(self) -> list[tuple[AnalogTile, float]]:
        """Every tile with the learning rate of its group."""
        found = []
        for group in self.param_groups:
            lr = group["lr"]
            rate = rate_of(lr) if isinstance(lr, Tensor) else float(lr)
            for parameter in group["params"]:
                if type(parameter) is AnalogWeight:  # quicker than isinstance, which asks torch's metaclass
                    found.append((parameter.tile, rate))
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


def _read_rate_on_device(group: dict[str, Any]) -> None:
    """Steps of digital parameters read a rate on a GPU there: of torch's variants, the fused one does."""
    if isinstance(group["lr"], Tensor) and group["lr"].is_cuda and group["fused"] is None and not group["foreach"]:
        group["fused"] = True
