"""Which graphics processors the compiled kernels are for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Architectures:
    """What is in the compiled module: compute capabilities as numbers, 90 for 9.0.

    Machine code runs on its own capability and on later ones with the same first figure. The other form is compiled by
    the driver, on any capability from its own on, where the driver is as new as the toolkit that made it.

    Attributes:
        machine_code: capabilities there is machine code for.
        intermediate: capabilities from which on the driver can compile.
        named: what was given as a word.
    """

    machine_code: tuple[int, ...]
    intermediate: tuple[int, ...]
    named: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """From the names that CMake has for them, as in ``75-real 90-virtual``; a plain number is both."""
        real, virtual, words = set(), set(), []
        for name in text.split():
            found = re.fullmatch(r"(\d+)(-real|-virtual)?", name)
            if found is None:
                words.append(name)
                continue
            if found[2] != "-virtual":
                real.add(int(found[1]))
            if found[2] != "-real":
                virtual.add(int(found[1]))
        return cls(tuple(sorted(real)), tuple(sorted(virtual)), tuple(words))

    def problem(self, major: int, minor: int, toolkit: int, driver: int) -> str:
        """Why a device cannot run it; empty where it can, or where that is not known.

        Args:
            major: first figure of the compute capability.
            minor: the second.
            toolkit: version of CUDA that compiled it, 13000 for 13.0.
            driver: newest version that the driver knows.
        """
        own = 10 * major + minor
        if self.named or any(code // 10 == major and code <= own for code in self.machine_code):
            return ""
        if not any(code <= own for code in self.intermediate):
            return (
                f"no kernels for compute capability {major}.{minor} are compiled in, but {self}: install again on "
                f"this machine, or with TILEWRIGHT_CUDA_ARCHITECTURES={own}"
            )
        if driver < toolkit:
            return (
                f"the driver is for CUDA {version(driver)} and cannot compile what CUDA {version(toolkit)} made: "
                f"update it, or install again with TILEWRIGHT_CUDA_ARCHITECTURES={own}"
            )
        return ""

    def __str__(self) -> str:
        parts = list(self.named)
        if self.machine_code:
            parts.append("machine code for " + ", ".join(map(_dotted, self.machine_code)))
        if self.intermediate:
            parts.append(f"code that the driver compiles for {_dotted(self.intermediate[0])} and newer")
        return "; ".join(parts)


def version(number: int) -> str:
    """A version of CUDA as it is written: 12080 is 12.8."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _dotted(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"
