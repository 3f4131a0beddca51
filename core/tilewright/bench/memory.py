"""Memory of this process. Imports nothing of this package: the reference side runs it in another interpreter."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

from tilewright.bench.timing import Unavailable

_STATUS = Path("/proc/self/status")


def _field(name: str) -> int:
    try:
        text = _STATUS.read_text()
    except OSError:
        raise Unavailable("memory is read from /proc, which this system does not have") from None
    for line in text.splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise Unavailable(f"/proc/self/status has no {name}")


def settled() -> int:
    """Resident bytes after everything that can be given back was."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not glibc: what its allocator keeps is counted
        ctypes.CDLL(None).malloc_trim(0)
    return _field("VmRSS")


def grown_by(make: Callable[[], object]) -> int:
    """Resident bytes that what ``make`` returns holds."""
    before = settled()
    held = make()
    grown = settled() - before
    del held
    return grown


def peak_of(call: Callable[[], object]) -> int:
    """Highest resident bytes while ``call`` runs, above those before it."""
    before = settled()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    except OSError:
        raise Unavailable("the peak of memory cannot be reset on this system") from None
    held = call()
    peak = _field("VmHWM") - before
    del held
    return peak
