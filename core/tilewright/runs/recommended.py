"""Settings that learn: for an algorithm and a device, a tile configuration, learning rate and schedule, with reasons.

They follow from the device's step, its states, the noise of a pulse and what its reference misses. The rules were
found by trying on held-out digits across the published devices; the documentation has the evidence.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tilewright.cells.line_reads import single_pulse_update
from tilewright.configs import (
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
    IOParameters,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    RPUConfig,
    UnitCellRPUConfig,
    build_config,
)
from tilewright.devices.analysis import symmetry_point
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.reference import ReferenceDevice
from tilewright.parameters import ParameterError
from tilewright.periphery import UpdateParameters
from tilewright.runs.spec import ConstantSchedule, DropSchedule, Schedule

FAST_MOVE = 0.05  # what the fast array may move by one vector, in weight units
WRITE_MOVE = 0.01  # what the slow array may move by one write
GOOD_STATES = 300  # effective states from which in-memory SGD learns at the rate of exact weights
LARGE_REFERENCE_ERROR = 0.12  # share of the range
FINE_STEP = 5e-4
FEW_STATES = 10  # below, an array that is written by the size of a read cannot settle


@dataclass(frozen=True)
class Recommendation:
    """Where to start with one algorithm on one device.

    ``reasons`` has one sentence per setting that was chosen. ``obstacle`` says why it is not expected to learn, and
    what to take instead; it is empty where it is.
    """

    algorithm: str
    rpu_config: RPUConfig
    learning_rate: float
    lr_schedule: Schedule
    reasons: tuple[str, ...]
    obstacle: str = ""


Device = PulsedDevice | type[PulsedDevice] | Callable[[], PulsedDevice]


def recommended_names() -> list[str]:
    """Algorithms :func:`recommend` knows, the digital baseline first."""
    return ["fp", *_RULES]


def recommended_config(algorithm: str, device: Device, construction_seed: int = 0) -> RPUConfig:
    """The tile configuration of :func:`recommend`."""
    return recommend(algorithm, device, construction_seed).rpu_config


def recommend(algorithm: str, device: Device, construction_seed: int = 0) -> Recommendation:
    """Settings to start from.

    Args:
        algorithm: one of :func:`recommended_names`, or another name that ``build_config`` knows for one of them.
        device: the device, as an instance, class or factory.
        construction_seed: seed of the device-to-device draws; 0 leaves the device's own, or torch's generator.

    Raises:
        ParameterError: unknown algorithm.
    """
    sample = device if isinstance(device, PulsedDevice) else device()
    name = algorithm.lower()
    name = _OTHER_NAMES.get(name, name)
    if name == "fp":
        return Recommendation("fp", FloatingPointRPUConfig(), 0.1, ConstantSchedule(), (_EXACT,))
    if name not in _RULES:
        raise ParameterError(f"no recommendation for {algorithm!r}; known: {', '.join(recommended_names())}")
    return _RULES[name](sample, construction_seed or sample.construction_seed)


_EXACT = "learning rate 0.1: exact weights, the reference that the other algorithms are measured against."
_NO_SCALING = "no weight scaling: a scale multiplies the pulses a change needs, and their noise with them."
_SETTLES = "learning rate 0.1, a fifth of it after two thirds: the rate also scales the transfer, which then settles."
_ONE_WAY = "a pair of devices, refreshed after every mini-batch, holds each weight: a single one moves one way only."
_AUTO_SCALE = (
    "auto_scale with fast_lr 1: the fast array gets its full pulse train from the largest gradient, also in hidden "
    "layers whose errors are small."
)
_ROWS = "rows of the fast array are read: layers have fewer outputs than inputs, so every line is visited more often."
_DROP = DropSchedule(drop=0.2, after=0.67)


# --- what matters about a device --------------------------------------------------------------------------------------


def moves_one_way(device: PulsedDevice) -> bool:
    """Whether a single device cannot hold weights of both signs."""
    return device.w_min >= 0 or device.w_max <= 0


def pulse_noise(device: PulsedDevice) -> float:
    """Cycle noise of a pulse, in expected steps."""
    return device.dw_min_std * device.dw_min / device.granularity


def effective_states(device: PulsedDevice) -> float:
    """Range over the expected step and its noise: how finely single pulses can place a weight."""
    return device.number_of_states / (1 + pulse_noise(device))


def reference_error(device: PulsedDevice) -> float:
    """How far the symmetry point of a device is expected from what it is read against, as a share of its range.

    The nominal distance and the spread of the reference, added in quadrature; 0 where there is no symmetry point.
    """
    point = symmetry_point(device)
    nominal = 0.0 if math.isnan(point) else point
    spread = float(getattr(device, "reference_std", 0.0))
    return math.hypot(nominal, spread) / (device.w_max - device.w_min)


def _pulses(move: float, device: PulsedDevice, least: int, most: int) -> int:
    return round(min(max(move / device.granularity, least), most))


# --- algorithms -------------------------------------------------------------------------------------------------------


def _sgd(device: PulsedDevice, seed: int) -> Recommendation:
    states = effective_states(device)
    good = states >= GOOD_STATES
    rate = 0.1 if good else 0.01
    longest = _pulses(rate, device, 10, 100)
    counted = f"{states:.0f} effective states (range over the step and its noise)"
    reasons = [
        f"learning rate {rate:g}: {counted}; "
        + ("enough for the rate of exact weights." if good else "at 0.1 noise and asymmetry undo the gradient."),
        f"pulse trains of up to {longest}: shorter ones would cut off the largest gradients, longer ones cost time.",
        _NO_SCALING,
    ]
    obstacle = ""
    if not good:
        obstacle = (
            f"with {counted}, in-memory SGD stays far behind whatever the learning rate; "
            "take mixed precision, or residual learning v2, TTv2 or AGAD where all has to stay in memory."
        )
    update = UpdateParameters(desired_bl=longest)
    if moves_one_way(device):
        config: RPUConfig = UnitCellRPUConfig(device=_pair(device, seed), update=update)
        reasons.append(_ONE_WAY)
    else:
        config = build_config("sgd", device, up_parameters=update, construction_seed=seed)
    return Recommendation("sgd", config, rate, ConstantSchedule(), tuple(reasons), obstacle)


def _mixed_precision(device: PulsedDevice, seed: int) -> Recommendation:
    reasons = [
        "as built: the gradient accumulates in digital, so there is nothing to tune to the device.",
        "learning rate 0.1, constant: it only sets how fast the digital accumulator fills.",
        _NO_SCALING,
    ]
    if moves_one_way(device):
        cell = MixedPrecisionCompound(device=_pair(device, 0), construction_seed=seed)
        config: RPUConfig = DigitalRankUpdateRPUConfig(device=cell)
        reasons.append(_ONE_WAY)
    else:
        config = build_config("mp", device, construction_seed=seed)
    return Recommendation("mp", config, 0.1, ConstantSchedule(), tuple(reasons))


def _pair(device: PulsedDevice, seed: int) -> OneSidedUnitCell:
    members = [copy.deepcopy(device), copy.deepcopy(device)]
    return OneSidedUnitCell(unit_cell_devices=members, refresh_every=1, construction_seed=seed)


def _tiki_taka(device: PulsedDevice, seed: int) -> Recommendation:
    fast, reasons = _fast_array(device)
    reasons += [
        "fast_lr 5 times the learning rate: nothing averages the reads, so the fast array has to move well above "
        "the noise of the converters.",
        "columns of the fast array are read, one after each mini-batch: by rows it diverges at this rate.",
        _SETTLES,
        "expect less than from TTv2: single reads carry the noise of the converters, which nothing averages.",
        _NO_SCALING,
    ]
    longest = _pulses(FAST_MOVE, device, 31, 100)
    cell = {"fast_lr": 5.0, "transfer_columns": True, "unit_cell_devices": [fast, copy.deepcopy(device)]}
    config = build_config(
        "tiki-taka", device, up_parameters=UpdateParameters(desired_bl=longest), construction_seed=seed, cell=cell
    )
    return Recommendation("tiki-taka", config, 0.1, _DROP, tuple(reasons), _unable(device) or _coarse(device))


def _ttv2(device: PulsedDevice, seed: int) -> Recommendation:
    found = _transfer("ttv2", device, seed, {}, "")
    error = reference_error(_fast_array(device)[0])
    if found.obstacle or error <= LARGE_REFERENCE_ERROR:
        return found
    drifts = (
        f"the reference of the fast array is off by about {error:.0%} of the range, and TTv2 takes that for gradient; "
        "take AGAD, which does not see it."
    )
    return Recommendation(found.algorithm, found.rpu_config, 0.1, found.lr_schedule, found.reasons, drifts)


def _chopped(device: PulsedDevice, seed: int) -> Recommendation:
    probability = 0.01 if device.granularity < FINE_STEP else 0.02
    reason = (
        f"choppers flip with probability {probability:g} per read, so that the offset of the fast array averages out"
        + ("; fine steps need long to follow a flip." if probability < 0.02 else ".")
    )
    return _transfer("c-ttv2", device, seed, {"in_chop_prob": probability}, reason)


def _agad(device: PulsedDevice, seed: int) -> Recommendation:
    probability = 0.02 if device.granularity < FINE_STEP else 0.05
    reason = (
        f"choppers flip every {round(1 / probability)} sweeps, and reads count from the reference learned before the "
        f"flip: slower choppers measure more exactly, but nothing is written before the first {round(1 / probability)} "
        "sweeps. Where a layer is swept fewer than a hundred times in all, take 0.1."
    )
    return _transfer("agad", device, seed, {"in_chop_prob": probability, "tail_weightening": 5.0}, reason)


def _transfer(
    algorithm: str, device: PulsedDevice, seed: int, choppers: dict[str, Any], chopping: str
) -> Recommendation:
    fast, reasons = _fast_array(device)
    longest = _pulses(FAST_MOVE, device, 5, 100)
    written = _pulses(WRITE_MOVE, device, 1, 20)
    granularity = _granularity(device, longest)
    reasons += [
        _AUTO_SCALE,
        _train_reason(device, longest),
        f"writes of up to {written} pulse{'s' if written != 1 else ''}, {written * device.granularity:.2g} in weight: "
        + (
            "a line is written seldom, and single fine steps would not get far." if written > 1 else "a step is enough."
        ),
        _clearness_reason(device, longest, granularity),
        _ROWS,
        _NO_SCALING,
        _SETTLES,
        *([chopping] if chopping else []),
    ]
    write = single_pulse_update()
    write.desired_bl = written
    cell = {
        "unit_cell_devices": [fast, copy.deepcopy(device)], "transfer_update": write, "auto_scale": True,
        "fast_lr": 1.0, "auto_granularity": granularity, "transfer_columns": False, **choppers,
    }  # fmt: skip
    config = build_config(algorithm, device, IOParameters, UpdateParameters, construction_seed=seed, cell=cell)
    config.update.desired_bl = longest
    return Recommendation(algorithm, config, 0.1, _DROP, tuple(reasons), _unable(device))


_RESIDUAL: dict[str, tuple[dict[str, Any], str]] = {
    "residual-v2": (
        {"buffer_rate": 0.1},
        "the filter follows each read at 0.1 and is written where it is above a step: noise of single reads stays out.",
    ),
    "rider": (
        {"eta": 3e-4},
        "eta 0.0003, a hundredth of the rate of the transfer: what W takes and what Q moves are tied, so faster "
        "tracking gives up what was learned.",
    ),
    "e-rider": (
        {"eta": 0.05, "chop_prob": 0.05},
        "the sign flips every 20 sweeps on average, and eta 0.05 lets the reference settle between flips.",
    ),
    "multi-tile-residual": (
        {},
        "gamma 0 takes 1.25 over the number of states: a tile's range just covers a step of the coarser tile.",
    ),
}


def _residual(algorithm: str) -> Callable[[PulsedDevice, int], Recommendation]:
    def rule(device: PulsedDevice, seed: int) -> Recommendation:
        fields, reason = _RESIDUAL[algorithm]
        longest = _pulses(FAST_MOVE, device, 5, 100)
        reasons = (_AUTO_SCALE, _train_reason(device, longest), reason, _ROWS, _NO_SCALING, _SETTLES)
        cell = {"auto_scale": True, "fast_lr": 1.0, "scale_fast_lr": False, "transfer_columns": False, **fields}
        config = build_config(algorithm, device, construction_seed=seed, cell=cell)
        config.update.desired_bl = longest
        return Recommendation(algorithm, config, 0.1, _DROP, reasons, _unable(device) or _coarse(device))

    return rule


def _train_reason(device: PulsedDevice, longest: int) -> str:
    return (
        f"trains of up to {longest} pulses on the fast array, {longest * device.granularity:.2g} in weight: it has to "
        "follow the gradient, not to store the weight."
    )


def _clearness(device: PulsedDevice, pulses: int) -> float:
    """A train of pulses over its noise."""
    noise = pulse_noise(device)
    return math.sqrt(pulses) / noise if noise > 0 else math.inf


def _clearness_reason(device: PulsedDevice, pulses: int, granularity: float) -> str:
    clear = _clearness(device, pulses)
    height = f"stands {clear:.1f} times above its own noise" if math.isfinite(clear) else "carries no noise of pulses"
    return (
        f"auto_granularity {granularity:g}: a train on the fast array {height}; the less clear it is, the longer the "
        "buffer has to average."
    )


def _granularity(device: PulsedDevice, pulses: int) -> float:
    clear = _clearness(device, pulses)
    return 1000.0 if clear < 1 else 300.0 if clear < 3 else 200.0


def _fast_array(device: PulsedDevice) -> tuple[PulsedDevice, list[str]]:
    """The device of the fast array, read against its symmetry point where that can be stored."""
    fast = copy.deepcopy(device)
    if not isinstance(fast, ReferenceDevice) or fast.subtract_symmetry_point or moves_one_way(fast):
        return fast, []
    fast.subtract_symmetry_point = True
    return fast, ["the fast array is read against its symmetry point, which has to be searched for once per device."]


def _unable(device: PulsedDevice) -> str:
    if not moves_one_way(device):
        return ""
    return (
        "the device moves one way, and the fast array has to hold gradients of both signs; "
        "take sgd or mixed precision, which get a refreshed pair of devices."
    )


def _coarse(device: PulsedDevice) -> str:
    if device.number_of_states >= FEW_STATES:
        return ""
    return (
        f"the device has {device.number_of_states:.0f} states, and every read may write one of its steps; take mixed "
        "precision, or TTv2 or AGAD, which write a step only once it has come together in the buffer."
    )


_RULES: dict[str, Callable[[PulsedDevice, int], Recommendation]] = {
    "sgd": _sgd,
    "mp": _mixed_precision,
    "tiki-taka": _tiki_taka,
    "ttv2": _ttv2,
    "c-ttv2": _chopped,
    "agad": _agad,
    **{algorithm: _residual(algorithm) for algorithm in _RESIDUAL},
}
_OTHER_NAMES = {
    "floating point": "fp",
    "mixed-precision": "mp",
    "tt": "tiki-taka",
    "ttv1": "tiki-taka",
    "chopped-ttv2": "c-ttv2",
    "ttv3": "c-ttv2",
    "ttv4": "agad",
}
