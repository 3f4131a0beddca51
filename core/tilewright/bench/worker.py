"""The loop of a worker process: reads one JSON request a line, answers one a line.

Runs on both sides, so it imports nothing of this package beyond the modules of this room that need nothing either.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any, TextIO

from tilewright.bench.timing import Prepared, Unavailable, clock_cost, timed_turn

SPIN = 0.005  # a pool of threads spins this long after a call; nothing is timed meanwhile


class Worker:
    """One side, holding one prepared case at a time."""

    def __init__(self, side: str) -> None:
        self.side: Any = import_module(f"tilewright.bench.{side}")
        self.side.set_threads(1)
        self.cost = clock_cost()
        self.prepared: Prepared | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request; ``{"unavailable": why}`` where the side cannot."""
        try:
            done: dict[str, Any] = getattr(self, "_" + request["do"])(request)
        except Unavailable as why:
            return {"unavailable": str(why)}
        except Exception as error:  # a case that fails must not end the session
            return {"unavailable": f"{type(error).__name__}: {error}"}
        return done

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        described: dict[str, Any] = self.side.describe()
        return described

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        self.prepared = None  # the last case's memory goes before the next one's comes
        self.side.set_threads(1)
        prepared = self.side.prepare(request["kind"], request["settings"])
        start = time.perf_counter()
        if prepared.value is None and request["warm"]:
            prepared.reset()
            prepared.call()  # not timed: caches, lazy set-up
        self.prepared = prepared
        seconds = time.perf_counter() - start
        return {"fingerprint": prepared.fingerprint, "measures": prepared.value is not None, "seconds": seconds}

    def _turn(self, request: dict[str, Any]) -> dict[str, Any]:
        threads = request["threads"]
        self.side.set_threads(threads)
        times = timed_turn(self._held(), request["seconds"], request["most"], self.cost)
        if threads > 1:
            self.side.set_threads(1)
            time.sleep(SPIN)
        return times

    def _value(self, request: dict[str, Any]) -> dict[str, Any]:
        measure = self._held().value
        assert measure is not None
        return measure()

    def _held(self) -> Prepared:
        if self.prepared is None:
            raise Unavailable("no case is prepared")
        return self.prepared


def serve(side: str, requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end."""
    try:
        worker = Worker(side)
    except ImportError as error:
        print(json.dumps({"unavailable": f"{sys.executable} cannot import it: {error}"}), file=answers, flush=True)
        return
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in requests:
        print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


def main() -> None:
    """Serve the side named on the command line; what a toolkit prints goes to stderr, not among the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], sys.stdin, answers)


if __name__ == "__main__":
    main()
