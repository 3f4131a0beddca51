"""What the residual-learning family shares: the gradient is taken at a weight that includes the fast array's share."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright import kernels
from tilewright.cells.line_transfer import Events, LineTransferCell, LineTransferCompound, Writes
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.parameters import parameter
from tilewright.periphery import UpdateParameters


class ResidualCompound(LineTransferCompound, abstract=True):
    """A slow array W and what a faster array P still lacks: ``Wbar = W + gamma (...)`` is what the network sees.

    The papers read the whole of P in each iteration; here ``n_reads_per_transfer`` lines are read at a time, and an
    iteration is a sweep over all lines.
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "fast device P, then slow device W", min_length=2, max_length=2, group="Devices"
    )
    gamma: float = parameter(0.1, "share of the residual in the visible weight", ge=0, group="Devices", typical=(0, 1))
    transfer_lr: float = parameter(
        0.3, "learning rate of the write onto W", gt=0, group="Transfer", log=True, typical=(1e-3, 10)
    )
    auto_scale: bool = parameter(
        False, "scale fast_lr so that the largest gradient gives fast_lr * desired_bl pulses", group="Fast array"
    )
    auto_momentum: float = parameter(
        0.99, "memory of the running maxima used by auto_scale", ge=0, lt=1, group="Fast array"
    )


class ResidualCell(LineTransferCell):
    """As :class:`LineTransferCell`; running maxima of inputs and errors may scale the rate on the first array."""

    maxima: Tensor

    def __init__(
        self,
        parameters: ResidualCompound,
        update: UpdateParameters,
        shape: tuple[int, int],
        draw_seed: int,
        noise_seed: int,
    ) -> None:
        super().__init__(parameters, update, shape, draw_seed, noise_seed)
        self.register_buffer("maxima", torch.zeros(2, dtype=torch.float64))
        self._longest = update.desired_bl
        self._scaling: dict[int, kernels.TransferPlan] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_scaling": {}}

    def _gradient(self, x: Tensor, d: Tensor, lr: float) -> Writes:
        p = self.parameters_
        assert isinstance(p, ResidualCompound)
        writes = super()._gradient(x, d, lr)
        if not p.auto_scale or p.fast_lr <= 0:
            return writes
        k = self._first_array()
        if k not in self._scaling:
            self._scaling[k] = kernels.TransferPlan(
                columns=True, auto_scale=True, auto_momentum=p.auto_momentum,
                largest_step=self._longest * p.unit_cell_devices[k].granularity,
                in_chop_prob=0.0, out_chop_prob=0.0, in_chop_random=False, dynamic=False,
            )  # fmt: skip
        rate = p.rate_of_fast_array(lr)
        if kernels.on_gpu(x):
            counters = torch.zeros(4, dtype=torch.int64, device=x.device)
            chop = torch.empty(1, dtype=torch.int8, device=x.device)
            state = kernels.TransferState(counters, self.maxima, chop, chop)  # nothing is read, so nothing is chopped
            writes.lr = gpu.plan_transfers(
                self._scaling[k],
                state,
                x,
                d,
                events=0,
                columns=True,
                chopped=False,
                period=x.shape[0] + 1,
                lr=rate,
                seed=0,
            )[0].fast_lr
        else:
            writes.lr = kernels.scaled_rates(self._scaling[k], self.maxima, x, d, rate)
        return writes

    def _follow(
        self,
        k: int,
        events: Events,
        lines: Tensor,
        rate: float,
        first_read: int | Tensor,
        mean: Tensor,
        share: float,
        *,
        frozen: Tensor | None = None,
        threshold: float | None = None,
    ) -> Writes | None:
        """A digital mean (outputs, inputs) takes its share of each read of P; then W is written.

        Written is the read less the mean, or less ``frozen``; with a threshold, the mean where it is larger than that.
        """
        errors = kernels.follow_reads(
            self._reader.settings, lines, events.line, mean, share,
            columns=self._reader.columns, read_input=self._reader.input,
            seed=self._read_key(k), first_event=first_read,
            frozen=frozen, threshold=threshold,
        )  # fmt: skip
        if rate == 0:
            return None
        return self._writes(events.line, errors, rate, events.after)

    @torch.no_grad()
    def set_weights(self, weight: Tensor, wanted: Tensor) -> None:
        """Fast arrays are emptied, the last takes the weight, and maxima and schedule start afresh."""
        self.maxima.zero_()
        super().set_weights(weight, wanted)
