"""Checks of the algorithms that collect gradients on a fast array and pass them on: Tiki-Taka, TTv2, c-TTv2, AGAD."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tilewright.advice.conditions import Conditions
from tilewright.advice.finding import CANNOT_LEARN, POOR, Finding
from tilewright.advice.single import no_pulses, pulse_demand, train_saturates
from tilewright.cells.residual import ResidualCompound
from tilewright.configs import (
    AnalogRPUConfig,
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    RPUConfig,
    TransferCompound,
)
from tilewright.devices.analysis import step_curves, symmetry_point, visible_window
from tilewright.devices.distribution import device_distribution
from tilewright.devices.pulsed import PulsedDevice

COARSE_READ = 10.0  # in steps of the array that is read
BUFFER_NOISE = 0.5  # of one read, in units of the buffer
OFFSET = (0.15, 0.45)  # of half the range of the slow array: poor, cannot learn, without choppers
SHARE_OF_SPREAD = 0.4  # of a spread of offsets that harms training as an offset of all devices does
CHOPPED_OFFSET = 0.3
REACH = (3.0, 0.5)  # change a weight can make, in sizes of the initial weights: poor, cannot learn
TYPICAL_SHARE = 0.1  # pulses of a usual crosspoint over those of the strongest
TYPICAL_SIZE = 0.1  # of the initial weights, where they are not known


@dataclass(frozen=True)
class Transfer:
    """What decides a transfer, worked out for one tile. None where a condition is unknown.

    Attributes:
        fast: device that is read.
        slow: device that is written.
        lines: lines of the fast array.
        visits: reads of each line in the run.
        demand: pulses per vector that the strongest crosspoint of the fast array asks for.
        gain: buffer units per unit of weight read; None without a buffer.
        step: weight written by one unit of the buffer.
        limit: most pulses of one write.
    """

    fast: PulsedDevice
    slow: PulsedDevice
    lines: int | None
    visits: float | None
    demand: float | None
    gain: float | None
    step: float
    limit: int


Compound = TransferCompound | ChoppedTransferCompound | ResidualCompound


def transfer_of(config: AnalogRPUConfig, cell: Compound, at: Conditions) -> Transfer:
    """The transfer of a tile under the given conditions."""
    fast, slow = cell.unit_cell_devices[0], cell.unit_cell_devices[1]
    lines = at.inputs if cell.transfer_columns else at.outputs
    visits = None
    if lines and at.vectors is not None and at.batch_size is not None:
        period = _vectors_between_reads(cell, at.batch_size, lines)
        reads = min(cell.n_reads_per_transfer, lines) if isinstance(cell, TransferCompound) else 1
        visits = 0.0 if period == 0 else at.vectors / period * reads / lines
    step = cell.step if isinstance(cell, ChoppedTransferCompound | BufferedTransferCompound) else 1.0
    return Transfer(
        fast, slow, lines, visits, _demand(config, cell, at), _gain(cell, lines, at),
        step * slow.granularity, cell.transfer_update.desired_bl,
    )  # fmt: skip


def _vectors_between_reads(cell: Compound, batch: int, lines: int) -> float:
    if isinstance(cell, ChoppedTransferCompound):
        return cell.period(batch, lines)
    every = cell.periods(lines)[0]
    return math.ceil(every * batch) if cell.units_in_mbatch else float(round(every))


def _demand(config: AnalogRPUConfig, cell: Compound, at: Conditions) -> float | None:
    if isinstance(cell, ChoppedTransferCompound | ResidualCompound) and cell.auto_scale and cell.fast_lr > 0:
        factor = at.learning_rate if cell.scale_fast_lr else 1.0
        return None if factor is None else cell.fast_lr * config.update.desired_bl * factor
    scaled = cell.scale_fast_lr or cell.fast_lr <= 0
    if at.largest_input is None or at.largest_error is None or (scaled and at.learning_rate is None):
        return None
    rate = (cell.fast_lr if cell.fast_lr > 0 else 1.0) * ((at.learning_rate or 0.0) if scaled else 1.0)
    granularity = cell.unit_cell_devices[0].granularity
    return pulse_demand(config.update, granularity, rate, at.largest_input, at.largest_error)


def _gain(cell: Compound, lines: int | None, at: Conditions) -> float | None:
    if cell.scale_transfer_lr and at.learning_rate is None:
        return None
    factor = (at.learning_rate or 0.0) if cell.scale_transfer_lr else 1.0
    if isinstance(cell, ChoppedTransferCompound):
        if cell.correct_gradient_magnitudes or (cell.auto_granularity > 0 and not lines):
            return None
        return cell.transfer_lr * factor / cell.threshold(lines or 1)
    if isinstance(cell, BufferedTransferCompound):
        rate = (cell.transfer_lr_vec or [cell.transfer_lr])[0] * factor
        given, taken = cell.shares[0], cell.shares[1]
        rate *= given / taken if given > 0 and taken > 0 else 1.0
        return abs(rate) / (cell.thres_scale * cell.unit_cell_devices[1].granularity)
    return None


def transfer_findings(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """Every check of the transfer algorithms."""
    cell = getattr(config, "device", None)
    if not isinstance(config, AnalogRPUConfig) or not isinstance(cell, TransferCompound | ChoppedTransferCompound):
        return
    transfer = transfer_of(config, cell, at)
    yield from never_transferred(cell, transfer)
    yield from coarse_reads(cell, transfer)
    yield from noise_fills_the_buffer(cell, transfer)
    yield from offset_of_the_fast_array(config, cell, transfer, at)
    yield from fast_updates(config, transfer, at)
    yield from slow_transfer(cell, transfer, at)
    yield from short_for_agad(cell, transfer)


def never_transferred(cell: Compound, transfer: Transfer) -> Iterator[Finding]:
    """A fast array that is never read and not seen by the network either."""
    if isinstance(cell, TransferCompound) and cell.periods(1)[0] == 0 and cell.shares[0] == 0:
        yield Finding(
            "never transferred", "device.transfer_every", "gradients never reach the visible weight",
            "The fast array is never read and has no share in the weight", "Give a period from 1", CANNOT_LEARN,
        )  # fmt: skip


def coarse_reads(cell: Compound, transfer: Transfer) -> Iterator[Finding]:
    """Reads too coarse or too noisy to see the steps of the fast array.

    Without a buffer each read is written as it is: noise of s steps takes ``s^2`` reads to average away, a hundred
    from ten steps on. With a buffer noise averages, and the step of the ADC matters only when no noise carries small
    values over it: then everything within half a step is read as 0.
    """
    io = cell.transfer_forward
    if io.is_perfect:
        return
    granularity = transfer.fast.granularity
    if not isinstance(cell, ChoppedTransferCompound | BufferedTransferCompound) or getattr(cell, "no_buffer", False):
        for name, size in (("out_res", io.adc_step), ("out_noise", io.out_noise)):
            if size > COARSE_READ * granularity:
                yield Finding(
                    "coarse reads", f"device.transfer_forward.{name}", "single reads hardly see the fast array",
                    f"{name} means {size:.3g} per read, {size / granularity:.0f} steps of the fast array",
                    f"Reduce transfer_forward.out_bound or transfer_forward.{name}, or take an algorithm that averages "
                    "reads (TTv2, c-TTv2, AGAD)", POOR,
                )  # fmt: skip
        return
    largest = max(transfer.fast.w_max - transfer.fast.nominal_reference, -transfer.fast.w_min)
    if io.out_noise < io.adc_step / 4 and io.adc_step > COARSE_READ * granularity:
        blind = io.adc_step / 2 > largest
        yield Finding(
            "coarse reads", "device.transfer_forward.out_res", "the ADC rounds the fast array away",
            f"Its step is {io.adc_step:.3g}, {io.adc_step / granularity:.0f} steps of the fast array"
            + (f", which holds {largest:.2g} at most" if blind else ""),
            "Reduce transfer_forward.out_bound to the range of the device", CANNOT_LEARN if blind else POOR,
        )  # fmt: skip


def noise_fills_the_buffer(cell: Compound, transfer: Transfer) -> Iterator[Finding]:
    """One read moves the buffer by its noise alone, so noise is written instead of averaged.

    The noise of a read, ``sqrt(out_noise^2 + write_noise^2)``, times the gain is what a single visit adds to the
    buffer. Half a unit writes a pulse of random sign in one visit in twenty, one unit in every third. These pulses
    average away while the gradient's add up, so on its own this slows learning and has not been seen to prevent it.
    """
    if transfer.gain is None:
        return
    io = cell.transfer_forward
    read = math.hypot(0.0 if io.is_perfect else io.out_noise, transfer.fast.write_noise)
    units = read * transfer.gain
    if units <= BUFFER_NOISE:
        return
    wanted = "device.auto_granularity" if getattr(cell, "auto_granularity", 0.0) > 0 else "device.transfer_lr"
    yield Finding(
        "noise fills the buffer", wanted, "the buffer writes noise instead of averaging it",
        f"A read carries noise of {read:.3g}, which fills {units:.2g} of the {1 / transfer.gain:.3g} that make a pulse",
        f"Multiply auto_granularity by {units / 0.15:.2g}"
        if wanted.endswith("granularity")
        else f"Divide transfer_lr by {units / 0.15:.2g}",
        POOR,
    )  # fmt: skip


def offset_of_the_fast_array(
    config: AnalogRPUConfig, cell: Compound, transfer: Transfer, at: Conditions
) -> Iterator[Finding]:
    """The fast array comes to rest at its symmetry point, and what rests there is transferred at every visit.

    The root mean square of the symmetry points of drawn devices, in halves of the range of the slow array. In weight
    programming (20 states) TTv2 has twice its error from 0.2 on and five times at 0.3; random choppers keep c-TTv2
    within twice up to 0.3; AGAD measures its own reference. A network learns round offsets that large: trained on the
    8 x 8 digits, TTv2 reaches 0.75 to 0.94 where all devices rest 0.31 to 0.36 off, 0.46 at 0.44 and 0.10 (chance) at
    0.62; offsets that only differ from device to device are met by the next layer, 0.73 at a spread of 0.53, 0.56 at
    0.88 and 0.46 at 1.06. A device comes to rest only after as many pulses as its asymmetry needs: with a slope s of
    ``|u - d| / (u + d)`` per weight, n pulses of size e take ``1 - exp(-s e n)`` of the way.
    """
    if isinstance(cell, DynamicTransferCompound):
        return
    points = device_distribution(transfer.fast, n_devices=400, seed=1).symmetry_points
    points = points[np.isfinite(points)]
    if points.size < 200:
        return  # no symmetry points: steps that differ everywhere or nowhere
    half = (transfer.slow.w_max - transfer.slow.w_min) / 2
    settled = _settled(transfer.fast, config.update.desired_bl, transfer, at)
    offset = float(np.sqrt(np.mean(points**2))) / half * settled
    harm = math.hypot(float(np.mean(points)), SHARE_OF_SPREAD * float(np.std(points))) / half * settled
    chopped = isinstance(cell, ChoppedTransferCompound) and (cell.in_chop_prob > 0 or cell.out_chop_prob > 0)
    if offset <= (CHOPPED_OFFSET if chopped else OFFSET[0]):
        return
    subtracts = getattr(transfer.fast, "subtract_symmetry_point", None)
    field = "device.unit_cell_devices[0]." + ("reference_std" if subtracts else "subtract_symmetry_point")
    remedy = "Take AGAD, which needs no reference" if chopped else "Take c-TTv2 or AGAD"
    if subtracts is False:
        remedy = f"Set subtract_symmetry_point on the fast device, or {remedy[0].lower()}{remedy[1:]}"
    yield Finding(
        "offset of the fast array", field, "the offset of the fast array is written into the weight",
        f"Its devices rest {float(np.mean(points)):.2g} from 0 with a spread of {float(np.std(points)):.2g}: "
        f"{100 * offset:.0f} % of half the range",
        remedy, CANNOT_LEARN if harm > OFFSET[1] and not chopped else POOR,
    )  # fmt: skip


def _settled(device: PulsedDevice, longest: int, transfer: Transfer, at: Conditions) -> float:
    """Part of the way to its symmetry point that a device of the fast array goes in the run; 1 when not known."""
    if transfer.demand is None or at.vectors is None:
        return 1.0
    low, high = visible_window(device)
    point = symmetry_point(device)
    middle = point if math.isfinite(point) else (low + high) / 2
    reach = 0.1 * (high - low)
    curves = step_curves(device, np.clip([middle - reach, middle + reach], low, high))
    asymmetry = curves.asymmetric_part / np.maximum(curves.symmetric_part, 1e-30)
    slope = abs(float(asymmetry[1] - asymmetry[0])) / max(float(curves.weights[1] - curves.weights[0]), 1e-30)
    pulses = TYPICAL_SHARE * min(transfer.demand, longest) * at.vectors
    return 1 - math.exp(-slope * device.granularity * pulses)


def fast_updates(config: AnalogRPUConfig, transfer: Transfer, at: Conditions) -> Iterator[Finding]:
    """Length of the train, and pulses at all, on the fast array."""
    if transfer.demand is None:
        return
    span = transfer.fast.w_max - transfer.fast.w_min
    yield from train_saturates(
        "device.fast_lr", config.update, transfer.demand, transfer.fast.granularity, span
    )  # fmt: skip
    yield from no_pulses("device.fast_lr", transfer.demand, at.vectors)


def slow_transfer(cell: Compound, transfer: Transfer, at: Conditions) -> Iterator[Finding]:
    """Transfers that cannot move the weight as far as it has to go before the run is over.

    A line is visited ``v`` times; a visit adds at most ``gain * a`` units, with ``a`` half of what the fast array can
    hold, and writes at most ``limit`` pulses: the weight moves by at most ``v * min(gain * a, limit) * step``. Trained
    weights lie several times their initial size from where they began.
    """
    if transfer.gain is None or transfer.visits is None:
        return
    half = 0.5 * max(transfer.fast.w_max - transfer.fast.nominal_reference, 0.0)
    units = transfer.visits * min(transfer.gain * half, transfer.limit)
    size = TYPICAL_SIZE if at.weights is None else float(at.weights.double().pow(2).mean().sqrt())
    reach = math.floor(units) * transfer.step
    poor, fatal = REACH
    if reach >= poor * size:
        return
    granular = getattr(cell, "auto_granularity", 0.0) > 0
    yield Finding(
        "slow transfer", "device.auto_granularity" if granular else "device.transfer_lr",
        "transfers are too slow to train the weight in this run",
        f"Each line is visited {transfer.visits:.3g} times and a visit adds at most {transfer.gain * half:.2g} of a "
        f"pulse, so a weight moves by at most {reach:.2g}; initial weights have a size of {size:.2g}",
        ("Divide auto_granularity by 3 or more" if granular else "Raise transfer_lr")
        + ", transfer more often, read along the shorter side, or train longer",
        CANNOT_LEARN if reach < fatal * size else POOR,
    )  # fmt: skip


def short_for_agad(cell: Compound, transfer: Transfer) -> Iterator[Finding]:
    """AGAD writes nothing during the first n_c + 1 sweeps over all lines, n_c being the chopper period."""
    if not isinstance(cell, DynamicTransferCompound) or transfer.visits is None:
        return
    period = cell.chopper_period
    if transfer.visits >= 3 * period:
        return
    useful = 3.0 * period / max(transfer.visits, 1e-9)
    yield Finding(
        "short for AGAD", "device.in_chop_prob", "most of the run passes before AGAD writes",
        f"It writes after {period + 1} sweeps over all {transfer.lines} lines, and the run has {transfer.visits:.3g}",
        f"Raise in_chop_prob to {min(0.5, cell.in_chop_prob * useful):.2g}, read along the shorter side, or train "
        f"{useful:.2g} times as long",
        CANNOT_LEARN if transfer.visits <= period + 1 else POOR,
    )  # fmt: skip
