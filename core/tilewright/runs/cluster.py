"""A scheduler and workers of our own on this machine, in processes that outlive whoever started them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tilewright.atomic_write import write_atomically
from tilewright.runs.certificate import Certificate, ensure_certificate
from tilewright.runs.engine import EngineError
from tilewright.runs.environment import usable_cores
from tilewright.runs.processes import is_dead, process_label
from tilewright.worker_task import THREADS_VARIABLE

IDLE_SECONDS = 1800  # a cluster with nothing to do ends itself after this time
START_SECONDS = 60.0
WORKER_NICENESS = 5  # training yields to the studio that shows it

# Dask watches itself many times a second by default; a studio left open should cost next to nothing.
QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}


class DetachedCluster:
    """The cluster of a workspace folder: ``cluster/`` holds its address, process ids and logs.

    Listens on the loopback address only, and where the ``openssl`` command is there, to whoever shows the workspace's
    certificate (see :mod:`tilewright.runs.certificate`).

    Args:
        folder: the workspace folder.
        n_workers: worker processes; default one per usable core.
    """

    def __init__(self, folder: Path, n_workers: int | None = None) -> None:
        self.folder = folder / "cluster"
        self.n_workers = n_workers or usable_cores()
        self.scheduler_file = self.folder / "scheduler.json"
        self._processes_file = self.folder / "processes.json"
        self._certificate: Certificate | None = None

    def security(self) -> Any:
        """What a client has to show to the scheduler that runs; None when it asks for nothing."""
        try:
            address = str(json.loads(self.scheduler_file.read_text())["address"])
        except (OSError, ValueError, KeyError):
            return None
        found = ensure_certificate(self.folder / "tls") if address.startswith("tls") else None
        return None if found is None else found.security()

    def alive(self) -> bool:
        """Whether scheduler and workers run."""
        labels = self._labels()
        return self.scheduler_file.exists() and len(labels) == 2 and not any(map(is_dead, labels.values()))

    def ensure_running(self) -> None:
        """Start what does not run; raises :class:`EngineError`, with the end of the log, when it cannot be started."""
        if self.alive():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._certificate = ensure_certificate(self.folder / "tls")
                labels = self._labels()
                if "scheduler" not in labels or is_dead(labels["scheduler"]) or not self.scheduler_file.exists():
                    self._end(labels)
                    labels = {"scheduler": self._start_scheduler()}
                if "workers" not in labels or is_dead(labels["workers"]):
                    labels["workers"] = self._start_workers()
                write_atomically(self._processes_file, json.dumps(labels, indent=2).encode())
        except OSError as error:
            raise EngineError(f"the workers cannot be started in {self.folder}: {error.strerror or error}") from None

    def stop(self) -> None:
        """End workers and scheduler; their runs go on from the last checkpoint when the cluster is next started."""
        if not self.folder.exists():
            return
        with self._locked():
            self._end(self._labels())

    def process_ids(self) -> list[int]:
        """Numbers of the scheduler's and the workers' parent process; empty when nothing was started."""
        return [_process_id(label) for label in self._labels().values()]

    # --- processes ---------------------------------------------------------------------------------------------------

    def _start_scheduler(self) -> str:
        self.scheduler_file.unlink(missing_ok=True)
        process = self._launch(
            "scheduler",
            "dask_scheduler",
            "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
            *(("--protocol", "tls") if self._certificate else ()),
            "--no-jupyter", "--idle-timeout", f"{IDLE_SECONDS} seconds",
            "--scheduler-file", str(self.scheduler_file),
        )  # fmt: skip
        label = process_label(process.pid)
        end = time.monotonic() + START_SECONDS
        while not self.scheduler_file.exists():
            if process.poll() is not None or time.monotonic() > end:
                self._end({"scheduler": label})
                raise EngineError(f"the scheduler did not start: {self._end_of_log('scheduler')}")
            time.sleep(0.05)
        return label

    def _start_workers(self) -> str:
        process = self._launch(
            "workers",
            "dask_worker",
            "--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
            "--nworkers", str(self.n_workers), "--nthreads", "1", "--death-timeout", "120",
            "--preload", "tilewright.worker_task",
            "--local-directory", str(self.folder / "scratch"), "--scheduler-file", str(self.scheduler_file),
        )  # fmt: skip
        psutil.Process(process.pid).nice(WORKER_NICENESS)  # its children, which do the work, inherit it
        time.sleep(0.1)
        if process.poll() is not None:
            raise EngineError(f"the workers did not start: {self._end_of_log('workers')}")
        return process_label(process.pid)

    def _launch(self, log: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", f"distributed.cli.{module}", *arguments]
        secrets = self._certificate.environment() if self._certificate else {}
        environment = {
            **os.environ,
            **QUIET,
            **secrets,
            THREADS_VARIABLE: str(max(1, usable_cores() // self.n_workers)),
        }
        with (self.folder / f"{log}.log").open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, labels: dict[str, str]) -> None:
        for role in ("workers", "scheduler"):
            label = labels.get(role, "")
            if label and not is_dead(label):
                _end_tree(_process_id(label))
        self._processes_file.unlink(missing_ok=True)
        self.scheduler_file.unlink(missing_ok=True)

    # --- files -------------------------------------------------------------------------------------------------------

    def _labels(self) -> dict[str, str]:
        try:
            labels = json.loads(self._processes_file.read_text())
        except (OSError, ValueError):
            return {}
        return labels if isinstance(labels, dict) else {}

    def _end_of_log(self, log: str) -> str:
        try:
            lines = (self.folder / f"{log}.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return " / ".join(lines[-3:]) or "its log is empty"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _process_id(label: str) -> int:
    return int(label.partition("@")[0])


def _end_tree(pid: int) -> None:
    """End a process of ours and its children: ask, wait a little, then insist."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process, signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=3)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=3)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
