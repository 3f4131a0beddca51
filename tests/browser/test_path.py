"""The whole path in a real browser, on the bundled example: from a measurement to compared runs."""

import re

import pytest
from visitor import Visitor, wait_until

from tilewright.workspace import Workspace

pytestmark = pytest.mark.browser

# Settings that have a mark in the chart of accuracies.
NAMES_OF_MARKS = (
    "[...document.querySelectorAll('.tilewright-chart')].flatMap("
    "node => (node.data || []).map(trace => trace.name || ''))"
)


def test_the_whole_path(studio, chromium):
    address, folder = studio
    visitor = Visitor(chromium, address)
    page = visitor.page

    visitor.open()
    visitor.press("Open a measurement", then="Measure")
    assert visitor.metric("Samples") == "600"

    visitor.press("Fit a device to it", then="Fit")
    visitor.press("Fit")
    page.get_by_test_id("stMetric").filter(has_text="R²").wait_for()
    visitor.settle()
    assert float(visitor.metric("R²")) > 0.8

    visitor.press("Save and explore this device", then="Device")
    before, drawing = visitor.points(), page.query_selector(".tilewright-chart .main-svg")
    page.get_by_role("slider", name=re.compile("^w_max")).focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "before => document.querySelector('.tilewright-chart').calcdata[0].at(-1).y !== before", arg=before[0]
    )
    assert drawing.evaluate("node => node.isConnected"), "the chart was replaced instead of updated"
    visitor.press("Save and put it in a tile", then="Tile")
    visitor.press("Save and train with it", then="Train")

    # A run that outlasts everything here, so that the browser surely leaves in the middle of it.
    visitor.choose("Data", "digits8x8")
    visitor.fill("Epochs", "1000")
    visitor.press("Train 1 run")
    page.get_by_text(re.compile(r"\d %, .* left")).first.wait_for()
    visitor.close()
    runs = Workspace(folder).runs
    (long,) = runs.list()
    wait_until(lambda: runs.get(long.id).step > long.step, "the run did not go on after the browser was closed")

    visitor = Visitor(chromium, address)
    page = visitor.page
    visitor.open()
    visitor.visit("Train")
    visitor.press("Cancel")
    page.get_by_role("button", name="Resume").wait_for()
    assert runs.get(long.id).state == "cancelled"
    assert runs.get(long.id).step > long.step
    visitor.press("Resume")  # on a page that had come to rest
    page.get_by_text(re.compile(r"\d %, .* left")).first.wait_for()
    visitor.press("Cancel")
    page.get_by_role("button", name="Resume").wait_for()

    (device,) = [name for name in Workspace(folder).devices.names() if name != "tutorial-rram"]
    visitor.choose("Device", device)
    visitor.choose("Data", "digits8x8")
    visitor.fill("Epochs", "1")
    visitor.press("Train 3 runs")
    wait_until(lambda: len(runs.list()) == 4 and not any(row.active for row in runs.list()), "the runs did not end")
    short = [row for row in runs.list() if row.id != long.id]
    assert [row.message for row in short if row.state != "finished"] == []
    assert {row.algorithm for row in short} == {"sgd", "ttv2", "mp"}
    visitor.press("Compare the runs", then="Compare")
    expected = ["In-memory SGD", "TTv2", "Mixed precision"]
    shown = f"names => names.every(name => ({NAMES_OF_MARKS}).some(mark => mark.startsWith(name)))"
    page.wait_for_function(shown, arg=expected)
    visitor.close()


def test_no_chart_offers_to_send_itself_away(studio, chromium):
    address, _ = studio
    visitor = Visitor(chromium, address)
    visitor.open("/device")
    buttons = visitor.page.locator(".modebar-btn").evaluate_all("found => found.map(b => b.dataset.title)")
    assert "Download plot" in buttons
    assert not [
        title for title in buttons if any(word in title.lower() for word in ("share", "cloud", "send", "studio"))
    ]
    visitor.close()


def test_a_wrong_file_is_refused_in_words(studio, chromium):
    visitor = Visitor(chromium, studio[0])
    visitor.open()
    visitor.visit("Measure")
    visitor.page.get_by_text("My file", exact=True).click()
    wrong = {"name": "letter.csv", "mimeType": "text/csv", "buffer": b"Dear reader,\nthere are no numbers here.\n"}
    visitor.page.locator('input[type="file"]').set_input_files(wrong)
    visitor.page.get_by_test_id("stAlert").first.wait_for()
    visitor.close()


def test_a_link_restores_the_page(studio, chromium):
    visitor = Visitor(chromium, studio[0])
    visitor.open("/device?device=EcRamPresetDevice&EcRamPresetDevice.up_down=0.3&traces=5")
    assert visitor.page.get_by_role("slider", name="Devices drawn").input_value() == "5"
    assert float(visitor.page.get_by_role("slider", name=re.compile("^up_down \\(")).input_value()) == pytest.approx(
        0.3
    )
    visitor.close()


def test_back_leads_to_a_page_as_it_was_left(studio, chromium):
    visitor = Visitor(chromium, studio[0])
    page, slider = visitor.page, visitor.page.get_by_role("slider", name=re.compile("^w_max"))
    visitor.open("/device?device=EcRamPresetDevice")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile("w_max="))
    left = slider.input_value()
    visitor.visit("Help")
    page.go_back()
    page.get_by_role("heading", name="Device", exact=True).wait_for()
    page.wait_for_url(re.compile("w_max="))
    visitor.settle()
    assert slider.input_value() == left
    assert page.get_by_text("EcRamPresetDevice").first.is_visible()
    visitor.close()
