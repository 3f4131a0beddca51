"""The analog product against the step-by-step oracle and against formulae for its noise.

Distributions are compared by z tests on means and standard deviations (``oracle.statistics``): false-alarm rate 1e-7
per call, n stated in each test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_noise
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import mvm
from oracle.statistics import FALSE_ALARM, assert_mean, assert_same_distribution, assert_std, limit
from scipy.stats import kstest

from tilewright import configs
from tilewright.parameters import ParameterError
from tilewright.tile import AnalogTile

RAW = {"out_noise": 0.0, "inp_res": -1.0, "out_res": -1.0}  # neither converters nor noise


def tile_of(weights: np.ndarray, seed: int = 7, backward: configs.IOParameters | None = None, **io: Any) -> AnalogTile:
    """A tile that holds exactly ``weights``, with the forward periphery ``io``."""
    device = without_noise(configs.ConstantStepDevice, w_max=5000.0, w_min=-5000.0)
    config = configs.SingleRPUConfig(device=device, forward=configs.IOParameters(**io))
    config.backward = backward or config.forward
    tile = AnalogTile(*weights.shape, config, seed=seed)
    tile.set_weights(torch.tensor(weights, dtype=torch.float32))
    return tile


def forward(tile: AnalogTile, x: np.ndarray) -> np.ndarray:
    return tile.forward(torch.tensor(x, dtype=torch.float32)).numpy().astype(float)


def matrix(rows: int, cols: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.6, 0.6, size=(rows, cols)).astype(np.float32).astype(float)


@st.composite
def quiet_io(draw: st.DrawFn) -> configs.IOParameters:
    """Peripheries without randomness: every deterministic field may be on."""
    fields: dict[str, Any] = {
        "out_noise": 0.0,
        "mv_type": draw(st.sampled_from(["OnePass", "OnePass", "PosNegSeparate", "PosNegSeparateDigitalSum", "Ideal"])),
        "noise_management": draw(st.sampled_from(["None", "AbsMax", "AbsMax", "Max", "Constant", "AbsMaxNPSum"])),
        "bound_management": draw(st.sampled_from(["None", "Iterative", "IterativeWorstCase"])),
        "inp_res": draw(st.sampled_from([-1.0, 1 / 126, 1 / 254, 14.0, 0.1])),
        "out_res": draw(st.sampled_from([-1.0, 1 / 510, 62.0, 0.05])),
        "out_bound": draw(st.sampled_from([-1.0, 0.3, 1.0, 12.0])),
        "nm_thres": draw(st.sampled_from([0.0, 0.0, 0.4, 2.0])),
        "nm_assumed_wmax": draw(st.sampled_from([0.6, 0.2])),
        "out_scale": draw(st.sampled_from([1.0, 2.5, -0.5])),
        "inp_asymmetry": draw(st.sampled_from([0.0, 0.1, -0.1])),
        "out_asymmetry": draw(st.sampled_from([0.0, 0.2, -0.2])),
        "out_nonlinearity": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "slope_calibration": draw(st.sampled_from([0.0, 0.5])),
        "r_series": draw(st.sampled_from([0.0, 0.0, 0.05])),
        "v_offset_w_min": draw(st.sampled_from([-1.0, -0.3, 0.0])),
        "ir_drop": draw(st.sampled_from([0.0, 0.0, 1.0])),
        "ir_drop_g_ratio": draw(st.sampled_from([571428.5, 40.0])),
        "max_bm_factor": draw(st.sampled_from([1000, 4, 1])),
        "max_bm_res": draw(st.sampled_from([0.25, 0.05])),
        "bm_test_negative_bound": draw(st.booleans()),
    }
    if fields["noise_management"] == "None":
        fields["inp_bound"] = draw(st.sampled_from([1.0, 0.5, -1.0, 3.0]))
    return configs.IOParameters(**fields)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@settings(max_examples=120)
@given(data=st.data())
def test_quiet_products_equal_the_oracle(backward, data):
    """All deterministic non-idealities in any combination, sample by sample; cases on a rounding tie are left out."""
    io = data.draw(quiet_io())
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    n_out, n_in = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 20))
    weights = rng.uniform(-0.6, 0.6, size=(n_out, n_in)).astype(np.float32)
    size = n_out if backward else n_in
    scale = data.draw(st.sampled_from([1.0, 1.0, 0.01, 20.0]))
    vectors = (scale * rng.uniform(-1, 1, size=(3, size))).astype(np.float32)
    vectors[2] *= data.draw(st.sampled_from([0.0, 1.0, -1.0]))
    seen = weights.T if backward else weights
    answers = [mvm.product(seen, v, io, backward=backward) for v in vectors]
    assume(all(report.margin > 5e-4 for _, report in answers))
    config = configs.SingleRPUConfig(device=without_noise(configs.ConstantStepDevice, w_max=1.0, w_min=-1.0))
    config.forward, config.backward = (configs.IOParameters(), io) if backward else (io, configs.IOParameters())
    tile = AnalogTile(n_out, n_in, config, seed=1)
    tile.set_weights(torch.tensor(weights))
    found = (tile.backward if backward else tile.forward)(torch.tensor(vectors)).numpy()
    for k, (expected, report) in enumerate(answers):
        largest = report.alpha if report.passes else float(np.abs(vectors[k]).max())
        size_of_output = largest * report.rho * abs(io.out_scale) * max(1.0, np.abs(seen).sum())
        worst = np.abs(found[k] - expected).max()
        assert worst <= 2e-5 * size_of_output + 1e-6 * np.abs(expected).max(), f"vector {k}, {report}"


def test_perfect_products_are_exact():
    """Only out_scale is left, in both directions, at float32 precision."""
    weights = matrix(30, 50)
    x = np.random.default_rng(2).normal(size=(20, 50))
    tile = tile_of(weights, is_perfect=True, out_scale=1.5, out_noise=10.0, w_noise=1.0, w_noise_type="PCMRead")
    assert forward(tile, x) == pytest.approx(1.5 * x.astype(np.float32) @ weights.T, abs=2e-5)
    back = tile.backward(torch.tensor(x[:, :30], dtype=torch.float32)).numpy()
    assert back == pytest.approx(1.5 * x[:, :30].astype(np.float32) @ weights, abs=2e-5)


def test_golden_products():
    """Numbers known by hand."""
    tile = tile_of(np.eye(1), noise_management="None", out_noise=0.0, out_res=-1.0)
    assert forward(tile, np.array([[0.3]]))[0, 0] == pytest.approx(19 / 63, rel=1e-6)
    assert forward(tile_of(np.array([[3.0]]), **RAW, out_bound=1.0), np.ones((1, 1)))[0, 0] == 3.0
    tile = tile_of(np.array([[1000.0]]), out_noise=0.0, out_res=-1.0, out_bound=1.0)
    assert forward(tile, np.ones((1, 1)))[0, 0] == pytest.approx(16.0)
    tile = tile_of(
        np.eye(1), noise_management="None", inp_bound=0.0, out_bound=0.0, inp_res=0.1, out_res=0.1, out_noise=0.0
    )
    assert forward(tile, np.array([[0.123456]]))[0, 0] == pytest.approx(0.123456, rel=1e-6)
    tile = tile_of(
        np.eye(1), **RAW, noise_management="None", out_bound=2.0, out_nonlinearity=0.5, slope_calibration=0.5
    )
    assert forward(tile, np.array([[0.999]]))[0, 0] == pytest.approx(1.249, abs=1e-3)
    tile = tile_of(np.ones((1, 10)), **RAW, ir_drop=1.0, ir_drop_g_ratio=100.0)
    assert forward(tile, np.eye(10))[[0, 5, 9], 0] == pytest.approx([1.0, 0.963962, 0.952430], abs=1e-6)


def test_negative_bound_test_does_not_hide_positive_saturation():
    """Without the negative test only positive saturation asks for another pass, whatever the order of outputs."""
    for weights, expected in (
        ([[3.0], [-3.0]], [3.0, -3.0]),
        ([[-3.0], [3.0]], [-3.0, 3.0]),
        ([[-3.0], [0.1]], [-1, 0.1]),
    ):
        tile = tile_of(np.array(weights), **RAW, out_bound=1.0, bm_test_negative_bound=False)
        assert forward(tile, np.ones((1, 1)))[0] == pytest.approx(expected, rel=1e-5)


def test_the_far_end_of_the_wire_mirrors():
    """Reading from the other end is the same as turning the array and its inputs around."""
    io = {"ir_drop": 1.0, "ir_drop_g_ratio": 40.0}
    weights, x = matrix(4, 7), matrix(3, 7, seed=2)
    first = forward(tile_of(weights, **RAW, **io, ir_drop_far_end="First"), x)
    last = forward(tile_of(weights[:, ::-1].copy(), **RAW, **io, ir_drop_far_end="Last"), x[:, ::-1].copy())
    assert first == pytest.approx(last, abs=1e-6)


def test_zero_input_is_silent():
    """Under input scaling a zero vector gives exactly zero, and only it."""
    tile = tile_of(matrix(4, 5))
    x = np.zeros((3, 5))
    x[1] = 0.2
    found = forward(tile, x)
    assert np.all(found[[0, 2]] == 0)
    assert np.all(found[1] != 0)
    back = tile.backward(torch.zeros(2, 4)).numpy()
    assert np.all(back == 0)


def test_max_management_of_negative_inputs_is_zero():
    tile = tile_of(np.eye(2), noise_management="Max")
    assert np.all(forward(tile, np.array([[-0.5, -0.2]])) == 0)


def test_results_scale_with_the_input():
    """AbsMax: y(c x) = c y(x) with equal noise, exactly for a power of two."""
    weights, x = matrix(6, 9), matrix(4, 9, seed=3)
    plain = forward(tile_of(weights), x)
    for c in (4.0, 2.0**-20):
        assert np.array_equal(forward(tile_of(weights), c * x), c * plain)


def test_backward_has_no_bound_management():
    """Saturation clips the backward product where the forward one would try again."""
    io = configs.IOParameters(**RAW, out_bound=1.0)
    tile = tile_of(np.array([[3.0]]), backward=io, **RAW, out_bound=1.0)
    assert tile.forward(torch.ones(1, 1)).item() == 3.0
    assert tile.backward(torch.ones(1, 1)).item() == 1.0


# --- noise ------------------------------------------------------------------------------------------------------------

N = 20_000
W = matrix(4, 12)
VECTOR = np.random.default_rng(5).uniform(-0.8, 0.8, size=12).astype(np.float32).astype(float)
ALPHA = float(np.abs(VECTOR).max())


def repeated(n: int = N, weights: np.ndarray = W, x: np.ndarray = VECTOR, **io: Any) -> np.ndarray:
    """(n, outputs): one vector, n times."""
    return forward(tile_of(weights, **io), np.tile(x, (n, 1)))


def test_output_noise():
    """std = out_noise * alpha, mean exact; n = 20000."""
    found = repeated(**RAW | {"out_noise": 0.1})
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, 0.1 * ALPHA, "output")
    assert kstest((found[:, 0] - W[0] @ VECTOR) / (0.1 * ALPHA), "norm").pvalue > FALSE_ALARM


def test_input_noise():
    """var = alpha^2 inp_noise^2 sum_j w_ij^2, shared by the outputs through the same input; n = 20000."""
    found = repeated(**RAW | {"inp_noise": 0.05})
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, ALPHA * 0.05 * np.sqrt((W**2).sum(axis=1)), "output")
    correlation = (W[0] @ W[1]) / np.sqrt((W[0] @ W[0]) * (W[1] @ W[1]))
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1] - correlation) < limit(1) / np.sqrt(N)


def test_constant_weight_noise():
    """var = w_noise^2 |x|^2 for every output, independent between outputs; n = 20000."""
    found = repeated(**RAW, w_noise=0.03, w_noise_type="AdditiveConstant")
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, 0.03 * np.linalg.norm(VECTOR), "output")
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < limit(1) / np.sqrt(N)


def test_read_noise_grows_with_the_weight():
    """var = w_noise^2 sum_j |w_ij| x_j^2; n = 20000."""
    found = repeated(**RAW, w_noise=0.03, w_noise_type="PCMRead")
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, 0.03 * np.sqrt(np.abs(W) @ VECTOR**2), "output")


def test_digital_sum_reads_the_noise_twice():
    """Two output stages: the variance of the output noise doubles; n = 20000."""
    found = repeated(**RAW | {"out_noise": 0.1}, mv_type="PosNegSeparateDigitalSum")
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, 0.1 * ALPHA * np.sqrt(2), "output")
    found = repeated(**RAW | {"out_noise": 0.1}, mv_type="PosNegSeparate")
    assert_std(found, 0.1 * ALPHA, "output")


def test_stochastic_rounding_is_unbiased():
    """Coarse converters with stochastic rounding keep the mean; the spread is sqrt(f (1 - f)) steps; n = 20000."""
    io = RAW | {"out_res": 1 / 30, "out_sto_round": True, "out_bound": 6.0}
    found = repeated(**io)
    step = 12.0 / 30
    place = W @ VECTOR / ALPHA / step
    fraction = place - np.floor(place)
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, step * ALPHA * np.sqrt(fraction * (1 - fraction)), "output")
    io = RAW | {"inp_res": 1 / 6, "inp_sto_round": True}
    place = VECTOR / ALPHA * 3
    fraction = place - np.floor(place)
    found = repeated(**io)
    assert_mean(found, W @ VECTOR, "output")
    assert_std(found, ALPHA / 3 * np.sqrt(W**2 @ (fraction * (1 - fraction))), "output")


def test_samples_and_calls_are_independent():
    """No correlation between successive samples of a batch, nor between two calls; n = 20000."""
    tile = tile_of(W)
    x = np.tile(VECTOR, (N, 1))
    first, second = forward(tile, x), forward(tile, x)
    for left, right in ((first[:-1, 0], first[1:, 0]), (first[:, 0], second[:, 0]), (first[:, 0], first[:, 1])):
        assert abs(np.corrcoef(left, right)[0, 1]) < limit(3) / np.sqrt(N - 1)


@pytest.mark.parametrize(
    "io",
    [
        {"out_bound": 1.0, "inp_res": 1 / 128},
        {"out_bound": 1.0, "bound_management": "IterativeWorstCase"},
        {"out_bound": 0.7, "bm_test_negative_bound": False},
        {"out_bound": 1.0, "mv_type": "PosNegSeparateDigitalSum", "inp_noise": 0.05},
        {"mv_type": "PosNegSeparate", "inp_asymmetry": 0.1, "out_asymmetry": 0.1, "inp_noise": 0.1},
        {"noise_management": "AbsMaxNPSum", "w_noise": 0.05, "w_noise_type": "PCMRead"},
        {"noise_management": "Constant", "nm_thres": 0.5, "inp_sto_round": True, "inp_res": 6.0},
        {"r_series": 0.1, "ir_drop": 1.0, "ir_drop_g_ratio": 50.0, "out_sto_round": True, "out_res": 20.0},
        {"out_nonlinearity": 0.4, "slope_calibration": 0.5, "out_bound": 2.0, "w_noise": 0.1,
         "w_noise_type": "AdditiveConstant"},
    ],
    ids=str,
)  # fmt: skip
def test_noisy_products_follow_the_oracle(io):
    """Means and stds of everything together, bound management included; n = 20000 against 2000 oracle products.

    The DAC of 126 steps puts the largest input of a halved pass on a rounding tie, where single and double precision
    may differ; hence 128 steps where passes are halved.
    """
    fields = configs.IOParameters(**io)
    rng = np.random.default_rng(11)
    weights = 1.5 * W
    expected = np.array([mvm.product(weights, VECTOR, fields, rng)[0] for _ in range(2000)])
    assert_same_distribution(repeated(weights=weights, **io), expected, "output")


# --- frozen spreads ---------------------------------------------------------------------------------------------------


def test_spread_of_the_output_noise():
    """Each output has its own noise |out_noise (1 + std xi)|; 400 outputs, 2000 reads each."""
    tile = tile_of(np.zeros((400, 2)), **RAW | {"out_noise": 0.1}, out_noise_std=0.2, noise_management="None")
    own = forward(tile, np.ones((2000, 2))).std(axis=0)
    assert_mean(own, 0.1, "own noise")
    expected = 0.1 * np.hypot(0.2, 1 / np.sqrt(2 * 2000))
    assert_std(own, expected, "own noise", rounding=2e-4)
    again = forward(tile, np.ones((2000, 2))).std(axis=0)
    assert np.corrcoef(own, again)[0, 1] > 0.95, "frozen: the same outputs stay noisy"


def test_spread_of_the_nonlinearity():
    """y / (1 + nl |y|) at y = 1, nl = out_nonlinearity / out_bound (1 + std xi); 20000 outputs."""
    tile = tile_of(np.ones((N, 1)), **RAW, out_nonlinearity=0.6, out_nonlinearity_std=0.1, out_bound=3.0)
    own = 1 / forward(tile, np.ones((1, 1)))[0] - 1
    assert_mean(own, 0.2, "nonlinearity")
    assert_std(own, 0.02, "nonlinearity")


def test_voltage_offsets_are_half_zero():
    """o = max(std xi, 0); at w_min = 0 the output is (1 - o) y; 20000 outputs."""
    tile = tile_of(np.ones((N, 1)), **RAW, v_offset_std=0.1, v_offset_w_min=0.0)
    offset = 1 - forward(tile, np.ones((1, 1)))[0]
    silent = np.abs(offset) < 1e-6
    assert abs(silent.mean() - 0.5) < limit(1) * np.sqrt(0.25 / N)
    assert_mean(offset, 0.1 / np.sqrt(2 * np.pi), "offset")
    assert_std(offset, 0.1 * np.sqrt(0.5 - 0.5 / np.pi), "offset")
    shifted = tile_of(np.ones((N, 1)), **RAW, v_offset_std=0.1, v_offset_w_min=-0.5)
    found = forward(shifted, np.ones((1, 1)))[0]  # (1 - o) y - 2 o Yr with Yr = 0.5
    assert_mean(1 - found, 2 * 0.1 / np.sqrt(2 * np.pi), "offset with reference device")


def test_read_asymmetry_belongs_to_negative_inputs_and_to_the_device():
    """Negative inputs see w (1 + std xi), positive ones w; both directions see the same devices; 20000 devices."""
    io = configs.IOParameters(**RAW, mv_type="PosNegSeparate", w_read_asymmetry_dtod=0.1)
    weights = np.full((200, 100), 0.5)
    tile = tile_of(weights, backward=io, **RAW, mv_type="PosNegSeparate", w_read_asymmetry_dtod=0.1)
    assert forward(tile, np.eye(100)) == pytest.approx(0.5, rel=1e-6)
    negative = -forward(tile, -np.eye(100)).T / 0.5
    assert_mean(negative.ravel(), 1.0, "factor")
    assert_std(negative.ravel(), 0.1, "factor")
    backward = -tile.backward(-torch.eye(200)).numpy() / 0.5
    assert backward == pytest.approx(negative, rel=1e-5), "one device, one asymmetry"


def test_frozen_draws_follow_the_seed():
    weights, x = np.ones((50, 1)), np.ones((1, 1))
    io = RAW | {"out_nonlinearity": 0.6, "out_nonlinearity_std": 0.1}
    first = forward(tile_of(weights, seed=1, **io), x)
    assert np.array_equal(first, forward(tile_of(weights, seed=1, **io), x))
    assert not np.array_equal(first, forward(tile_of(weights, seed=2, **io), x))


def test_unmanaged_dac_range_is_checked():
    with pytest.raises(ParameterError, match="inp_bound"):
        configs.IOParameters(inp_bound=0.5)


@pytest.mark.parametrize(
    "io",
    [
        {},
        {"is_perfect": True},
        {"noise_management": "None", "bound_management": "None"},
        {"mv_type": "PosNegSeparateDigitalSum", "bound_management": "None"},
        {"noise_management": "AverageAbsMax", "bound_management": "None"},
    ],
    ids=str,
)
def test_an_input_that_is_not_a_number_spoils_its_own_vector_and_no_other(io):
    """Elsewhere noise and clipping turn it into a plausible number."""
    x = np.random.default_rng(1).uniform(-1, 1, (5, 19))
    spoilt = x.copy()
    spoilt[2, 17] = np.nan
    tiles = [tile_of(matrix(7, 19), **io) for _ in range(2)]
    whole, found = forward(tiles[0], x), forward(tiles[1], spoilt)
    assert np.isnan(found[2]).all()
    if io.get("noise_management") == "AverageAbsMax":  # one scale for the batch
        assert np.isfinite(found[[0, 1, 3, 4]]).all()
    else:
        assert np.array_equal(found[[0, 1, 3, 4]], whole[[0, 1, 3, 4]])
    back = tiles[1].backward(torch.tensor([[1.0] * 6 + [float("nan")], [0.5] * 7]))
    assert back[0].isnan().all()
    assert back[1].isfinite().all()
