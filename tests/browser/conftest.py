"""A studio of its own with a workspace of its own, and a real Chromium that looks at it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Address and workspace folder of a running studio."""
    tmp_path = tmp_path_factory.mktemp("studio")
    port, folder = free_port(), tmp_path / "workspace"
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py")]
    command += ["--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "TILEWRIGHT_WORKSPACE": str(folder), "TILEWRIGHT_ENGINE": "cluster"}
    log = (tmp_path / "studio.log").open("wb")
    server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(address, server)
        yield address, folder
    finally:
        server.terminate()
        server.wait(timeout=30)
        _stop_workers(folder)
        log.close()
        print((tmp_path / "studio.log").read_text(errors="replace")[-4000:])


def _wait_until_healthy(address, server):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, "the studio ended at once"
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the studio did not answer within a minute")


def _stop_workers(folder):
    from tilewright.runs.cluster import DetachedCluster

    if folder.exists():
        DetachedCluster(folder).stop()


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set TILEWRIGHT_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
