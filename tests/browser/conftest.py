"""A studio of its own with a workspace of its own, and a real Chromium that looks at it."""

import os
from pathlib import Path

import pytest
from studio_server import free_port, started_studio, stop_workers

CHROMIUM = os.environ.get("TILEWRIGHT_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Address and workspace folder of a running studio."""
    tmp_path = tmp_path_factory.mktemp("studio")
    port, folder, log = free_port(), tmp_path / "workspace", tmp_path / "studio.log"
    server = started_studio(folder, port, log)
    try:
        yield f"http://127.0.0.1:{port}", folder
    finally:
        server.terminate()
        server.wait(timeout=30)
        stop_workers(folder)
        print(log.read_text(errors="replace")[-4000:])


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set TILEWRIGHT_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
