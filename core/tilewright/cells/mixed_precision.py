"""Mixed precision: the gradient accumulates in digital and reaches the array in pulses when it exceeds a step."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright import kernels
from tilewright.cells.cell import ArrayAction, Cell, PulsedCell
from tilewright.cells.one_sided import OneSidedUnitCell
from tilewright.cells.parameters import UnitCell
from tilewright.cells.single import SingleDeviceCell
from tilewright.cells.vector import VectorUnitCell
from tilewright.cells.work import Shape, UpdateWork
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import PulseType, UpdateParameters


class DigitalRankUpdateCell(UnitCell, abstract=True):
    """A cell whose rank-one update is computed in digital."""

    device: PulsedDevice | VectorUnitCell | OneSidedUnitCell = parameter(..., "the analog device, or a cell of devices")

    @property
    def visible_device(self) -> PulsedDevice:
        """The analog device."""
        return self.device.visible_device if isinstance(self.device, UnitCell) else self.device

    @property
    def visible_granularity(self) -> float:
        """Expected step of the visible weight."""
        return self.device.granularity


class MixedPrecisionCompound(DigitalRankUpdateCell):
    """Digital accumulator chi beside one analog array; whole steps of chi are written row by row.

    Source: Nandakumar et al., Front. Neurosci. 14:406 (2020).
    """

    transfer_every: int = parameter(1, "mini-batches between transfers", ge=1, typical=(1, 100))
    n_rows_per_transfer: int = parameter(-1, "rows written per transfer; -1 writes all", ge=-1, typical=(-1, 64))
    random_row: bool = parameter(False, "start each partial transfer at a random row")
    granularity: float = parameter(
        0.0, "size of one step of chi; 0 takes the device's granularity", unit="weight", ge=0, typical=(0, 0.1)
    )
    transfer_lr: float = parameter(1.0, "pulses per step of chi", gt=0, typical=(0.1, 10))
    n_x_bins: int = parameter(0, "levels of the quantised input; 0 is exact", ge=0, typical=(0, 31))
    n_d_bins: int = parameter(0, "levels of the quantised error; 0 is exact", ge=0, typical=(0, 31))
    stoc_round_x: bool = parameter(True, "stochastic rounding of the input levels")
    stoc_round_d: bool = parameter(True, "stochastic rounding of the error levels")

    def make_cell(self, update: UpdateParameters, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> Cell:
        """The runtime for an array of this shape."""
        return MixedPrecisionCell(self, update, shape, draw_seed, noise_seed)


class MixedPrecisionCell(Cell):
    """State: the analog device, or cell of devices, and the accumulator chi (outputs, inputs)."""

    chi: Tensor

    def __init__(
        self,
        parameters: MixedPrecisionCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__()
        self.parameters_ = parameters
        self.shape = shape
        self.register_buffer("chi", torch.zeros(shape))
        self.seed = kernels.derive_seed(noise_seed, "mixed precision")
        self.batches = 0
        self.next_row = 0
        self._all_rows: Tensor | None = None  # on a GPU
        self.step = parameters.granularity or parameters.device.granularity
        self._write_lr = torch.tensor([self.step * parameters.transfer_lr], dtype=torch.float32)
        self._most_steps = update.desired_bl * parameters.device.granularity / (self.step * parameters.transfer_lr)
        managed = UpdateParameters(
            **{**dict(update), "update_bl_management": True, "update_management": True, "fixed_bl": True}
        )
        if managed.pulse_type is PulseType.NONE:
            managed.pulse_type = PulseType.NONE_WITH_DEVICE
        self.analog = self._analog_cell(parameters.device, managed, draw_seed, noise_seed)

    def _analog_cell(
        self, device: PulsedDevice | UnitCell, managed: UpdateParameters, draw_seed: int, noise_seed: int
    ) -> PulsedCell:
        if isinstance(device, PulsedDevice):
            return SingleDeviceCell(device, managed, self.shape, draw_seed, noise_seed)
        cell = device.make_cell(managed, self.shape, draw_seed, noise_seed)
        assert isinstance(cell, PulsedCell)
        return cell

    def get_extra_state(self) -> Tensor:
        """Position in the random numbers and in the sequence of transfers."""
        return torch.tensor([self.seed, self.batches, self.next_row], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed, self.batches, self.next_row = (int(v) for v in state)

    @torch.no_grad()
    def update(self, weight: Tensor, x: Tensor, d: Tensor, lr: float) -> None:
        """Add the gradient of the mini-batch to chi; at its end, write the whole steps if a transfer is due."""
        if lr == 0:
            return
        p = self.parameters_
        if gpu.capturing(weight) and not self._is_alike():
            raise RuntimeError(
                "a step of mixed precision can be captured in a CUDA graph where every step is alike: transfer_every "
                "1, all rows, no stochastic rounding"
            )
        x = self._quantised(x, p.n_x_bins, p.stoc_round_x, "x")
        d = self._quantised(d, p.n_d_bins, p.stoc_round_d, "d")
        kernels.accumulate_outer(self.chi, x, d, lr)
        self.batches += 1
        if self.batches % p.transfer_every == 0:
            self.totals.pulses += self._transfer(weight)
        if not kernels.on_gpu(weight):
            self.totals.samples += x.shape[0]
        self.analog.end_batch(weight)

    def _is_alike(self) -> bool:
        p = self.parameters_
        whole = p.n_rows_per_transfer < 0 or p.n_rows_per_transfer >= self.shape[0]
        rounded = (p.n_x_bins > 0 and p.stoc_round_x) or (p.n_d_bins > 0 and p.stoc_round_d)
        return p.transfer_every == 1 and whole and not rounded

    def _quantised(self, values: Tensor, bins: int, stochastic: bool, name: str) -> Tensor:
        if bins == 0:
            return values
        half = max(bins // 2, 1)
        width = values.abs().amax(dim=1, keepdim=True) / half
        width = torch.where(width > 0, width, torch.ones_like(width))
        steps = values / width
        if stochastic:
            seed = kernels.derive_seed(self.seed, "round", name)
            steps = steps + kernels.uniform_field(values.shape, seed, self.batches, like=values) - 0.5
        return steps.round().clamp(-half, half) * width

    def _transfer(self, weight: Tensor) -> int:
        """Write the whole steps of the rows that are due; returns the pulses sent."""
        p = self.parameters_
        outputs = self.shape[0]
        count = outputs if p.n_rows_per_transfer < 0 else min(p.n_rows_per_transfer, outputs)
        if count == 0:
            return 0
        start = self.next_row
        if p.random_row and count < outputs:
            draw = kernels.uniform_field((1,), kernels.derive_seed(self.seed, "row"), self.batches)
            start = int(draw.item() * outputs) % outputs
        rows = ((torch.arange(count) + start) % outputs).to(torch.int32)
        self.next_row = (start + count) % outputs
        if kernels.on_gpu(self.chi):
            self._transfer_on_gpu(weight, rows)
            return 0
        steps, sent = kernels.carry_steps(self.chi, rows, self.step, self._most_steps)
        if sent.numel() == 0:
            return 0
        return self.analog.pulse(weight, steps, sent, self._write_lr).pulses

    def _transfer_on_gpu(self, weight: Tensor, rows: Tensor) -> None:
        due = self._all_rows
        if len(rows) < self.shape[0] or due is None or due.device != self.chi.device:
            due = self._all_rows = rows.to(self.chi.device, non_blocking=True)
        sent = gpu.carry_steps(self.chi, due, self.step, self._most_steps)
        self.analog.pulse(weight, sent.pulses, sent.source, self._write_lr, live=sent.live)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Set the devices and empty chi."""
        self.analog.set_weights(weight, wanted)
        self.chi.zero_()

    def act_on_arrays(self, weight: Tensor, action: ArrayAction) -> None:
        """Act on the analog arrays."""
        self.analog.act_on_arrays(weight, action)

    def digital_buffers(self) -> list[Tensor]:
        """The accumulator."""
        return [self.chi]

    def work(self, shape: Shape, vectors: int, update: UpdateParameters) -> UpdateWork:
        """The outer products in digital, then the rows that were due, one slot each by the published accounting."""
        p = self.parameters_
        outputs, inputs = shape
        due = outputs if p.n_rows_per_transfer < 0 else min(p.n_rows_per_transfer, outputs)
        rows = self.batches // p.transfer_every * due
        analog = self.analog.work(shape, 0, update)
        # Multiply and add; the errors times the learning rate.
        digital = vectors * (2 * outputs * inputs + outputs) + analog.digital
        # Largest value, scale and round of each quantised line; divide, truncate, multiply and subtract of each row.
        quantised = 3 * ((p.n_x_bins > 0) * inputs + (p.n_d_bins > 0) * outputs)
        return UpdateWork(
            slots=analog.slots,
            published_slots=rows,
            digital=digital,
            digital_all=digital + vectors * quantised + 4 * rows * inputs,
            line_reads=analog.line_reads,
        )

    def device_arrays(self) -> dict[str, object]:
        """The analog arrays."""
        return self.analog.device_arrays()
