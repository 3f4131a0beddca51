"""Settings that learn: for each algorithm and a device, a tile configuration, learning rate and schedule, with reasons.

They were chosen by trying, on a soft-bounds device with about 240 states, cycle noise of five steps and strong write
noise, trained on digits at batch 5. They are where to start from on a device of another kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tilewright.configs import FloatingPointRPUConfig, RPUConfig, build_config
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import ParameterError
from tilewright.periphery import UpdateParameters
from tilewright.runs.spec import ConstantSchedule, DropSchedule, Schedule

NOISY_PULSE = 1.0  # in steps; from here on the buffer has to average noise away before it pulses
FEW_STATES = 300
LARGE_REFERENCE_ERROR = 0.1  # share of the range


@dataclass(frozen=True)
class Recommendation:
    """Where to start with one algorithm on one device. ``reasons`` has one sentence per setting that was chosen."""

    algorithm: str
    rpu_config: RPUConfig
    learning_rate: float
    lr_schedule: Schedule
    reasons: tuple[str, ...]


Device = PulsedDevice | type[PulsedDevice] | Callable[[], PulsedDevice]


def recommended_names() -> list[str]:
    """Algorithms :func:`recommend` knows, the digital baseline first."""
    return ["fp", "sgd", "mp", "tiki-taka", "ttv2", "c-ttv2", "agad", *_RESIDUAL]


def recommended_config(algorithm: str, device: Device, construction_seed: int = 0) -> RPUConfig:
    """The tile configuration of :func:`recommend`."""
    return recommend(algorithm, device, construction_seed).rpu_config


def recommend(algorithm: str, device: Device, construction_seed: int = 0) -> Recommendation:
    """Settings to start from.

    Args:
        algorithm: ``fp`` (exact floating-point tile), ``sgd``, ``mp``, ``tiki-taka``, ``ttv2``, ``c-ttv2`` or ``agad``,
            or another name that ``build_config`` knows for one of them.
        device: the device, as an instance, class or factory.
        construction_seed: seed of the device-to-device draws; 0 leaves the device's own, or torch's generator.

    Raises:
        ParameterError: unknown algorithm.
    """
    sample = device if isinstance(device, PulsedDevice) else device()
    seed = construction_seed or sample.construction_seed
    name = algorithm.lower()
    if name in ("fp", "floating point"):
        return Recommendation("fp", FloatingPointRPUConfig(), 0.1, ConstantSchedule(), (_EXACT,))
    if name == "sgd":
        return _sgd(sample, seed)
    if name in ("mp", "mixed-precision"):
        return _mixed_precision(sample, seed)
    if name == "ttv2":
        return _transfer("ttv2", sample, seed, {})
    if name in ("c-ttv2", "chopped-ttv2", "ttv3"):
        return _transfer("c-ttv2", sample, seed, {"in_chop_prob": 0.05})
    if name in ("agad", "ttv4"):
        return _transfer("agad", sample, seed, {"in_chop_prob": 0.1, "tail_weightening": 5.0})
    if name in ("tiki-taka", "tt", "ttv1"):
        return _tiki_taka(sample, seed)
    if name in _RESIDUAL:
        return _residual(name, sample, seed)
    raise ParameterError(f"no recommendation for {algorithm!r}; known: {', '.join(recommended_names())}")


_EXACT = "learning rate 0.1: exact weights, the reference that the other algorithms are measured against."
_NO_SCALING = "no weight scaling: a scale multiplies the pulses a change needs, and their noise with them."


def _sgd(device: PulsedDevice, seed: int) -> Recommendation:
    reasons = [
        "learning rate 0.01: at 0.1 the noise and asymmetry of the pulses undo what the gradient asks for.",
        "pulse trains of up to 10: longer ones cost time and bring no accuracy on devices like this.",
        _NO_SCALING,
    ]
    if device.number_of_states < FEW_STATES or device.dw_min_std > NOISY_PULSE:
        reasons.append(
            f"expect little: with about {device.number_of_states:.0f} states and noise of {device.dw_min_std:g} steps "
            "per pulse, plain SGD stays far behind; take mixed precision or TTv2 rather than another learning rate."
        )
    config = build_config("sgd", device, up_parameters=UpdateParameters(desired_bl=10), construction_seed=seed)
    return Recommendation("sgd", config, 0.01, ConstantSchedule(), tuple(reasons))


def _mixed_precision(device: PulsedDevice, seed: int) -> Recommendation:
    reasons = (
        "as built: the gradient accumulates in digital, so there is nothing to tune to the device.",
        "learning rate 0.1, constant: it only sets how fast the digital accumulator fills.",
        _NO_SCALING,
    )
    config = build_config("mp", device, construction_seed=seed)
    return Recommendation("mp", config, 0.1, ConstantSchedule(), reasons)


def _tiki_taka(device: PulsedDevice, seed: int) -> Recommendation:
    reasons = (
        "fast_lr 5 times the learning rate: nothing averages the reads, so the fast array has to move well above "
        "the noise of the converters.",
        "columns of the fast array are read, one after each mini-batch: by rows it diverges at this rate.",
        "learning rate 0.1, a fifth of it after two thirds: the rate also scales the transfer, which then settles.",
        "expect less than from TTv2: single reads carry the noise of the converters, which nothing averages.",
        _NO_SCALING,
    )
    config = build_config("tiki-taka", device, construction_seed=seed, cell={"fast_lr": 5.0, "transfer_columns": True})
    return Recommendation("tiki-taka", config, 0.1, DropSchedule(drop=0.2, after=0.67), reasons)


def _transfer(algorithm: str, device: PulsedDevice, seed: int, choppers: dict[str, Any]) -> Recommendation:
    noisy = device.dw_min_std >= NOISY_PULSE
    granularity = 1000.0 if noisy else 200.0
    noise = f"{device.dw_min_std:g} steps of noise per pulse"
    reasons = [
        "auto_scale with fast_lr 1: the fast array gets its full pulse train from the largest gradient, "
        "also in hidden layers whose errors are small.",
        f"auto_granularity {granularity:g}: with {noise} the buffer "
        + ("has to average before it writes." if noisy else "can write early."),
        "rows of the fast array are read: layers have fewer outputs than inputs, so every line is visited more often.",
        "update trains of up to 5 pulses: the fast array is to follow the gradient, not to store the weight.",
        _NO_SCALING,
        "learning rate 0.1, a fifth of it after two thirds: the rate also scales the transfer, which then settles.",
    ]
    if algorithm == "agad":
        reasons.append(
            "choppers flip every 10 sweeps, and reads count from the reference learned before the flip: nothing is "
            "written before the first 11 sweeps, so slower choppers waste the start of a run."
        )
    elif choppers:
        reasons.append("choppers flip with probability 0.05 per read: the fast array's offset averages out.")
    elif getattr(device, "reference_std", 0.0) > LARGE_REFERENCE_ERROR * (device.w_max - device.w_min):
        reasons.append("the reference error of the device is large: TTv2 will drift with it; take c-TTv2.")
    cell = {"auto_scale": True, "fast_lr": 1.0, "auto_granularity": granularity, "transfer_columns": False, **choppers}
    config = build_config(
        algorithm, device, up_parameters=UpdateParameters(desired_bl=5), construction_seed=seed, cell=cell
    )
    return Recommendation(algorithm, config, 0.1, DropSchedule(drop=0.2, after=0.67), tuple(reasons))


_RESIDUAL: dict[str, tuple[dict[str, Any], str]] = {
    "residual-v2": (
        {"buffer_rate": 0.1},
        "the filter follows each read at 0.1 and is written where it is above a step: noise of single reads stays out.",
    ),
    "rider": (
        {"eta": 0.003},
        "eta 0.003, a tenth of the rate of the transfer: faster tracking takes what was learned for the offset.",
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


def _residual(algorithm: str, device: PulsedDevice, seed: int) -> Recommendation:
    fields, reason = _RESIDUAL[algorithm]
    reasons = (
        "auto_scale with fast_lr 1: the fast array gets its full pulse train from the largest gradient, "
        "also in hidden layers whose errors are small.",
        reason,
        "rows of the fast array are read: layers have fewer outputs than inputs, so every line is visited more often.",
        _NO_SCALING,
        "learning rate 0.1, a fifth of it after two thirds: the rate also scales the transfer, which then settles.",
    )
    cell = {"auto_scale": True, "fast_lr": 1.0, "scale_fast_lr": False, "transfer_columns": False, **fields}
    config = build_config(
        algorithm, device, up_parameters=UpdateParameters(desired_bl=5), construction_seed=seed, cell=cell
    )
    return Recommendation(algorithm, config, 0.1, DropSchedule(drop=0.2, after=0.67), reasons)
