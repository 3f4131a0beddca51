"""Where the error of a product comes from, against closed forms; and the curves of the converters."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.configs import IOParameters
from tilewright.error_sources import OFF, converter_curves, errors_by_source, only
from tilewright.figures import plot_converters, plot_error_sources
from tilewright.periphery import BoundManagementType, NoiseManagementType, WeightNoiseType

EXACT = only(IOParameters(noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE))
# Products of weights uniform in +-1/2 with inputs uniform in +-1: the variance is N / 12 / 3.
N = 100
SIZE = np.sqrt(N / 12 / 3)

# A part at work and the error it makes alone, in weight x input. Statistic: error found over error expected, of 400 x
# 400 products of 100 inputs; over 200 seeds its standard deviation was at most 0.005, and 0.013 for the input
# asymmetry, whose errors of one row belong together. Six of these are the bounds: a false alarm is rarer than 1e-8.
CLOSED_FORMS = {
    "DAC": ({"inp_res": 0.1, "inp_clip": True}, 0.2 * np.sqrt(N / 12 / 12)),
    "Input noise": ({"inp_noise": 0.1}, 0.1 * np.sqrt(N / 12)),
    "Input asymmetry": ({"inp_asymmetry": 0.1}, 0.1 * np.sqrt(N / 12 / 6)),
    "Weight noise": ({"w_noise": 0.1, "w_noise_type": WeightNoiseType.ADDITIVE_CONSTANT}, 0.1 * np.sqrt(N / 3)),
    "Output noise": ({"out_noise": 0.1}, 0.1),
    "Output asymmetry": ({"out_asymmetry": 0.1}, 0.1 * SIZE / np.sqrt(2)),
    "ADC": ({"out_res": 0.01, "out_clip": True, "out_bound": 10.0}, 0.2 / np.sqrt(12)),
}


def periphery(**settings: object) -> IOParameters:
    """An exact periphery but for the given fields."""
    return IOParameters.from_dict({**EXACT.to_dict(full=True), **settings})


@pytest.mark.parametrize("source", CLOSED_FORMS)
def test_a_part_alone_makes_the_error_of_its_formula(source: str) -> None:
    settings, error = CLOSED_FORMS[source]
    found = errors_by_source(periphery(**settings), EXACT, n_out=400, n_in=N, n_vectors=400)
    assert [one.source for one in found] == [source]
    assert found[0].forward == pytest.approx(error / SIZE, rel=0.08 if source == "Input asymmetry" else 0.03)
    assert found[0].backward < 1e-5


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("IR drop", {"ir_drop": 5.0, "ir_drop_g_ratio": 1e3}),
        ("Voltage offset", {"v_offset_std": 0.1}),
        ("Series resistance", {"r_series": 0.1}),
        ("Read asymmetry", {"w_read_asymmetry_dtod": 0.1, "mv_type": "PosNegSeparate"}),
        ("Output nonlinearity", {"out_nonlinearity": 0.2}),
    ],
)
def test_every_part_is_found_under_its_name(source: str, settings: dict[str, object]) -> None:
    forward = errors_by_source(periphery(**settings), EXACT)
    assert [one.source for one in forward] == [source]
    backward = errors_by_source(EXACT, periphery(**settings))
    assert [one.source for one in backward] == [source]
    assert backward[0].backward > 1e-5 > backward[0].forward


def test_every_part_has_a_test() -> None:
    others = {"IR drop", "Voltage offset", "Series resistance", "Read asymmetry", "Output nonlinearity"}
    assert set(OFF) == set(CLOSED_FORMS) | others


def test_an_exact_periphery_has_no_sources() -> None:
    assert errors_by_source(IOParameters(is_perfect=True), EXACT) == []
    assert "exact" in plot_error_sources([]).layout.annotations[0].text


def test_the_largest_comes_first_and_is_on_top() -> None:
    errors = errors_by_source(IOParameters(), IOParameters(out_noise=0.3))
    sizes = [max(one.forward, one.backward) for one in errors]
    assert sizes == sorted(sizes, reverse=True)
    figure = plot_error_sources(errors)
    assert list(figure.data[0].y) == [one.source for one in errors]
    assert figure.layout.yaxis.autorange == "reversed"


def test_curves_show_steps_and_range_without_management() -> None:
    dac, adc = converter_curves(IOParameters(inp_bits=3, out_bits=4, out_bound=5.0, out_noise=1.0), points=1001)
    assert np.allclose(np.unique(np.round(dac.delivered, 5)), np.arange(-3, 4) / 3, atol=1e-4)
    assert np.allclose(np.unique(np.round(adc.delivered, 4)), np.arange(-7, 8) * 5 / 7, atol=1e-3)
    assert dac.given[-1] == pytest.approx(1.2)
    assert adc.given[-1] == pytest.approx(6.0)
    assert len(plot_converters(dac, adc).data) == 4


def test_a_converter_that_is_off_delivers_what_it_is_given() -> None:
    dac, adc = converter_curves(IOParameters(inp_bound=0.0, out_bound=0.0))
    assert np.array_equal(dac.given, dac.delivered)
    assert np.array_equal(adc.given, adc.delivered)
