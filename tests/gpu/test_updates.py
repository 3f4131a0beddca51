"""Updates at the sizes where the kernels for graphics processors change what they do, beside the processor's.

A block keeps 128 words of trains, or levels, at once, in four groups of 32, and has 32 columns and 8 rows; up to 16
words go another way, with up to 64 rows. A word holds 31 slots, and pulses wait in fours.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from gpu.conftest import Machine
from gpu.parity import quieted, tile_of
from kernels.digest import DEVICES

from tilewright import configs, kernels
from tilewright.cells.cell import SettingsCache
from tilewright.devices.array import DeviceArray

NAN = float("nan")
SHAPE = (11, 37)  # two blocks each way, neither full


@dataclass
class Update:
    """What a test asks of one array."""

    samples: int
    update: dict[str, Any] = field(default_factory=dict)
    raise_only: bool = False
    lr: float = 0.05
    active: float = 1.0  # share of lines of a sample that are not 0
    counted: int | None = None  # samples that count
    copies: tuple[tuple[int, int], ...] = ()  # line, and sample after which
    rows: bool = False
    reset: bool = False
    reset_hidden: bool = False
    shape: tuple[int, int] = SHAPE
    seed: int = 1

    def settings(self, array: DeviceArray) -> kernels.UpdateSettings:
        """The pulse scheme."""
        return SettingsCache(configs.UpdateParameters(**self.update), array.device.granularity, self.raise_only).get()

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and errors."""
        rng = np.random.default_rng(self.seed)
        sides = []
        for lines in (self.shape[1], self.shape[0]):
            values = rng.normal(size=(self.samples, lines))
            values[rng.uniform(size=values.shape) >= self.active] = 0
            sides.append(torch.tensor(values, dtype=torch.float32))
        return sides[0], sides[1]

    def snapshots(self, put: Any) -> kernels.Snapshots | None:
        """The copies."""
        if not self.copies:
            return None
        line, after = (put(torch.tensor(numbers, dtype=torch.int32)) for numbers in zip(*self.copies, strict=True))
        out = put(torch.full((len(self.copies), self.shape[1 if self.rows else 0]), NAN))
        reset = None
        if self.reset:
            state = torch.linspace(-0.2, 0.2, len(self.copies) * self.shape[0]).reshape(len(self.copies), -1)
            state[:, ::3] = NAN
            reset = put(state), put(state + 0.01 if self.reset_hidden else state.clone())
        return kernels.Snapshots(line, after, out, self.rows, reset)

    def on_processor(self, array: DeviceArray, visible: torch.Tensor) -> torch.Tensor | None:
        """The samples that count, and copies."""
        x, d = self.vectors()
        snapshots = self.snapshots(lambda tensor: tensor)
        array.update(visible, x[: self.counted], d[: self.counted], self.lr, self.settings(array), snapshots)
        return None if snapshots is None else snapshots.out

    def on(self, machine: Machine, array: DeviceArray, visible: torch.Tensor) -> torch.Tensor | None:
        """All samples there are, of which the device knows how many count; what follows them is no number."""
        x, d = self.vectors()
        if self.counted is not None:
            x[self.counted :], d[self.counted :] = NAN, NAN
        live = None if self.counted is None else machine.put(torch.tensor(self.counted))
        snapshots = self.snapshots(machine.put)
        array.update(visible, machine.put(x), machine.put(d), self.lr, self.settings(array), snapshots, live=live)
        return None if snapshots is None else snapshots.out.cpu()


def check(machine: Machine, device: Any, update: Update, calls: int = 2) -> int:
    """The same bits after some calls: weights, hidden states, copies, and what was sent. Gives the number of pulses."""
    quiet = quieted(device).model_copy(update={"count_pulses": True}, deep=True)
    tile = copy.deepcopy(tile_of(quiet, shape=update.shape))
    array, visible = tile.cell.array, tile.weight.detach()
    expected = [update.on_processor(array, visible) for _ in range(calls)]
    other = tile_of(quiet, shape=update.shape)
    with machine.running():
        machine.put(other)
        moved, seen = other.cell.array, other.weight.detach()
        found = [update.on(machine, moved, seen) for _ in range(calls)]
        assert moved.sent == array.sent
        assert moved.samples == array.samples
    other.to("cpu")
    assert torch.equal(other.weight, tile.weight)
    assert torch.equal(other.cell.array.counted_pulses, array.counted_pulses)
    if array.persistent is not None:
        assert torch.equal(other.cell.array.persistent, array.persistent)
    for ours, theirs in zip(found, expected, strict=True):
        if theirs is not None:
            assert torch.equal(ours, theirs)
            assert not bool(theirs.isnan().any())
    return array.sent.pulses


SCHEMES = {
    "trains": {},
    "two words": {"update_bl_management": False, "desired_bl": 40},
    "full words": {"update_bl_management": False, "desired_bl": 62},
    "three words": {"update_bl_management": False, "desired_bl": 63},
    "one slot": {"desired_bl": 1},
    "two slots": {"desired_bl": 2},
    "counted": {"pulse_type": "MeanCount"},
    "many counted": {"pulse_type": "MeanCount", "update_bl_management": False, "desired_bl": 500},
    "implicit": {"pulse_type": "DeterministicImplicit"},
    "clipped": {"pulse_type": "NoneWithDevice"},
}


@pytest.mark.parametrize("samples", [1, 5, 9, 16, 17, 64, 129])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_batches_around_what_a_block_keeps(machine, scheme, samples):
    """Few and many, groups and parts that are full, or one more, and words of a sample that lie in two parts."""
    assert check(machine, DEVICES["soft"], Update(samples, SCHEMES[scheme]), calls=1) > 0 or scheme == "clipped"


@pytest.mark.parametrize("samples", [127, 128, 300])
def test_batches_of_several_parts(machine, samples):
    assert check(machine, DEVICES["soft"], Update(samples), calls=1) > 0


@pytest.mark.parametrize("shape", [(500, 600), (2100, 40)])
def test_large_arrays_share_out_more_rows_to_a_block(machine, shape):
    """So many that blocks take several strips of rows, the last of them not to the end."""
    assert check(machine, DEVICES["soft"], Update(3, shape=shape), calls=1) > 1000


@pytest.mark.parametrize("samples", [3, 40])
@pytest.mark.parametrize("scheme", ["counted", "implicit", "clipped", "trains"])
def test_what_is_no_number_stays_within_the_array(machine, scheme, samples):
    """Lines of nan and infinity reach every crosspoint of theirs, those with a level of 0 too, and none beyond."""
    tile = tile_of(quieted(DEVICES["soft"]), shape=SHAPE)
    other = copy.deepcopy(tile)
    update = Update(samples, SCHEMES[scheme], active=0.5)
    x, d = update.vectors()
    x[0, 0], x[1, -1], d[2, -1], d[2, 0] = NAN, float("inf"), NAN, -float("inf")
    settings = update.settings(tile.cell.array)
    tile.cell.array.update(tile.weight.detach(), x, d, 0.05, settings)
    with machine.running():
        machine.put(other)
        around = machine.put(torch.full((SHAPE[0] + 8, SHAPE[1]), 7.0))
        visible = around[: SHAPE[0]].copy_(other.weight.detach())
        other.cell.array.update(visible, machine.put(x), machine.put(d), 0.05, settings)
        found = around.cpu()
    torch.testing.assert_close(found[: SHAPE[0]], tile.weight.detach(), rtol=0, atol=0, equal_nan=True)
    assert bool((found[SHAPE[0] :] == 7).all())


@pytest.mark.parametrize("active", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("lr", [0.002, 0.05, 0.5])
def test_few_and_many_pulses(machine, active, lr):
    """From almost none to trains that are full, so that queues of pulses stay empty or fill up again and again."""
    pulses = check(machine, DEVICES["reference"], Update(200, active=active, lr=lr))
    assert pulses > 0
    if active == 1.0 and lr == 0.5:
        assert pulses > 20 * 200 * SHAPE[0] * SHAPE[1] / 10


def test_the_last_slot_and_the_last_sample_of_a_group(machine):
    """Trains whose every slot fires, the thirty-first among them, in one sample alone: each one there is in a group."""
    for sample in (0, 31, 32, 63, 127, 128):
        tile = tile_of(quieted(DEVICES["constant"]), shape=SHAPE)
        x, d = torch.zeros(130, SHAPE[1]), torch.zeros(130, SHAPE[0])
        x[sample], d[sample] = 1, -1
        other = copy.deepcopy(tile)
        tile.update(x, d, 31 * 0.001)
        with machine.running():
            machine.put(other).update(machine.put(x), machine.put(d), 31 * 0.001)
            assert other.cell.array.sent == tile.cell.array.sent
        assert tile.cell.array.sent.pulses == 31 * SHAPE[0] * SHAPE[1]
        assert torch.equal(other.to("cpu").weight, tile.weight)


def test_crosspoints_that_take_more_pulses_than_16_bits_count(machine):
    """What a block sends is summed in two halves."""
    tile = tile_of(quieted(DEVICES["constant"]), SCHEMES["many counted"], shape=(2, 3))
    x, d = torch.ones(200, 3), torch.ones(200, 2)
    d[1::2] = -1
    with machine.running():
        machine.put(tile).update(machine.put(x), machine.put(d), 0.5)
        assert tile.cell.array.sent.pulses == 2 * 3 * 200 * 500


@pytest.mark.parametrize("scheme", ["trains", "two words", "counted", "implicit"])
def test_pulses_that_only_raise(machine, scheme):
    update = Update(150, SCHEMES[scheme], raise_only=True)
    pulses = check(machine, DEVICES["soft"], update)
    assert 0 < pulses < check(machine, DEVICES["soft"], Update(150, SCHEMES[scheme]))


@pytest.mark.parametrize("counted", [0, 1, 31, 128, 129, 200])
@pytest.mark.parametrize("scheme", ["trains", "two words", "counted", "clipped"])
def test_samples_that_the_device_counts(machine, scheme, counted):
    """What follows the samples that count is not looked at."""
    if counted:
        check(machine, DEVICES["soft"], Update(200, SCHEMES[scheme], counted=counted))
        return
    tile = tile_of(quieted(DEVICES["soft"]), shape=SHAPE)
    before = tile.weight.detach().clone()
    with machine.running():
        machine.put(tile)
        Update(200, SCHEMES[scheme], counted=0).on(machine, tile.cell.array, tile.weight.detach())
        assert tile.cell.array.samples == 0
        assert tile.cell.array.sent.slots == 0
    assert torch.equal(tile.to("cpu").weight, before)


COPIES = {
    "in the middle of a group": ((3, 10), (5, 10), (3, 75)),
    "before the first sample": ((3, -1), (4, -1), (3, 0)),
    "where parts end": ((3, 126), (4, 127), (3, 127), (4, 128), (3, 128)),
    "where groups end": ((3, 30), (3, 31), (3, 32), (3, 63), (3, 64)),
    "after the last sample": ((3, 198), (3, 199), (5, 199), (3, 199)),
    "one line again and again": tuple((3, after) for after in range(0, 200, 3)),
    "every line": tuple((line, 5 * line + 8) for line in range(SHAPE[0])),
}


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("scheme", ["trains", "two words", "counted"])
def test_lines_are_copied_as_they_stand(machine, scheme, rows, copies):
    check(machine, DEVICES["reference"], Update(200, SCHEMES[scheme], copies=COPIES[copies], rows=rows))


@pytest.mark.parametrize("scheme", ["trains", "counted"])
def test_lines_are_copied_from_few_samples(machine, scheme):
    check(machine, DEVICES["reference"], Update(9, SCHEMES[scheme], copies=((3, 2), (5, 2), (3, 7), (4, 8))))


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("device", ["reference", "constant"])
def test_devices_are_reset_as_they_are_copied(machine, device, copies):
    """With a hidden state that the visible weight does not show, and without."""
    hidden = device == "reference"
    update = Update(200, copies=COPIES[copies], reset=True, reset_hidden=hidden)
    check(machine, DEVICES[device], update)


def test_copies_where_no_sample_counts(machine):
    """They are of the weights as they are."""
    tile = tile_of(quieted(DEVICES["soft"]), shape=SHAPE)
    with machine.running():
        machine.put(tile)
        update = Update(40, counted=0, copies=((3, 5), (4, 39)))
        copied = update.on(machine, tile.cell.array, tile.weight.detach())
    assert torch.equal(copied, tile.to("cpu").weight.detach()[:, [3, 4]].T)


@pytest.mark.parametrize("device", ["constant", "soft", "exp", "pow", "jumps"])
def test_noise_does_not_depend_on_when_pulses_are_taken(machine, device):
    """Each pulse has noise of its own: copies on the way, which take what waits, change nothing."""
    noisy = DEVICES[device].model_copy(update={"write_noise_std": 0.0} if device == "exp" else {}, deep=True)
    results = []
    for copies in ((), *COPIES.values()):
        tile = tile_of(noisy, shape=SHAPE)
        with machine.running():
            machine.put(tile)
            Update(200, copies=copies).on(machine, tile.cell.array, tile.weight.detach())
        results.append(tile.to("cpu").weight.detach().clone())
    for copied in results[1:]:
        assert torch.equal(copied, results[0])


@pytest.mark.parametrize("hot", ["x", "d", "both"])
def test_single_active_lines_of_many_samples(machine, hot):
    rng = np.random.default_rng(3)
    tile = tile_of(quieted(DEVICES["soft"]), shape=SHAPE)
    other = copy.deepcopy(tile)
    x, d = Update(150).vectors()
    if hot != "d":
        x = torch.tensor(rng.integers(SHAPE[1], size=150), dtype=torch.int32)
    if hot != "x":
        d = torch.tensor(rng.integers(SHAPE[0], size=150), dtype=torch.int32)
    settings = Update(150).settings(tile.cell.array)
    tile.cell.array.update(tile.weight.detach(), x, d, 0.05, settings)
    with machine.running():
        machine.put(other)
        other.cell.array.update(other.weight.detach(), machine.put(x), machine.put(d), 0.05, settings)
        assert other.cell.array.sent == tile.cell.array.sent
    assert tile.cell.array.sent.pulses > 0
    assert torch.equal(other.to("cpu").weight, tile.weight)
