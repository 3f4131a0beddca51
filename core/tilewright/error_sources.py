"""Where the error of an analog product comes from: each part of the periphery by itself, and its converters' curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewright.configs import IdealDevice, SingleRPUConfig
from tilewright.kernels import derive_seed, uniform_field
from tilewright.periphery import BoundManagementType, IOParameters, NoiseManagementType
from tilewright.tile import AnalogTile

# What turns a part off. Clipping and steps of a converter belong together: its steps are a share of its range.
OFF: Mapping[str, Mapping[str, Any]] = {
    "DAC": {"inp_res": 0.0, "inp_clip": False},
    "Input noise": {"inp_noise": 0.0},
    "Input asymmetry": {"inp_asymmetry": 0.0},
    "Weight noise": {"w_noise": 0.0},
    "Read asymmetry": {"w_read_asymmetry_dtod": 0.0},
    "IR drop": {"ir_drop": 0.0},
    "Voltage offset": {"v_offset_std": 0.0},
    "Series resistance": {"r_series": 0.0},
    "Output noise": {"out_noise": 0.0},
    "Output asymmetry": {"out_asymmetry": 0.0},
    "Output nonlinearity": {"out_nonlinearity": 0.0},
    "ADC": {"out_res": 0.0, "out_clip": False},
}

ROUNDING = 1e-5  # relative error that single precision may make


@dataclass(frozen=True)
class SourceError:
    """Root-mean-square error of the products over that of the exact ones, with one part of the periphery at work.

    Attributes:
        source: the part, a key of :data:`OFF`.
        forward: error of the forward products; 0 where the part is off.
        backward: error of the backward products.
    """

    source: str
    forward: float
    backward: float


def only(io: IOParameters, *sources: str) -> IOParameters:
    """The periphery with the named parts as they are and all others off; scaling and repetition stay."""
    wanted = IOParameters.from_dict(io.to_dict(full=True))
    for source, neutral in OFF.items():
        if source not in sources:
            for name, value in neutral.items():
                setattr(wanted, name, value)
    return wanted


def errors_by_source(
    forward: IOParameters,
    backward: IOParameters,
    n_out: int = 16,
    n_in: int = 24,
    n_vectors: int = 64,
    weight_range: float = 0.5,
    seed: int = 1,
) -> list[SourceError]:
    """Error of products from each part of the periphery alone, largest first; parts without error are left out.

    Independent parts add up in squares. What the whole has beyond that is their interplay, such as a noisy output that
    meets the bound of the ADC.

    Args:
        forward: periphery of the forward products.
        backward: periphery of the backward products.
        n_out: outputs of the array.
        n_in: inputs of the array.
        n_vectors: vectors of the products, entries uniform in [-1, 1].
        weight_range: weights are uniform between minus and plus this.
        seed: of weights, vectors, frozen errors of the periphery and noise.
    """

    def spread(name: str, *shape: int) -> Tensor:
        return 2 * uniform_field(shape, derive_seed("error sources", name, seed)) - 1

    weight = weight_range * spread("weights", n_out, n_in)
    x, d = spread("inputs", n_vectors, n_in), spread("errors", n_vectors, n_out)
    found = []
    for source in OFF:
        tile = _array(weight, only(forward, source), only(backward, source), seed)
        there = _relative(forward.out_scale * (x @ weight.T), tile.forward(x))
        back = _relative(backward.out_scale * (d @ weight), tile.backward(d))
        if max(there, back) > ROUNDING:
            found.append(SourceError(source, there, back))
    return sorted(found, key=lambda one: max(one.forward, one.backward), reverse=True)


@dataclass(frozen=True)
class ConverterCurve:
    """What a converter makes of a value: both (points,), in its own units, from below to above its range."""

    given: NDArray[np.float32]
    delivered: NDArray[np.float32]


def converter_curves(io: IOParameters, points: int = 601, reach: float = 1.2) -> tuple[ConverterCurve, ConverterCurve]:
    """Curves of the DAC and the ADC of one direction, each alone and without management of its range.

    Args:
        io: the periphery.
        points: values on each curve.
        reach: end of the curves in units of the range; 1 stands for the range where it is unlimited.
    """
    curves = []
    for source, bound in (("DAC", io.inp_bound), ("ADC", io.out_bound)):
        alone = only(io, source)
        alone.noise_management, alone.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
        alone.out_scale = 1.0
        given = torch.linspace(-1, 1, points)[:, None] * reach * (bound if bound > 0 else 1.0)
        delivered = _array(torch.ones(1, 1), alone, alone, seed=1).forward(given)
        curves.append(ConverterCurve(given[:, 0].numpy(), delivered[:, 0].numpy()))
    return curves[0], curves[1]


def _array(weight: Tensor, forward: IOParameters, backward: IOParameters, seed: int) -> AnalogTile:
    """An array that holds exactly these weights (outputs, inputs)."""
    config = SingleRPUConfig(device=IdealDevice(), forward=forward, backward=backward)
    tile = AnalogTile(int(weight.shape[0]), int(weight.shape[1]), config, seed=seed)
    tile.set_weights(weight)
    return tile


def _relative(wanted: Tensor, delivered: Tensor) -> float:
    return float(torch.sqrt(torch.mean((delivered.double() - wanted) ** 2) / torch.mean(wanted.double() ** 2)))
