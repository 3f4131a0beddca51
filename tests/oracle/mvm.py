"""The analog matrix-vector product of one input vector, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Frozen:
    """Draws made once per tile and direction; the defaults are the draws of a tile without spread."""

    out_noise: np.ndarray | None = None  # (out,), else io.out_noise for all
    nonlinearity: np.ndarray | None = None  # (out,), else io.out_nonlinearity / out_bound for all
    v_offset: np.ndarray | float = 0.0
    w_read_factor: np.ndarray | float = 1.0  # of the weights seen by negative inputs


@dataclass
class Report:
    """What happened inside: for judging whether double and single precision may differ."""

    alpha: float = 0.0
    rho: float = 1.0
    passes: int = 0
    margin: float = math.inf  # smallest distance of a rounding from its tie, or of an output from its bound
    clipped: list[bool] = field(default_factory=list)


def resolution(res: float, bound: float) -> float:
    """Converter step; 0 when it does not quantise."""
    if res <= 0 or bound <= 0:
        return 0.0
    return 2 * bound * (1 / res if res > 1 else res)


def convert(
    values: np.ndarray, step: float, bound: float, stochastic: bool, rng: np.random.Generator, report: Report
) -> np.ndarray:
    """Round half to even to multiples of ``step``, then clip."""
    if step > 0:
        position = values / step
        if stochastic:
            position = position + rng.uniform(size=position.shape) - 0.5
        report.margin = min(report.margin, float(np.min(np.abs(np.abs(position - np.floor(position)) - 0.5))))
        values = np.rint(position) * step
    return np.clip(values, -bound, bound) if bound > 0 else values


def input_scale(x: np.ndarray, io: object, kind: str) -> float:
    """alpha of the noise management."""
    largest = float(np.max(np.abs(x)))
    cap = io.nm_thres
    if kind == "None":
        return 1.0
    if kind == "Constant":
        return cap if cap > 0 else 1.0
    if kind == "Max":
        value = float(np.max(x))
        return min(value, cap) if cap > 0 else value
    if cap > 0:
        largest = min(largest, cap)
    if kind == "AbsMax":
        return largest
    total = max(float(np.sum(x[x > 0])), -float(np.sum(x[x < 0])))
    worst = total * io.nm_assumed_wmax / (io.out_bound if io.out_bound > 0 else 1.0)
    step = resolution(io.inp_res, io.inp_bound)
    if step > 0:
        worst = min(worst, largest * io.max_bm_res / step)
    return max(largest, worst)


def array_product(w: np.ndarray, v: np.ndarray, io: object, frozen: Frozen, rng: np.random.Generator) -> np.ndarray:
    """Currents of the array: product, IR drop, offsets and series resistance, weight noise."""
    n_out, n_in = w.shape
    y = w @ v
    if io.ir_drop > 0:
        order = range(n_in) if io.ir_drop_far_end.value == "Last" else range(n_in - 1, -1, -1)
        for i in range(n_out):
            h = n_in / io.ir_drop_g_ratio * sum(abs(w[i, j]) * abs(v[j]) for j in range(n_in))
            c = h * (0.05 * h**2 - 0.2 * h + 0.5)
            lost = sum(w[i, j] * v[j] * (1 - (1 - place / n_in) ** 2) for place, j in enumerate(order))
            y[i] -= io.ir_drop * c * lost
    if io.v_offset_std > 0 or io.r_series > 0:
        o, rs = frozen.v_offset, io.r_series
        common = -io.v_offset_w_min * float(np.sum(v))
        if io.v_offset_w_min == 0:
            y = (1 - o) * y / (1 + rs * np.abs(y))
        elif rs == 0:
            y = (1 - o) * y - 2 * o * common
        else:
            y = (1 - o) * (y + common) / (1 + rs * np.abs(y + common)) - (1 + o) * common / (1 + rs * abs(common))
    kind = io.w_noise_type.value
    if io.w_noise > 0 and kind == "AdditiveConstant":
        y = y + io.w_noise * math.sqrt(float(np.sum(v**2))) * rng.standard_normal(n_out)
    if io.w_noise > 0 and kind == "PCMRead":
        y = y + io.w_noise * np.sqrt(np.abs(w) @ v**2) * rng.standard_normal(n_out)
    return y


def output_stage(
    y: np.ndarray, io: object, frozen: Frozen, rng: np.random.Generator, report: Report
) -> tuple[np.ndarray, bool]:
    """Nonlinearity, asymmetry, noise, ADC; also whether bound management should object."""
    bound = io.out_bound if io.out_bound > 0 else 1.0
    if io.out_nonlinearity > 0 or io.r_series > 0:
        nl = frozen.nonlinearity if frozen.nonlinearity is not None else np.full(len(y), io.out_nonlinearity / bound)
        gain = 1.0
        if io.slope_calibration > 0:
            gain = (1 + (float(np.mean(nl)) + io.r_series) * io.slope_calibration * bound) ** 2
        y = gain * y / (1 + nl * np.abs(y))
    if io.out_asymmetry != 0:
        y = np.where(y < 0, y * (1 - io.out_asymmetry), y)
    spread = frozen.out_noise if frozen.out_noise is not None else io.out_noise
    if np.any(np.asarray(spread) > 0):
        y = y + spread * rng.standard_normal(len(y))
    step = resolution(io.out_res, io.out_bound)
    free = convert(y, step, 0.0, io.out_sto_round, rng, report)
    if io.out_bound <= 0:
        return free, False
    report.margin = min(report.margin, float(np.min(np.abs(np.abs(free) - io.out_bound)) / io.out_bound))
    high, low = bool(np.any(free > io.out_bound)), bool(np.any(free < -io.out_bound))
    return np.clip(free, -io.out_bound, io.out_bound), high or (io.bm_test_negative_bound and low)


def one_pass(
    w: np.ndarray, x: np.ndarray, scale: float, io: object, frozen: Frozen, rng: np.random.Generator, report: Report
) -> tuple[np.ndarray, bool]:
    """DAC, array and ADC once, in converter units."""
    v = convert(x * scale, resolution(io.inp_res, io.inp_bound), io.inp_bound, io.inp_sto_round, rng, report)
    if io.inp_noise > 0:
        v = v + io.inp_noise * rng.standard_normal(len(v))
    v = np.where(v < 0, v * (1 - io.inp_asymmetry), v)
    kind = io.mv_type.value
    if kind == "OnePass":
        return output_stage(array_product(w, v, io, frozen, rng), io, frozen, rng, report)
    plus = array_product(w, np.maximum(v, 0), io, frozen, rng)
    minus = array_product(w * frozen.w_read_factor, np.minimum(v, 0), io, frozen, rng)
    if kind == "PosNegSeparate":
        return output_stage(plus + minus, io, frozen, rng, report)
    first, over_first = output_stage(plus, io, frozen, rng, report)
    second, over_second = output_stage(minus, io, frozen, rng, report)
    return first + second, over_first or over_second


def product(
    w: np.ndarray,
    x: np.ndarray,
    io: object,
    rng: np.random.Generator | None = None,
    frozen: Frozen | None = None,
    backward: bool = False,
) -> tuple[np.ndarray, Report]:
    """``w @ x`` through the periphery ``io``; pass ``w.T`` and ``backward=True`` for the backward direction."""
    rng = rng or np.random.default_rng(0)
    frozen = frozen or Frozen()
    report = Report()
    w, x = np.asarray(w, dtype=float), np.asarray(x, dtype=float)
    if io.is_perfect or io.mv_type.value == "Ideal":
        return io.out_scale * (w @ x), report
    management = io.noise_management.value
    bounding = "None" if backward else io.bound_management.value
    alpha, rho = input_scale(x, io, management), 1.0
    if management != "None" and alpha <= 0 and (backward or io.inp_noise <= 0):
        return np.zeros(len(w)), report
    step = resolution(io.inp_res, io.inp_bound)
    while True:
        report.passes += 1
        y, clipped = one_pass(w, x, 1 / alpha / rho, io, frozen, rng, report)
        report.clipped.append(clipped)
        spent = rho > io.max_bm_factor or (step > 0 and rho > io.max_bm_res / step)
        if bounding == "None" or not clipped or spent:
            break
        if bounding == "IterativeWorstCase" and report.passes == 1:
            alpha = input_scale(x, io, "AbsMaxNPSum")
        else:
            rho *= 2
    report.alpha, report.rho = alpha, rho
    return y * io.out_scale * alpha * rho, report
