"""Vector and reference cells: several devices whose weighted sum is the weight."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import torch
from pydantic import model_validator
from torch import Tensor, nn

from tilewright import kernels
from tilewright.cells.cell import ArrayAction, PulsedCell, PulseTotals, SettingsCache, first_of, member_arrays
from tilewright.cells.parameters import UnitCell
from tilewright.cells.work import Shape, UpdateWork
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.parameters import Choice, parameter
from tilewright.periphery import UpdateParameters


class VectorUnitCellUpdatePolicy(Choice):
    """Which devices of a vector cell take an update."""

    ALL = "All"
    SINGLE_FIXED = "SingleFixed"
    SINGLE_SEQUENTIAL = "SingleSequential"
    SINGLE_RANDOM = "SingleRandom"


class VectorUnitCell(UnitCell):
    """``W = sum_k gamma_k W_k``: several devices, possibly of different kinds, at each crosspoint.

    Pulses are counted in steps of the weight, ``|gamma_k| * granularity_k``, so the weight moves by what the learning
    rate asks for under every policy. A member with a negative weight is pulsed the other way round.
    Source: Boybat et al., Nat. Commun. 9:2514 (2018).
    """

    unit_cell_devices: list[PulsedDevice] = parameter(..., "the members", min_length=1, group="Devices")
    update_policy: VectorUnitCellUpdatePolicy = parameter(
        VectorUnitCellUpdatePolicy.ALL, "which members take an update", group="Devices"
    )
    select_per_sample: bool = parameter(
        True, "choose the member anew for each vector; False once for each mini-batch", group="Devices"
    )
    first_update_idx: int = parameter(0, "member to start from", ge=0, group="Devices", typical=(0, 7))
    gamma_vec: list[float] = parameter(
        factory=list, meaning="weight of each member in the sum; empty gives each 1/n", group="Devices"
    )

    @model_validator(mode="after")
    def _weights_fit_the_members(self) -> VectorUnitCell:
        n = len(self.unit_cell_devices)
        if self.gamma_vec and len(self.gamma_vec) != n:
            raise ValueError(f"gamma_vec must have one entry for each of the {n} members, found {len(self.gamma_vec)}")
        if self.gamma_vec and not any(self.gamma_vec):
            raise ValueError("gamma_vec must have an entry other than 0, or the weight is always 0")
        if self.first_update_idx >= n:
            raise ValueError(f"first_update_idx = {self.first_update_idx} must be under the number of members, {n}")
        return self

    @property
    def gammas(self) -> list[float]:
        """Weight of each member in the sum."""
        n = len(self.unit_cell_devices)
        return list(self.gamma_vec) or [1.0 / n] * n

    @property
    def visible_device(self) -> PulsedDevice:
        """The member that is updated first."""
        return self.unit_cell_devices[self.first_update_idx]

    def step_of(self, index: int) -> float:
        """Expected change of the weight when member ``index`` takes a pulse."""
        granularity = self.unit_cell_devices[index].granularity
        return abs(self.gammas[index]) * granularity or granularity

    @property
    def granularity(self) -> float:
        """Expected change of the weight by one pulse of an update."""
        steps = [self.step_of(k) for k in range(len(self.unit_cell_devices))]
        if self.update_policy is VectorUnitCellUpdatePolicy.ALL:
            return sum(step for step, gamma in zip(steps, self.gammas, strict=True) if gamma)
        if self.update_policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED:
            return steps[self.first_update_idx]
        return sum(steps) / len(steps)

    @property
    def visible_granularity(self) -> float:
        """Expected step of the visible weight."""
        return self.granularity

    def make_cell(
        self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int
    ) -> VectorCell:
        """The runtime for an array of this shape."""
        return VectorCell(self, update, shape, draw_seed, noise_seed)


def _reference_members() -> list[float]:
    return [1.0, -1.0]


class ReferenceUnitCell(VectorUnitCell):
    """``W = W_0 - W_1``: a device and its reference, which is only set, never pulsed by an update.

    Set the reference with ``tile.set_hidden_update_index(1)``, ``tile.set_weights(reference)`` and index 0 again;
    weights set afterwards are those of the difference. Meant for subtracting the symmetry point.
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "the device, then its reference; one is used for both", min_length=1, max_length=2, group="Devices"
    )
    update_policy: VectorUnitCellUpdatePolicy = parameter(
        VectorUnitCellUpdatePolicy.SINGLE_FIXED, "only the first device is updated", group="Devices"
    )
    gamma_vec: list[float] = parameter(factory=_reference_members, meaning="the difference of the two", group="Devices")

    @model_validator(mode="before")
    @classmethod
    def _one_device_is_used_twice(cls, data: dict[str, object]) -> dict[str, object]:
        members = data.get("unit_cell_devices")
        if isinstance(members, list) and len(members) == 1 and isinstance(members[0], PulsedDevice):
            return {**data, "unit_cell_devices": [members[0], members[0].model_copy(deep=True)]}
        return data

    @model_validator(mode="after")
    def _is_a_difference(self) -> ReferenceUnitCell:
        if self.update_policy is not VectorUnitCellUpdatePolicy.SINGLE_FIXED or self.gamma_vec != [1.0, -1.0]:
            raise ValueError("update_policy and gamma_vec are those of a difference; use VectorUnitCell for others")
        if len(self.unit_cell_devices) != 2:
            raise ValueError("unit_cell_devices must have two members, the device and its reference")
        return self


class VectorCell(PulsedCell):
    """State: the members' arrays and weights, the member in turn, and the position in the random numbers."""

    members: Tensor

    def __init__(
        self,
        parameters: VectorUnitCell,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__()
        self.parameters_ = parameters
        self.shape = shape
        self.gammas = parameters.gammas
        self.policy = parameters.update_policy
        self.arrays = nn.ModuleList(
            member_arrays(parameters.unit_cell_devices, shape, draw_seed, noise_seed, same_trains=True)
        )
        self.register_buffer("members", torch.zeros(len(self.gammas), *shape))
        self.seed = kernels.derive_seed(noise_seed, "policy")
        self.index = parameters.first_update_idx
        self.choices = 0
        together = self.policy is VectorUnitCellUpdatePolicy.ALL
        self._settings = [
            SettingsCache(update, parameters.granularity if together else parameters.step_of(k))
            for k in range(len(self.gammas))
        ]

    def _array(self, index: int) -> DeviceArray:
        array = self.arrays[index]
        assert isinstance(array, DeviceArray)
        return array

    def get_extra_state(self) -> Tensor:
        """Key and number of the choices made, and the member in turn."""
        return torch.tensor([self.seed, self.index, self.choices], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed, self.index, self.choices = (int(v) for v in state)

    def select(self, index: int) -> None:
        """Choose the member that ``SingleFixed`` updates and that weights are set on."""
        if not 0 <= index < len(self.gammas):
            raise ValueError(f"the cell has members 0 to {len(self.gammas) - 1}, found {index}")
        self.index = index

    # --- learning ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def pulse(self, weight: Tensor, x: Tensor, d: Tensor, lr: Tensor, live: Tensor | None = None) -> PulseTotals:
        """Pulse the members that are due, then show their sum."""
        if live is not None and self._takes_turns:  # whose turn comes next goes by the number of vectors
            x, d, live = *first_of(x, d, live), None
            if not x.shape[0]:
                return PulseTotals(known=False)
        if self._takes_turns and gpu.capturing(weight):
            raise RuntimeError(
                f"a step of {type(self).__name__} with update_policy {self.policy.value} cannot be captured in a CUDA "
                "graph: whose turn it is is settled on the CPU, and every replay would choose the same member"
            )
        samples = x.shape[0]
        chosen = self._choose(samples)
        totals = PulseTotals()
        for k in range(len(self.gammas)):
            array = self._array(k)
            rate = lr if self.gammas[k] >= 0 else -lr
            if chosen is not None:
                mine = chosen == k
                if not bool(mine.any()):
                    array.skip(samples, live)  # the members count vectors alike
                    continue
                if not bool(mine.all()):
                    rate = rate.expand(samples) * mine.to(rate.device, non_blocking=True)
            elif self.gammas[k] == 0:
                array.skip(samples, live)
                continue
            totals.add(array.update(self.members[k], x, d, rate.contiguous(), self._settings[k].get(), live=live))
        self._show(weight)
        if chosen is not None:  # each member saw the vectors meant for the others as empty
            totals.empty -= samples * (int(torch.unique(chosen).numel()) - 1)
        return totals

    @property
    def _takes_turns(self) -> bool:
        return self.policy in (
            VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL,
            VectorUnitCellUpdatePolicy.SINGLE_RANDOM,
        )

    def _choose(self, samples: int) -> Tensor | None:
        """The member of each vector; None when all take part."""
        n, policy = len(self.gammas), self.policy
        if policy is VectorUnitCellUpdatePolicy.ALL:
            return None
        draws = samples if self.parameters_.select_per_sample else 1
        if policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED:
            chosen = torch.full((draws,), self.index)
        elif policy is VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL:
            chosen = (self.index + 1 + torch.arange(draws)) % n
            self.index = int(chosen[-1])
        else:
            self.choices += 1
            chosen = (kernels.uniform_field((draws,), self.seed, self.choices) * n).long().clamp(max=n - 1)
        return chosen.expand(samples)

    def _show(self, weight: Tensor) -> None:
        torch.mul(self.members[0], self.gammas[0], out=weight)
        for k in range(1, len(self.gammas)):
            weight.add_(self.members[k], alpha=self.gammas[k])

    # --- setting ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Set the sum: on the selected member alone under ``SingleFixed``, else on all, with the least norm.

        The second device of a reference cell, when selected, takes the given values itself.
        """
        if self.policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED:
            self._set_selected(wanted)
        else:
            norm = reduce(lambda total, gamma: total + gamma * gamma, self.gammas, 0.0)
            for k in range(len(self.gammas)):
                self._array(k).set_weights(self.members[k], wanted * (self.gammas[k] / norm))
            self.index = self.parameters_.first_update_idx
        self._show(weight)

    def _set_selected(self, wanted: Tensor) -> None:
        k = self.index
        own = wanted
        if not (isinstance(self.parameters_, ReferenceUnitCell) and k == 1):
            others = torch.zeros_like(wanted)
            for other, gamma in enumerate(self.gammas):
                if other != k:
                    others.add_(self.members[other], alpha=gamma)
            own = (wanted - others) / (self.gammas[k] or 1.0)
        self._array(k).set_weights(self.members[k], own)

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on every member."""
        if any([action(self._array(k), self.members[k]) for k in range(len(self.gammas))]):
            self._show(weight)

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """All members take the same trains at once, or each vector goes to one of them."""
        together = super().work(shape, vectors, update)
        if self.policy is VectorUnitCellUpdatePolicy.ALL:
            return together
        slots = sum(array.sent.slots for array in self.pulsed_arrays().values())
        return replace(together, slots=slots, published_slots=slots)

    def device_arrays(self) -> dict[str, object]:
        """The members."""
        return {f"W{k}": array for k, array in enumerate(self.arrays)}
