"""A studio as a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started_studio(folder, port, log):
    """The process of a studio that answers; its output is appended to the file ``log``."""
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py")]
    command += ["--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "TILEWRIGHT_WORKSPACE": str(folder), "TILEWRIGHT_ENGINE": "cluster"}
    with log.open("ab") as output:
        server = subprocess.Popen(command, env=environment, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}", server)
    except BaseException:
        server.kill()
        raise
    return server


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


def stop_workers(folder):
    from tilewright.runs.cluster import DetachedCluster

    if folder.exists():
        DetachedCluster(folder).stop()
