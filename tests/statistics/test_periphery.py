"""Fields of the periphery beside the product's arithmetic: running scales, converters in bits, refusals, reports."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from devices.recipes import without_noise
from oracle.statistics import assert_mean

from tilewright import configs
from tilewright.kernels import accumulate_outer
from tilewright.parameters import ParameterError
from tilewright.tile import AnalogTile

RAW = {"out_noise": 0.0, "inp_res": -1.0, "out_res": -1.0}


def tile_of(weights: list[list[float]], backward: configs.IOParameters | None = None, **io: object) -> AnalogTile:
    device = without_noise(configs.ConstantStepDevice, w_max=50.0, w_min=-50.0)
    forward = configs.IOParameters(**io)
    config = configs.SingleRPUConfig(device=device, forward=forward, backward=backward or forward)
    matrix = torch.tensor(weights)
    tile = AnalogTile(*matrix.shape, config, seed=3)
    tile.set_weights(matrix)
    return tile


# --- running scale ----------------------------------------------------------------------------------------------------


def averaging(**more: object) -> AnalogTile:
    """The scale shows in the DAC: its step is a quarter of it."""
    io = configs.IOParameters(
        **RAW | {"inp_res": 1 / 8, "out_bound": -1.0}, noise_management="AverageAbsMax", nm_decay=0.5, **more
    )
    return tile_of([[1.0]], backward=io, **dict(io))


def test_the_running_scale_follows_training_batches():
    """First batch: its mean of max|x|; later m <- (1 - d) m + d mean. Inputs beyond the scale are clipped to it."""
    tile = averaging()
    tile.forward(torch.tensor([[0.5], [1.5]]))
    assert tile.forward_average.item() == 1.0
    assert tile.forward(torch.tensor([[9.0], [3.0]]))[:, 0].tolist() == [3.5, 2.625]  # scale (1 + 6) / 2, step 0.875
    assert tile.forward_average.item() == 3.5


def test_testing_leaves_the_running_scale_alone():
    tile = averaging()
    tile.eval()
    assert tile.forward(torch.tensor([[4.0]])).item() == 4.0  # nothing known yet: the scale of this batch
    assert tile.forward_average.item() < 0
    tile.train()
    tile.forward(torch.tensor([[1.0]]))
    tile.eval()
    assert tile.forward(torch.tensor([[4.0]])).item() == 1.0
    assert tile.forward_average.item() == 1.0


def test_directions_keep_scales_of_their_own():
    """Errors do not move the scale of inputs."""
    tile = averaging()
    tile.forward(torch.tensor([[0.1]]))
    tile.backward(torch.tensor([[100.0]]))
    tile.forward(torch.tensor([[0.1]]))
    assert tile.forward_average.item() == pytest.approx(0.1)
    assert tile.backward_average.item() == pytest.approx(100.0)


def test_the_running_scale_is_saved():
    tile, other = averaging(), averaging()
    tile.forward(torch.tensor([[2.0]]))
    other.load_state_dict(tile.state_dict())
    assert other.forward_average.item() == 2.0
    assert other.forward(torch.tensor([[4.0]])).item() == tile.forward(torch.tensor([[4.0]])).item() == 3.0


# --- converters -------------------------------------------------------------------------------------------------------


def test_converters_in_bits():
    """2^bits - 1 levels, symmetric around zero."""
    io = configs.IOParameters(inp_bits=7, out_bits=9, out_noise_steps=1.5)
    assert io.inp_res == pytest.approx(1 / 126)
    assert io.out_res == pytest.approx(1 / 510)
    assert (io.inp_bits, io.out_bits) == pytest.approx((7, 9))
    assert io.out_noise == pytest.approx(1.5 * 24 / 510)
    assert io.out_noise_steps == pytest.approx(1.5)
    tile = tile_of([[1.0]], **RAW | {"inp_res": configs.IOParameters(inp_bits=3).inp_res}, noise_management="None")
    levels = tile.forward(torch.linspace(-1, 1, 2001)[:, None]).unique()
    assert len(levels) == 7


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"inp_bits": 7, "inp_res": 0.1}, "inp_bits or inp_res"),
        ({"out_bits": 1}, "out_bits"),
        ({"out_noise_steps": 1.0, "out_res": -1.0}, "ADC that quantises"),
        ({"bound_management": "Shift"}, "Shift is not offered.*Iterative"),
        ({"mv_type": "SplitMode"}, "SplitMode is not offered.*OnePass"),
        ({"mv_type": "BitWise"}, "BitWise is not offered"),
        ({"ir_drop_segments": 8}, "ir_drop_segments belongs to the time-dependent"),
        ({"nm_decay": 0.0}, "nm_decay"),
    ],
    ids=str,
)
def test_refusals_say_what_to_use(fields, said):
    with pytest.raises(ParameterError, match=said):
        configs.IOParameters(**fields)


def test_a_converter_without_its_range_keeps_its_step():
    tile = tile_of(
        [[1.0]], **RAW | {"inp_res": 1 / 4, "out_res": 1 / 16}, noise_management="None", out_bound=2.0,
        inp_clip=False, out_clip=False,
    )  # fmt: skip
    y = tile.forward(torch.tensor([[3.3], [0.7]]))[:, 0].tolist()
    assert y == [3.5, 0.5]  # DAC steps of 0.5, beyond its bound of 1 and the ADC's of 2


def test_the_load_of_series_resistance_can_be_capped():
    """y / (1 + min(r |y|, cap)) at a reference level of 0."""
    io = {**RAW, "noise_management": "None", "inp_bound": -1.0, "v_offset_w_min": 0.0, "r_series": 0.1}
    x = torch.tensor([[2.0], [40.0]])
    free = tile_of([[1.0]], out_bound=-1.0, **io).forward(x)[:, 0].numpy()
    capped = tile_of([[1.0]], out_bound=-1.0, r_series_cap=0.5, **io).forward(x)[:, 0].numpy()
    assert free == pytest.approx([2 / 1.2, 40 / 5.0], rel=1e-6)
    assert capped == pytest.approx([2 / 1.2, 40 / 1.5], rel=1e-6)


# --- inputs without a scale -------------------------------------------------------------------------------------------


def test_zero_inputs_may_be_read_with_their_noise():
    """zero_input_silent = False: a zero vector is a product like any other; std 0.1, n = 4000."""
    tile = tile_of([[1.0]] * 4000, **RAW | {"out_noise": 0.1}, zero_input_silent=False)
    noise = tile.forward(torch.zeros(1, 1))[0].numpy()
    assert_mean(noise**2, 0.01, "power of the noise")


def test_max_management_can_be_strict():
    negative = torch.tensor([[-0.5], [0.5]])
    assert tile_of([[1.0]], **RAW, noise_management="Max").forward(negative)[:, 0].tolist() == [0.0, 0.5]
    strict = tile_of([[1.0]], **RAW, noise_management="Max", max_strict=True)
    with pytest.raises(ValueError, match="1 of 2 vectors have no positive entry"):
        strict.forward(negative)
    assert strict.forward(torch.zeros(1, 1)).item() == 0.0, "a zero vector has a product: zero"


# --- reports ----------------------------------------------------------------------------------------------------------


def test_a_report_tells_what_the_periphery_did():
    tile = tile_of([[3.0], [0.1]], **RAW, out_bound=1.0)
    report = tile.observe(torch.tensor([[1.0], [0.0], [0.5]]))
    assert report.alpha.tolist() == [1.0, 0.0, 0.5]
    assert report.passes.tolist() == [3, 0, 3]
    assert report.rho.tolist() == [4.0, 1.0, 4.0]
    assert report.adc_clipped == 0
    assert report.dac_clipped == 0
    assert report.output[:, 0].tolist() == [3.0, 0.0, 1.5]
    assert report.signal_to_noise > 1e12
    clipping = tile_of([[3.0], [0.1]], **RAW, out_bound=1.0, bound_management="None", noise_management="None")
    report = clipping.observe(torch.tensor([[2.0]]))
    assert report.adc_clipped == 0.5
    assert report.dac_clipped == 1.0
    noisy = tile_of(np.ones((500, 1)).tolist(), **RAW | {"out_noise": 0.1})
    found = noisy.observe(torch.ones(40, 1))  # n = 20000: relative std of the noise power sqrt(2 / n) = 1 %
    assert found.signal_to_noise == pytest.approx(100, rel=0.06)
    assert found.effective_bits == pytest.approx((20 - 1.76) / 6.02, abs=0.06)


# --- handles ----------------------------------------------------------------------------------------------------------


def test_a_moved_weight_is_found_again():
    """Copies, replaced data and replaced buffers are read where they now are."""
    io = {**RAW | {"out_noise": 0.1}, "out_noise_std": 0.5, "out_nonlinearity": 0.2}
    tile = tile_of([[1.0, 2.0], [3.0, 4.0]], **io)
    x = torch.tensor([[0.5, 1.0]])
    tile.forward(x)
    twin = copy.deepcopy(tile)
    assert torch.equal(twin.forward(x), tile.forward(x))
    other = tile_of([[0.0, 0.0], [0.0, 0.0]], **io)
    other.forward(x)
    state = {name: value.clone() for name, value in tile.state_dict().items() if isinstance(value, torch.Tensor)}
    other.load_state_dict(state, assign=True)
    del state
    assert torch.equal(other.forward(x), tile.forward(x))
    tile.weight.data = tile.weight.data * 2
    other.weight.data = other.weight.data * 2
    assert torch.equal(other.forward(x), tile.forward(x))
    with pytest.raises(TypeError, match="float32"):
        tile.double()
    assert torch.equal(other.forward(x), tile.forward(x))


@pytest.mark.parametrize(("samples", "outputs", "inputs"), [(1, 1, 1), (3, 7, 33), (300, 5, 40), (17, 64, 96)])
def test_sums_of_outer_products(samples, outputs, inputs):
    """Against double precision, with every remainder of the blocks."""
    rng = np.random.default_rng(samples)
    x, d = (rng.normal(size=(samples, size)).astype(np.float32) for size in (inputs, outputs))
    start = rng.normal(size=(outputs, inputs)).astype(np.float32)
    target = torch.tensor(start)
    accumulate_outer(target, torch.tensor(x), torch.tensor(d), -0.3)
    expected = start - 0.3 * (d.astype(float).T @ x.astype(float))
    assert target.numpy() == pytest.approx(expected, abs=2e-6 * (samples + 10))


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(("outputs", "inputs"), [(3, 5), (40, 131), (133, 70)])
def test_exact_products_of_every_shape(samples, outputs, inputs):
    """Both directions against double precision, across the blocks of the product kernels."""
    rng = np.random.default_rng(inputs)
    weights = rng.uniform(-1, 1, size=(outputs, inputs)).astype(np.float32)
    tile = tile_of(weights.tolist(), is_perfect=True)
    x, d = (torch.tensor(rng.normal(size=(samples, size)).astype(np.float32)) for size in (inputs, outputs))
    assert tile.forward(x).numpy() == pytest.approx(x.double().numpy() @ weights.T.astype(float), abs=1e-4)
    assert tile.backward(d).numpy() == pytest.approx(d.double().numpy() @ weights.astype(float), abs=1e-4)
