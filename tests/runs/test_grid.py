from __future__ import annotations

import pytest

from runs.recipes import small_spec
from tilewright.parameters import ParameterError
from tilewright.presets import EcRamPresetDevice, TutorialRRAMPresetDevice
from tilewright.runs import Contender, Grid, RunSpec, Variation, dry_run, estimate, headline_grid, read_plan, recommend


def grid(**fields):
    return Grid(base=small_spec(epochs=1, train_limit=20), **fields)


def test_a_grid_is_every_combination_seed_by_seed():
    contenders = [Contender(name=n, rpu_config=recommend(n, EcRamPresetDevice()).rpu_config) for n in ("sgd", "mp")]
    whole = grid(
        contenders=contenders,
        variations=[Variation(field="batch_size", values=[5, 10]), Variation(field="learning_rate", values=[1, 0.1])],
        seeds=2, device_instances=2,
    )  # fmt: skip
    specs = whole.specs()
    assert len(specs) == whole.size == 2 * 4 * 4
    assert len({spec.digest() for spec in specs}) == 32
    assert len({spec.setting_digest() for spec in specs}) == 8
    assert specs[0].name == "sgd, batch_size 5, learning_rate 1, seed 1, devices 1"
    assert [s.seeds.data for s in specs] == [1] * 16 + [2] * 16
    assert [s.seeds.devices for s in specs[::8]] == [1, 2, 1, 2]
    again = read_plan(whole.to_yaml())
    assert [spec.digest() for spec in again.specs()] == [spec.digest() for spec in specs]
    assert isinstance(read_plan(small_spec().to_yaml()), RunSpec)


def test_with_one_device_instance_each_seed_draws_its_own():
    assert [spec.seeds.devices for spec in grid(seeds=3, first_seed=5).specs()] == [5, 6, 7]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("learnig_rate", 0.1, "is not one of name, data"),
        ("data.vallidation", 0.1, "'vallidation' is not one of"),
        ("learning_rate", -1.0, "learning_rate"),
        ("learning_rate.x", 1.0, "is not one of"),
        ("network.layer_sizes.9", 5, "a number from 0 to 2"),
        ("data", 1, "is not one of"),
    ],
)
def test_a_variation_that_fits_nothing_is_named(field, value, message):
    with pytest.raises(ParameterError, match=message):
        grid(variations=[Variation(field=field, values=[value])]).specs()


def test_fields_deep_inside_are_varied():
    base = small_spec("ttv2", epochs=1)
    fields = ["rpu_config.device.fast_lr", "rpu_config.device.unit_cell_devices.0.dw_min", "network.layer_sizes.1"]
    for field, value in zip(fields, [0.5, 0.02, 20], strict=True):
        (spec,) = Grid(base=base, variations=[Variation(field=field, values=[value])], seeds=1).specs()
        assert spec.setting_digest() != base.setting_digest()


def test_a_grid_that_is_too_large_is_refused():
    with pytest.raises(ParameterError, match="more than 10,000"):
        grid(variations=[Variation(field="epochs", values=list(range(1, 1000)))], seeds=11)


def test_the_headline_has_six_algorithms_and_three_seeds():
    specs = headline_grid(TutorialRRAMPresetDevice()).specs()
    assert len(specs) == 18
    assert len({spec.algorithm for spec in specs}) == 6
    assert {spec.data.name for spec in specs} == {"mnist-small"}


def test_an_estimate_names_what_takes_time_and_what_may_go_wrong(tmp_path):
    plan = estimate(grid(variations=[Variation(field="batch_size", values=[5, 20])], seeds=2).specs(), 2, tmp_path)
    assert plan.runs == 4
    assert [setting.runs for setting in plan.settings] == [2, 2]
    assert 0 < plan.seconds < 60
    assert plan.memory > 100 * 2**20
    assert plan.disk > 4 * 4 * 64 * 16
    assert any("three seeds" in text for text in plan.warnings)
    assert plan.lines()[-2].startswith("4 runs, ")


def test_the_estimate_is_that_of_the_run():
    """Within a factor of three either way: the machine may be busy with other things during one of the two."""
    from tilewright.runs import train

    spec = small_spec("ttv2", epochs=1)
    expected = estimate([spec]).settings[0].seconds
    spent = [e.results["cpu_seconds"] for e in train(spec) if e.kind == "epoch"][-1]
    assert spent / 3 < expected < spent * 3


def test_a_dry_run_trains_one_batch_and_leaves_no_trace():
    import torch

    before = torch.get_rng_state()
    found = dry_run(small_spec("sgd"))
    assert torch.equal(before, torch.get_rng_state())
    assert found.shapes[1:3] == ["1 AnalogLinearMapped: 5 x 16", "2 Sigmoid: 5 x 16"]
    assert found.tiles == 2
    assert found.loss != found.loss_after
    assert found.readings["pulse_density"] > 0
