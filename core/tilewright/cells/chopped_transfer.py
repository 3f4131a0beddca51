"""TTv2 and c-TTv2: gradients collect on a fast array A, pass a digital buffer H, and reach the slow array C in pulses."""

from __future__ import annotations

from pydantic import model_validator

from tilewright.cells.parameters import UnitCell
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import parameter
from tilewright.periphery import BoundManagementType, IOParameters, NoiseManagementType, UpdateParameters


def unmanaged_io() -> IOParameters:
    """Periphery of a one-line read: nothing to manage, since the input is one or zero."""
    return IOParameters(noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE)


def single_pulse_update() -> UpdateParameters:
    """Update that sends at most one pulse, always, where asked."""
    return UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)


class ChoppedTransferCompound(UnitCell):
    """Two arrays and a digital buffer: Tiki-Taka version 2, with choppers version c-TTv2.

    Each vector is written onto A; every ``transfer_every`` vectors one line of A is read into the buffer H; where H
    passes one step, C is pulsed. Choppers flip the sign of whole lines of A at random, so that its offsets average out.
    Sources: Gokmen, Front. Artif. Intell. 4:699148 (2021); Rasch et al., Nat. Commun. 15:7133 (2024).
    """

    unit_cell_devices: list[PulsedDevice] = parameter(
        ..., "fast device A, then slow device C", min_length=2, max_length=2, group="Devices"
    )
    gamma: float = parameter(0.0, "share of A in the visible weight", ge=0, group="Devices", typical=(0, 1))

    fast_lr: float = parameter(
        1.0, "learning rate on A; 0 or less uses the optimiser's", group="Fast array", log=True, typical=(1e-3, 10)
    )
    scale_fast_lr: bool = parameter(False, "multiply fast_lr by the optimiser's learning rate", group="Fast array")
    auto_scale: bool = parameter(
        False, "scale fast_lr so that the largest gradient gives fast_lr * desired_bl pulses", group="Fast array"
    )
    auto_momentum: float = parameter(
        0.99, "memory of the running maxima used by auto_scale", ge=0, lt=1, group="Fast array"
    )

    transfer_every: float = parameter(
        1.0,
        "vectors (or mini-batches) between reads of A; negative derives it from the states of A",
        group="Transfer",
        typical=(1, 100),
    )
    units_in_mbatch: bool = parameter(False, "transfer_every counts mini-batches", group="Transfer")
    transfer_columns: bool = parameter(True, "read columns of A (inputs); False reads rows (outputs)", group="Transfer")
    transfer_lr: float = parameter(
        1.0, "learning rate of the transfer", gt=0, group="Transfer", log=True, typical=(1e-3, 10)
    )
    scale_transfer_lr: bool = parameter(True, "multiply transfer_lr by the optimiser's learning rate", group="Transfer")
    transfer_forward: IOParameters = parameter(
        factory=unmanaged_io, meaning="periphery of the reads of A", group="Transfer"
    )
    transfer_update: UpdateParameters = parameter(
        factory=single_pulse_update, meaning="pulses written onto C", group="Transfer"
    )

    buffer_granularity: float = parameter(
        1.0, "buffer threshold in steps of A; 0 or less is 1", group="Buffer", typical=(0.1, 10)
    )
    auto_granularity: float = parameter(
        0.0,
        "if positive, the threshold is also multiplied by this over (lines * transfer_every)",
        ge=0,
        group="Buffer",
        log=True,
        typical=(1, 20000),
    )
    step: float = parameter(
        1.0, "pulses per unit of the buffer, in steps of C", gt=0, group="Buffer", typical=(0.1, 10)
    )
    momentum: float = parameter(0.0, "part of the buffer kept after a pulse", ge=0, le=1, group="Buffer")
    forget_buffer: bool = parameter(
        True, "after a pulse keep only momentum times the buffer; False subtracts what was sent", group="Buffer"
    )
    no_buffer: bool = parameter(False, "start the buffer from 0 at every read", group="Buffer")
    correct_gradient_magnitudes: bool = parameter(
        False, "divide the transfer by the fast learning rate", group="Buffer"
    )

    in_chop_prob: float = parameter(
        0.1, "probability that a line's chopper flips after its read", ge=0, le=1, group="Choppers"
    )
    in_chop_random: bool = parameter(True, "flip at random; False flips regularly", group="Choppers")
    out_chop_prob: float = parameter(
        0.0, "probability that an output chopper flips after a full sweep", ge=0, le=1, group="Choppers"
    )

    @model_validator(mode="after")
    def _transfer_reads_unmanaged(self) -> ChoppedTransferCompound:
        io = self.transfer_forward
        managed = (
            io.noise_management is not NoiseManagementType.NONE or io.bound_management is not BoundManagementType.NONE
        )
        if managed and not io.is_perfect:
            raise ValueError(
                "transfer_forward needs noise_management None and bound_management None: it reads single lines"
            )
        if self.transfer_every == 0:
            raise ValueError(
                "transfer_every = 0 never reaches C; give a period from 1, or a negative factor for an automatic one"
            )
        return self

    @property
    def visible_device(self) -> PulsedDevice:
        """The slow device C."""
        return self.unit_cell_devices[-1]
