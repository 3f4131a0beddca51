"""What a graphics processor computes, beside the processor: the same bits wherever no cycle or write noise is drawn.

The kernels' bodies run on the host, forwards and backwards, and on a GPU where there is one.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from devices.recipes import without_spread
from gpu.parity import assert_same, both, mapped_network, quieted, tile_of, trained, work
from kernels.digest import DEVICES, PERIPHERIES, SHAPE, UPDATES, batch
from scipy import stats
from torch import nn

from tilewright import configs, kernels
from tilewright.devices import trace_pulses
from tilewright.kernels import gpu
from tilewright.nn import convert_to_analog
from tilewright.tile import AnalogTile

NAN, INFINITY = float("nan"), float("inf")
EXTREME = 1e-7  # of a test of a distribution: how rarely it may fail by chance


@pytest.mark.parametrize("update", [name for name in UPDATES if name != "signed"])
@pytest.mark.parametrize("device", DEVICES)
def test_updates_without_noise_are_the_same_bits(machine, device, update):
    both(tile_of(quieted(DEVICES[device]), UPDATES[update]), machine, rounds=1 if update != "default" else 2)


@pytest.mark.parametrize("periphery", PERIPHERIES)
def test_products_with_all_their_noise_are_the_same_bits(machine, periphery):
    io = configs.IOParameters(**PERIPHERIES[periphery])
    both(tile_of(quieted(DEVICES["soft"]), forward=io, backward=io), machine)


def products_are_alike(machine: Any, shape: tuple[int, int], samples: int) -> None:
    """Exact products both ways: nothing but sums."""
    tile = AnalogTile(*shape, configs.FloatingPointRPUConfig(), seed=1)
    tile.set_weights(torch.randn(shape))
    x, d = torch.randn(samples, shape[1]), torch.randn(samples, shape[0])
    expected = [tile.forward(x), tile.backward(d)]
    with machine.running():
        machine.put(tile)
        found = [tile.forward(machine.put(x)).cpu(), tile.backward(machine.put(d)).cpu()]
    assert_same(found, expected)


@pytest.mark.parametrize("samples", [1, 2, 4, 9])
@pytest.mark.parametrize("shape", [(70, 261), (128, 33), (129, 70), (300, 36), (1160, 37)])
def test_sums_do_not_depend_on_how_samples_are_shared_out(machine, shape, samples):
    """Rows of one stretch and of several, up to more than a block of threads sums at once."""
    products_are_alike(machine, shape, samples)


@pytest.mark.parametrize(("shape", "samples"), [((512, 20), 513), ((3, 1030), 1400), ((1030, 70), 2050)])
def test_large_products_share_out_more_sums_to_a_thread(machine, shape, samples):
    """So many sums that each thread takes more of them, at sizes that leave some threads idle."""
    products_are_alike(machine, shape, samples)


PASSES: dict[str, dict[str, Any]] = {
    "one pass": {},
    "only the upper bound counts": {"bm_test_negative_bound": False},
    "polarities apart": {"mv_type": "PosNegSeparate"},
    "polarities apart and unequal": {"mv_type": "PosNegSeparateDigitalSum", "w_read_asymmetry_dtod": 0.2},
}


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("shape", [(300, 290), (530, 20), (20, 1100)])
def test_repeated_passes_of_large_tiles_are_the_same_bits(machine, shape, passes):
    """More outputs than the block that repeats a sample takes at once; one sample passes at once."""
    io = configs.IOParameters(out_bound=1.0, inp_noise=0.01, out_noise=0.01, **PASSES[passes])
    tile = AnalogTile(*shape, configs.SingleRPUConfig(device=configs.IdealDevice(), forward=io), seed=4)
    tile.set_weights(torch.rand(shape) * 0.3)
    other, x = copy.deepcopy(tile), torch.rand(4, shape[1])
    x[1, 1:] *= -1e-3
    x[2] *= -1
    expected = tile.forward(x)
    with machine.running():
        found = machine.put(other).forward(machine.put(x)).cpu()
        assert other.passes == tile.passes
    assert_same([found], [expected])
    passes = tile.observe(x).passes
    assert (passes[:3] > 1).tolist() == [True, False, io.bm_test_negative_bound]


@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (33, 1), (9, 257), (130, 31)])
@pytest.mark.parametrize("samples", [1, 2, 5])
def test_tiles_of_any_shape(machine, shape, samples):
    """Sizes that are no multiple of what blocks and warps take."""
    tile = AnalogTile(*shape, configs.SingleRPUConfig(device=quieted(DEVICES["soft"])), seed=3)
    other = copy.deepcopy(tile)
    generator = torch.Generator().manual_seed(samples)
    x, d = torch.randn(samples, shape[1], generator=generator), torch.randn(samples, shape[0], generator=generator)

    def live(one: AnalogTile, put: Any) -> list[torch.Tensor]:
        one.update(put(x), put(d), 0.1)
        return [result.cpu() for result in (one.get_weights(), one.forward(put(x)), one.backward(put(d)))]

    expected = live(tile, lambda t: t)
    with machine.running():
        found = live(machine.put(other), machine.put)
    assert_same(found, expected)


@pytest.mark.parametrize("repeats", [True, False])
def test_what_happened_inside_a_product_is_reported_alike(machine, repeats):
    io = configs.IOParameters(out_bound=0.5, inp_noise=0.1, bound_management="Iterative" if repeats else "None")
    tile = tile_of(quieted(DEVICES["soft"]), forward=io)
    tile.set_weights(torch.rand(SHAPE) * 0.3)
    other, x = copy.deepcopy(tile), torch.rand(6, SHAPE[1])
    expected = tile.observe(x)
    with machine.running():
        found = machine.put(other).observe(machine.put(x))
        assert other.passes == tile.passes
    assert (int(expected.passes.max()) > 2) == repeats
    for name in ("output", "alpha", "rho", "passes"):
        assert torch.equal(getattr(found, name).cpu(), getattr(expected, name)), name
    assert found.dac_clipped == expected.dac_clipped
    assert found.adc_clipped == expected.adc_clipped > 0


@pytest.mark.parametrize("length", [1, 31, 300])
def test_random_fields_are_the_same_bits(machine, length):
    with machine.running():
        like, counter = machine.put(torch.empty(1)), machine.put(torch.tensor([5]))
        normal = gpu.field((3, length), 8, counter, like).cpu()
        uniform = gpu.field((3, length), 8, 5, like, uniform=True).cpu()
    assert torch.equal(normal, kernels.normal_field((3, length), 8, 5))
    assert torch.equal(uniform, kernels.uniform_field((3, length), 8, 5))


def test_sums_of_outer_products_are_the_same_bits(machine):
    both(AnalogTile(*SHAPE, configs.FloatingPointRPUConfig(), seed=1), machine)
    a, x, d = torch.randn(5, 7), torch.randn(600, 7), torch.randn(600, 5)
    b = a.clone()
    kernels.accumulate_outer(a, x, d, 0.3)
    with machine.running():
        b = machine.put(b)
        kernels.accumulate_outer(b, machine.put(x), machine.put(d), 0.3)
    assert torch.equal(a, b.cpu())


def test_whole_steps_of_an_accumulator_are_the_same_bits(machine):
    """Rows without a step, far too many for an integer, infinite ones and nan among them."""
    accumulator = torch.randn(6, 40) * 0.1
    accumulator[1] = 0.001
    accumulator[2, 3], accumulator[2, 4], accumulator[3, 5], accumulator[4, 6] = 1e12, -1e12, INFINITY, NAN
    placed, rows = accumulator.clone(), torch.arange(6, dtype=torch.int32)
    steps, row = kernels.carry_steps(accumulator, rows, 0.05, 31.0)
    with machine.running():
        placed = machine.put(placed)
        sent = gpu.carry_steps(placed, machine.put(rows), 0.05, 31.0)
    assert int(sent.live) == len(row) == 5
    assert row.tolist() == sent.source[:5].tolist() == [0, 2, 3, 4, 5]
    assert int(sent.source[5]) == 0
    for found, expected in ((sent.pulses[:5], steps), (placed, accumulator)):
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=0, equal_nan=True)


def test_time_resets_and_drift_are_the_same_bits(machine):
    device = configs.SoftBoundsReferenceDevice(
        dw_min=0.02, dw_min_std=0.0, diffusion=0.01, lifetime=20.0, reset_std=0.05, reference_std=0.05,
        drift=configs.DriftParameters(nu=0.1),
    )  # fmt: skip
    tile = tile_of(device)
    other = copy.deepcopy(tile)

    def live(one: AnalogTile, put: Any) -> list[torch.Tensor]:
        results = work(one, put)
        one.drift_weights(30.0)
        results.append(one.get_weights())
        one.reset_columns(3, 20, 0.5)
        results.append(one.get_weights())
        return [result.cpu() for result in results]

    expected = live(tile, lambda t: t)
    with machine.running():
        machine.put(other)
        found = live(other, machine.put)
    if machine.name != "cuda":
        assert_same(found, expected)
    for a, b in zip(found, expected, strict=True):  # powers of the drift are torch's, and not the same bits everywhere
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_devices_are_drawn_and_pulsed_alike_under_noise(machine, device):
    """Trains agree to the last bit, so that every crosspoint takes the same pulses up and down; noise is drawn anew."""
    noisy = DEVICES[device].model_copy(update={"count_pulses": True}, deep=True)
    tile = tile_of(noisy)
    other = copy.deepcopy(tile)
    x, d = batch(np.random.default_rng(1))
    tile.update(x, d, 0.05)
    with machine.running():
        machine.put(other)
        other.update(machine.put(x), machine.put(d), 0.05)
        assert other.cell.array.sent == tile.cell.array.sent
        assert other.cell.array.sent.pulses > 1000
        assert torch.equal(other.cell.array.counted_pulses.cpu(), tile.cell.array.counted_pulses)
    assert not torch.equal(other.weight.cpu(), tile.weight)


def test_cycle_and_write_noise_have_their_distribution(machine):
    """Constant steps: what a crosspoint moved beyond its mean is normal, with the pulses it took as its variance.

    4000 crosspoints; Kolmogorov-Smirnov against the normal distribution, and independence from one call to the next.
    """
    step, cycle, write = 0.001, 0.3, 0.4
    device = without_spread(
        configs.LinearStepDevice, gamma_up=0.0, gamma_down=0.0, dw_min=step, dw_min_std=cycle, write_noise_std=write,
        w_max=2, w_min=-2, count_pulses=True,
    )  # fmt: skip
    shape = (50, 80)
    tile = AnalogTile(*shape, configs.SingleRPUConfig(device=device), seed=2)
    array = tile.cell.array
    x, d = torch.rand(3, shape[1]) + 0.2, torch.randn(3, shape[0]).sign()
    scores, written = [], []
    with machine.running():
        machine.put(tile)
        before = array.persistent.cpu().clone()
        counted = torch.zeros(shape, dtype=torch.int64)
        for _ in range(2):
            tile.update(machine.put(x), machine.put(d), 0.01)
            state, counts = array.persistent.cpu(), array.counted_pulses.cpu()
            up, down = kernels.split_counts(counts - counted)
            number = (up + down).double()
            assert bool((number > 0).all())
            scores.append((state - before - step * (up - down)) / (step * cycle * number.sqrt()))
            written.append((tile.weight.detach().cpu() - state) / device.write_noise)
            before, counted = state.clone(), counts.clone()
    for values in (*scores, *written):
        assert stats.kstest(values.flatten().numpy(), "norm").pvalue > EXTREME
    for first, second in (scores, written):
        assert stats.pearsonr(first.flatten().numpy(), second.flatten().numpy()).pvalue > EXTREME


@pytest.mark.parametrize("device", DEVICES)
def test_traces(machine, device):
    """Without noise the same bits; with noise the same mean and spread at the end of 60 pulses, by 400 devices."""
    pulses = np.repeat([1, -1, 1], 20)
    for noisy in (False, True):
        used = DEVICES[device] if noisy else quieted(DEVICES[device])
        given = used, pulses, 400, 7, 0.05
        expected, last = trace_pulses(*given), trace_pulses(*given, keep="final")
        with machine.running():
            found = trace_pulses(*given, on=machine.device)
            assert np.array_equal(trace_pulses(*given, keep="final", on=machine.device), found[-1])
        if not noisy:
            assert np.array_equal(found, expected)
            assert np.array_equal(found[-1], last)
            continue
        assert not np.array_equal(found[-1], expected[-1])
        assert stats.ks_2samp(found[-1], expected[-1]).pvalue > EXTREME


def test_mapping_scales_and_saturated_errors(machine):
    """Layers as they are trained: scales of a mapping, digital bias, masks of saturated outputs, convolution."""
    model = mapped_network()
    other = copy.deepcopy(model)
    expected = trained(model, lambda t: t)
    with machine.running():
        found = trained(machine.put(other), machine.put)
    if machine.name == "cuda":  # torch's own sums of digital gradients go another way
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, atol=2e-2, rtol=1e-3)
    else:
        assert_same(found, expected)


def test_checkpoints_move(machine):
    """Trained in turns on both, through files of states, a tile ends where one ends that never moved."""
    device = quieted(DEVICES["pow"]).model_copy(update={"diffusion": 0.01})
    still, moving = tile_of(device), tile_of(device)
    rng = np.random.default_rng(0)
    for turn in range(4):
        x, d = batch(rng)
        still.update(x, d, 0.05)
        still.pass_time()
        expected = still.forward(x)
        with machine.running() if turn % 2 else torch.no_grad():
            put = machine.put if turn % 2 else (lambda t: t)
            fresh = put(tile_of(device))
            fresh.load_state_dict(moving.state_dict())
            fresh.update(put(x), put(d), 0.05)
            fresh.pass_time()
            assert torch.equal(fresh.forward(put(x)).cpu(), expected)
            moving = fresh
            saved = {
                key: value.cpu() if isinstance(value, torch.Tensor) else value
                for key, value in fresh.state_dict().items()
            }
        moving = tile_of(device)
        moving.load_state_dict(saved)


@pytest.mark.parametrize("periphery", PERIPHERIES)
def test_inputs_that_are_no_numbers_spoil_their_own_sample(machine, periphery):
    """As on the processor: nan for the sample, and the others as if it were not there."""
    io = configs.IOParameters(**PERIPHERIES[periphery])
    tile = tile_of(quieted(DEVICES["soft"]), forward=io, backward=io)
    tile.set_weights(torch.rand(SHAPE) * 0.4 - 0.2)
    other = copy.deepcopy(tile)
    x, d = batch(np.random.default_rng(2))
    x[2, 5], x[6], d[1, 0] = NAN, NAN, NAN
    expected = tile.forward(x), tile.backward(d)
    assert bool(expected[0][[2, 6]].isnan().all())
    assert int(expected[0].isnan().any(dim=1).sum()) == 2
    with machine.running():
        machine.put(other)
        found = other.forward(machine.put(x)).cpu(), other.backward(machine.put(d)).cpu()
        assert other.passes == tile.passes
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("update", UPDATES)
def test_updates_by_what_is_no_number(machine, update):
    """Pulse trains pass nan lines over, as on the processor."""
    config = configs.build_config("c-ttv2", quieted(DEVICES["soft"]), cell={"auto_scale": True})
    chopped = AnalogTile(*SHAPE, config, seed=9)
    for tile in (tile_of(quieted(DEVICES["soft"]), UPDATES[update]), *([chopped] if update == "default" else [])):
        other = copy.deepcopy(tile)
        x, d = batch(np.random.default_rng(2))
        x[2, 5], x[6], d[1, 0] = NAN, NAN, NAN
        tile.update(x, d, 0.05)
        with machine.running():
            machine.put(other)
            other.update(machine.put(x), machine.put(d), 0.05)
        torch.testing.assert_close(other.weight.cpu(), tile.weight, rtol=0, atol=0, equal_nan=True)


def test_growing_trains_and_wrong_types(machine):
    growing = tile_of(
        quieted(DEVICES["soft"]), {"update_bl_management": False, "update_management": False, "fixed_bl": False}
    )
    both(growing, machine, rounds=1)
    with machine.running():
        model = machine.put(convert_to_analog(nn.Linear(4, 3), configs.SingleRPUConfig()))
        with pytest.raises(TypeError, match="x must be float32"):
            next(model.modules()).tile.update(
                machine.put(torch.ones(1, 4)).double(), machine.put(torch.ones(1, 3)), 0.1
            )
