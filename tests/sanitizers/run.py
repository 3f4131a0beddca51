"""Build the kernels with sanitizers and run the kernel tests over them: memory and arithmetic first, then threads.

    python tests/sanitizers/run.py [address,undefined] [thread] [gpu-host] [gpu-races]

The last two are left out unless they are named: memory and arithmetic in the kernels for GPUs, whose threads the host
runs, and what their threads touch at once, in a block and in different ones. The last begins with races that are there
on purpose, and must be found.

A finding ends the run with its report and a non-zero status. The interpreter itself is not instrumented, so the
sanitizer's library is loaded before it; needs g++ on Linux.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX", "g++")


@dataclass(frozen=True)
class Plan:
    """One kind of instrumentation: libraries to load first, options, and the tests to run."""

    sanitizers: str
    libraries: tuple[str, ...]
    options: dict[str, str]
    tests: tuple[str, ...]
    build: tuple[str, ...] = ()  # further options of the build
    module: str = "_cpu"
    by_default: bool = True


MEMORY_LIBRARIES = ("libasan.so", "libstdc++.so")
MEMORY_OPTIONS = {
    # The interpreter keeps memory until its end on purpose, which is no leak of the kernels.
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
GPU_TESTS = ("tests/gpu/test_parity.py", "tests/gpu/test_cells.py", "tests/gpu/test_updates.py")
ON_HOST: dict[str, Any] = {
    "build": (
        "-Ccmake.define.TILEWRIGHT_CUDA_ON_HOST=ON",
        "-Cbuild.targets=_cuda_on_host",
        "-Cinstall.components=cuda_on_host",
    ),
    "module": "_cuda_on_host",
    "by_default": False,
}
PLANS = {
    "address,undefined": Plan(
        "address,undefined",
        MEMORY_LIBRARIES,
        MEMORY_OPTIONS,
        ("tests/kernels", "tests/devices/test_traces.py", "tests/statistics/test_update.py", "-k", "not on_threads"),
    ),
    # Tests of equal bits start processes of their own: memory is looked at on each instruction set, threads where there
    # are several.
    "thread": Plan(
        "thread",
        ("libtsan.so",),
        {"TSAN_OPTIONS": "halt_on_error=1"},
        ("tests/kernels/test_same_bits.py", "-k", "on_threads"),
    ),
    "gpu-host": Plan("address,undefined", MEMORY_LIBRARIES, MEMORY_OPTIONS, GPU_TESTS, **ON_HOST),
    # Each thread of a block is a fiber, ordered with the others by barriers alone, and blocks by nothing.
    "gpu-races": Plan(
        "thread",
        ("libtsan.so",),
        {"TSAN_OPTIONS": "halt_on_error=1"},
        (*GPU_TESTS, "-k", "not backwards and not cuda"),
        **ON_HOST,
    ),
}

# It limits the address space, of which the sanitizers themselves need far more.
NEEDS_LITTLE_MEMORY = "tests/kernels/test_batches.py::test_missing_memory_is_an_error_in_words"


# Bodies of races.cpp, and whether there is something to find; numbers are distances between blocks.
RACES = {
    "barrier": False, "no-barrier": True, "atomic": False, "not-atomic": True, "two-launches": False,
    **{str(distance): True for distance in range(1, 7)},
}  # fmt: skip


def check_races_are_found() -> None:
    """The sanitizer of threads tells bodies with races from sound ones."""
    program = ROOT / "build" / "races"
    program.parent.mkdir(exist_ok=True)
    definitions = ("-DTW_ONE_LANE", "-DTW_ISA=one_lane", "-DTW_WATCH_RACES")
    source = str(ROOT / "tests" / "sanitizers" / "races.cpp")
    subprocess.run(
        [COMPILER, "-std=c++20", "-O1", "-g", "-fsanitize=thread", *definitions, "-o", str(program), source], check=True
    )
    for name, racy in RACES.items():
        done = subprocess.run(
            [str(program), name], env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        found = "WARNING: ThreadSanitizer: data race" in done.stderr
        if found is not racy or (not racy and done.returncode != 0):
            raise SystemExit(f"races.cpp, {name}: {'nothing was found' if racy else done.stderr}")
    print(f"races.cpp: {sum(RACES.values())} races found, and none in {len(RACES) - sum(RACES.values())} sound bodies")


def build(kind: str) -> Path:
    """The instrumented module, built beside the ordinary one."""
    plan, folder = PLANS[kind], ROOT / "build" / f"sanitize-{kind.partition(',')[0]}"
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade",
        "--target", str(folder / "package"), f"-Cbuild-dir={folder / 'objects'}",
        f"-Ccmake.define.TILEWRIGHT_SANITIZE={plan.sanitizers}", "-Ccmake.build-type=RelWithDebInfo",
        "-Cinstall.strip=false", *plan.build, str(ROOT),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return next((folder / "package" / "tilewright").glob(f"{plan.module}.*.so"))


def library(name: str) -> str:
    """Path of one of the compiler's own libraries."""
    found = subprocess.run([COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    if not os.path.isabs(found.stdout.strip()):
        raise SystemExit(f"{COMPILER} has no {name}; install its sanitizer libraries")
    return found.stdout.strip()


def check(kind: str) -> None:
    """Build and run one kind; a failing command raises."""
    started = time.monotonic()
    plan = PLANS[kind]
    if kind == "gpu-races":
        check_races_are_found()
    paths = [str(ROOT / "tests" / "sanitizers" / "startup"), str(ROOT / "core")]
    environment = {
        **os.environ,
        **plan.options,
        "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]),
        "TILEWRIGHT_SANITIZED_MODULE": str(build(kind)),
        "LD_PRELOAD": ":".join(map(library, plan.libraries)),
    }
    built = time.monotonic()
    # Nothing is captured: a finding ends the process at once, and with it what pytest has kept back. Another process a
    # processor goes on with the tests until then.
    alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--capture=no"]
    command = [*alone, "-n", "auto", "--exitfirst", *plan.tests]
    command += ["--deselect", NEEDS_LITTLE_MEMORY]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{kind}: status {done.returncode}")
    print(f"{kind}: nothing found; {built - started:.0f} s to build, {time.monotonic() - built:.0f} s to run")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [kind for kind, plan in PLANS.items() if plan.by_default]:
        check(wanted)
