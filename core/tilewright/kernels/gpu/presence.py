"""Whether kernels for graphics processors are compiled in, which device is seen, and why not if not."""

from __future__ import annotations

from typing import Any

import torch

compiled: Any = None  # the module of the kernels
try:
    from tilewright import _cuda

    compiled = _cuda
except ImportError:
    pass

NOT_RUN = "compiled, not yet run on a GPU by its authors"


def problem() -> str:
    """Why no tile can move to a GPU; empty where it can."""
    if compiled is None:
        return "the CUDA kernels are not compiled in: install with nvcc on the path"
    if not torch.cuda.is_available():
        built = torch.version.cuda
        return compiled.why_no_device() if built else "this PyTorch is built without CUDA: install its CUDA build"
    return ""


def state() -> dict[str, Any]:
    """What is compiled in, which devices are seen, and why not if not."""
    if compiled is None:
        return {"compiled": False, "problem": problem()}
    return {
        "compiled": True,
        "toolkit": compiled.toolkit(),
        "architectures": compiled.architectures(),
        "devices": compiled.devices(),
        "problem": problem(),
        "status": NOT_RUN,
    }


def describe() -> str:
    """One line on what is compiled in, which device is seen, and why not if not."""
    found = state()
    if not found["compiled"]:
        return f"not available: {found['problem']}"
    line = f"compiled in by {found['toolkit']} for {found['architectures']} ({found['status']})"
    devices = ", ".join(found["devices"]) or "none seen"
    return f"{line}; devices: {devices}" + (f"; not usable: {found['problem']}" if found["problem"] else "")
