"""Make ``assets/screenshot.png`` for the README from a real run of the studio.

Starts a studio on a temporary workspace, runs its demonstration, waits until the three runs are done, and puts four
pages into one picture. Takes two to three minutes. Needs Chromium (``TILEWRIGHT_CHROMIUM`` names another one) and the
test extra; run it from the checkout: ``python assets/make_screenshot.py``.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tilewright.runs.cluster import DetachedCluster
from tilewright.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "assets" / "screenshot.png"
CHROMIUM = os.environ.get("TILEWRIGHT_CHROMIUM", "/usr/bin/chromium")
PAGE_SIZE = {"width": 1280, "height": 800}
TILE_SIZE = (1000, 625)
GAP = 12
PATIENCE = 300.0


def main() -> None:
    """Start the studio, walk through it, write the picture."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py")]
        command += ["--server.port", str(port), "--server.headless", "true"]
        studio = subprocess.Popen(command, env={**os.environ, "TILEWRIGHT_WORKSPACE": folder})
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/_stcore/health"))
            pictures = walk(f"http://127.0.0.1:{port}", Workspace(folder))
        finally:
            studio.terminate()
            studio.wait(timeout=30)
            DetachedCluster(Path(folder)).stop()
    mosaic(pictures).save(TARGET, optimize=True)
    print(f"wrote {TARGET}, {TARGET.stat().st_size // 1024} kB")


def answers(address: str) -> bool:
    """Whether the studio is up."""
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for(condition: object, seconds: float = PATIENCE) -> None:
    """Wait until ``condition()`` holds."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError("the studio did not get this far in time")
        time.sleep(0.3)


def walk(address: str, workspace: Workspace) -> list[bytes]:
    """Run the demonstration and photograph Fit, Device, Train and Compare."""
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport=PAGE_SIZE, color_scheme="light")
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        page.get_by_role("button", name="Run the demo").click()
        page.get_by_role("button", name="Watch them train").wait_for()
        pictures = [photograph_fit(page)]
        page.get_by_role("button", name="Save and explore this device").click()
        pictures.append(photograph(page, "Device", go_there=False))
        wait_for(lambda: sum(row.progress for row in workspace.runs.list()) > 1.4)
        pictures.append(photograph(page, "Train"))
        wait_for(lambda: not any(row.active for row in workspace.runs.list()))
        pictures.append(photograph(page, "Compare"))
        browser.close()
    return pictures


def open_page(page: Page, title: str, go_there: bool = True) -> None:
    """Open a page by the bar, unless the way there is taken already, and wait until it is drawn."""
    if go_there:
        page.get_by_test_id("stTopNavLink").filter(has_text=title).click()
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.wait_for_function("() => !document.querySelector('[data-testid=\"stSkeleton\"]')")
    page.wait_for_selector(".tilewright-chart .main-svg")
    page.mouse.move(2, 400)
    time.sleep(2.5)


def photograph(page: Page, title: str, go_there: bool = True) -> bytes:
    """A picture of a page as it is."""
    open_page(page, title, go_there)
    return page.screenshot()


def photograph_fit(page: Page) -> bytes:
    """A picture of a finished fit."""
    open_page(page, "Fit")
    page.get_by_role("button", name="Fit", exact=True).click()
    page.get_by_test_id("stMetric").first.wait_for()
    page.mouse.move(2, 400)
    time.sleep(2.5)
    return page.screenshot()


def mosaic(pictures: list[bytes]) -> Image.Image:
    """Four pictures, two by two."""
    width, height = TILE_SIZE
    whole = Image.new("RGB", (2 * width + 3 * GAP, 2 * height + 3 * GAP), "#c9d2dd")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 2)
        small = Image.open(io.BytesIO(picture)).convert("RGB").resize(TILE_SIZE, Image.Resampling.LANCZOS)
        whole.paste(small, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    return whole.quantize(colors=200, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
