"""Checks that concern any tile, and devices that are trained in place."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tilewright.advice.conditions import Conditions
from tilewright.advice.finding import CANNOT_LEARN, POOR, Finding
from tilewright.configs import (
    AnalogRPUConfig,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    PulseType,
    RPUConfig,
    SingleRPUConfig,
    UpdateParameters,
    VectorUnitCell,
)
from tilewright.devices.analysis import step_curves, visible_window
from tilewright.devices.pulsed import PulsedDevice

LOST_NORM = 0.1  # part of the norm of the initial weights that clipping may take
SCARCE = 0.01  # pulses per vector at the strongest crosspoint
FEW_STATES = (100, 30)  # poor, cannot learn
NOISY_PULSE = 3.0  # noise of a pulse over its step
TRAINED_WEIGHT = 0.3  # a weight of usual size after training
PULL = 0.22  # part of the gradient that has to be consistent to hold it


def weights_outside(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """Initial weights that the devices cannot hold.

    Clipping W to the window changes it by E; the output of the layer then deviates by |E| / |W| of its size for
    random inputs. From a tenth (a signal-to-noise ratio of 20 dB at the start) it is worth a word.
    """
    device = _visible_device(config)
    if device is None or at.weights is None or at.weights.numel() == 0:
        return
    weights = at.weights.double()
    omega = config.mapping.weight_scaling_omega
    if omega > 0:
        largest = weights.abs().amax(dim=1, keepdim=True) if config.mapping.weight_scaling_columnwise else None
        weights = weights * (omega / (weights.abs().max() if largest is None else largest).clamp(min=1e-30))
    low, high = visible_window(device)
    cell = _cell(config)
    holder = cell.device if isinstance(cell, MixedPrecisionCompound) else cell
    if isinstance(holder, OneSidedUnitCell):
        low = -high
    if isinstance(holder, VectorUnitCell):
        return  # members share the weight
    lost = float((weights - weights.clamp(low, high)).norm() / weights.norm().clamp(min=1e-30))
    if lost <= LOST_NORM:
        return
    share = 100 * float(((weights < low) | (weights > high)).double().mean())
    largest_weight = float(weights.abs().max())
    yield Finding(
        "weights outside",
        "mapping.weight_scaling_omega",
        "initial weights lie outside the range of the device and are clipped",
        f"Weights reach {largest_weight:.3g}, the device holds {low:.3g} to {high:.3g}: {share:.0f} % are clipped, "
        f"which takes {100 * lost:.0f} % of the norm of the layer",
        f"Set weight_scaling_omega to about {0.8 * min(-low, high) if low < 0 < high else 0.5:.2g}, or start from "
        "smaller weights",
        CANNOT_LEARN if lost > 0.9 else POOR,
    )


def pulse_demand(update: UpdateParameters, granularity: float, rate: float, x: float, d: float) -> float:
    """Pulses that the strongest crosspoint asks for: ``lr |x| |d| / granularity``, before the train limits it."""
    return rate * x * d * update.um_grad_scale / granularity


def train_saturates(field: str, update: UpdateParameters, demand: float, step: float, span: float) -> Iterator[Finding]:
    """Updates cut short by the length of the train.

    A train of ``desired_bl`` slots moves no weight by more than ``desired_bl`` steps per vector, so a demand of k
    beyond it is cut to ``desired_bl / k``: from a factor of ten only the sign of most of the gradient is left.
    """
    if demand <= update.desired_bl or update.pulse_type in (PulseType.NONE, PulseType.NONE_WITH_DEVICE):
        return
    severe = demand > 10 * update.desired_bl
    moved = 100 * update.desired_bl * step / span
    if not severe and moved < 1:
        return
    yield Finding(
        "train saturates",
        field,
        "the pulse train is too short for the update, which is cut off",
        f"The strongest crosspoint asks for {demand:.3g} pulses per vector and the train holds {update.desired_bl}, "
        f"which already move it by {moved:.2g} % of the range",
        "Lower the learning rate" + ("" if moved > 10 else f", or raise update.desired_bl towards {demand:.0f}"),
        POOR,
    )


def no_pulses(field: str, demand: float, vectors: float | None) -> Iterator[Finding]:
    """Hardly ever a pulse: the probability of none at the strongest crosspoint is ``1 - k`` for k pulses per vector.

    Pulses stay right in the mean, so rare ones are slow and noisy rather than wrong; only a run that is over before
    the strongest crosspoint can expect a pulse changes nothing at all.
    """
    if demand >= SCARCE or demand <= 0:
        return
    expected = math.inf if vectors is None else demand * vectors
    run = "" if vectors is None else f", {expected:.3g} in the whole run"
    if expected > 100:
        return
    yield Finding(
        "no pulses",
        field,
        "updates hardly ever send a pulse",
        f"The strongest crosspoint expects {demand:.2g} pulses per vector ({100 * (1 - demand):.2f} % of the vectors "
        f"send none){run}",
        "Raise the learning rate, train longer, or take an algorithm with auto_scale",
        CANNOT_LEARN if expected < 1 else POOR,
    )


def plain_training(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """Devices trained in place by plain SGD that are too coarse, too noisy or too asymmetric for it.

    Gradients of mini-batches are mostly noise: pulses come up and down nearly alike, and each pair moves a weight by
    ``u(w) - d(w)`` towards the symmetry point. A weight w is held only while the gradient is consistent to the
    degree ``|u - d| / (u + d)`` at w. For soft bounds at +-tau that is w / tau; on MNIST in two epochs plain SGD
    stays at chance up to tau = 1.2 (a quarter at w = 0.3) and learns at 2.0 (0.15).
    """
    if isinstance(config, SingleRPUConfig) and isinstance(config.device, PulsedDevice):
        device, members = config.device, 1
    elif isinstance(_cell(config), VectorUnitCell):
        cell = _cell(config)
        assert isinstance(cell, VectorUnitCell)
        device, members = cell.visible_device, len(cell.unit_cell_devices)
    else:
        return
    if _unpulsed(config):
        return
    states = device.number_of_states * members
    if states < FEW_STATES[0]:
        yield Finding(
            "few states", "device.dw_min", "plain SGD needs finer steps",
            f"The device has {states:.0f} states; weights are programmed to within 17 % of the range with 20 states, "
            "to within 5 % with 200",
            "Take TTv2, c-TTv2, AGAD or mixed precision, or a device with more states",
            CANNOT_LEARN if states < FEW_STATES[1] else POOR,
        )  # fmt: skip
    if device.dw_min_std > NOISY_PULSE:
        yield Finding(
            "noisy pulses", "device.dw_min_std", "plain SGD keeps the noise of every pulse",
            f"One pulse carries noise of {device.dw_min_std:.2g} times its step: it takes "
            f"{device.dw_min_std**2:.0f} pulses to see one",
            "Take TTv2, c-TTv2, AGAD or mixed precision, which average", POOR,
        )  # fmt: skip
    pull = held_consistency(device)
    if pull > PULL:
        yield Finding(
            "asymmetric steps", "device.up_down", "plain SGD is pulled to the symmetry point",
            f"At weights of {TRAINED_WEIGHT:g} up and down steps differ by {100 * pull:.0f} % of their sum, and a "
            "weight stays there only while as much of the gradient is consistent",
            "Take Tiki-Taka, TTv2, c-TTv2, AGAD or mixed precision, or widen the bounds", POOR,
        )  # fmt: skip


def noisy_pair(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """A pair of devices that plain SGD only ever raises, whose pulses carry more noise than step once filled halfway.

    Both devices of a pair rise until the refresh, so what matters is the pulse at mid range, where steps of devices
    that saturate are a small part of those from empty, and their noise is not. On the phase-change pair noise is 3.4
    times the step there and plain SGD stays at a quarter; without the noise, all else equal, it reaches 60 to 70 %.
    """
    cell = _cell(config)
    if not isinstance(cell, OneSidedUnitCell) or _unpulsed(config):
        return
    device = cell.visible_device
    middle = (device.w_min + device.w_max) / 2
    raw = np.array([middle + device.nominal_reference])
    step = device.nominal_steps(np.array([middle]))[0]
    noise = float(device.cycle_noise(step, device.steps[0], raw)[0])
    if noise <= NOISY_PULSE * float(step[0]):
        return
    yield Finding(
        "noisy pulses", "device.unit_cell_devices[0].dw_min_std", "plain SGD keeps the noise of every pulse of both",
        f"At mid range an up pulse moves {float(step[0]):.3g} with noise of {noise:.3g}, {noise / float(step[0]):.2g} "
        "times as much, and both devices of the pair rise through it",
        "Take mixed precision on the pair (MixedPrecisionCompound), which writes a step only once its gradient has "
        "come together", POOR,
    )  # fmt: skip


def held_consistency(device: PulsedDevice) -> float:
    """Larger ``|u - d| / (u + d)`` of the weights plus and minus ``TRAINED_WEIGHT``, as far as the window reaches."""
    low, high = visible_window(device)
    reached = np.clip([-TRAINED_WEIGHT, TRAINED_WEIGHT], low, high)
    curves = step_curves(device, reached)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nanmax(np.abs(curves.asymmetric_part) / np.abs(curves.symmetric_part)))


def direct_updates(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """Length of the train, and pulses at all, where the learning rate drives the device itself."""
    cell = _cell(config)
    if not isinstance(config, AnalogRPUConfig) or config.update.pulse_type is PulseType.NONE:
        return
    if isinstance(cell, PulsedDevice | VectorUnitCell | OneSidedUnitCell):
        device, granularity = cell if isinstance(cell, PulsedDevice) else cell.visible_device, cell.granularity
    else:
        return
    if at.learning_rate is None or at.largest_input is None or at.largest_error is None:
        return
    demand = pulse_demand(config.update, granularity, at.learning_rate, at.largest_input, at.largest_error)
    yield from train_saturates("update.desired_bl", config.update, demand, granularity, device.w_max - device.w_min)
    yield from no_pulses("learning_rate", demand, at.vectors)
    if isinstance(cell, OneSidedUnitCell) and cell.refresh_every == 0 and at.vectors is not None:
        sent = min(demand, config.update.desired_bl) * at.vectors
        if sent > device.number_of_states:
            yield Finding(
                "pair never refreshed", "device.refresh_every", "both devices of the pair run into their upper bound",
                f"The strongest pair takes up to {sent:.3g} pulses in the run and a device has "
                f"{device.number_of_states:.0f} states; nothing ever lowers it",
                "Set refresh_every to 1", POOR,
            )  # fmt: skip


def mixed_precision(config: RPUConfig, at: Conditions) -> Iterator[Finding]:
    """Accumulators that are never written."""
    cell = _cell(config)
    if not isinstance(cell, MixedPrecisionCompound):
        return
    if cell.n_rows_per_transfer == 0:
        yield Finding(
            "nothing is written", "device.n_rows_per_transfer", "the accumulated gradient never reaches the array",
            "No row is written at a transfer", "Set n_rows_per_transfer to -1 for all rows", CANNOT_LEARN,
        )  # fmt: skip
    elif at.vectors is not None and at.batch_size is not None and at.vectors < cell.transfer_every * at.batch_size:
        yield Finding(
            "nothing is written", "device.transfer_every", "the run ends before the first transfer",
            f"A transfer follows every {cell.transfer_every} mini-batches, the run has "
            f"{at.vectors / at.batch_size:.0f}",
            "Lower transfer_every or train longer", CANNOT_LEARN,
        )  # fmt: skip


def _unpulsed(config: RPUConfig) -> bool:
    exact = (PulseType.NONE, PulseType.NONE_WITH_DEVICE)
    return isinstance(config, AnalogRPUConfig) and config.update.pulse_type in exact


def _cell(config: RPUConfig) -> object:
    return getattr(config, "device", None)


def _visible_device(config: RPUConfig) -> PulsedDevice | None:
    cell = _cell(config)
    found = getattr(cell, "visible_device", cell)
    return found if isinstance(found, PulsedDevice) else None
