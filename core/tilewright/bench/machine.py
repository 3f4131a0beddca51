"""What the figures depend on besides the code: processor, caches, load, instruction set, compiler."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from tilewright import kernels
from tilewright.runs.environment import usable_cores

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def processor() -> str:
    """Name of the processor as it calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    name = found.get("model name", platform.machine())
    if "cpu family" in found:
        name += f" (family {found['cpu family']}, model {found.get('model', '?')})"
    return name


def caches() -> dict[str, int]:
    """Bytes of each data cache one core sees, e.g. ``{"L1": 32768, "L2": 524288, "L3": 33554432}``."""
    found = {}
    for folder in sorted(_CACHES.glob("index*")):
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1)
            found[f"L{level}"] = int(size.rstrip("KMG")) * unit
    return found


def load() -> list[float]:
    """Processes that wanted a core, averaged over 1, 5 and 15 minutes; empty where the system does not say."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []


def machine() -> dict[str, Any]:
    """The machine and the build, for the head of a report."""
    found = kernels.capabilities()
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "caches": caches(),
        "system": platform.platform(),
        "instruction_set": found["instruction_set"],
        "compiler": found["compiler"],
    }
