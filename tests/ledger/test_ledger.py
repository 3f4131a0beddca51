"""What the ledger counts, against counts made independently."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch
from torch import nn

from tilewright.configs import (
    BufferedTransferCompound,
    ConstantStepDevice,
    FloatingPointRPUConfig,
    IOParameters,
    MappingParameter,
    OneSidedUnitCell,
    SingleRPUConfig,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
    build_config,
)
from tilewright.ledger import CostConstants, Ledger, LedgerError, count_pulses, ledger
from tilewright.nn import AnalogConv2d, convert_to_analog, convert_to_analog_mapped
from tilewright.optim import AnalogSGD
from tilewright.tile import AnalogTile

OUT, IN, BATCH = 6, 9, 5
QUIET = {"dw_min_std": 0.0, "dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}


def device(**fields):
    return ConstantStepDevice(**{"w_max": 10.0, "w_min": -10.0, "dw_min": 0.01, **QUIET, **fields})


def trained(config, batches=4, lr=0.05, counting=True):
    tile = AnalogTile(OUT, IN, config, seed=11)
    if counting:
        tile.count_pulses()
    generator = torch.Generator().manual_seed(5)
    for _ in range(batches):
        x, d = torch.randn(BATCH, IN, generator=generator), torch.randn(BATCH, OUT, generator=generator)
        tile.forward(x)
        tile.backward(d)
        tile.update(x, d, lr)
    return tile


def test_pulses_are_those_that_moved_the_weights():
    # Without noise or spread each pulse is one step of 0.01, so the weights say how many there were, net.
    tile = trained(SingleRPUConfig(device=device()))
    (array,) = ledger(tile).tiles[0].arrays
    up, down = tile.pulse_counts()["W"]
    moved = torch.round(tile.weight.data / 0.01)
    assert torch.equal(moved.long(), up - down)
    assert array.pulses == array.pulses_up + array.pulses_down == int((up + down).sum()) > 100
    assert array.most_pulses == int((up + down).max())
    assert array.mean_pulses == array.pulses / (OUT * IN)


@pytest.mark.parametrize("kind", ["MeanCount", "DeterministicImplicit"])
def test_slots_of_counted_pulses_are_those_of_their_trains(kind):
    train = UpdateParameters(pulse_type=kind, desired_bl=7, update_bl_management=False)
    book = ledger(trained(SingleRPUConfig(device=device(), update=train)))
    assert book.totals()["slots"] == 7 * 4 * BATCH


def test_products_count_each_pass_of_the_array():
    io_ = IOParameters(mv_type="PosNegSeparate", bound_management="None")
    config = SingleRPUConfig(device=device(), forward=io_, backward=IOParameters(is_perfect=True))
    (tile,) = ledger(trained(config)).tiles
    assert (tile.forward, tile.backward) == (4 * BATCH, 4 * BATCH)
    assert tile.passes == 2 * 4 * BATCH + 4 * BATCH
    # Bound management halves the input until the result fits under 0.3.
    narrow = AnalogTile(1, 1, SingleRPUConfig(device=device(), forward=IOParameters(out_bound=0.3, out_noise=0.0)))
    narrow.set_weights(torch.ones(1, 1))
    narrow.forward(torch.ones(1, 1))
    assert ledger(narrow).tiles[0].passes == 3  # with 1, 1/2 and 1/4


def test_lines_read_and_written_by_a_transfer():
    cell = {"transfer_every": 2.0, "units_in_mbatch": False, "n_reads_per_transfer": 3}
    tile = trained(build_config("tiki-taka", device(), cell=cell))
    (counts,) = ledger(tile).tiles
    fast, slow = counts.arrays
    assert counts.line_reads == fast.line_reads == 3 * (4 * BATCH // 2)
    assert slow.line_reads == 0
    assert fast.writes == 4 * BATCH
    assert slow.writes == fast.line_reads
    assert counts.digital == 4 * BATCH * (OUT + IN) + counts.line_reads * OUT
    assert counts.slots == fast.slots + slow.slots
    assert counts.digital_memory == 0


@pytest.mark.parametrize("algorithm", ["ttv2", "c-ttv2", "agad", "buffered"])
def test_writes_and_memory_of_buffered_transfers(algorithm):
    if algorithm == "buffered":
        cell = BufferedTransferCompound(unit_cell_devices=[device(), device()], units_in_mbatch=False)
        config = UnitCellRPUConfig(device=cell)
    else:
        config = build_config(algorithm, device(), cell={"transfer_columns": False})
    (counts,) = ledger(trained(config, lr=0.5)).tiles
    fast, slow = counts.arrays
    assert counts.line_reads == 4 * BATCH
    assert slow.writes <= counts.line_reads  # only lines that hold a pulse are written
    assert counts.slots == fast.slots + counts.line_reads
    assert counts.slots_all == fast.slots + slow.slots <= counts.slots
    words, line, lines = OUT * IN, IN, OUT
    expected = {"ttv2": 4 * words, "buffered": 4 * words, "c-ttv2": 4 * words + line + lines}
    expected["agad"] = 3 * 4 * words + line + lines + lines
    assert counts.digital_memory == expected[algorithm]


def test_members_of_a_vector_cell_share_time_only_when_pulsed_together():
    def slots(policy):
        cell = VectorUnitCell(unit_cell_devices=[device(), device()], update_policy=policy)
        train = UpdateParameters(desired_bl=4, update_bl_management=False, update_management=False)
        (counts,) = ledger(trained(UnitCellRPUConfig(device=cell, update=train))).tiles
        return counts.slots, [array.slots for array in counts.arrays]

    together, members = slots("All")
    assert together == members[0] == members[1] == 4 * 4 * BATCH
    one_by_one, members = slots("SingleSequential")
    assert one_by_one == sum(members) == 4 * 4 * BATCH


def test_a_refreshed_pair_reads_all_lines_of_both_devices():
    cell = OneSidedUnitCell(unit_cell_devices=[device(w_min=0.0)], refresh_every=2)
    (counts,) = ledger(trained(UnitCellRPUConfig(device=cell))).tiles
    assert [array.line_reads for array in counts.arrays] == [2 * IN, 2 * IN]
    assert counts.digital == 4 * BATCH * (OUT + IN) + 5 * 2 * IN * OUT


def test_mixed_precision_without_rows_or_with_some():
    tile = trained(build_config("mp", device(), cell={"transfer_every": 2, "n_rows_per_transfer": 4}))
    (counts,) = ledger(tile).tiles
    assert counts.slots == 2 * 4  # two transfers of four rows, one slot each as published
    assert counts.digital == 4 * BATCH * (2 * OUT * IN + OUT)
    assert counts.digital_memory == 4 * OUT * IN
    assert counts.arrays[0].writes <= 8


def test_floating_point_tiles_work_in_digital_alone():
    (counts,) = ledger(trained(FloatingPointRPUConfig())).tiles
    assert counts.arrays == ()
    assert counts.digital == 2 * OUT * IN * 4 * BATCH
    assert counts.digital_products == 2 * OUT * IN * 2 * 4 * BATCH
    assert counts.digital_memory == 4 * OUT * IN
    assert Ledger((counts,)).totals()["passes"] == 0


def test_counts_without_counted_crosspoints_still_know_the_sum():
    counted, plain = (trained(SingleRPUConfig(device=device()), counting=on) for on in (True, False))
    assert torch.equal(counted.weight.data, plain.weight.data)  # counting changes nothing
    ours, theirs = ledger(counted).tiles[0].arrays[0], ledger(plain).tiles[0].arrays[0]
    assert ours.pulses == theirs.pulses
    assert (theirs.pulses_up, theirs.pulses_down, theirs.most_pulses) == (None, None, None)
    assert "most_pulses" not in ledger(plain).totals()
    assert ledger(plain).table()["most_pulses"].isna().all()


@pytest.mark.parametrize("algorithm", ["sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp"])
def test_a_reloaded_tile_goes_on_counting(algorithm):
    config = build_config(algorithm, device())
    whole = trained(config, batches=4)
    # The first two batches, stored and read into a tile that never counted, then the last two.
    half = trained(config, batches=2)
    file = io.BytesIO()
    torch.save(half.state_dict(), file)
    resumed = AnalogTile(OUT, IN, config, seed=99)
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert ledger(resumed) == ledger(half)
    generator = torch.Generator().manual_seed(5)
    for batch in range(4):
        x, d = torch.randn(BATCH, IN, generator=generator), torch.randn(BATCH, OUT, generator=generator)
        if batch >= 2:
            resumed.forward(x)
            resumed.backward(d)
            resumed.update(x, d, 0.05)
    assert ledger(resumed) == ledger(whole)
    assert ledger(copy.deepcopy(whole)) == ledger(whole)


def test_states_stored_without_counters_are_read():
    counting, plain = (
        trained(SingleRPUConfig(device=device())),
        trained(SingleRPUConfig(device=device()), counting=False),
    )
    counting.load_state_dict(plain.state_dict())
    assert int(counting.pulse_counts()["W"][0].sum()) == 0


def test_a_learning_rate_of_zero_is_no_update():
    tile = trained(SingleRPUConfig(device=device()), lr=0.0)
    (counts,) = ledger(tile).tiles
    assert (counts.vectors, counts.batches, counts.digital, counts.arrays[0].pulses) == (0, 0, 0, 0)


def test_tiles_of_a_model_are_named_by_their_place_and_counted_once():
    small = MappingParameter(max_input_size=5)
    model = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = nn.Parameter(torch.zeros(4, 4))
    analog = convert_to_analog_mapped(model, SingleRPUConfig(device=device(), mapping=small))
    analog.append(analog[2])  # used twice
    assert [tile.name for tile in ledger(analog).tiles] == ["0[0]", "0[1]", "2[0]"]
    single = convert_to_analog(model, SingleRPUConfig(device=device()))
    assert [tile.name for tile in ledger(single).tiles] == ["0", "2"]


def test_a_convolution_counts_each_position():
    torch.manual_seed(1)
    layer = AnalogConv2d(2, 3, 3, rpu_config=SingleRPUConfig(device=device()))
    count_pulses(layer)
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    layer(torch.randn(4, 2, 5, 5)).pow(2).sum().backward()
    optimizer.step()
    (counts,) = ledger(layer).tiles
    assert counts.vectors == counts.forward == 4 * 3 * 3
    assert counts.batches == 1


def test_energy_needs_constants_and_invents_none():
    book = ledger(trained(build_config("ttv2", device())))
    assert book.energy(CostConstants()) == {}
    totals = book.totals()
    partly = book.energy(CostConstants(pulse_energy=10.0))
    assert partly == {"pulses": pytest.approx(totals["pulses"] * 10e-6)}  # 10 fJ each, in nJ
    given = {"pulse_energy": 10.0, "product_energy": 20.0, "line_read_energy": 5.0, "digital_energy": 0.5}
    full = book.energy(CostConstants(**given))
    expected = totals["pulses"] * 10e-6 + totals["passes"] * 0.02 + totals["line_reads"] * 5e-3
    expected += totals["digital"] * 0.5e-3
    assert full["total"] == pytest.approx(expected)


def test_tables_hold_every_array_and_tile():
    book = ledger(trained(build_config("agad", device())))
    assert list(book.table()["array"]) == ["A", "C"]
    assert list(book.tile_table()["algorithm"]) == ["DynamicTransferCell"]
    assert book.table()["pulses"].sum() == book.totals()["pulses"]
    row = book.time_table().iloc[0]
    assert math.isclose(row["update"], row["pulses"] + row["reads"] + row["digital"])


def test_a_ledger_is_stored_as_it_is_and_damage_is_named():
    book = ledger(trained(build_config("c-ttv2", device())))
    assert Ledger.from_json(book.to_json()) == book
    for damaged in ("", "[]", '{"format": 1}', '{"format": 1, "tiles": [{"name": "W"}]}', book.to_json()[:-20]):
        with pytest.raises(LedgerError, match="damaged"):
            Ledger.from_json(damaged)
    with pytest.raises(LedgerError, match="format 7"):
        Ledger.from_json(book.to_json().replace('"format": 1', '"format": 7'))


def test_memory_is_that_of_the_tensors():
    tile = trained(SingleRPUConfig(device=device()))
    (counts,) = ledger(tile).tiles
    held = sum(tensor.numel() * tensor.element_size() for tensor in tile.cell.array.buffers())
    assert counts.arrays[0].memory == held + 4 * OUT * IN


def test_pulses_of_every_kernel_are_counted_where_they_go():
    """Few pulses go crosspoint by crosspoint, many by the row, and lines are copied out between them."""
    for batch, lr, cell in ((1, 0.002, None), (40, 0.05, None), (40, 0.05, {"transfer_columns": False}), (3, 0.05, {})):
        quiet = device(dw_min=0.001)
        config = SingleRPUConfig(device=quiet) if cell is None else build_config("ttv2", quiet, cell=cell)
        tile = AnalogTile(19, 37, config, seed=2)
        tile.count_pulses()
        generator = torch.Generator().manual_seed(1)
        for _ in range(6):
            x, d = torch.randn(batch, 37, generator=generator), torch.randn(batch, 19, generator=generator)
            tile.update(x, d, lr)
        shown = tile.weight.data if cell is None else tile.cell.fast_weight
        up, down = next(iter(tile.pulse_counts().values()))
        assert torch.equal(torch.round(shown.double() / 0.001).long(), up - down)
        array = ledger(tile).tiles[0].arrays[0]
        assert int((up + down).sum()) == array.pulses > 0
        assert int(up.min()) >= 0 <= int(down.min())
