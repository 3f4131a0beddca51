"""Every page, in an empty and in a filled workspace: it opens, does its work, and words its errors."""

import re
import time
from dataclasses import replace

import pytest
from studio_driver import PAGES, ROOT, finish, go_on, messages, open_page, settled, small_run

from studio.experiments import EXPERIMENTS
from studio.fits import FitSettings, start_fit
from studio.lesson_texts import read_lesson
from tilewright.configs import SoftBoundsDevice
from tilewright.measurement import load_example
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import Engine, recommended_names


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_in_an_empty_workspace(empty, page):
    assert messages(open_page(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_in_a_filled_workspace(filled, page):
    assert messages(open_page(page)) == []


def test_an_empty_fit_page_says_where_to_begin(empty):
    app = open_page("fit")
    assert "no measurement yet" in app.info[0].value
    assert app.button(key="next-measure")


def test_start_lists_what_was_made(filled):
    app = open_page("start")
    keys = {button.key for button in app.button}
    assert {"recent-measurement-ramp", "recent-device-mine"} <= keys
    assert sum(key.startswith("recent-2") for key in keys) == 2


def test_a_wrong_upload_is_told_what_is_wrong(empty):
    app = open_page("measure", source="My file")
    app.file_uploader(key="upload").upload("notes.csv", b"this is not a table of numbers\n", "text/csv").run()
    (message,) = messages(app)
    assert message
    assert "unexpected" not in message


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02" * 400, b"1\n", b"a,b\n1,\n", b"nan\n" * 30])
def test_no_upload_breaks_the_page(empty, content):
    app = open_page("measure", source="My file")
    app.file_uploader(key="upload").upload("odd.csv", content, "text/csv").run()
    assert all("unexpected" not in message for message in messages(app))


def test_a_declined_file_is_read_once_its_pulses_are_stated(empty):
    app = open_page("measure", source="My file")
    content = "\n".join(str((k * 7919) % 97 / 97) for k in range(80)).encode()
    app.file_uploader(key="upload").upload("odd.csv", content, "text/csv").run()
    (message,) = messages(app)
    assert "noise or a list of results" in message
    app.text_input(key="read.odd.p.protocol").set_value("40 up, 40 down").run()
    assert messages(app) == []
    assert {metric.label: metric.value for metric in app.metric}["Samples"] == "80"


@pytest.mark.parametrize("example", ["bad-device", "fifty-devices", "drifting-cycles"])
def test_the_verdict_on_an_example_is_in_sight(empty, example):
    app = open_page("measure", example=example)
    boxes = [box.value for kind in (app.error, app.warning, app.success) for box in kind]
    assert any("Read with confidence" in text and "Quality:" in text for text in boxes)
    app.selectbox(key="shown").set_value("min-max").run()
    assert any("w = (g" in caption.value for caption in app.caption)


def test_an_upload_is_read_kept_and_fitted(empty, shared_data):
    app = open_page("measure", source="My file")
    content = (shared_data / "data" / "devices" / "gong_et_al.csv").read_bytes()
    app.file_uploader(key="upload").upload("gong_et_al.csv", content, "text/csv").run()
    assert messages(app) == []
    assert {metric.label: metric.value for metric in app.metric}["Samples"] == "2,000"
    app.button(key="next-fit").click().run()
    assert empty.measurements.names() == ["gong_et_al"]
    go_on(app, "fit")
    assert app.selectbox(key="measurement").value == "gong_et_al"
    app.button(key="fit").click().run()
    settled(app)
    assert messages(app) == []
    assert float({metric.label: metric.value for metric in app.metric}["R²"]) > 0.9
    app.button(key="next-device").click().run()
    assert messages(app) == []
    assert empty.devices.names() == ["gong_et_al"]
    assert app.selectbox(key="device").value == "gong_et_al"


def test_an_example_is_kept_once(empty):
    app = open_page("measure")
    app.button(key="next-fit").click().run()
    again = open_page("measure")
    again.button(key="next-fit").click().run()
    assert len(empty.measurements.names()) == 1


def test_a_fit_can_be_cancelled(filled):
    app = open_page("fit", method="differential_evolution", measurement="array")
    app.button(key="fit").click().run()
    app.button(key="cancel-fit").click().run()
    settled(app)
    assert messages(app) == []
    assert any("Cancelled" in item.value for item in app.info)


def test_a_slider_moves_the_device(empty):
    app = open_page("device")
    before = {metric.label: metric.value for metric in app.metric}
    app.slider(key="TutorialRRAMPresetDevice.w_max").set_value(1.0).run()
    after = {metric.label: metric.value for metric in app.metric}
    assert before["States"] != after["States"]
    assert any("w_max 2 → 1" in caption.value for caption in app.caption)
    app.button(key="TutorialRRAMPresetDevice#reset").click().run()
    assert {metric.label: metric.value for metric in app.metric} == before


def test_a_rule_over_two_fields_is_worded(empty):
    app = open_page("device")
    app.slider(key="TutorialRRAMPresetDevice.w_min").set_value(0.0).run()
    (message,) = messages(app)
    assert "subtract_symmetry_point" in message
    assert app.metric


def test_a_device_is_saved_and_goes_into_a_tile(empty):
    app = open_page("device")
    app.slider(key="TutorialRRAMPresetDevice.w_max").set_value(1.0).run()
    app.button(key="next-tile").click().run()
    assert messages(app) == []
    (name,) = empty.devices.names()
    assert empty.devices.load(name).w_max == 1.0
    assert app.selectbox(key="device").value == name


def test_a_choice_goes_along_to_the_next_page(filled):
    app = open_page("device")
    app.selectbox(key="device").set_value("mine").run()
    for page in ("help", "train", "device"):
        go_on(app, page)
        assert page == "help" or app.selectbox(key="device").value == "mine"


def test_a_damaged_device_is_named(filled):
    (filled.folder / "devices" / "mine.yaml").write_text("type: SoftBoundsDevice\ndw_mim: 3\n")
    app = open_page("device", device="mine")
    (message,) = messages(app)
    assert "dw_mim" in message


@pytest.mark.parametrize("algorithm", recommended_names())
def test_every_algorithm_makes_a_tile(empty, algorithm):
    app = open_page("tile", algorithm=algorithm)
    assert messages(app) == []
    app.button(key="next-train").click().run()
    assert messages(app) == []
    assert len(empty.tiles.names()) == 1


def test_a_pasted_configuration_is_read_or_refused(empty):
    app = open_page("tile")
    app.text_area(key="pasted").set_value("type: SingleRPUConfig\nmaping: 3\n").run()
    (message,) = messages(app)
    assert "maping" in message
    app.text_area(key="pasted").set_value("__import__('os').system('true')").run()
    assert "unexpected" not in messages(app)[0]


def test_runs_are_launched_followed_and_compared(empty):
    app = open_page("train", data="digits8x8", algorithms=["sgd", "mp"], epochs=1, images=60, batch=10)
    app.text_input(key="layers.digits8x8").set_value("64-8-10").run()
    assert messages(app) == []
    app.button(key="launch").click().run()
    assert messages(app) == []
    runs = empty.runs.list()
    assert {row.algorithm for row in runs} == {"sgd", "mp"}
    end = time.monotonic() + 60
    while any(row.active for row in empty.runs.list()):
        assert time.monotonic() < end
        time.sleep(0.05)
    app.run()
    app.button(key="next-compare").click().run()
    assert messages(app) == []
    table = app.dataframe[0].value
    assert list(table["Finished"]) == ["1 of 1", "1 of 1"]
    assert all(words.endswith("%") for words in table["Test accuracy"])


def test_layers_in_words_are_checked(empty):
    app = open_page("train", data="digits8x8")
    app.text_input(key="layers.digits8x8").set_value("64 to ten").run()
    (message,) = messages(app)
    assert "784-256-128-10" in message
    assert app.button(key="launch").disabled
    assert empty.runs.list() == []


def test_compare_shows_the_runs_of_the_workspace(filled):
    app = open_page("compare")
    table = app.dataframe[0].value
    assert set(table["Algorithm"]) == {"Floating point", "Mixed precision"}


def test_the_unexpected_is_a_message_not_a_traceback(empty, monkeypatch):
    import studio.verdicts

    monkeypatch.setattr(studio.verdicts, "number_of_states", lambda device: 1 / 0)
    app = open_page("device")
    (message,) = messages(app)
    assert "Something unexpected" in message


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_lesson_has_its_figure_and_tells_right_answers_from_wrong_ones(empty, name):
    lesson = read_lesson(name)
    app = open_page("learn", lesson=f"{list(EXPERIMENTS).index(name) + 1} {name.capitalize()}")
    assert messages(app) == []
    assert app.subheader[0].value == lesson.title
    for answer in lesson.answers:
        app.radio(key=f"answer.{name}").set_value(answer.words).run()
        shown = app.success if answer.right else app.warning
        assert [message.value for message in shown] == [answer.why]
        assert len(app.success) + len(app.warning) == 1


def test_lessons_lead_on_to_the_next_and_then_to_training(empty):
    app = open_page("learn")
    for name in list(EXPERIMENTS)[1:]:
        app.button(key="next-lesson").click().run()
        assert app.subheader[0].value == read_lesson(name).title
    assert app.button(key="next-train")


def test_every_knob_of_the_lessons_may_be_at_either_end(empty):
    for number, name in enumerate(EXPERIMENTS, 1):
        app = open_page("learn", lesson=f"{number} {name.capitalize()}")
        for end in ("min", "max"):
            for slider in app.slider:
                slider.set_value(getattr(slider, end))
            assert messages(app.run()) == []


def test_a_lesson_without_its_parts_says_which(tmp_path, monkeypatch):
    monkeypatch.setattr("studio.lesson_texts.LESSONS", tmp_path)
    (tmp_path / "short.md").write_text("# Only a title\n")
    with pytest.raises(ValueError, match="lesson short needs a title, a text"):
        read_lesson("short")
    (tmp_path / "open.md").write_text("# A\nb\n## Try\nc\n## Check\nd?\n\n- e | no | f\n- g | no | h\n")
    with pytest.raises(ValueError, match="exactly one right answer"):
        read_lesson("open")


def test_help_shows_the_documents(empty):
    app = open_page("help", topic="device")
    assert any("# Devices" in text.value for text in app.markdown)


def test_all_models_are_fitted_and_ranked(filled):
    app = open_page("fit", measurement="ramp")
    app.button(key="fit-all").click().run()
    settled(app)
    assert messages(app) == []
    (ranking,) = [table.value for table in app.dataframe if "Model" in table.value.columns]
    assert set(ranking["Model"]) >= {"SoftBoundsDevice", "LinearStepDevice", "ConstantStepDevice"}
    app.selectbox(key="ranked").set_value("ConstantStepDevice").run()
    assert messages(app) == []
    app.button(key="next-device").click().run()
    assert type(filled.devices.load("ramp")).__name__ == "ConstantStepDevice"


def test_expressions_weights_and_intervals_of_a_fit(filled):
    app = open_page("fit", measurement="ramp", model="SoftBoundsDevice")
    app.number_input(key="weight0").set_value(2.0).run()
    app.selectbox(key="start").set_value("free").run()
    app.button(key="fit").click().run()
    settled(app)
    assert messages(app) == []
    (found,) = [table.value for table in app.dataframe if "95 % interval" in table.value.columns]
    assert "w0" in set(found["Parameter"])
    assert "Where the intervals come from" in [expander.label for expander in app.expander]
    assert any("Start with" in text.value for text in app.success)
    app.button(key="verdict-tile").click().run()
    assert messages(app) == []
    assert type(filled.devices.load("ramp")).__name__ == "SoftBoundsDevice"


def test_the_spread_of_an_array_goes_into_the_device(filled):
    app = open_page("fit", measurement="array", model="SoftBoundsDevice", method="least_squares")
    app.button(key="fit").click().run()
    settled(app)
    assert messages(app) == []
    assert not any("was not measured" in text.value for text in app.caption)
    (found,) = [table.value for table in app.dataframe if "95 % interval" in table.value.columns]
    assert not any(name.startswith("w0") for name in found["Parameter"])
    app.button(key="next-device").click().run()
    assert filled.devices.load("array").w_max_dtod > 0


def test_each_device_is_fitted_over_ranges_of_its_own_where_none_are_given(filled):
    """As after all models were ranked: the best one is then fitted to every device."""
    array = load_example("rram-array")
    few = replace(array, records=tuple(r for r in array.records if r.device in array.devices[:3])).normalised("auto")
    task = start_fit(few, "three", FitSettings(SoftBoundsDevice, {}, method="least_squares"))
    finish()
    assert task.error is None
    assert len(task.result.population.fits) == 3


def test_one_set_of_parameters_for_all_devices_and_then_each(filled):
    app = open_page("fit", measurement="array", model="SoftBoundsDevice", method="least_squares")
    app.toggle(key="jointly").set_value(True).run()
    app.button(key="fit").click().run()
    settled(app)
    assert any("was not measured" in text.value for text in app.caption)
    app.button(key="more-devices").click().run()
    settled(app, seconds=120)
    assert messages(app) == []
    app.button(key="next-device").click().run()
    assert filled.devices.load("array").w_max_dtod > 0


def test_a_running_fit_shows_its_best_model_so_far(filled):
    import numpy as np

    from studio.background import Task
    from studio.fits import best_so_far
    from tilewright.configs import SoftBoundsDevice

    measurement = filled.measurements.load("ramp").normalised()
    task = Task("fit")
    assert best_so_far(task, measurement) is None
    task.report(device_class=SoftBoundsDevice, values={"dw_min": 0.01, "w_max": 1.0, "w_min": -1.0, "w0": -0.5})
    (model,) = best_so_far(task, measurement)
    assert model.shape == measurement.records[0].response.shape
    assert model[0] == -0.5
    assert np.all(np.diff(model[:200]) > 0)


def test_runs_that_nobody_takes_say_why(filled, monkeypatch):
    """An engine that cannot reach its workers leaves a run waiting; the page gives the reason."""

    class Stranded(Engine):
        def _hand_over(self, row):
            self.problem = "the scheduler cannot be reached"

        def close(self):
            """Nothing to end."""

    stranded = Stranded(filled.runs, owner="nobody")
    stranded.submit(small_run("left alone"))
    monkeypatch.setattr("studio.workspace.engine", lambda: stranded)
    app = open_page("train")
    assert messages(app) == []
    assert any("the scheduler cannot be reached" in warning.value for warning in app.warning)


@pytest.mark.parametrize("look", ["Steps", "Spread of steps", "F and G", "Distributions"])
@pytest.mark.parametrize("device", ["TutorialRRAMPresetDevice", "IdealizedPresetDevice", "ReRamArrayHfO2PresetDevice"])
def test_a_device_is_looked_at_from_every_side(empty, device, look):
    app = open_page("device", device=device, look=look)
    assert messages(app) == []
    numbers = {metric.label: metric.value for metric in app.metric}
    assert {"States", "Symmetry point", "Asymmetry", "Step over noise", "Noise over step"} <= set(numbers)
    assert (numbers["Symmetry points"] == "none") == (device == "IdealizedPresetDevice")


def test_a_device_that_cannot_move_has_figures_that_say_so(empty):
    app = open_page("device", device="SoftBoundsDevice", look="Distributions")
    app.slider(key="SoftBoundsDevice.corrupt_devices_prob").set_value(1.0).run()
    assert messages(app) == []
    app.segmented_control(key="look").set_value("F and G").run()
    assert messages(app) == []


def test_the_table_of_presets_is_searched(empty):
    app = open_page("presets")
    everything = app.dataframe[0].value
    assert {"device", "periphery", "update", "tile"} == set(everything["kind"])
    app.segmented_control(key="kind").set_value("Devices").run()
    app.text_input(key="search").set_value("ecram IEDM").run()
    found = app.dataframe[0].value
    assert list(found["name"]) == ["EcRamPresetDevice", "EcRamMOPresetDevice"]
    app.number_input(key="states").set_value(5000).run()
    assert list(app.dataframe[0].value["name"]) == ["EcRamMOPresetDevice"]
    app.text_input(key="search").set_value("[*").run()
    assert messages(app) == []
    assert "No preset fits" in app.info[0].value


def test_a_preset_is_read_about_and_used(empty):
    app = open_page("presets")
    app.query_params["preset"] = "CapacitorPresetDevice"
    app.run()
    assert messages(app) == []
    assert any("Li et al., VLSI (2018)" in text.value for text in app.markdown)
    app.button(key="next-device").click().run()
    go_on(app, "device")
    assert messages(app) == []
    assert app.selectbox(key="device").value == "CapacitorPresetDevice"


def test_a_tile_preset_is_saved_and_opened(empty):
    app = open_page("presets", kind="Tiles")
    tiles = app.dataframe[0].value
    assert len(tiles) > 50
    assert {"agad", "ttv2", "c-ttv2", "tiki-taka", "mp"} <= set(tiles["algorithm"])
    app.query_params["preset"] = "AGADReRamArrayOMPreset"
    app.run()
    assert messages(app) == []
    fields = app.dataframe[1].value.set_index("Field")["Value"]
    assert fields["device.tail_weightening"] == "5.0"
    app.button(key="next-tile").click().run()
    assert empty.tiles.names() == ["AGADReRamArrayOMPreset"]
    go_on(app, "tile")
    assert messages(app) == []
    assert app.selectbox(key="tile").value == "AGADReRamArrayOMPreset"


@pytest.mark.parametrize("name", ["", "none", "../../etc", "StandardIOParameters"])
def test_no_name_of_a_preset_breaks_the_page(empty, name):
    app = open_page("presets")
    app.query_params["preset"] = name
    app.run()
    assert messages(app) == []


@pytest.mark.parametrize(
    "name",
    [
        "SoftBoundsPmaxDevice",
        "ExpStepDevice",
        "PowStepDevice",
        "PowStepReferenceDevice",
        "PiecewiseStepDevice",
        "TableStepDevice",
    ],
)
def test_every_model_has_its_page(empty, name):
    for look in ("Steps", "Distributions"):
        app = open_page("device", device=name, look=look)
        assert messages(app) == []


def test_lists_of_numbers_are_edited_as_text(empty):
    app = open_page("device", device="PiecewiseStepDevice")
    app.text_input(key="PiecewiseStepDevice.piecewise_up").set_value("2, 1.5, 0.5, 0.1").run()
    app.text_input(key="PiecewiseStepDevice.piecewise_down").set_value("0.2, 0.5, 1.5, 2").run()
    assert messages(app) == []
    assert {metric.label: metric.value for metric in app.metric}["Symmetry point"] != "none"
    assert any("piecewise_up [1] → [2, 1.5, 0.5, 0.1]" in caption.value for caption in app.caption)
    app.text_input(key="PiecewiseStepDevice.piecewise_up").set_value("2, one, 3").run()
    (message,) = messages(app)
    assert "piecewise_up" in message
    assert "'one'" in message
    assert app.metric


def test_a_formula_is_drawn_or_refused_in_words(empty):
    app = open_page("device", device="TableStepDevice")
    for name in ("formula_up", "formula_down"):
        app.text_input(key=f"TableStepDevice.{name}").set_value("1 - 0.5 * (w / w_max) ^ 2").run()
    assert messages(app) == []
    app.text_input(key="TableStepDevice.formula_up").set_value("__import__('os').system('true')").run()
    (message,) = messages(app)
    assert "formula_up" in message
    assert "unexpected" not in message


def test_a_tile_shows_what_a_network_takes_of_it(empty):
    app = open_page("tile")
    metrics = {metric.label: metric.value for metric in app.metric}
    assert (metrics["Tiles"], metrics["Used"]) == ("4", "22.4 %")
    app.text_input(key="summary.layers").set_value("64-32-10").run()
    assert {metric.label: metric.value for metric in app.metric}["Tiles"] == "2"
    for wrong, why in (
        ("64", "write the neurons"),
        ("64-0-10", "needs from 1"),
        ("99999-99999", "stops at 50,000,000"),
    ):
        app.text_input(key="summary.layers").set_value(wrong).run()
        (message,) = messages(app)
        assert why in message


def test_compare_shows_what_runs_cost(filled):
    app = open_page("compare", view="Costs")
    assert messages(app) == []
    costs = next(frame.value for frame in app.dataframe if "Update per vector (ns)" in frame.value)
    assert sorted(costs["Run"]) == ["run fp", "run mp"]
    assert (costs["Update per vector (ns)"] > 0).all()
    arrays = next(frame.value for frame in app.dataframe if "most_pulses" in frame.value)
    assert set(arrays["run"]) == {"run mp"}  # a floating-point tile has no devices
    app.number_input(key="costs.pulse_energy").set_value(10.0).run()
    assert messages(app) == []
    costs = next(frame.value for frame in app.dataframe if "Update per vector (ns)" in frame.value)
    assert "Pulse energy (mJ)" in costs
    assert "Energy (mJ)" not in costs  # the other energies are not known


def test_what_cannot_learn_is_said_before_the_launch(empty):
    app = open_page("tile", device="ReRamArrayHfO2PresetDevice", algorithm="sgd")
    assert messages(app) == []
    assert any(
        "plain SGD needs finer steps" in item.value.lower() or "finer steps" in item.value for item in app.warning
    )
    app = open_page("train", device="ReRamArrayHfO2PresetDevice", algorithms=["sgd", "mp"], data="digits8x8")
    assert messages(app) == []
    (said,) = [item.value for item in app.warning if "finer steps" in item.value]
    assert "Mixed precision" not in said


def test_links_between_documents_lead_to_their_page():
    from studio.documents import passages
    from studio.places import DOCS

    linked = 0
    for path in DOCS.glob("*.md"):
        text = "".join(before for before, _, _ in passages(path.stem))
        assert ".md)" not in text
        for target in re.findall(r"\]\(\?topic=([\w-]+)", text):
            linked += 1
            assert (DOCS / f"{target}.md").is_file()
    assert linked > 3


def test_an_error_of_a_scrolled_form_stands_outside_it(empty):
    from tilewright.configs import PiecewiseStepDevice

    empty.devices.save("steps", PiecewiseStepDevice())
    app = open_page("device", device="steps")
    app.text_input(key="steps.piecewise_up").set_value("1, fast").run()
    (message,) = messages(app)
    assert "must be a valid number" in message
    holding = [block for block in blocks_of(app.main) if block.error and block.text_input]
    assert all(any(button.label == "Save" for button in block.button) for block in holding)


def blocks_of(block):
    for child in block.children.values():
        if hasattr(child, "children"):
            yield child
            yield from blocks_of(child)


def test_what_was_changed_comes_back_with_its_page(filled):
    app = open_page("device", device="mine")
    app.slider(key="mine.w_max").set_value(1.5).run()
    assert any("w_max" in text.value and "Changed" in text.value for text in app.caption)
    app.switch_page(str(ROOT / "pages" / "tile.py")).run()
    app.switch_page(str(ROOT / "pages" / "device.py")).run()
    assert messages(app) == []
    assert app.slider(key="mine.w_max").value == 1.5
    app.button(key="mine#reset").click().run()
    app.switch_page(str(ROOT / "pages" / "tile.py")).run()
    app.switch_page(str(ROOT / "pages" / "device.py")).run()
    assert app.slider(key="mine.w_max").value == 2.0
    filled.devices.save("mine", TutorialRRAMPresetDevice(w_max=1.0))
    app.run()
    assert app.slider(key="mine.w_max").value == 1.0


def test_an_algorithm_without_settings_shows_the_periphery_first(empty):
    app = open_page("tile", algorithm="sgd")
    assert messages(app) == []
    assert app.tabs[0].label == "Forward"
    assert any("no settings of its own" in text.value for text in app.caption)
    assert open_page("tile", algorithm="ttv2").tabs[0].label == "Algorithm"


def test_the_back_button_brings_a_form_as_it_was_left(filled):
    """It leads to an address without parameters, at which Streamlit gives the widgets their defaults."""
    key = "TutorialRRAMPresetDevice.w_max"
    app = open_page("device", device="TutorialRRAMPresetDevice")
    app.slider(key=key).set_value(1.0).run()
    go_on(app, "help")
    app.session_state[key], app.session_state["device"] = 2.0, "mine"
    go_on(app, "device")
    assert (app.selectbox(key="device").value, app.slider(key=key).value) == ("TutorialRRAMPresetDevice", 1.0)
    app.slider(key=key).set_value(2.0).run()  # the default, on purpose
    app.selectbox(key="device").set_value("mine").run()
    assert app.selectbox(key="device").value == "mine"
    app.selectbox(key="device").set_value("TutorialRRAMPresetDevice").run()
    assert app.slider(key=key).value == 2.0
