"""Reading weights through the periphery, programming them with pulses, mapping them anew; matrices for solvers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import gmres

from tilewright.configs import (
    ConstantStepDevice,
    FloatingPointRPUConfig,
    IdealDevice,
    IOParameters,
    MappingParameter,
    SingleRPUConfig,
    SoftBoundsDevice,
    build_config,
)
from tilewright.linalg import AnalogMatrix
from tilewright.nn import AnalogConv2d, AnalogLinear
from tilewright.tile import AnalogTile
from tilewright.tile_array import TileArray
from tilewright.weight_access import program_weights, read_weights, remap_weights

SCALED = MappingParameter(weight_scaling_omega=0.6, weight_scaling_columnwise=True)


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def test_reads_average_their_noise_away():
    """Output noise sigma 0.06 on inputs scaled to 1: the error of each weight is about sigma max|x| / sqrt(n), which is
    0.06 * 2.6 / sqrt(160) = 0.012 for ten vectors an input; seven of these would be a false alarm below 1e-9."""
    tile = AnalogTile(5, 16, SingleRPUConfig(device=IdealDevice()), seed=3)
    tile.set_weights(weights(5, 16))
    tile.train()
    errors = [float((read_weights(tile, n) - tile.get_weights()).abs().max()) for n in (10, 1000)]
    assert 0.002 < errors[0] < 7 * 0.012
    assert errors[1] < errors[0] / 3
    assert tile.training


def test_reads_without_noise_are_exact_on_arrays_and_in_layers():
    mapping = MappingParameter(weight_scaling_omega=0.6, max_input_size=7, max_output_size=4, learn_out_scaling=True)
    array = TileArray(6, 12, FloatingPointRPUConfig(mapping=mapping), seed=1)
    array.set_weights(weights(6, 12))
    with torch.no_grad():
        array.tiles[0].out_scaling.fill_(2.0)
    assert read_weights(array) == pytest.approx(array.get_weights().numpy(), abs=1e-5)
    layer = AnalogConv2d(4, 6, 3, groups=2, rpu_config=FloatingPointRPUConfig())
    for found, wanted in zip(layer.read_weights(), layer.get_weights(), strict=True):
        assert found.shape == wanted.shape
        assert found.detach().numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


@pytest.mark.parametrize("algorithm", ["sgd", "mp"])
def test_programming_reaches_what_devices_can_hold(algorithm):
    device = SoftBoundsDevice(dw_min=0.002, w_max=1.0, w_min=-1.0, w_max_dtod=0.05, w_min_dtod=0.05)
    quiet = IOParameters(out_noise=0.0)
    config = build_config(algorithm, device, forward=quiet, mapping=SCALED)
    tile = AnalogTile(6, 9, config, seed=2)
    wanted = weights(6, 9)
    found = program_weights(tile, wanted, tolerance=0.02)
    assert found.reached
    assert 3 < found.iterations < 300
    assert found.error < 0.02
    assert float((tile.get_weights() - wanted).abs().mean() / wanted.abs().max()) < 0.03
    tile.set_weights(wanted)
    assert program_weights(tile, tolerance=0.02).reached, "also what is there already, and a second time"


def test_programming_says_when_devices_cannot_hold_the_target():
    device = ConstantStepDevice(w_max=0.3, w_min=-0.3)
    tile = AnalogTile(3, 4, SingleRPUConfig(device=device, forward=IOParameters(is_perfect=True)), seed=1)
    found = program_weights(tile, torch.full((3, 4), 0.9), max_iterations=20)
    assert (found.iterations, found.reached) == (20, False)
    assert found.error > 0.3


def test_mapping_anew_keeps_the_function_and_fills_the_range():
    layer = AnalogLinear(8, 5, rpu_config=FloatingPointRPUConfig(mapping=SCALED))
    before, x = layer.get_weights(), torch.rand(3, 8)
    y = layer(x)
    layer.remap_weights(0.9)
    assert layer.tile.weight.abs().amax(dim=1).tolist() == pytest.approx([0.9] * 5)
    assert layer(x).detach().numpy() == pytest.approx(y.detach().numpy(), abs=1e-6)
    assert layer.get_weights()[0].numpy() == pytest.approx(before[0].numpy(), abs=1e-6)
    with pytest.raises(ValueError, match="weight_scaling_omega above 0"):
        remap_weights(AnalogTile(2, 2, FloatingPointRPUConfig()))


# --- matrices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [512, 5])
def test_a_matrix_multiplies_like_an_array(limit):
    mapping = MappingParameter(max_input_size=limit, max_output_size=limit)
    a = weights(7, 9).numpy()
    matrix = AnalogMatrix(a, FloatingPointRPUConfig(mapping=mapping))
    assert (matrix.shape, matrix.dtype) == ((7, 9), np.float32)
    assert matrix.to_dense() == pytest.approx(a)
    x, y, more = np.arange(9.0), np.linspace(-1, 1, 7), np.random.default_rng(1).normal(size=(9, 3))
    for found, wanted in (
        (matrix @ x, a @ x), (y @ matrix, y @ a), (matrix.T @ y, a.T @ y), (matrix.H @ y, a.T @ y),
        (matrix @ more, a @ more), (matrix @ (more > 0), a @ (more > 0)), ((2 * matrix) @ x, 2 * a @ x),
    ):  # fmt: skip
        assert found.shape == wanted.shape
        assert found == pytest.approx(wanted, abs=1e-5)
    assert (matrix @ x).dtype == np.float64
    tensors = (matrix @ torch.tensor(x), torch.tensor(y) @ matrix, matrix @ torch.tensor(more))
    for found, wanted in zip(tensors, (a @ x, y @ a, a @ more), strict=True):
        assert isinstance(found, torch.Tensor)
        assert found.numpy() == pytest.approx(wanted, abs=1e-5)
    matrix.ger(x, y, 0.1)
    matrix.ger(x, y, -0.3)
    assert matrix.to_dense() == pytest.approx(a - 0.2 * np.outer(y, x), abs=1e-5)
    with pytest.raises(ValueError, match="9 rows"):
        matrix @ torch.ones(7)
    with pytest.raises(ValueError, match="dimension mismatch"):
        matrix @ np.ones(7)


def test_a_solver_takes_the_matrix():
    a = np.eye(12) + 0.3 * weights(12, 12).numpy()
    wanted = np.linspace(-1, 1, 12)
    found, failed = gmres(AnalogMatrix(a, FloatingPointRPUConfig()), a @ wanted, rtol=1e-5)
    assert failed == 0
    assert found == pytest.approx(wanted, abs=1e-3)


def test_rank_one_updates_pulse_the_devices():
    """20 x 20 devices, each moved by 0.06 in expectation in steps of 0.001 with 30 % noise and 30 % spread between
    devices, binomial pulses: the mean deviates by less than 7 times 0.06 * 0.5 / 20."""
    matrix = AnalogMatrix(np.zeros((20, 20)), seed=1)
    for _ in range(20):
        matrix.ger(np.full(20, 0.5), np.full(20, 0.6), 0.01)
    assert matrix.to_dense().mean() == pytest.approx(0.06, abs=7 * 0.06 * 0.5 / 20)
    assert matrix.to_dense().std() > 0.005
