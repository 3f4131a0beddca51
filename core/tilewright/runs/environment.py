"""What a result depends on besides its specification: versions and the machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

import tilewright


def versions() -> dict[str, str]:
    """Versions to note with a run, e.g. ``{"tilewright": "0.1.0", "torch": "2.13.0", ...}``."""
    found = {"tilewright": tilewright.__version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "streamlit", "plotly", "distributed", "sqlalchemy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def result_versions() -> dict[str, str]:
    """What the bits of a result may depend on: ``tilewright``, ``torch``, ``numpy`` and ``backend``."""
    found = versions()
    return {**{name: found[name] for name in ("tilewright", "torch", "numpy")}, "backend": "cpu"}


def usable_cores() -> int:
    """Processor cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sources_replaced() -> bool:
    """Whether the package was updated on disk after this process began: it may then hold modules of two releases."""
    began = psutil.Process().create_time()
    sources = Path(tilewright.__file__).parent.rglob("*.py")
    try:
        # The time of the change as well: an unpacked file may keep the time at which it was written elsewhere.
        return any(max(status.st_mtime, status.st_ctime) > began for status in map(Path.stat, sources))
    except OSError:
        return True  # a file went away while it was looked at
