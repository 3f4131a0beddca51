"""A batch is its samples one after the other; calls with wrong tensors say what is wrong."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from devices.recipes import FAMILIES, without_noise
from kernels.digest import DEVICES, UPDATES

from tilewright import configs
from tilewright.tile import AnalogTile

SHAPE = (9, 13)


def vectors(size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.tensor(rng.normal(size=(size, SHAPE[1])), dtype=torch.float32),
        torch.tensor(rng.normal(size=(size, SHAPE[0])), dtype=torch.float32),
    )


@pytest.mark.parametrize("update", [u for k, u in UPDATES.items() if k != "exact"], ids=str)
@pytest.mark.parametrize("cls", FAMILIES)
@pytest.mark.parametrize("size", [1, 5, 70])
def test_a_batch_is_its_samples_in_order(cls, update, size):
    """With a noise-free device the pulse trains alone are random, and those depend on the sample's number only."""
    device = without_noise(cls, dw_min=0.01, up_down=0.2)
    config = configs.SingleRPUConfig(device=device, update=configs.UpdateParameters(**update))
    together, apart = AnalogTile(*SHAPE, config, seed=3), AnalogTile(*SHAPE, config, seed=3)
    x, d = vectors(size)
    together.update(x, d, 0.02)
    for k in range(size):
        apart.update(x[k : k + 1], d[k : k + 1], 0.02)
    assert torch.equal(together.get_weights(), apart.get_weights())
    x, d = vectors(3, seed=1)
    together.update(x, d, 0.02)
    apart.update(x[:2], d[:2], 0.02)
    apart.update(x[2:], d[2:], 0.02)
    assert torch.equal(together.get_weights(), apart.get_weights())


@pytest.mark.parametrize(("pulses", "size"), [(0.001, 500), (0.03, 12), (1.0, 12), (18.0, 12)])
@pytest.mark.parametrize("cls", [*FAMILIES, configs.ExpStepDevice, configs.PowStepDevice, configs.TableStepDevice])
def test_wide_batches_are_their_samples_in_order_at_any_density(cls, pulses, size):
    """Rows long enough for every way through the kernels: lists of columns, short ones joined while no column comes
    twice, several vectors together, queued pulses."""
    shape = (5, 75)
    device = without_noise(cls, dw_min=0.001, up_down=0.1)
    config = configs.SingleRPUConfig(device=device)
    together, apart = AnalogTile(*shape, config, seed=3), AnalogTile(*shape, config, seed=3)
    rng = np.random.default_rng(5)
    x, d = (
        torch.tensor(rng.choice([-1, 1], (size, n)) * rng.uniform(0.6, 1, (size, n)), dtype=torch.float32)
        for n in (shape[1], shape[0])
    )
    lr = pulses * device.granularity / 0.64
    together.update(x, d, lr)
    for k in range(size):
        apart.update(x[k : k + 1], d[k : k + 1], lr)
    sent = together.cell.array.sent.pulses
    assert sent == apart.cell.array.sent.pulses
    assert sent / (size * shape[0] * shape[1]) == pytest.approx(pulses, rel=0.3)
    assert torch.equal(together.get_weights(), apart.get_weights())


@pytest.mark.parametrize("io", [{}, {"out_bound": 0.5, "inp_noise": 0.1}, {"mv_type": "PosNegSeparate"}], ids=str)
def test_products_of_a_batch_are_products_of_its_samples(io):
    """Noise belongs to the sample's number, so splitting a batch changes nothing."""
    periphery = configs.IOParameters(**io)
    config = configs.SingleRPUConfig(device=DEVICES["soft"], forward=periphery, backward=periphery)
    together, apart = AnalogTile(*SHAPE, config, seed=3), AnalogTile(*SHAPE, config, seed=3)
    for tile in (together, apart):
        tile.set_weights(torch.linspace(-0.5, 0.5, 117).reshape(SHAPE))
    x, d = vectors(37)
    rows = torch.cat([apart.forward(part) for part in x.split([1, 7, 16, 13])])
    assert torch.equal(together.forward(x), rows)
    back = torch.cat([apart.backward(part) for part in d.split([20, 17])])
    assert torch.equal(together.backward(d), back)


@pytest.mark.parametrize("algorithm", ["ttv2", "c-ttv2"])
def test_cells_take_batches_as_samples(algorithm):
    """TTv2 counts vectors, so splitting a batch changes nothing on noise-free devices with exact reads."""
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01, up_down=0.2)
    config = configs.build_config(algorithm, device)
    config.device.transfer_forward = configs.IOParameters(
        is_perfect=True, noise_management="None", bound_management="None"
    )
    config.device.auto_scale = False
    config.device.fast_lr = 0.1
    together, apart = AnalogTile(*SHAPE, config, seed=3), AnalogTile(*SHAPE, config, seed=3)
    x, d = vectors(60)
    together.update(x, d, 0.02)
    for part_x, part_d in zip(x.split([1, 2, 30, 27]), d.split([1, 2, 30, 27]), strict=True):
        apart.update(part_x, part_d, 0.02)
    assert torch.equal(together.get_weights(), apart.get_weights())
    assert together.get_weights().abs().max() > 0


def test_inputs_of_any_layout_give_the_same_bits():
    """Strided and transposed views are read as what they mean."""
    tile, other = (AnalogTile(*SHAPE, configs.SingleRPUConfig(device=DEVICES["soft"]), seed=3) for _ in range(2))
    x, d = vectors(6)
    strided_x, strided_d = torch.zeros(6, 26)[:, ::2], torch.zeros(9, 6).t()
    strided_x.copy_(x)
    strided_d.copy_(d)
    assert torch.equal(tile.forward(x), other.forward(strided_x))
    assert torch.equal(tile.backward(d), other.backward(strided_d))
    tile.update(x, d, 0.1)
    other.update(strided_x, strided_d, 0.1)
    assert torch.equal(tile.get_weights(), other.get_weights())


def test_leading_dimensions_are_samples():
    tile, other = (AnalogTile(*SHAPE, configs.SingleRPUConfig(device=DEVICES["soft"]), seed=3) for _ in range(2))
    x, d = vectors(6)
    assert torch.equal(tile.forward(x.reshape(2, 3, 13)), other.forward(x).reshape(2, 3, 9))
    tile.update(x.reshape(2, 3, 13), d.reshape(2, 3, 9), 0.1)
    other.update(x, d, 0.1)
    assert torch.equal(tile.get_weights(), other.get_weights())
    assert tile.forward(x[0]).shape == (9,)


def test_empty_batches_are_nothing():
    tile = AnalogTile(*SHAPE, configs.SingleRPUConfig(device=DEVICES["soft"]), seed=3)
    before = tile.get_weights()
    assert tile.forward(torch.zeros(0, 13)).shape == (0, 9)
    assert tile.backward(torch.zeros(0, 9)).shape == (0, 13)
    tile.update(torch.zeros(0, 13), torch.zeros(0, 9), 0.1)
    assert torch.equal(tile.get_weights(), before)


def make() -> AnalogTile:
    return AnalogTile(*SHAPE, configs.SingleRPUConfig(device=DEVICES["soft"]), seed=3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: t.forward(torch.zeros(2, 9)), "13"),
        (lambda t: t.forward(torch.zeros(2, 13, dtype=torch.float64)), "float32"),
        (lambda t: t.forward(torch.zeros(2, 13, dtype=torch.int64)), "float32"),
        (lambda t: t.forward(torch.zeros(2, 13, device="meta")), "meta"),
        (lambda t: t.backward(torch.zeros(2, 13)), "9"),
        (lambda t: t.backward(torch.zeros(2, 9, dtype=torch.float16)), "float32"),
        (lambda t: t.update(torch.zeros(2, 13), torch.zeros(3, 9), 0.1), "batch"),
        (lambda t: t.update(torch.zeros(2, 9), torch.zeros(2, 13), 0.1), "13"),
        (lambda t: t.update(torch.zeros(2, 13, dtype=torch.int32), torch.zeros(2, 9), 0.1), "float32"),
        (lambda t: t.update(torch.zeros(2, 13), torch.zeros(2, 9, dtype=torch.float64), 0.1), "float32"),
        (lambda t: t.update(torch.zeros(2, 13, device="meta"), torch.zeros(2, 9), 0.1), "meta"),
        (lambda t: t.update(torch.zeros(2, 13), torch.zeros(2, 9), -0.1), "negative"),
        (lambda t: t.update(torch.zeros(2, 13), torch.zeros(2, 9), float("nan")), "lr"),
        (lambda t: t.update(torch.zeros(2, 13), torch.zeros(2, 9), float("inf")), "lr"),
        (lambda t: t.set_weights(torch.zeros(13, 9)), r"\(9, 13\)"),
        (lambda t: t.set_weights(torch.full((9, 13), float("nan"))), "finite"),
        (lambda t: AnalogTile(0, 3, configs.SingleRPUConfig()), "at least one"),
        (lambda t: AnalogTile(3, 3, configs.MappingParameter()), "MappingParameter"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, words):
    tile = make()
    before = tile.get_weights()
    with pytest.raises((ValueError, TypeError, RuntimeError), match=words):
        call(tile)
    assert torch.equal(tile.get_weights(), before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["x", "d"])
def test_numbers_that_are_none_do_not_spread(bad, where):
    """A diverged network sends NaN: the tile refuses in words, or at least its weights stay finite."""
    tile = make()
    x, d = vectors(3)
    (x if where == "x" else d)[1, 2] = bad
    with contextlib.suppress(ValueError):
        tile.update(x, d, 0.1)
    assert torch.isfinite(tile.get_weights()).all()


OUT_OF_MEMORY = """
import resource, torch
from tilewright import configs
from tilewright.tile import AnalogTile
tile = AnalogTile(8, 4096, configs.SingleRPUConfig(update=configs.UpdateParameters(pulse_type="MeanCount")), seed=1)
x, d = torch.rand(20000, 4096), torch.rand(20000, 8)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, resource.RLIM_INFINITY))
try:
    tile.update(x, d, 0.1)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_missing_memory_is_an_error_in_words():
    """Not the end of the process: 330 MB of working memory with 50 MB to be had."""
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "working memory" in done.stdout
    assert "smaller batch" in done.stdout
