"""Train and Compare: what is chosen, launched, followed, steered, compared and taken out."""

import sys
import time

import pytest
from studio_driver import ROOT, messages, open_page, small_run

from tilewright.runs import Grid, RunSpec, SyncEngine, Variation, archive


def wait_for_tasks(seconds=60):
    from studio.background import _tasks

    end = time.monotonic() + seconds
    while any(task.running for task in list(_tasks())):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def swept(filled):
    """A finished sweep of two learning rates and two batch sizes, two seeds each."""
    with SyncEngine(filled.runs) as engine:
        plan = Grid(
            base=small_run("swept", "mp"), seeds=2,
            variations=[
                Variation(field="learning_rate", values=[0.05, 0.2]), Variation(field="batch_size", values=[10, 20]),
            ],
        )  # fmt: skip
        for run_id in engine.submit_all(plan.specs(), "two by two"):
            engine.wait(run_id, 60)
    return filled


@pytest.mark.parametrize("view", ["Settings", "Curves", "Sweep", "Costs", "Runs"])
def test_every_view_of_a_sweep(swept, view):
    app = open_page("compare", view=view)
    assert messages(app) == []
    assert app.selectbox(key="sweep").value == "two by two"
    tables = [table.value for table in app.dataframe]
    if view == "Settings":
        assert list(tables[0]["Finished"]) == ["2 of 2"] * 4
        assert all("to" in words for words in tables[0]["Test accuracy"])
        assert list(tables[1]["Pairs"]) == [2] * 6
        app.selectbox(key="group").set_value("learning_rate").run()
        assert messages(app) == []
        tables = [table.value for table in app.dataframe]
        assert sorted(tables[0]["Learning rate"]) == ["learning_rate 0.05", "learning_rate 0.2"]
        assert list(tables[0]["Finished"]) == ["4 of 4"] * 2
    if view == "Runs":
        assert len(tables[0]) == 8


def test_trained_weights_are_tested_on_fresh_devices(swept):
    app = open_page("compare")
    app.button(key="fresh").click().run()
    wait_for_tasks()
    app.run()
    assert messages(app) == []
    assert all("fresh_test_accuracy" in row.results for row in swept.runs.list() if row.batch)
    app.selectbox(key="figure").set_value("fresh_test_accuracy").run()
    assert messages(app) == []


def test_logs_for_tensorboard_are_written_or_what_is_missing_is_named(filled, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    app = open_page("compare")
    app.button(key="tensorboard").click().run()
    (message,) = messages(app)
    assert "install it with: pip install tensorboard" in message


def test_an_archive_is_taken_in(empty, filled_folder):
    from tilewright.runs import RunStore

    source = RunStore(filled_folder)
    content = archive.pack(source, [row.id for row in source.list()])
    source.close()
    app = open_page("compare")
    app.file_uploader(key="take-in").upload("runs.zip", content, "application/zip").run()
    app.button(key="take-in-now").click().run()
    assert messages(app) == []
    assert {row.state for row in empty.runs.list()} == {"finished"}
    app = open_page("compare")
    app.file_uploader(key="take-in").upload("runs.zip", b"PK nonsense", "application/zip").run()
    app.button(key="take-in-now").click().run()
    (message,) = messages(app)
    assert "not an archive" in message


def test_a_run_is_paused_resumed_extended_and_deleted(empty):
    app = open_page("train", data="digits8x8", algorithms=["fp"], epochs=500, images=200)
    app.button(key="launch").click().run()
    (row,) = empty.runs.list()
    wait_until(lambda: empty.runs.get(row.id).step > 0)
    app.run()
    app.button(key=f"pause-{row.id}").click().run()
    wait_until(lambda: empty.runs.get(row.id).state == "paused")
    app.run()
    app.button(key=f"resume-{row.id}").click().run()
    wait_until(lambda: empty.runs.get(row.id).state == "running")
    app.run()
    app.button(key=f"cancel-{row.id}").click().run()
    wait_until(lambda: empty.runs.get(row.id).state == "cancelled")
    app.run()
    app.button(key=f"delete-{row.id}").click().run()
    assert messages(app) == []
    assert empty.runs.list() == []


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_sweep_is_set_in_words_and_estimated_before_launch(empty):
    app = open_page("train", data="digits8x8", algorithms=["mp"], epochs=1, images=60, seeds=2)
    app.selectbox(key="field1").set_value("learning_rate").run()
    app.text_input(key="values1").set_value("0.05, 0.1, 0.2").run()
    assert messages(app) == []
    assert app.button(key="launch").label == "Train 6 runs"
    app.button(key="estimate").click().run()
    wait_for_tasks()
    app.run()
    assert messages(app) == []
    assert {metric.label: metric.value for metric in app.metric}["Runs"] == "6"
    app.text_input(key="values1").set_value("0.05, -1").run()
    (message,) = messages(app)
    assert "learning_rate" in message
    assert empty.runs.list() == []


@pytest.mark.parametrize("network", ["CNN", "LSTM", "Layers in words"])
def test_networks_are_chosen(empty, network):
    app = open_page("train", data="digits8x8", algorithms=["fp"], epochs=1, images=20)
    app.selectbox(key="network.classes").set_value(network).run()
    assert messages(app) == []
    assert app.button(key="launch").label == "Train 1 run"
    if network == "Layers in words":
        app.text_area(key="words.digits8x8").set_value("flaten\nlinear 10").run()
        (message,) = messages(app)
        assert "did you mean 'flatten'" in message


def test_an_algorithm_with_a_rule_appears_by_itself(empty, monkeypatch):
    from tilewright.runs import recommended

    monkeypatch.setitem(recommended._RULES, "of-tomorrow", recommended._RULES["mp"])
    app = open_page("train", data="digits8x8", algorithms=["of-tomorrow"])
    assert messages(app) == []
    assert app.button(key="launch").label == "Train 1 run"
    app = open_page("tile", algorithm="of-tomorrow")
    assert messages(app) == []


def test_values_are_learned_too(empty):
    app = open_page("train", data="linear20", algorithms=["sgd"], epochs=1, images=50)
    app.button(key="launch").click().run()
    assert messages(app) == []
    (row,) = empty.runs.list()
    wait_until(lambda: not empty.runs.get(row.id).active)
    row = empty.runs.get(row.id)
    assert row.state == "finished"
    assert "test_error" in row.results
    for page in ("train", "compare"):
        app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
        assert messages(app) == []


def test_a_table_of_ones_own_is_named_or_refused(empty, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b,c\n" + "".join(f"{k},{k % 3},{k % 2}\n" for k in range(30)))
    app = open_page("train", data="csv")
    app.text_input(key="file").set_value(str(path)).run()
    assert messages(app) == []
    assert app.button(key="launch").label == "Train 3 runs"
    app.text_input(key="targets").set_value("d").run()
    (message,) = messages(app)
    assert "no column 'd'; it has a, b, c" in message


def test_the_headline_experiment_starts_with_one_click(empty, monkeypatch):
    import studio.launch_buttons as buttons

    monkeypatch.setattr(buttons, "headline_grid", lambda device, name: Grid(base=small_run(name), seeds=2))
    app = open_page("train")
    app.button(key="headline").click().run()
    wait_for_tasks()
    app.run()
    assert messages(app) == []
    assert empty.devices.names() == ["fitted-example"]
    assert len(empty.runs.list()) == 2


def test_a_run_is_looked_into(filled):
    with SyncEngine(filled.runs) as engine:
        engine.wait(engine.submit(small_run("deep", "ttv2")), 60)
    app = open_page("train", **{"look-at": "Inside a run"})
    assert messages(app) == []
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Saturated weights"].endswith("%")
    assert {"Layer 1: weight", "Layer 1: fast weight", "Layer 1: buffer"} <= set(app.selectbox(key="array").options)
    app.select_slider(key="snapshot-epoch").set_value(0).run()
    assert messages(app) == []


def test_thirty_runs_are_shown_a_page_at_a_time(filled):
    for number in range(30):
        filled.runs.add(small_run(f"waiting {number}"), owner="somebody", batch="thirty")
    app = open_page("train")
    assert messages(app) == []
    assert sum(button.key.startswith("cancel-2") for button in app.button) == 10
    app.selectbox(key="shown-batch").set_value("thirty").run()
    app.number_input(key="shown-page").set_value(3).run()
    assert messages(app) == []
    assert any("waiting 0" in text.value for text in app.markdown)
    assert isinstance(RunSpec.from_yaml(filled.runs.list()[0].spec_yaml), RunSpec)


def test_an_estimate_is_of_the_runs_that_are_chosen(empty):
    app = open_page("train", data="digits8x8", algorithms=["fp"], epochs=1, images=20)
    app.button(key="estimate").click().run()
    wait_for_tasks()
    app.run()
    assert {metric.label for metric in app.metric} >= {"Runs", "Memory"}
    app.number_input(key="seeds").set_value(2).run()
    assert not app.metric
    app.number_input(key="seeds").set_value(1).run()
    assert app.metric
    app.button(key="launch").click().run()
    assert messages(app) == []
    assert not app.metric


def test_names_of_runs_are_shown_letter_by_letter(filled):
    (row, *_) = filled.runs.list()
    filled.runs.rename(row.id, "$x$ *star* :red[no]")
    shown = r"\$x\$ \*star\* \:red\[no\]"
    assert any(text.value.endswith(shown) for text in open_page("train").markdown)
    assert any(shown in button.label for button in open_page("start").button)


def test_a_failed_run_says_why_below_its_line(filled):
    row = filled.runs.add(small_run("gone"), owner="somebody")
    filled.runs.record(filled.runs.claim(row.id, "worker"), state="failed", message="no file: a_b *c*")
    app = open_page("train")
    assert messages(app) == []
    assert any(text.value == r":red[No file: a_b \*c\*]" for text in app.caption)
    assert any(button.key == f"resume-{row.id}" for button in app.button)


def test_a_finished_run_leads_to_its_sweep(swept):
    app = open_page("start")
    (latest, *_) = swept.runs.list()
    app.button(key=f"recent-{latest.id}").click().run()
    assert messages(app) == []
    assert app.selectbox(key="sweep").value == "two by two"


def test_nothing_is_launched_while_an_error_stands(empty):
    app = open_page("train", data="digits8x8", algorithms=["fp"], epochs=1, images=20)
    app.text_input(key="layers.digits8x8").set_value("10-10").run()
    (message,) = messages(app)
    assert "10 inputs" in message
    assert app.button(key="launch").disabled
    app.text_input(key="layers.digits8x8").set_value("64-10").run()
    app.selectbox(key="field1").set_value("learning_rate").run()
    app.text_input(key="values1").set_value("0.1, fast").run()
    (message,) = messages(app)
    assert "'fast': must be a valid number" in message
    assert app.button(key="launch").disabled
    app.text_input(key="values1").set_value("0.1, 0.1,, 0.2").run()
    assert messages(app) == []
    assert app.button(key="launch").label == "Train 2 runs"
    app.text_input(key="values1").set_value(", ,").run()
    assert messages(app) == []
    assert app.button(key="launch").label == "Train 1 run"
