"""The whole path in a real browser, on the bundled example: from a measurement to compared runs."""

import re
import time

import pytest
from visitor import Visitor

from tilewright.workspace import Workspace

pytestmark = pytest.mark.browser

RUNS = 4


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

    for algorithm in ("In-memory SGD", "TTv2", "Mixed precision"):
        page.get_by_role("button", name=algorithm, exact=True).click()
    visitor.choose("Images", "digits8x8")
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("1")
    epochs.press("Enter")
    visitor.press(f"Train {RUNS} runs")
    page.get_by_text(re.compile(r"\d %, .* left")).first.wait_for()
    visitor.close()

    # The browser is gone; the runs are not.
    runs = Workspace(folder).runs
    seen = {row.id: row.step for row in runs.list()}
    assert len(seen) == RUNS
    end = time.monotonic() + 30
    while all(row.step <= seen[row.id] for row in runs.list()):
        assert time.monotonic() < end, "no run went on after the browser was closed"
        time.sleep(0.2)

    visitor = Visitor(chromium, address)
    visitor.open()
    visitor.visit("Train")
    end = time.monotonic() + 90
    while any(row.active for row in runs.list()):
        assert time.monotonic() < end, [(row.name, row.state, row.message) for row in runs.list()]
        time.sleep(0.3)
    assert {row.state for row in runs.list()} == {"finished"}
    assert {row.algorithm for row in runs.list()} == {"sgd", "ttv2", "mp"}
    visitor.press("Compare the runs", then="Compare")
    names = page_names(visitor)
    assert {"In-memory SGD", "TTv2", "Mixed precision"} <= names
    visitor.close()


def page_names(visitor):
    """Algorithms that have a bar in the accuracy chart."""
    bars = visitor.page.evaluate(
        "() => [...document.querySelectorAll('.tilewright-chart')].flatMap("
        "node => node.data.filter(trace => trace.type === 'bar').map(trace => trace.name))"
    )
    return set(bars)


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
