"""Worker processes: started in an interpreter of choice, asked one thing at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tilewright
from tilewright.bench.case import Case
from tilewright.bench.timing import Unavailable

# One package is made visible to an interpreter that has it not, without what else is installed beside it.
_BOOTSTRAP = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("tilewright", {file!r}, submodule_search_locations=[{folder!r}])
sys.modules["tilewright"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
sys.argv = ["worker", {side!r}]
from tilewright.bench.worker import main
main()
"""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerProcess:
    """A side of the comparison in its own process.

    Args:
        side: ``"ours"`` or ``"reference"``.
        python: interpreter; this one when not given.

    Raises:
        Unavailable: the interpreter does not start, or lacks the toolkit.
    """

    def __init__(self, side: str, python: str | None = None) -> None:
        package = Path(tilewright.__file__).resolve()
        bootstrap = _BOOTSTRAP.format(file=str(package), folder=str(package.parent), side=side)
        # Inner libraries get one thread; our kernels take the number they are told with each call.
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
        if python:
            environment.pop("PYTHONPATH", None)
        interpreter = python or sys.executable
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [interpreter, "-c", bootstrap], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self._complaints, text=True, env=environment,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"{interpreter} cannot be started: {error.strerror}") from None
        self.description: dict[str, str] = {}
        try:
            self._receive()
            self.description = self.ask("describe")
        except Unavailable:
            self.close()
            raise

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            Unavailable: the side cannot do it, or its process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Unavailable("the worker process has ended") from None
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable(f"the worker process ended with status {self._process.wait()}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        return answer

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().strip().splitlines()
        return lines[-1] if lines else "no message"

    def prepare(self, case: Case) -> dict[str, Any]:
        """Make a case ready; see :class:`tilewright.bench.worker.Worker`."""
        return self.ask("prepare", **case.message())

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._complaints.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
