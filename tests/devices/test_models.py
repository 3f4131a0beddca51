"""The step models beyond linear ones: numbers from their definitions, their elementary functions, formulas, jumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.devices.recipes import without_noise

from tilewright.configs import (
    ExpStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsPmaxDevice,
    TableStepDevice,
)
from tilewright.devices import nominal_response, symmetry_point, trace_pulses
from tilewright.devices.step_expression import ExpressionError, evaluate
from tilewright.devices.table_step import GRID_NODES
from tilewright.parameters import ParameterError


def one_pulse(device, weights, direction):
    """Weight change of one pulse in the single-precision kernel, and where it started."""
    start = np.asarray(weights, dtype=np.float32)
    traces = trace_pulses(device, [direction], len(start), seed=1, w0=start)
    return traces[1].astype(float) - traces[0], traces[0].astype(float)


def test_pmax_pulses_lead_from_end_to_end_and_back():
    device = without_noise(SoftBoundsPmaxDevice)
    assert nominal_response(device, np.ones(1000), -1.0)[-1] == pytest.approx(1.0, abs=1e-12)
    assert nominal_response(device, -np.ones(1000), 1.0)[-1] == pytest.approx(-1.0, abs=1e-12)
    pulses = np.arange(1001)
    curve = -1 + 2 * (1 - np.exp(-0.0005 * pulses)) / (1 - np.exp(-0.5))
    assert np.allclose(nominal_response(device, np.ones(1000), -1.0), curve, atol=1e-12)
    with pytest.raises(ParameterError, match="has no field 'w_max'"):
        device.w_max = 2.0


@pytest.mark.parametrize("rate", [0.3, 3.0, 12.0, 40.0])
def test_exponential_steps_are_accurate(rate):
    """One step in single precision against the formula; the weights' own digits take most of the 5e-6."""
    device = without_noise(
        ExpStepDevice,
        dw_min=0.5,
        w_max=1.0,
        w_min=-1.0,
        A_up=-0.5,
        A_down=-0.5,
        gamma_up=rate,
        gamma_down=rate,
        a=0.9,
        b=0,
    )
    for direction in (1, -1):
        weights = np.linspace(-0.999, 0.999, 4001) * (1 if rate < 12 else 0.02)
        moved, start = one_pulse(device, np.clip(weights - 0.4 * direction, -1, 1), direction)
        exact = 0.5 * (1 + 0.5 * np.exp(direction * rate * 0.9 * start))
        inside = np.abs(start + direction * exact) < 1
        assert np.count_nonzero(inside) > 100
        assert np.max(np.abs(direction * moved - exact)[inside] / exact[inside]) < 5e-6


@pytest.mark.parametrize("gamma", [0.0, 0.1, 1.0, 2.5, 9.0])
def test_power_steps_are_accurate_up_to_the_bound(gamma):
    device = without_noise(PowStepDevice, dw_min=0.5, w_max=1.0, w_min=-1.0, pow_gamma=gamma, enforce_consistency=True)
    weights = np.append(1 - np.logspace(-6, 0.3, 2000), 1.0)
    moved, start = one_pulse(device, weights, 1)
    exact = np.minimum(0.5 * ((1 - start) / 2) ** gamma, 1 - start)
    assert np.max(np.abs(moved - exact)) < 3e-7
    assert moved[-1] == 0


def test_power_steps_keep_to_their_window_with_a_reference():
    """A raw weight at its bound takes no step, whatever the reference; elsewhere it may jump to the other bound."""
    device = without_noise(PowStepReferenceDevice, w_max=1.0, w_min=-1.0, pow_gamma=1.3, reference_mean=0.5)
    moved, start = one_pulse(device, [0.9, 0.5, 0.4], 1)
    assert np.all(start <= 0.5)
    assert np.all(moved >= 0)
    assert np.all(start + moved <= 0.5)


def test_the_reference_takes_up_the_symmetry_point_of_power_steps():
    device = without_noise(
        PowStepReferenceDevice, w_max=1.0, w_min=-1.0, pow_gamma=1.7, up_down=0.2, subtract_symmetry_point=True
    )
    q = (1 - 0.2) ** (1 / 1.7)
    assert device.nominal_reference == pytest.approx((1 - q) / (1 + q), abs=1e-9)
    assert symmetry_point(device) == pytest.approx(0, abs=1e-9)


def test_a_table_of_the_nodes_is_the_piecewise_device():
    nodes = {"up": [2.0, 1.0, 0.5], "down": [0.2, 1.0, 2.5]}
    common = {"w_max": 1.0, "w_min": -0.5, "dw_min": 0.01}
    first = without_noise(PiecewiseStepDevice, piecewise_up=nodes["up"], piecewise_down=nodes["down"], **common)
    second = without_noise(TableStepDevice, points_up=nodes["up"], points_down=nodes["down"], **common)
    pulses = np.repeat([1, -1], 150)
    assert np.allclose(nominal_response(first, pulses, 0.1), nominal_response(second, pulses, 0.1), atol=1e-9)


def test_a_formula_is_the_model_it_spells():
    device = without_noise(
        TableStepDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, formula_up="1 - w / w_max", formula_down="1 - w/w_min"
    )
    n = np.arange(301)
    assert np.allclose(nominal_response(device, np.ones(300), -1.0), 1 - 2 * (1 - 0.01) ** n, atol=1e-9)


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="w()+-*/^.0123456789e,[]_'\"\n:=x ", max_size=80),
    st.recursive(
        st.sampled_from(["w", "1", "w_max", "2.5", "x", "__class__", "''", "1e400"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "**", "//", "@", " if ", "."]), inner).map(
                "".join
            ),
            st.tuples(st.sampled_from(["exp", "log", "pow", "eval", "open", "(lambda:0)"]), inner).map(
                lambda pair: f"{pair[0]}({pair[1]})"
            ),
        ),
        max_leaves=12,
    ),
)


@given(text=HOSTILE)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_number_or_says_what_is_wrong(text):
    try:
        value = evaluate(text, {"w": np.linspace(-1, 1, 3), "w_max": 1.0})
    except ExpressionError:
        return
    assert value.dtype == np.float64
    assert not set("'\"[]:=@") & set(text.replace("w_max", ""))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "w.real",
        "(lambda: 1)()",
        "[w]",
        "w if w else 1",
        "'w'",
        "w; w",
        "exp",
        "True",
    ],
)
def test_python_is_never_run(text):
    with pytest.raises(ParameterError, match="formula_up"):
        TableStepDevice(formula_up=text, formula_down="1")


def test_formulas_agree_with_python_where_both_apply():
    w = np.array([-0.7, 0.1, 0.9])
    text = "2*exp(-3*w) - w^2/4 + max(w, 0.2) * min(1, pow(2, w)) + abs(w) + sqrt(w*w) + tanh(w) - pi"
    for value, at in zip(evaluate(text, {"w": w}), w, strict=True):
        exact = 2 * math.exp(-3 * at) - at**2 / 4 + max(at, 0.2) * min(1, 2**at) + 2 * abs(at) + math.tanh(at) - math.pi
        assert value == pytest.approx(exact, rel=1e-12)


def test_jumps_are_distributed_as_measured():
    """Kolmogorov-Smirnov distance of 40,000 jumps to the exponential law they were taken from.

    The law is the quantiles' own, so only sampling and the table's interpolation tell the two apart. P(D > 0.0142) <
    1e-6 by the Dvoretzky-Kiefer-Wolfowitz bound 2 exp(-2 n D^2); interpolation between scores takes less than 0.003.
    """
    levels = np.concatenate(([1e-5, 1e-4, 1e-3], np.arange(1, 100) / 100, [0.999, 0.9999, 0.99999]))
    law = stats.expon(scale=1.0)
    quantiles = law.ppf(levels).tolist()
    device = TableStepDevice(
        **{name: 0.0 for name in TableStepDevice.model_fields if name.endswith("_dtod")},
        dw_min=0.001,
        dw_min_std=1.0,
        quantile_levels=levels.tolist(),
        quantiles_up=[quantiles, quantiles],
        quantiles_down=[quantiles, quantiles],
    )
    traces = trace_pulses(device, [1], 40_000, seed=3, w0=0.0)
    jumps = (traces[1] - traces[0]).astype(float) / 0.001
    assert stats.kstest(jumps, law.cdf).statistic < 0.0142 + 0.003
    # A normal jump of the same mean and spread is far outside.
    assert stats.kstest(jumps, stats.norm(1, 1).cdf).statistic > 0.1


@pytest.mark.parametrize("direction", [1, -1])
def test_jumps_between_two_points_are_a_mixture_of_both(direction):
    """Standard deviation of 40,000 jumps half-way between weights where it is 0.2 and 2 steps, on a cell of the table.

    Its standard error is 1 / sqrt(2 n) = 0.0035 of it, so 5.1 of these have a false-alarm rate below 1e-6.
    """
    cell = 2 / (GRID_NODES - 1)
    outermost = 4.0  # in standard deviations: what lies beyond takes 2e-4 from the variance

    def normal_jumps(deviation):
        return [1 - outermost * deviation, 1 + outermost * deviation]

    rows = [normal_jumps(0.2), normal_jumps(2.0)]
    device = TableStepDevice(
        **{name: 0.0 for name in TableStepDevice.model_fields if name.endswith("_dtod")},
        dw_min=1e-5, dw_min_std=1.0, w_max=1.0, w_min=-1.0, points_weight=[0.0, cell],
        quantile_levels=[float(stats.norm.cdf(-outermost)), float(stats.norm.cdf(outermost))],
        quantiles_up=rows, quantiles_down=rows,
    )  # fmt: skip
    for share, deviation in ((0.5, 1.1), (0.25, 0.65)):
        traces = trace_pulses(device, [direction], 40_000, seed=4, w0=share * cell).astype(float)
        jumps = (traces[1] - traces[0]) * direction / 1e-5
        assert jumps.mean() == pytest.approx(1.0, abs=5.1 * deviation / 200)
        assert jumps.std() == pytest.approx(deviation, rel=5.1 * 0.0036 + 1e-4)


def test_jumps_measured_on_a_device_give_its_steps_back():
    source = without_noise(ExpStepDevice, dw_min=0.01, w_max=1.0, w_min=-1.0, gamma_up=3.0, gamma_down=3.0)
    weights = np.linspace(-0.8, 0.8, 400)
    up, down = source.nominal_steps(weights)
    made = TableStepDevice.from_jumps(np.tile(weights, 2), np.concatenate([up, -down]), points=9)
    inner = np.linspace(-0.6, 0.6, 7)
    for found, exact in zip(made.nominal_steps(inner), source.nominal_steps(inner), strict=True):
        assert np.allclose(found, exact, rtol=0.1)
    with pytest.raises(ParameterError, match="at least 90 jumps"):
        TableStepDevice.from_jumps(weights[:20], up[:20])
