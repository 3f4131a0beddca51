"""Several people at one studio, and what is said after something was kept."""

import pytest
from studio_driver import finish, go_on, messages, open_page, settled

from tilewright.runs import StoreError


def fitted(app):
    return [item.value for item in app.caption if "fitted to" in item.value]


def test_nobody_gets_the_fit_that_another_one_asked_for(filled):
    one = open_page("fit", measurement="ramp", model="SoftBoundsDevice", method="least_squares")
    other = open_page("fit", measurement="ramp", model="LinearStepDevice", method="least_squares")
    one.button(key="fit").click().run()
    other.button(key="fit").click().run()
    settled(one)
    settled(other)
    assert fitted(one)[0].startswith("SoftBoundsDevice")
    assert fitted(other)[0].startswith("LinearStepDevice")
    # After a reload nobody knows any more who asked; the last fit of the measurement is shown.
    assert fitted(go_on(open_page("start", measurement="ramp"), "fit"))[0].startswith("LinearStepDevice")


def test_an_estimate_gives_way_to_one_of_other_settings(empty):
    app = open_page("train", data="digits8x8", algorithms=["fp"], epochs=1, images=20)
    app.button(key="estimate").click().run()
    app.number_input(key="seeds").set_value(2).run()
    app.button(key="estimate").click().run()
    finish()
    app.run()
    assert {metric.label: metric.value for metric in app.metric}["Runs"] == "2"


def test_what_was_saved_is_said_by_the_next_heading_and_covers_nothing(empty):
    app = open_page("device")
    app.slider(key="TutorialRRAMPresetDevice.w_max").set_value(1.0).run()
    app.button(key="save-device.button").click().run()
    (name,) = empty.devices.names()
    assert any(f"Saved the device “{name}”." in item.value for item in app.caption)
    assert any(f"Saved as “{name}”." in item.value for item in app.caption)  # where it was pressed
    assert not app.toast
    app.run()
    assert not any("Saved" in item.value for item in app.caption)


def test_a_fit_does_not_take_the_name_of_another_device(filled):
    filled.devices.save("ramp", filled.devices.load("mine"))
    app = open_page("fit", measurement="ramp", model="SoftBoundsDevice", method="least_squares")
    app.button(key="fit").click().run()
    settled(app)
    for _ in range(2):  # the same device is kept once
        app.button(key="next-device").click().run()
        assert messages(app) == []
        assert filled.devices.names() == ["mine", "ramp", "ramp-2"]
        go_on(app, "fit")
    assert filled.devices.load("ramp") == filled.devices.load("mine")
    assert type(filled.devices.load("ramp-2")).__name__ == "SoftBoundsDevice"


@pytest.mark.parametrize("name", ["con", "../..", "***"])
def test_a_device_of_a_fit_with_an_unusable_name_is_refused_in_words(filled, name):
    app = open_page("fit", measurement="ramp", model="SoftBoundsDevice", method="least_squares")
    app.button(key="fit").click().run()
    settled(app)
    app.text_input(key="device-name.ramp").set_value(name).run()
    app.button(key="next-device").click().run()
    (message,) = messages(app)
    assert "name" in message
    assert filled.devices.names() == ["mine"]


def test_a_run_that_cannot_be_changed_says_so_at_its_line(filled, monkeypatch):
    (row, *_) = filled.runs.list()

    def refuse(*_):
        raise StoreError("somebody was quicker")

    monkeypatch.setattr("tilewright.runs.RunStore.delete", refuse)
    app = open_page("train")
    app.button(key=f"delete-{row.id}").click().run()
    assert messages(app) == ["somebody was quicker"]
    assert not app.toast
    app.run()
    assert messages(app) == []
