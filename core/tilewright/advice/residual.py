"""Checks of the residual-learning family: one-way devices, arrays that are hardly ever written, hasty tracking."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tilewright.advice.conditions import Conditions
from tilewright.advice.finding import CANNOT_LEARN, POOR, Finding
from tilewright.advice.transfer import (
    REACH,
    TYPICAL_SIZE,
    Transfer,
    fast_updates,
    transfer_of,
)
from tilewright.cells.residual import ResidualCompound
from tilewright.configs import (
    AnalogRPUConfig,
    EnhancedRiderCompound,
    MultiTileResidualCompound,
    RiderCompound,
    RPUConfig,
)

TRACKING = (0.2, 1.0)  # eta over the rate of the transfer: poor, cannot learn
GOOD_TRACKING = 0.01
FEW_STATES = 10


def residual_findings(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """Every check of the family."""
    cell = getattr(config, "device", None)
    if not isinstance(config, AnalogRPUConfig) or not isinstance(cell, ResidualCompound):
        return
    transfer = transfer_of(config, cell, at)
    yield from one_way(cell)
    yield from few_states(cell)
    yield from fast_updates(config, transfer, at)
    yield from slow_last_transfer(cell, transfer, at)
    yield from fast_tracking(cell, at)


def one_way(cell: ResidualCompound) -> Iterator[Finding]:
    """A fast array of devices that hold one sign, where gradients have both.

    On the phase-change device all four algorithms stay at chance; a pair of such devices holds both signs, but only
    plain SGD and mixed precision take pairs.
    """
    fast = cell.unit_cell_devices[0]
    if fast.w_min < fast.nominal_reference < fast.w_max:
        return
    yield Finding(
        "one way", "device.unit_cell_devices[0]", "the fast array cannot hold gradients of both signs",
        f"Its devices hold {fast.w_min - fast.nominal_reference:.3g} to {fast.w_max - fast.nominal_reference:.3g}",
        "Take mixed precision on a pair of such devices (OneSidedUnitCell), or a device that moves both ways",
        CANNOT_LEARN,
    )  # fmt: skip


def few_states(cell: ResidualCompound) -> Iterator[Finding]:
    """Arrays of very few states: every read may write one of the steps.

    With the three states of the HfO2 array the family stays between 10 and 26 % on digits. In weight programming at
    six states two arrays end farther from the target than they began, and a third or fourth tile just below it.
    """
    slow = cell.unit_cell_devices[-1]
    if slow.number_of_states >= FEW_STATES:
        return
    yield Finding(
        "few states", f"device.unit_cell_devices[{len(cell.unit_cell_devices) - 1}].dw_min",
        "every read writes a large part of the range",
        f"The slow array has {slow.number_of_states:.0f} states",
        "Take mixed precision, TTv2 or AGAD, which write a step only once it has come together", CANNOT_LEARN,
    )  # fmt: skip


def slow_last_transfer(cell: ResidualCompound, transfer: Transfer, at: Conditions) -> Iterator[Finding]:
    """A slowest array that cannot be moved as far as it has to go before the run is over.

    Each of its lines is written ``v`` times with ``transfer_lr`` (times the learning rate) of what the next finer
    array holds there, half its range at most for long, so it moves by ``v * rate * half``. The finer arrays hold no
    more than their share of the weight. Trained weights lie several times their initial size from where they began.
    """
    if transfer.lines is None or at.vectors is None or at.batch_size is None:
        return
    if cell.scale_transfer_lr and at.learning_rate is None:
        return
    finer = len(cell.unit_cell_devices) - 2
    every = cell.periods(transfer.lines)[finer]
    period = math.ceil(every * at.batch_size) if cell.units_in_mbatch else round(every)
    reads = min(cell.n_reads_per_transfer, transfer.lines)
    visits = at.vectors / max(period, 1) * reads / transfer.lines if every > 0 else 0.0
    rate = cell.transfer_rates(at.learning_rate or 0.0)[finer]
    half = [0.5 * max(device.w_max - device.nominal_reference, 0.0) for device in cell.unit_cell_devices]
    finer_hold = sum(share * part for share, part in zip(cell.shares[:-1], half[:-1], strict=True))
    reach = visits * rate * half[finer] + finer_hold
    size = TYPICAL_SIZE if at.weights is None else float(at.weights.double().pow(2).mean().sqrt())
    poor, fatal = REACH
    if reach >= poor * size:
        return
    tiles = isinstance(cell, MultiTileResidualCompound) and len(cell.unit_cell_devices) > 2
    yield Finding(
        "slow transfer", "device.transfer_lr", "transfers are too slow to train the weight in this run",
        f"Each line of the {'coarsest tile' if tiles else 'slow array'} is written {visits:.3g} times with "
        f"{rate:.2g} of what is read, so a weight moves by at most {reach:.2g}; initial weights have a size of "
        f"{size:.2g}",
        "Raise transfer_lr" + (" (1 suits three tiles and more) or take fewer tiles" if tiles else "")
        + ", transfer more often, read along the shorter side, or train longer",
        CANNOT_LEARN if reach < fatal * size else POOR,
    )  # fmt: skip


def fast_tracking(cell: ResidualCompound, at: Conditions) -> Iterator[Finding]:
    """RIDER's symmetry point tracked so fast that it takes what was learned for an offset.

    W has taken ``rate (1 - eta) / eta`` times what Q has moved, and Q is bounded by the range of P. In weight
    programming (20 states) the error rises from 6.5 % of half the range with eta at a hundredth of the rate to 7.6 at
    a tenth, 12 at a third and 22 at the rate itself. The sign of E-RIDER breaks the tie.
    """
    if not isinstance(cell, RiderCompound) or isinstance(cell, EnhancedRiderCompound):
        return
    if cell.scale_transfer_lr and at.learning_rate is None:
        return
    rate = cell.transfer_rates(at.learning_rate or 0.0)[0]
    poor, fatal = TRACKING
    if cell.eta <= poor * rate:
        return
    yield Finding(
        "fast tracking", "device.eta", "tracking gives up what was learned",
        f"eta {cell.eta:.2g} is {cell.eta / rate:.2g} times the rate of the transfer, {rate:.2g}: what W takes is tied "
        "to what Q moves, and W gets no further than Q lets it",
        f"Set eta to {GOOD_TRACKING * rate:.1g}, or take E-RIDER",
        CANNOT_LEARN if cell.eta > fatal * rate else POOR,
    )  # fmt: skip
