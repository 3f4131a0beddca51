"""What stands around the array: converters and noise of the matrix-vector product, and the pulsed update scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor

from tilewright import kernels
from tilewright.parameters import Choice, ParameterError, Parameters, parameter


class MVType(Choice):
    """How signed inputs are applied to the array."""

    IDEAL = "Ideal"
    ONE_PASS = "OnePass"
    POS_NEG_SEPARATE = "PosNegSeparate"
    POS_NEG_SEPARATE_DIGITAL_SUM = "PosNegSeparateDigitalSum"

    @classmethod
    def refused(cls) -> dict[str, str]:
        """Bit-sliced inputs need the time-dependent wire model."""
        remedy = (
            "it needs the time-dependent IR drop, which this release does not compute; use OnePass or PosNegSeparate"
        )
        return {"SplitMode": remedy, "BitWise": remedy}


class NoiseManagementType(Choice):
    """How inputs are scaled into the DAC range."""

    NONE = "None"
    ABS_MAX = "AbsMax"
    MAX = "Max"
    CONSTANT = "Constant"
    ABS_MAX_NP_SUM = "AbsMaxNPSum"
    AVERAGE_ABS_MAX = "AverageAbsMax"


class BoundManagementType(Choice):
    """What is done when an output saturates the ADC."""

    NONE = "None"
    ITERATIVE = "Iterative"
    ITERATIVE_WORST_CASE = "IterativeWorstCase"

    @classmethod
    def refused(cls) -> dict[str, str]:
        """A name without a definition."""
        return {"Shift": "it has no definition to follow; use Iterative or IterativeWorstCase"}


class WeightNoiseType(Choice):
    """Noise of the weights, fresh in each product."""

    NONE = "None"
    ADDITIVE_CONSTANT = "AdditiveConstant"
    PCM_READ = "PCMRead"


class PulseType(Choice):
    """How the rank-one update reaches the array."""

    NONE = "None"
    STOCHASTIC_COMPRESSED = "StochasticCompressed"
    STOCHASTIC = "Stochastic"
    NONE_WITH_DEVICE = "NoneWithDevice"
    MEAN_COUNT = "MeanCount"
    DETERMINISTIC_IMPLICIT = "DeterministicImplicit"


class IRDropEnd(Choice):
    """Which input line is the far end of the wire, where the voltage drop is largest."""

    FIRST = "First"
    LAST = "Last"


def resolution_step(res: float, bound: float) -> float:
    """Converter step for a resolution given as a fraction (0, 1], a number of steps (> 1) or off (<= 0).

    Returns 0 when the converter does not quantise (also when its range is infinite, ``bound <= 0``).
    """
    if res <= 0 or bound <= 0:
        return 0.0
    fraction = 1.0 / res if res > 1 else res
    return 2.0 * bound * fraction


def bits_of(res: float) -> float:
    """Bits of a converter with symmetric levels, ``2^bits - 1`` of them; 0 when it does not quantise."""
    if res <= 0:
        return 0.0
    return math.log2((res if res > 1 else 1.0 / res) + 2.0)


def res_of_bits(name: str, bits: object) -> float:
    """Resolution of a converter with ``2^bits - 1`` levels symmetric around zero: 7 bits give 1/126."""
    if isinstance(bits, bool) or not isinstance(bits, (int, float)) or not 1 < bits <= 24:
        raise ParameterError(f"IOParameters.{name} = {bits!r}: must be a number of bits above 1, up to 24")
    return 1.0 / (2.0**bits - 2.0)


_TIME_DEPENDENT = (
    "ir_drop_rs", "ir_drop_segments", "ir_drop_time_step_resolution_scale", "ir_drop_v_read", "split_mode_bit_shift",
    "apply_xdep_pcm_read_noise", "xdep_pcm_read_noise_scale", "adc_quantization", "adc_frequency",
    "ir_drop_integration_sum",
)  # fmt: skip


class IOParameters(Parameters):
    """Non-idealities of one direction of the analog matrix-vector product.

    The input passes noise management, DAC and input noise, is multiplied with the array, and the result passes
    IR drop, weight noise, output noise and ADC; bound management repeats saturated products with smaller inputs.
    Converters have ``2 bound / step`` steps, levels symmetric around zero: the default DAC has 127 levels (7 bits), the
    default ADC 511 (9 bits). Three more names set fields in the constructor: ``inp_bits`` and ``out_bits`` the
    resolutions, ``out_noise_steps`` the output noise in steps of the ADC.
    Source of the scheme: Gokmen, Onen and Haensch, Front. Neurosci. 11:538 (2017); Rasch et al., AICAS (2021).
    """

    is_perfect: bool = parameter(False, "exact product; only out_scale still applies", group="Mode")
    mv_type: MVType = parameter(MVType.ONE_PASS, "how signed inputs are applied", group="Mode")

    inp_bound: float = parameter(
        1.0, "DAC range; 0 or less is unlimited and turns the DAC off", unit="input", group="Input", typical=(0.1, 2)
    )
    inp_res: float = parameter(
        1 / 126,
        "DAC resolution: up to 1 a fraction of the full range, above 1 a number of steps, 0 or less off",
        group="Input",
        typical=(0.0, 0.1),
    )
    inp_clip: bool = parameter(
        True, "clip at inp_bound; False keeps the step of the DAC without its range", group="Input"
    )
    inp_sto_round: bool = parameter(False, "stochastic rounding in the DAC", group="Input")
    inp_noise: float = parameter(
        0.0, "Gaussian noise after the DAC", unit="DAC input", ge=0, group="Input", typical=(0, 0.2)
    )
    inp_asymmetry: float = parameter(
        0.0, "relative loss of negative inputs", ge=-1, le=1, group="Input", typical=(-0.2, 0.2)
    )

    out_bound: float = parameter(
        12.0,
        "ADC range; 0 or less is unlimited and turns the ADC off",
        unit="weight x input",
        group="Output",
        typical=(1, 30),
    )
    out_res: float = parameter(
        1 / 510,
        "ADC resolution: up to 1 a fraction of the full range, above 1 a number of steps, 0 or less off",
        group="Output",
        typical=(0.0, 0.05),
    )
    out_clip: bool = parameter(
        True, "clip at out_bound; False keeps the step of the ADC without its range", group="Output"
    )
    out_sto_round: bool = parameter(False, "stochastic rounding in the ADC", group="Output")
    out_noise: float = parameter(
        0.06, "Gaussian noise before the ADC", unit="ADC input", ge=0, group="Output", typical=(0, 0.5)
    )
    out_noise_std: float = parameter(
        0.0, "relative spread of out_noise over the outputs, frozen", ge=0, group="Output", typical=(0, 1)
    )
    out_scale: float = parameter(1.0, "digital factor at the end", group="Output", typical=(0.1, 10))
    out_asymmetry: float = parameter(
        0.0, "relative loss of negative outputs", ge=-1, le=1, group="Output", typical=(-0.2, 0.2)
    )
    out_nonlinearity: float = parameter(
        0.0, "S-shaped output nonlinearity at out_bound", ge=0, group="Output", typical=(0, 1)
    )
    out_nonlinearity_std: float = parameter(
        0.0, "relative spread of the nonlinearity, frozen", ge=0, group="Output", typical=(0, 1)
    )
    slope_calibration: float = parameter(
        0.0, "gain that makes the slope 1 at this fraction of out_bound", ge=0, le=1, group="Output"
    )

    noise_management: NoiseManagementType = parameter(
        NoiseManagementType.ABS_MAX, "how inputs are scaled into the DAC range", group="Management"
    )
    nm_thres: float = parameter(
        0.0, "Constant: the scale; AbsMax, Max, AbsMaxNPSum: its upper limit", ge=0, group="Management", typical=(0, 5)
    )
    nm_assumed_wmax: float = parameter(
        0.6, "largest weight assumed by AbsMaxNPSum", unit="weight", gt=0, group="Management", typical=(0.1, 2)
    )
    nm_decay: float = parameter(
        1e-3,
        "AverageAbsMax: part of the running mean that each training batch replaces",
        gt=0,
        le=1,
        log=True,
        group="Management",
        typical=(1e-4, 1),
    )
    zero_input_silent: bool = parameter(
        True, "a managed input without a scale (all zero) gives exactly zero, without noise", group="Management"
    )
    max_strict: bool = parameter(
        False, "Max: refuse an input without a positive entry instead of answering zero", group="Management"
    )
    bound_management: BoundManagementType = parameter(
        BoundManagementType.ITERATIVE,
        "what is done when an output saturates; ignored in the backward pass",
        group="Management",
    )
    max_bm_factor: int = parameter(
        1000, "bound management stops at this reduction", ge=1, group="Management", typical=(1, 1000)
    )
    max_bm_res: float = parameter(
        0.25,
        "bound management stops when the DAC step reaches this part of the input",
        gt=0,
        group="Management",
        typical=(0.01, 1),
    )
    bm_test_negative_bound: bool = parameter(
        True, "whether negative saturation also asks for another pass", group="Management"
    )

    w_noise: float = parameter(
        0.0, "weight noise, fresh in each product", unit="weight", ge=0, group="Array", typical=(0, 0.2)
    )
    w_noise_type: WeightNoiseType = parameter(WeightNoiseType.NONE, "kind of weight noise", group="Array")
    ir_drop: float = parameter(0.0, "scale of the steady-state IR drop", ge=0, group="Array", typical=(0, 10))
    ir_drop_g_ratio: float = parameter(
        1.0 / 0.35 / 5e-6, "wire conductance between cells over g_max", gt=0, log=True, group="Array"
    )
    ir_drop_far_end: IRDropEnd = parameter(IRDropEnd.LAST, "input line with the largest drop", group="Array")
    v_offset_std: float = parameter(0.0, "spread of the output voltage offset", ge=0, group="Array", typical=(0, 0.2))
    v_offset_w_min: float = parameter(
        -1.0, "weight level of the implicit reference device", unit="weight", le=0, group="Array", typical=(-2, 0)
    )
    r_series: float = parameter(0.0, "series resistance per unit of output", ge=0, group="Array", typical=(0, 0.2))
    r_series_cap: float = parameter(
        0.0, "largest value of r_series times the output; 0 is unlimited", ge=0, group="Array", typical=(0, 1)
    )
    w_read_asymmetry_dtod: float = parameter(
        0.0,
        "spread of the weight seen by negative inputs (separate-polarity products only)",
        ge=0,
        group="Array",
        typical=(0, 0.2),
    )

    def __init__(self, **data: Any) -> None:
        for name, field in (("inp_bits", "inp_res"), ("out_bits", "out_res"), ("out_noise_steps", "out_noise")):
            if name in data and field in data:
                raise ParameterError(f"IOParameters: give {name} or {field}, not both")
        for name in ("inp_bits", "out_bits"):
            if name in data:
                data[name.replace("bits", "res")] = res_of_bits(name, data.pop(name))
        steps = data.pop("out_noise_steps", None)
        super().__init__(**data)
        if steps is not None:
            if not self.adc_step > 0:
                raise ParameterError("IOParameters.out_noise_steps needs an ADC that quantises; give out_noise instead")
            self.out_noise = steps * self.adc_step

    @classmethod
    def _coerce(cls, name: str, value: Any) -> Any:
        if name in _TIME_DEPENDENT:
            raise ParameterError(
                f"{cls.__name__}.{name} belongs to the time-dependent IR drop, which this release does not compute; "
                "ir_drop and ir_drop_g_ratio give the steady-state one"
            )
        return super()._coerce(name, value)

    @model_validator(mode="after")
    def _managed_inputs_fill_the_dac(self) -> IOParameters:
        managed = self.noise_management is not NoiseManagementType.NONE and not self.is_perfect
        if managed and self.inp_bound > 0 and self.inp_bound != 1:
            raise ValueError(
                f"inp_bound = {self.inp_bound:g} needs noise_management None: managed inputs are scaled to a bound of 1"
            )
        return self

    @property
    def dac_step(self) -> float:
        """Step of the DAC in input units, 0 when it does not quantise."""
        return resolution_step(self.inp_res, self.inp_bound)

    @property
    def adc_step(self) -> float:
        """Step of the ADC in output units, 0 when it does not quantise."""
        return resolution_step(self.out_res, self.out_bound)

    @property
    def inp_bits(self) -> float:
        """Bits of the DAC, 0 when it does not quantise."""
        return bits_of(self.inp_res) if self.dac_step > 0 else 0.0

    @property
    def out_bits(self) -> float:
        """Bits of the ADC, 0 when it does not quantise."""
        return bits_of(self.out_res) if self.adc_step > 0 else 0.0

    @property
    def out_noise_steps(self) -> float:
        """Output noise in steps of the ADC; infinite when it does not quantise."""
        return self.out_noise / self.adc_step if self.adc_step > 0 else math.inf

    def cautions(self) -> list[str]:
        """Settings that are allowed but unlikely to be meant."""
        found = super().cautions()
        split = self.mv_type in (MVType.POS_NEG_SEPARATE, MVType.POS_NEG_SEPARATE_DIGITAL_SUM)
        if self.w_read_asymmetry_dtod > 0 and not split:
            found.append("w_read_asymmetry_dtod has no effect unless mv_type separates positive and negative inputs")
        if self.max_strict and self.noise_management is not NoiseManagementType.MAX:
            found.append("max_strict has no effect unless noise_management is Max")
        if self.noise_management is NoiseManagementType.MAX:
            found.append("noise_management Max returns exactly 0 for inputs without a positive entry; use AbsMax")
        if self.w_noise > 0 and self.w_noise_type is WeightNoiseType.NONE:
            found.append("w_noise has no effect while w_noise_type is None; choose AdditiveConstant or PCMRead")
        return found


class UpdateParameters(Parameters):
    """How the rank-one update ``-lr * outer(d, x)`` is turned into pulses.

    Source: Gokmen and Vlasov, Front. Neurosci. 10:333 (2016); update management: Gokmen, Onen and Haensch (2017);
    pulse-train length management: Rasch, Gokmen and Haensch (2019).
    """

    desired_bl: int = parameter(
        31,
        "length of the pulse train; its upper limit under length management",
        unit="pulses",
        ge=1,
        le=1024,
        typical=(1, 63),
    )
    fixed_bl: bool = parameter(
        True, "False: the length may grow with the learning rate (without length management only)"
    )
    pulse_type: PulseType = parameter(PulseType.STOCHASTIC_COMPRESSED, "how the update reaches the array")
    res: float = parameter(
        0.0, "step of the pulse probability: up to 1 a width, from 2 a number of steps, 0 or less off", typical=(0, 0.2)
    )
    x_res_implicit: float = parameter(0.0, "step of the input probability in DeterministicImplicit", typical=(0, 0.2))
    d_res_implicit: float = parameter(0.0, "step of the error probability in DeterministicImplicit", typical=(0, 0.2))
    sto_round: bool = parameter(False, "stochastic rounding of the probabilities")
    update_bl_management: bool = parameter(True, "choose the train length for each sample; turns update_management on")
    update_management: bool = parameter(True, "balance the pulse probabilities of rows and columns")
    um_grad_scale: float = parameter(1.0, "below 1 errors saturate earlier than inputs", gt=0, typical=(0.1, 1))

    @model_validator(mode="after")
    def _number_of_steps_is_whole(self) -> UpdateParameters:
        for name in ("res", "x_res_implicit", "d_res_implicit"):
            value = getattr(self, name)
            if 1 < value < 2:
                raise ValueError(f"{name} = {value:g}: give a width up to 1, or a number of steps from 2")
        if not self.fixed_bl and self.update_management and not self.update_bl_management:
            raise ValueError("fixed_bl = False needs update_management = False: a growing train is not balanced")
        return self

    def compiled(self, granularity: float) -> kernels.UpdateSettings:
        """The scheme as the kernels take it, for a device of the given granularity."""
        return kernels.UpdateSettings(
            granularity=granularity,
            desired_bl=self.desired_bl,
            fixed_bl=self.fixed_bl,
            length_management=self.update_bl_management,
            balance=self.update_management or self.update_bl_management,
            um_grad_scale=self.um_grad_scale,
            res=self.res,
            x_res=self.x_res_implicit,
            d_res=self.d_res_implicit,
            sto_round=self.sto_round,
            kind=_PULSE_KINDS[self.pulse_type],
        )


# Numbers of the kernels. Both stochastic types send the same pulses: the signs of one sample do not change.
_PULSE_KINDS = {
    PulseType.STOCHASTIC_COMPRESSED: 0,
    PulseType.STOCHASTIC: 0,
    PulseType.MEAN_COUNT: 1,
    PulseType.DETERMINISTIC_IMPLICIT: 2,
    PulseType.NONE_WITH_DEVICE: 3,
    PulseType.NONE: 3,
}
_MV_MODES = {
    MVType.IDEAL: 0,
    MVType.ONE_PASS: 1,
    MVType.POS_NEG_SEPARATE: 2,
    MVType.POS_NEG_SEPARATE_DIGITAL_SUM: 3,
}
_NOISE_MANAGEMENT = {
    NoiseManagementType.NONE: 0,
    NoiseManagementType.ABS_MAX: 1,
    NoiseManagementType.MAX: 2,
    NoiseManagementType.CONSTANT: 3,
    NoiseManagementType.ABS_MAX_NP_SUM: 4,
    NoiseManagementType.AVERAGE_ABS_MAX: 5,
}
_BOUND_MANAGEMENT = {
    BoundManagementType.NONE: 0,
    BoundManagementType.ITERATIVE: 1,
    BoundManagementType.ITERATIVE_WORST_CASE: 2,
}
_WEIGHT_NOISE = {WeightNoiseType.NONE: 0, WeightNoiseType.ADDITIVE_CONSTANT: 1, WeightNoiseType.PCM_READ: 2}


@dataclass(frozen=True)
class FrozenDraws:
    """What differs from output to output (and, for reads, from crosspoint to crosspoint) of one tile, drawn once."""

    out_noise: Tensor | None
    nonlinearity: Tensor | None
    offset: Tensor | None
    asymmetry: Tensor | None

    def as_tuple(self) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """In the order the kernels expect."""
        return self.out_noise, self.nonlinearity, self.offset, self.asymmetry


def draw_frozen(io: IOParameters, outputs: int, shape: tuple[int, int], seed: int, asymmetry_seed: int) -> FrozenDraws:
    """Draw the per-output values of one direction.

    Args:
        io: the periphery.
        outputs: results of this direction.
        shape: (outputs, inputs) of the tile.
        seed: key of this direction's draws.
        asymmetry_seed: key of the read asymmetry, the same for both directions since the devices are the same.
    """

    def normal(name: str) -> Tensor:
        return kernels.normal_field((outputs,), kernels.derive_seed(seed, name))

    bound = io.out_bound if io.out_bound > 0 else 1.0
    out_noise = (io.out_noise * (1 + io.out_noise_std * normal("noise"))).abs() if io.out_noise_std > 0 else None
    nonlinearity = None
    if io.out_nonlinearity > 0 or io.r_series > 0:
        relative = 1 + io.out_nonlinearity_std * normal("nonlinearity")
        nonlinearity = (io.out_nonlinearity / bound * relative).abs()
    offset = (io.v_offset_std * normal("offset")).clamp(min=0) if io.v_offset_std > 0 else None
    asymmetry = None
    if io.w_read_asymmetry_dtod > 0:
        asymmetry = 1 + io.w_read_asymmetry_dtod * kernels.normal_field(shape, asymmetry_seed)
    return FrozenDraws(out_noise, nonlinearity, offset, asymmetry)


def compile_io(io: IOParameters, nonlinearity: Tensor | None, *, backward: bool) -> kernels.ReadSettings:
    """One direction of the periphery as the kernels take it; bound management works in the forward direction only."""
    read = kernels.ReadSettings()
    perfect = io.is_perfect or io.mv_type is MVType.IDEAL
    read.set_kinds(
        0 if perfect else _MV_MODES[io.mv_type],
        _NOISE_MANAGEMENT[io.noise_management],
        0 if backward else _BOUND_MANAGEMENT[io.bound_management],
        _WEIGHT_NOISE[io.w_noise_type],
    )
    for name in (
        "inp_noise", "inp_asymmetry", "inp_sto_round", "out_noise", "out_scale",
        "out_asymmetry", "out_sto_round", "nm_thres", "nm_assumed_wmax", "nm_decay", "max_bm_res", "w_noise", "ir_drop",
        "ir_drop_g_ratio", "v_offset_w_min", "r_series", "r_series_cap", "dac_step", "adc_step",
    ):  # fmt: skip
        setattr(read, name, getattr(io, name))
    read.inp_bound = io.inp_bound if io.inp_clip else 0.0
    read.out_bound = io.out_bound if io.out_clip else 0.0
    read.zero_silent = io.zero_input_silent and (backward or io.inp_noise <= 0)
    read.max_bm_factor = float(io.max_bm_factor)
    read.test_negative_bound = io.bm_test_negative_bound
    read.ir_drop_first = io.ir_drop_far_end is IRDropEnd.FIRST
    if nonlinearity is not None and io.slope_calibration > 0:
        bound = io.out_bound if io.out_bound > 0 else 1.0
        slope = 1 + (float(torch.mean(nonlinearity)) + io.r_series) * io.slope_calibration * bound
        read.nonlinearity_gain = slope * slope
    return read


def line_read_input(io: IOParameters) -> float:
    """The one of a line read, as the DAC delivers it."""
    value = 1.0
    if io.dac_step > 0:
        value = round(value / io.dac_step) * io.dac_step
    return min(value, io.inp_bound) if io.inp_bound > 0 and io.inp_clip else value
