"""Runs grouped by what they share, with figures that were made up."""

from __future__ import annotations

import pytest

from runs.recipes import small_spec
from tilewright.cli import main
from tilewright.presets import EcRamPresetDevice, TutorialRRAMPresetDevice
from tilewright.report import html_report
from tilewright.runs import DataSource, Perceptron, Seeds, recommend
from tilewright.runs.grouping import grouped, groupings
from tilewright.runs.side_by_side import setting_differences, settings_table


@pytest.fixture
def rows(store):
    """Two algorithms x two learning rates x two seeds; accuracy is 0.1 for the first pair, 0.2 more for ``mp``."""
    for algorithm in ("sgd", "mp"):
        for rate in (0.1, 0.5):
            for seed in (1, 2):
                spec = small_spec(algorithm, learning_rate=rate, seeds=Seeds(data=seed, weights=seed, devices=seed))
                row = store.add(spec, batch="grid", tags=["kept", "first"] if rate == 0.1 else [])
                accuracy = 0.1 + 0.2 * (algorithm == "mp") + 0.4 * (rate == 0.5) + 0.01 * seed
                fields = {"state": "finished", "step": 1, "total_steps": 1, "test_accuracy": accuracy}
                store.record(store.claim(row.id, "worker"), **fields)
    return store.list()[::-1]


def test_what_runs_can_be_grouped_by(rows):
    found = groupings(rows)
    assert found[:3] == ["setting", "algorithm", "tags"]
    assert "learning_rate" in found
    assert not {"device", "data", "network", "sweep", "seeds.data", "name"} & set(found)
    assert groupings(rows[:1]) == ["setting"]
    for by in found:
        assert sum(map(len, grouped(rows, by).values())) == len(rows)


def test_the_groups_of_each_thing(rows):
    sizes = {by: {name: len(group) for name, group in grouped(rows, by).items()} for by in groupings(rows)}
    assert sizes["algorithm"] == {"In-memory SGD": 4, "Mixed precision": 4}
    assert sizes["tags"] == {"kept first": 4, "none": 4}
    assert sizes["learning_rate"] == {"learning_rate 0.1": 4, "learning_rate 0.5": 4}
    assert len(sizes["setting"]) == 4


def test_table_and_differences_of_groups(rows):
    table = settings_table(rows, "test_accuracy", "learning_rate").set_index("setting")
    assert list(table.index) == ["learning_rate 0.5", "learning_rate 0.1"]
    assert list(table.algorithm) == ["", ""]
    assert table["mean"].tolist() == pytest.approx([0.615, 0.215])
    assert settings_table(rows, "test_accuracy", "algorithm").algorithm.tolist() == ["mp", "sgd"]
    (difference,) = setting_differences(rows, "test_accuracy", "learning_rate")
    assert difference.pairs == 2, "runs with equal seeds are averaged within a group"
    assert difference.mean == pytest.approx(-0.4)


def test_devices_data_and_networks_are_told_apart(store):
    devices = [TutorialRRAMPresetDevice(), TutorialRRAMPresetDevice(dw_min=0.02), EcRamPresetDevice()]
    fitted = TutorialRRAMPresetDevice(dw_min=0.02, dw_min_std=1.0, w_max=0.9, w_min=-0.8, up_down=0.1)
    for device in (*devices, fitted):
        store.add(small_spec("mp", rpu_config=recommend("ttv2", device).rpu_config))
    store.add(small_spec(data=DataSource(name="mnist-small"), network=Perceptron(layer_sizes=[784, 10])))
    rows = store.list()[::-1]
    names = list(grouped(rows, "device"))
    assert names[:3] == ["TutorialRRAM", "TutorialRRAM, dw_min 0.02", "EcRam"]
    assert names[3].startswith("TutorialRRAM ")
    assert names[4] == "none"
    assert {name: len(group) for name, group in grouped(rows, "data").items()} == {"digits8x8": 4, "mnist-small": 1}
    assert len(grouped(rows, "network")) == 2


def test_the_report_and_the_shell_group_by_anything(rows, store, capsys, monkeypatch):
    ids = [row.id for row in rows]
    text = html_report(store, ids, by="learning_rate")
    assert "<th>Learning rate</th>" in text
    assert text.count("<td>learning_rate 0.5</td>") >= 2, "in the table and in the differences"
    assert "<th>Setting</th>" in html_report(store, ids)
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(store.folder))
    assert main(["compare", "--by", "algorithm"]) == 0
    assert "In-memory SGD - Mixed precision" in capsys.readouterr().out
    assert main(["compare", "--by", "colour"]) == 2
    assert "cannot be grouped by 'colour', only by setting, algorithm" in capsys.readouterr().err
