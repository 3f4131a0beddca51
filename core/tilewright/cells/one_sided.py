"""One-sided pair: two devices that are only ever pulsed upwards, one for each sign of the weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from tilewright import kernels
from tilewright.cells.cell import ArrayAction, PulsedCell, PulseTotals, SettingsCache, first_of, member_arrays
from tilewright.cells.line_reads import effects_beyond_a_line
from tilewright.cells.parameters import UnitCell
from tilewright.cells.work import Shape, UpdateWork
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import (
    BoundManagementType,
    FrozenDraws,
    IOParameters,
    NoiseManagementType,
    UpdateParameters,
    compile_io,
    draw_frozen,
    line_read_input,
)

MINUS, PLUS = 0, 1
_MIRRORED = {"ConstantStepDevice", "LinearStepDevice", "SoftBoundsDevice", "SoftBoundsReferenceDevice"}


class OneSidedUnitCell(UnitCell):
    """``W = W_plus - W_minus`` on devices that move one way, such as phase-change memory.

    A pulse that should raise the weight raises the plus device; one that should lower it raises the minus device.
    When both have come high, the refresh resets the pair and writes the difference anew, open loop.
    Source: Nandakumar et al., Front. Neurosci. 14:406 (2020), for phase-change pairs.
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "minus device, then plus device, of one kind; one is used for both", min_length=1, max_length=2,
        group="Devices",
    )  # fmt: skip
    copy_inverted: bool = parameter(
        False, "the plus device is the minus device mirrored: up and down swapped, bounds negated", group="Devices"
    )
    refresh_every: int = parameter(
        0, "mini-batches (or vectors) between refreshes; 0 is never", ge=0, group="Refresh", typical=(0, 100)
    )
    units_in_mbatch: bool = parameter(True, "refresh_every counts mini-batches; False counts vectors", group="Refresh")
    refresh_upper_thres: float = parameter(
        0.75, "share of w_max that the higher device must pass", ge=0, le=1, group="Refresh"
    )
    refresh_lower_thres: float = parameter(
        0.25, "share of w_max that the lower device must pass", ge=0, le=1, group="Refresh"
    )
    refresh_forward: IOParameters = parameter(
        factory=IOParameters, meaning="periphery of the refresh's reads", group="Refresh"
    )
    refresh_update: UpdateParameters = parameter(
        factory=UpdateParameters, meaning="pulses of the refresh's writes", group="Refresh"
    )

    @model_validator(mode="after")
    def _a_pair_of_one_kind(self) -> OneSidedUnitCell:
        devices = self.unit_cell_devices
        if type(devices[0]) is not type(devices[-1]):
            raise ValueError(
                f"unit_cell_devices must be of one kind, found {type(devices[0]).__name__} and "
                f"{type(devices[-1]).__name__}"
            )
        known = any(kind.__name__ in _MIRRORED for kind in type(devices[0]).__mro__)
        if self.copy_inverted and not known:
            raise ValueError(f"copy_inverted cannot mirror a {type(devices[0]).__name__}; set it to False")
        if self.refresh_every and min(device.w_max for device in devices) <= 0:
            raise ValueError("refresh_every needs devices with w_max above 0: its thresholds are shares of w_max")
        return self

    @property
    def pair(self) -> tuple[PulsedDevice, PulsedDevice]:
        """Minus and plus device."""
        return self.unit_cell_devices[0], self.unit_cell_devices[-1]

    @property
    def visible_device(self) -> PulsedDevice:
        """The plus device."""
        return self.pair[PLUS]

    @property
    def granularity(self) -> float:
        """Expected step of the weight, averaged over both directions."""
        return sum(device.granularity for device in self.pair) / 2

    @property
    def visible_granularity(self) -> float:
        """Expected step of the visible weight."""
        return self.granularity

    def make_cell(
        self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int
    ) -> OneSidedCell:
        """The runtime for an array of this shape."""
        return OneSidedCell(self, update, shape, draw_seed, noise_seed)


class OneSidedCell(PulsedCell):
    """State: the arrays and weights of the pair, and the counters of vectors, mini-batches, refreshes and reads."""

    on_cpu = ("counters",)

    members: Tensor
    counters: Tensor  # vectors, mini-batches, crosspoints refreshed, lines read
    refresh_nonlinearity: Tensor | None

    def __init__(
        self,
        parameters: OneSidedUnitCell,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__()
        self.parameters_ = parameters
        self.shape = shape
        self.arrays = nn.ModuleList(member_arrays(parameters.pair, shape, draw_seed, noise_seed, same_trains=True))
        if parameters.copy_inverted:
            _mirror(self._array(MINUS), self._array(PLUS))
        self.register_buffer("members", torch.zeros(2, *shape))
        self.register_buffer("counters", torch.zeros(4, dtype=torch.int64))
        self.seed = kernels.derive_seed(noise_seed, "refresh")
        self._settings = SettingsCache(update, parameters.granularity, raise_only=True)
        self._rewrite = [SettingsCache(parameters.refresh_update, device.granularity) for device in parameters.pair]
        frozen = draw_frozen(
            parameters.refresh_forward, shape[0], shape, kernels.derive_seed(draw_seed, "refresh"),
            kernels.derive_seed(draw_seed, "refresh asymmetry"),
        )  # fmt: skip
        for name, value in zip(("noise", "nonlinearity", "offset", "asymmetry"), frozen.as_tuple(), strict=True):
            self.register_buffer(f"refresh_{name}", value)
        self._reads: kernels.ReadSettings | None = None
        self._largest: dict[int, tuple[object, float]] = {}
        self._counted: Tensor | None = None  # on a GPU: vectors and crosspoints refreshed that `counters` lack

    def _array(self, index: int) -> DeviceArray:
        array = self.arrays[index]
        assert isinstance(array, DeviceArray)
        return array

    def get_extra_state(self) -> Tensor:
        """Key of the reads."""
        return torch.tensor([self.seed], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed = int(state[0])

    def __getstate__(self) -> dict[str, object]:
        self._take_counts()
        return {**self.__dict__, "_reads": None}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._take_counts()
        super()._apply(fn, recurse)
        self._counted = torch.zeros(2, dtype=torch.int64, device=self.members.device) if self._on_gpu else None
        return self

    def _save_to_state_dict(self, *given: Any) -> None:
        self._take_counts()
        super()._save_to_state_dict(*given)

    def _load_from_state_dict(self, *given: Any) -> None:
        self._take_counts()
        super()._load_from_state_dict(*given)

    @property
    def _on_gpu(self) -> bool:
        return kernels.on_gpu(self.members)

    def _take_counts(self) -> None:
        """Take over what was counted on a GPU; waits for it."""
        if self._counted is not None:
            vectors, refreshed = self._counted.tolist()
            self.counters[0] += vectors
            self.counters[2] += refreshed
            self._counted.zero_()

    @property
    def refreshed(self) -> int:
        """Crosspoints refreshed so far; waits for a GPU."""
        self._take_counts()
        return int(self.counters[2])

    # --- learning ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def pulse(self, weight: Tensor, x: Tensor, d: Tensor, lr: Tensor, live: Tensor | None = None) -> PulseTotals:
        """Pulse the pair, and refresh between vectors where that falls due."""
        p = self.parameters_
        if p.refresh_every > 0 and gpu.capturing(weight):
            raise RuntimeError(
                f"a step of {type(self).__name__} with refresh_every cannot be captured in a CUDA graph: when the next "
                "refresh is due is settled on the CPU"
            )
        counted = p.refresh_every > 0 and not p.units_in_mbatch
        if live is not None and counted:
            x, d, live = *first_of(x, d, live), None
        totals, samples = PulseTotals(), x.shape[0]
        first = 0
        while first < samples:
            count = samples - first
            if counted:
                count = min(count, p.refresh_every - int(self.counters[0]) % p.refresh_every)
            part = slice(first, first + count)
            rate = lr if lr.numel() == 1 else lr[part].contiguous()
            sides = (PLUS, rate), (MINUS, -rate)
            raised, lowered = (
                self._array(k).update(self.members[k], x[part], d[part], signed, self._settings.get(), live=live)
                for k, signed in sides
            )
            totals.add(raised)
            totals.add_pulses(lowered)  # both see the same vectors: count these once
            if live is not None and self._counted is not None:
                self._counted[:1] += live
            else:
                self.counters[0] += count
            first += count
            if counted and int(self.counters[0]) % p.refresh_every == 0:
                self._refresh(weight)
        self._show(weight)
        return totals

    def end_batch(self, weight: Tensor) -> None:
        """Refresh when enough mini-batches have passed."""
        p = self.parameters_
        self.counters[1] += 1
        if p.units_in_mbatch and p.refresh_every > 0 and int(self.counters[1]) % p.refresh_every == 0:
            self._refresh(weight)

    def refresh(self, weight: Tensor) -> int:
        """Reset pairs that have come high and write their difference anew; returns how many, for which it waits."""
        before = self.refreshed
        self._refresh(weight)
        return self.refreshed - before

    @torch.no_grad()
    def _refresh(self, weight: Tensor) -> None:
        p = self.parameters_
        if self._counted is None:
            self._refresh_at_once(weight)
            return
        minus, plus = self._read(MINUS).t(), self._read(PLUS).t()
        low, high = minus / p.pair[MINUS].w_max, plus / p.pair[PLUS].w_max
        upper, lower = p.refresh_upper_thres, p.refresh_lower_thres
        chosen = torch.where(plus > minus, (high > upper) & (low > lower), (high > lower) & (low > upper))
        count = chosen.sum().reshape(1)
        self._counted[1:] += count  # nobody waits for the number: all of it is done, and nothing where it is 0
        difference = torch.where(chosen, plus - minus, torch.zeros_like(plus))
        for k, amount in ((MINUS, -difference), (PLUS, difference)):
            self._array(k).reset_where(self.members[k], chosen, count)
            self._write_columns(k, amount.clamp(min=0))
        self._show(weight)

    def _write_columns(self, index: int, wanted: Tensor) -> None:
        """On a GPU: raise a member, open loop, by what is wanted (outputs, inputs), a column at a time.

        Columns of zeros come last and do not count, so that nobody waits for how many there are.
        """
        due = (wanted > 0).any(dim=0)
        columns = torch.argsort(due.to(torch.int8), descending=True, stable=True)
        errors = -wanted[:, columns].t().contiguous()
        settings = self._rewrite[index].get()
        self._array(index).update(
            self.members[index], columns.to(torch.int32), errors, torch.ones(1), settings, live=due.sum().reshape(1)
        )

    def _refresh_at_once(self, weight: Tensor) -> None:
        """The same in one compiled call."""
        p = self.parameters_
        minus, plus = (self._refreshed(k, self._read(k)) for k in (MINUS, PLUS))
        count, chosen, written, stats = kernels.refresh_pair(minus, plus, p.refresh_upper_thres, p.refresh_lower_thres)
        if count == 0:
            return
        for k in (MINUS, PLUS):
            array, member = self._array(k), self.members[k]
            array.was_reset(member, chosen)
            if written[k]:
                array.took(stats[k], written[k], member, None)  # what was written was reset too
        self.counters[2] += count
        self._show(weight)

    def _refreshed(self, index: int, reads: Tensor) -> kernels.RefreshedMember:
        array = self._array(index)
        return kernels.RefreshedMember(
            model=array.model,
            tensors=array.updated_tensors(self.members[index]),
            settings=self._rewrite[index].get(),
            reads=reads,
            w_max=self.parameters_.pair[index].w_max,
            reset_level=array.reset_level,
            to_reference=array.resets_to_reference,
            reset_std=array.device.reset_std,
            place=array.place,
        )

    def _read(self, index: int) -> Tensor:
        """Every column of a member, each through the periphery of the refresh; (inputs, outputs)."""
        io, inputs = self.parameters_.refresh_forward, self.shape[1]
        if self._reads is None:
            self._reads = compile_io(io, self.refresh_nonlinearity, backward=False)
        weights = self.members[index]
        first, seed = int(self.counters[3]), kernels.derive_seed(self.seed, index)
        self.counters[3] += inputs
        if self._lines_suffice(index):
            lines = weights.t().contiguous()
            read = kernels.read_lines(self._reads, lines, read_input=line_read_input(io), seed=seed, first_event=first)
        else:
            given = self._reads, self._frozen().as_tuple(), weights, torch.eye(inputs, device=weights.device)
            if self._on_gpu:
                read = gpu.matrix_product(*given, seed=seed, first_sample=first)
            else:
                read = kernels.matrix_product(*given, transposed=False, seed=seed, first_sample=first)
        return read.contiguous()

    def _frozen(self) -> FrozenDraws:
        b = self._buffers
        return FrozenDraws(*(b[f"refresh_{name}"] for name in ("noise", "nonlinearity", "offset", "asymmetry")))

    def _lines_suffice(self, index: int) -> bool:
        """Whether reading single lines has the statistics of full products with a one-hot input."""
        io = self.parameters_.refresh_forward
        if io.is_perfect:
            return True
        one_is_one = (NoiseManagementType.NONE, NoiseManagementType.ABS_MAX, NoiseManagementType.MAX)
        if effects_beyond_a_line(io) or io.noise_management not in one_is_one or io.nm_thres > 0:
            return False
        if io.bound_management is BoundManagementType.NONE or io.out_bound <= 0:
            return True
        largest = self._largest_weight(index)
        return largest + 8 * (io.out_noise + io.w_noise * max(1.0, largest)) < io.out_bound  # no read is repeated

    def _largest_weight(self, index: int) -> float:
        """No weight of a member is larger, but for one write noise in 10^15; waits for a GPU after a change."""
        array = self._array(index)
        planes = [plane for plane in (array.max_bound, array.min_bound, array.reference) if plane is not None]
        known = [(plane.data_ptr(), plane._version) for plane in planes]
        if self._largest.get(index, (None, 0.0))[0] != known:
            largest = [float(plane.abs().max()) for plane in planes]
            self._largest[index] = known, max(largest[:2]) + sum(largest[2:]) + 8 * array.write_noise
        return self._largest[index][1]

    def _show(self, weight: Tensor) -> None:
        torch.sub(self.members[PLUS], self.members[MINUS], out=weight)

    # --- setting ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Positive parts on the plus device, negative parts on the minus device; counters start afresh."""
        self._array(PLUS).set_weights(self.members[PLUS], wanted.clamp(min=0))
        self._array(MINUS).set_weights(self.members[MINUS], (-wanted).clamp(min=0))
        self._take_counts()
        self.counters[:3] = 0  # the count of lines read numbers the random draws and goes on
        self._show(weight)

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on both devices."""
        if any([action(self._array(k), self.members[k]) for k in (MINUS, PLUS)]):
            self._show(weight)

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """Both devices take the same vectors at once; a refresh reads every line of both and compares each pair."""
        plain = super().work(shape, vectors, update)
        reads = int(self.counters[3]) // 2
        compared = 5 * reads * shape[0]  # which is higher, two thresholds of it, and their difference
        return replace(
            plain,
            digital=plain.digital + compared,
            digital_all=plain.digital_all + compared,
            line_reads={name: reads for name in self.pulsed_arrays()},
        )

    def device_arrays(self) -> dict[str, object]:
        """The pair."""
        return {"minus": self.arrays[MINUS], "plus": self.arrays[PLUS]}


def _mirror(source: DeviceArray, target: DeviceArray) -> None:
    """Give ``target`` the draws of ``source`` with the weight axis turned round."""
    partners = {
        "up": "down", "down": "up", "slope_up": "slope_down", "slope_down": "slope_up",
        "max_bound": "min_bound", "min_bound": "max_bound",
    }  # fmt: skip
    negated = {"slope_up", "slope_down", "max_bound", "min_bound", "reference", "reset_level"}
    for name, drawn in source._buffers.items():
        if name == "persistent":
            continue
        value = source._buffers[partners.get(name, name)]
        if drawn is None or value is None:
            target._buffers[name] = None
            continue
        target._buffers[name] = -value if name in negated else value.clone()
