"""Put the instrumented kernels in the place of the installed ones, in this process and in those it starts."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec

MODULE = os.environ["TILEWRIGHT_SANITIZED_MODULE"]
NAME = "tilewright." + os.path.basename(MODULE).partition(".")[0]


class Instrumented:
    """Finds the module of the instrumented build, ``tilewright._cpu`` or another, and nothing else."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, MODULE) if name == NAME else None


sys.meta_path.insert(0, Instrumented())
