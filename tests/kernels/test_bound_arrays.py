"""Updates straight from the tensors of an array: the same as the general call, wherever the tensors have gone."""

from __future__ import annotations

import copy
import datetime
import pickle

import pytest
import torch
from torch import Tensor

from tilewright import _cpu, configs, kernels
from tilewright.configs import SingleRPUConfig
from tilewright.kernels import ArrayProgress
from tilewright.tile import AnalogTile

SHAPE = (13, 21)
DEVICES = {
    "plain": configs.ConstantStepDevice(),
    "uniform": configs.ConstantStepDevice(dw_min_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0, up_down_dtod=0.0),
    "write noise": configs.SoftBoundsReferenceDevice(reference_std=0.05, write_noise_std=2.0),
    "counted": configs.LinearStepDevice(count_pulses=True),
}


def tile_of(device) -> AnalogTile:
    tile = AnalogTile(*SHAPE, SingleRPUConfig(device=device), seed=5)
    tile.set_weights(torch.linspace(-0.3, 0.3, SHAPE[0] * SHAPE[1]).reshape(SHAPE))
    return tile


def vectors(samples: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.rand(samples, SHAPE[1], generator=draw), torch.randn(samples, SHAPE[0], generator=draw)


def general(tile: AnalogTile, x: Tensor, d: Tensor, lr: float) -> None:
    """The same update by the call that takes a rate for each sample."""
    array = tile.cell.array
    settings = tile.cell._settings.get()
    array.update(tile.weight, x, d, torch.full((x.shape[0],), lr), settings)


def same(one: AnalogTile, other: AnalogTile) -> bool:
    ours, theirs = (tile.cell.array.updated_tensors(tile.weight) for tile in (one, other))
    equal = all((a is None and b is None) or torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    return equal and one.cell.array.sent == other.cell.array.sent


@pytest.mark.parametrize("name", DEVICES)
def test_both_calls_do_the_same(name):
    one, other = tile_of(DEVICES[name]), tile_of(DEVICES[name])
    x, d = vectors()
    for lr in (0.1, 0.3):
        one.update(x, d, lr)
        general(other, x, d, lr)
    assert one.cell.array.sent.pulses > 100
    assert same(one, other)


def replaced(tile: AnalogTile, name: str) -> None:
    array = tile.cell.array
    array._buffers[name] = array._buffers[name].clone() * 0.5


def moved(tile: AnalogTile, name: str) -> None:
    buffer = tile.cell.array._buffers[name]
    buffer.data = buffer.data * 0.5


def spread_out(tile: AnalogTile, name: str) -> None:
    array = tile.cell.array
    array._buffers[name] = (array._buffers[name].expand(SHAPE) * 0.5).contiguous()


def grown(tile: AnalogTile, name: str) -> None:
    """The dictionary lists its tensors in another order."""
    buffers = tile.cell.array._buffers
    buffers[name] = buffers.pop(name) * 0.5


@pytest.mark.parametrize("change", [replaced, moved, spread_out, grown])
@pytest.mark.parametrize("name", ["up", "max_bound"])
@pytest.mark.parametrize("device", ["plain", "uniform"])
def test_what_becomes_of_the_tensors_between_calls_is_noticed(change, name, device):
    one, other, unchanged = (tile_of(DEVICES[device]) for _ in range(3))
    x, d = vectors()
    for tile in (one, unchanged):
        tile.update(x, d, 0.3)
    general(other, x, d, 0.3)
    for tile in (one, other):
        change(tile, name)
    for tile in (one, unchanged):
        tile.update(x, d, 0.3)
    general(other, x, d, 0.3)
    assert same(one, other)
    assert not torch.equal(one.weight, unchanged.weight)


def test_a_counter_that_comes_later_is_used():
    one, other = tile_of(DEVICES["plain"]), tile_of(DEVICES["plain"])
    x, d = vectors()
    one.update(x, d, 0.3)
    general(other, x, d, 0.3)
    for tile in (one, other):
        tile.count_pulses()
    one.update(x, d, 0.3)
    general(other, x, d, 0.3)
    assert int(one.pulse_counts()["W"][0].sum()) > 0
    assert same(one, other)


def as_they_are(x: Tensor) -> Tensor:
    return x


def with_gaps(x: Tensor) -> Tensor:
    wide = torch.zeros(x.shape[0], 2 * x.shape[1])
    wide[:, ::2] = x
    return wide[:, ::2]


def turned(x: Tensor) -> Tensor:
    return x.t().contiguous().t()


def in_three_dimensions(x: Tensor) -> Tensor:
    return x.reshape(2, -1, x.shape[1])


def with_gradient(x: Tensor) -> Tensor:
    return x.clone().requires_grad_()


def from_the_middle(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros(3, x.shape[1]), x])[3:]


@pytest.mark.parametrize("form", [as_they_are, with_gaps, turned, in_three_dimensions, with_gradient, from_the_middle])
def test_vectors_of_any_form_are_taken(form):
    one, other = tile_of(DEVICES["plain"]), tile_of(DEVICES["plain"])
    x, d = vectors()
    one.update(form(x), form(d), 0.3)
    other.update(x, d, 0.3)
    assert one.updated == other.updated == [4, 1]
    assert same(one, other)


@pytest.mark.parametrize("form", [as_they_are, with_gaps, turned, in_three_dimensions, with_gradient, from_the_middle])
def test_products_take_vectors_of_any_form(form):
    one, other = tile_of(DEVICES["plain"]), tile_of(DEVICES["plain"])
    x, d = vectors()
    for _ in range(2):
        assert torch.equal(one.forward(form(x)).reshape(-1, SHAPE[0]), other.forward(x))
        assert torch.equal(one.backward(form(d)).reshape(-1, SHAPE[1]), other.backward(d))
    assert torch.equal(one.forward(x[:3]), other.forward(form(x).reshape(-1, SHAPE[1])[:3]))
    assert one.position == other.position == [11, 8]


@pytest.mark.parametrize(
    ("x", "d", "words"),
    [
        (torch.zeros(2, 20), torch.zeros(2, 13), r"x must be \(batch, 21\) and d \(batch, 13\), found \(2, 20\)"),
        (torch.zeros(2, 21), torch.zeros(3, 13), r"found \(2, 21\) and \(3, 13\)"),
        (torch.zeros(2, 21, dtype=torch.float64), torch.zeros(2, 13), "x must be float32, found torch.float64"),
        (torch.zeros(2, 21), torch.zeros(2, 13, dtype=torch.int64), "d must be float32, found torch.int64"),
        (torch.zeros(2, 21, device="meta"), torch.zeros(2, 13, device="meta"), "on meta"),
    ],
)
def test_vectors_that_do_not_fit_are_refused_and_nothing_is_counted(x, d, words):
    tile = tile_of(DEVICES["plain"])
    before = tile.weight.detach().clone()
    with pytest.raises((ValueError, TypeError, RuntimeError), match=words):
        tile.update(x, d, 0.1)
    assert torch.equal(tile.weight, before)
    assert tile.cell.array.sent == ArrayProgress()


def test_samples_are_counted_only_of_matrices_that_fit():
    x, d = vectors(7)
    assert kernels.samples_of(x, SHAPE[1], d, SHAPE[0]) == 7
    assert kernels.samples_of(x, SHAPE[1] + 1, d, SHAPE[0]) == -1
    assert kernels.samples_of(x, SHAPE[1], d[:6], SHAPE[0]) == -1
    assert kernels.samples_of(x.double(), SHAPE[1], d, SHAPE[0]) == -1
    assert kernels.samples_of(with_gaps(x), SHAPE[1], d, SHAPE[0]) == -1
    assert kernels.samples_of(x[0], SHAPE[1], d, SHAPE[0]) == -1
    assert kernels.samples_of("x", SHAPE[1], d, SHAPE[0]) == -1
    assert kernels.samples_of(x.to_sparse(), SHAPE[1], d, SHAPE[0]) == -1
    assert kernels.samples_of(x[:0], SHAPE[1], d[:0], SHAPE[0]) == 0


def test_without_torchs_interface_the_general_call_does_it():
    x, d = vectors()
    one, other = tile_of(DEVICES["write noise"]), tile_of(DEVICES["write noise"])
    other.update(x, d, 0.3)
    other.update(x, d, 0.3)
    try:
        _cpu.read_tensors_through(datetime.datetime_CAPI)  # a capsule of another kind teaches nothing
        assert kernels.samples_of(x, SHAPE[1], d, SHAPE[0]) == -1
        one.update(x, d, 0.3)
        one.update(x, d, 0.3)
    finally:
        _cpu.read_tensors_through(Tensor.__dlpack_c_exchange_api__)
    assert same(one, other)


def test_copies_go_on_by_themselves():
    x, d = vectors()
    tile = tile_of(DEVICES["plain"])
    tile.update(x, d, 0.3)
    copied, pickled = copy.deepcopy(tile), pickle.loads(pickle.dumps(tile))
    before = tile.cell.array.sent
    for other in (copied, pickled):
        other.update(x, d, 0.3)
        assert other.cell.array.sent.calls == before.calls + 1
    assert tile.cell.array.sent == before
    tile.update(x, d, 0.3)
    assert same(tile, copied)
    assert same(tile, pickled)


def rewound(tile: AnalogTile, state: dict) -> None:
    tile.load_state_dict(state)


def rewound_and_cast(tile: AnalogTile, state: dict) -> None:
    tile.float().load_state_dict(state)


def with_other_objects(tile: AnalogTile, state: dict) -> None:
    tile.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)


@pytest.mark.parametrize("rewind", [rewound, rewound_and_cast, with_other_objects])
def test_a_quick_step_does_not_outlive_what_it_was_made_for(rewind):
    tile, x, d = tile_of(DEVICES["write noise"]), *vectors()
    for _ in range(2):
        tile.update(x, d, 0.3)
    assert tile._quick_step is not None
    state = {name: value.clone() for name, value in tile.state_dict().items()}
    other = copy.deepcopy(tile)
    tile.update(x, d, 0.3)
    rewind(tile, state)
    for one in (tile, other):
        one.update(x, d, 0.3)
    assert same(tile, other)


def in_place(tile: AnalogTile) -> None:
    with torch.no_grad():
        tile.weight.mul_(0.5)


def through_data(tile: AnalogTile) -> None:
    tile.weight.data.mul_(0.5)


def by_assigning_data(tile: AnalogTile) -> None:
    tile.weight.data = tile.weight.detach() * 0.5


def through_data_held(tile: AnalogTile) -> None:
    held = tile.weight.data
    tile.update(*vectors(), 0.1)
    held.mul_(0.5)


@pytest.mark.parametrize("write", [in_place, through_data, by_assigning_data, through_data_held])
def test_weights_written_by_hand_between_quick_steps_are_noticed(write):
    one, other = (tile_of(DEVICES["write noise"]) for _ in range(2))
    x, d = vectors()
    for tile in (one, other):
        tile.update(x, d, 0.3)
        tile.update(x, d, 0.3)
    if write is through_data_held:
        other.update(*vectors(), 0.1)
    write(one)
    other.set_weights(other.weight.detach() * 0.5)
    for tile in (one, other):
        tile.update(x, d, 0.3)
    assert same(one, other)


@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf")])
def test_rates_that_make_no_sense_are_refused_by_a_quick_step_too(lr):
    tile, x, d = tile_of(DEVICES["plain"]), *vectors()
    tile.update(x, d, 0.3)
    before = tile.cell.array.sent
    with pytest.raises(ValueError, match="lr must be a finite number that is not negative"):
        tile.update(x, d, lr)
    tile.update(x, d, 0.0)
    assert tile.cell.array.sent == before
    assert tile.updated == [4, 1]


def test_devices_that_drift_and_scaled_weights_have_no_quick_step():
    x, d = vectors()
    drifting = tile_of(configs.ConstantStepDevice(drift=configs.DriftParameters(nu=0.1)))
    scaled = AnalogTile(*SHAPE, SingleRPUConfig(mapping=configs.MappingParameter(weight_scaling_omega=0.6)), seed=5)
    for tile in (drifting, scaled):
        tile.update(x, d, 0.3)
        assert tile._quick_step is None
