"""Whether kernels for graphics processors are compiled in, which device is seen, and why not if not."""

from __future__ import annotations

from typing import Any

import torch

from tilewright.kernels.gpu.architectures import Architectures, version

compiled: Any = None  # the module of the kernels
_missing = "the CUDA kernels are not compiled in: install with nvcc on the path"
try:
    from tilewright import _cuda

    compiled = _cuda
except ModuleNotFoundError:
    pass
except ImportError as error:  # its file is there
    _missing = f"the CUDA kernels are compiled in but cannot be loaded: {error}"

NOT_RUN = "compiled, not yet run on a GPU by its authors"


def problem() -> str:
    """Why no tile can move to a GPU; empty where it can."""
    if compiled is None:
        return _missing
    if not torch.version.cuda:
        return "this PyTorch is built without CUDA: install its CUDA build"
    toolkit, driver = compiled.versions()
    if why := compiled.why_no_device():
        return f"{why} (kernels by CUDA {version(toolkit)}, {_driver_text(driver)})"
    if not torch.cuda.is_available():
        return f"this PyTorch, built for CUDA {torch.version.cuda}, does not see the GPU ({_driver_text(driver)})"
    code = Architectures.of(compiled.architectures())
    found = [code.problem(major, minor, toolkit, driver) for _, major, minor in compiled.devices()]
    return "" if "" in found else found[0]


def _driver_text(driver: int) -> str:
    return f"driver for CUDA {version(driver)}" if driver else "no driver for CUDA found"


def _device_texts() -> list[str]:
    """The devices that are seen; those that cannot be used say so."""
    code, (toolkit, driver) = Architectures.of(compiled.architectures()), compiled.versions()
    texts = []
    for name, major, minor in compiled.devices():
        usable = "" if not code.problem(major, minor, toolkit, driver) else ", no kernels for it"
        texts.append(f"{name} (compute capability {major}.{minor}{usable})")
    return texts


def state() -> dict[str, Any]:
    """What is compiled in, which devices are seen, and why not if not."""
    if compiled is None:
        return {"compiled": False, "problem": problem()}
    return {
        "compiled": True,
        "toolkit": compiled.toolkit(),
        "architectures": compiled.architectures(),
        "devices": _device_texts(),
        "driver": _driver_text(compiled.versions()[1]),
        "problem": problem(),
        "status": NOT_RUN,
    }


def describe() -> str:
    """One line on what is compiled in, which device is seen, and why not if not."""
    found = state()
    if not found["compiled"]:
        return f"not available: {found['problem']}"
    code = Architectures.of(found["architectures"])
    line = f"compiled in by {found['toolkit']}: {code} ({found['status']})"
    devices = ", ".join(found["devices"]) or "none seen"
    line = f"{line}; devices: {devices}; {found['driver']}"
    return line + (f"; not usable: {found['problem']}" if found["problem"] else "")
