"""Multi-tile residual learning: tiles of few states, each holding what the coarser ones cannot."""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor

from tilewright.cells.cell import Cell
from tilewright.cells.line_transfer import Events, Writes
from tilewright.cells.residual import ResidualCell, ResidualCompound
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters

ABOVE_ONE_STATE = 1.25  # recommended gamma, in steps of the coarser tile over its range
LARGEST_GAMMA = 0.5
SLOWER = 10.0  # default period of a tile over that of the next finer one


class MultiTileResidualCompound(ResidualCompound):
    """Any number of tiles, fine to coarse: ``Wbar = sum_n gamma^n W(n)`` with W(0) the coarsest.

    The finest tile takes the gradient; tile n takes ``transfer_lr * W(n+1)`` every T_n. With gamma slightly above one
    over the number of states, the range of a tile just covers a step of the next coarser one.

    With ``switch_on_plateau`` training starts on the coarsest tile alone and goes on to the next finer one each time
    the loss stops falling; ``AnalogSGD.note_loss`` tells the tiles the loss. Source: arXiv 2510.02516.
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "tiles from the finest to the coarsest", min_length=2, group="Devices"
    )
    gamma: float = parameter(
        0.0, "scale of a tile relative to the next coarser one; 0 takes 1.25 over the number of states",
        ge=0, group="Devices", typical=(0, 0.5),
    )  # fmt: skip
    transfer_every_vec: list[float] = parameter(
        factory=list,
        meaning="transfer_every of each tile, finest first; empty: each waits ten times as long as the finer one",
        group="Transfer",
    )
    switch_on_plateau: bool = parameter(
        False, "start on the coarsest tile; go on to the next finer one when the loss stops falling", group="Switching"
    )
    plateau_patience: int = parameter(
        200, "mini-batches without a better loss that make a plateau", ge=1, group="Switching", typical=(10, 2000)
    )
    plateau_margin: float = parameter(
        0.01, "a loss is better when it is lower by this share", ge=0, lt=1, group="Switching", typical=(0, 0.1)
    )
    plateau_memory: float = parameter(
        0.98, "memory of the running mean of the loss", ge=0, lt=1, group="Switching", typical=(0, 0.999)
    )

    @model_validator(mode="after")
    def _periods_fit_the_tiles(self) -> MultiTileResidualCompound:
        n = len(self.unit_cell_devices)
        if self.transfer_every_vec and len(self.transfer_every_vec) not in (n - 1, n):
            raise ValueError(
                f"transfer_every_vec must have one entry for each of the {n} tiles, or all but the coarsest, "
                f"found {len(self.transfer_every_vec)}"
            )
        if any(every < 0 for every in self.transfer_every_vec):
            raise ValueError("transfer_every_vec must not have negative entries; 0 is never")
        return self

    @property
    def ratio(self) -> float:
        """Scale of a tile relative to the next coarser one: ``gamma``, or the recommended one where that is 0."""
        return self.gamma or recommended_gamma(self.visible_device)

    @property
    def shares(self) -> list[float]:
        """Share of each tile in the visible weight."""
        n = len(self.unit_cell_devices)
        return [self.ratio ** (n - 1 - k) for k in range(n)]

    def periods(self, lines: int) -> list[float]:
        """``transfer_every`` of each tile; 0 is never."""
        n = len(self.unit_cell_devices)
        given = self.transfer_every_vec or [self.transfer_every * SLOWER**k for k in range(n)]
        return [*given[: n - 1], 0.0]

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return MultiTileResidualCell(self, update, shape, draw_seed, noise_seed)


def recommended_gamma(device: PulsedDevice) -> float:
    """Slightly more than one over the number of states, so that a tile's range covers a step of the coarser tile."""
    return min(ABOVE_ONE_STATE / device.number_of_states, LARGEST_GAMMA)


class MultiTileResidualCell(ResidualCell):
    """As :class:`ResidualCell`; the tile in training, and the course of the loss that it waits on."""

    follows_loss = True
    on_cpu = ("counters", "progress")
    parameters_: MultiTileResidualCompound
    progress: Tensor  # float64: tile in training, mini-batches without a better loss, running mean and best of the loss

    def __init__(
        self,
        parameters: MultiTileResidualCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("progress", torch.zeros(4, dtype=torch.float64))
        self._restart()

    def _restart(self) -> None:
        first = len(self.arrays) - 1 if self.parameters_.switch_on_plateau else 0
        self.progress.copy_(torch.tensor([first, 0, float("inf"), float("inf")], dtype=torch.float64))

    @property
    def active(self) -> int:
        """The tile that takes the gradient; 0 is the finest."""
        return int(self.progress[0])

    def _takes_turns(self) -> bool:
        return not self.parameters_.switch_on_plateau

    def _first_array(self) -> int:
        return self.active

    def switch(self) -> bool:
        """Go on to the next finer tile; returns False at the finest."""
        if self.active == 0:
            return False
        self.progress[0] -= 1
        self.progress[1:] = torch.tensor([0, float("inf"), float("inf")], dtype=torch.float64)
        self.maxima.zero_()
        return True

    def note_loss(self, loss: float) -> None:
        """Follow the loss of the mini-batches, and switch tiles on a plateau."""
        p = self.parameters_
        active, waited, mean, best = self.progress.tolist()
        if not p.switch_on_plateau or active == 0:
            return
        mean = loss if mean == float("inf") else p.plateau_memory * mean + (1 - p.plateau_memory) * loss
        if mean < best * (1 - p.plateau_margin):
            waited, best = 0, mean
        else:
            waited += 1
        self.progress.copy_(torch.tensor([active, waited, mean, best], dtype=torch.float64))
        if waited >= p.plateau_patience:
            self.switch()

    def _transfer(self, k: int, events: Events, lines: Tensor, rate: float, first_read: int | Tensor) -> Writes | None:
        if rate == 0:
            return None
        read = self._reader.read(lines, self._read_key(k), first_read)
        return self._writes(events.line, read.neg_(), rate, events.after)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Finer tiles are emptied, the coarsest takes the weight, and training starts afresh on its first tile."""
        self._restart()
        super().set_weights(weight, wanted)

    def device_arrays(self) -> dict[str, object]:
        """The tiles, W0 the coarsest."""
        n = len(self.arrays)
        return {f"W{n - 1 - k}": array for k, array in enumerate(self.arrays)}
