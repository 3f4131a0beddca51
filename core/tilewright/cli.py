"""The ``tilewright`` command: the studio, training from a shell, lending a machine, timing, what is installed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tilewright
from tilewright.bench.options import add_arguments as add_bench_arguments

if TYPE_CHECKING:
    from tilewright.runs import Engine, RunRow
    from tilewright.workspace import Workspace

USER_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the ``tilewright`` command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.workspace:
        os.environ["TILEWRIGHT_WORKSPACE"] = str(Path(options.workspace).expanduser().resolve())
    try:
        return int(options.action(options))
    except (ValueError, RuntimeError, OSError) as error:
        # Errors made for people (ParameterError, WorkspaceError, StoreError, DataError, ...) derive from these.
        print(f"tilewright: {error}", file=sys.stderr)
        return USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tilewright", description="From a measured device to a trained network.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"tilewright {tilewright.__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--workspace", help="folder of your work (default $TILEWRIGHT_WORKSPACE, else ~/tilewright)")
    commands = parser.add_subparsers(required=True, metavar="command")

    studio = commands.add_parser("studio", parents=[common], help="open the studio in the browser")
    studio.add_argument("--port", type=_port, default=8501, help="port to listen on (default 8501)")
    studio.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1, this machine only; 0.0.0.0 lets everyone on the network in)",
    )
    studio.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    studio.set_defaults(action=_studio)

    run = commands.add_parser("run", parents=[common], help="train a run specification in this terminal")
    run.add_argument("spec", nargs="?", help="YAML file of the run")
    run.add_argument("--resume", metavar="RUN", help="go on with a failed or cancelled run instead")
    run.add_argument(
        "--threads", type=_count, default=1, help="processor threads (default 1: small layers like it best)"
    )
    run.set_defaults(action=_run)

    worker = commands.add_parser("worker", parents=[common], help="train runs that a studio hands out")
    worker.add_argument("scheduler", help="address of the scheduler, e.g. tcp://host:8786, or its scheduler file")
    worker.add_argument("--workers", type=_count, default=0, help="processes (default one per core)")
    worker.set_defaults(action=_worker)

    bench = commands.add_parser("bench", help="time the kernels, against a reference toolkit where there is one")
    add_bench_arguments(bench)
    bench.set_defaults(action=_bench, workspace=None)

    doctor = commands.add_parser("doctor", parents=[common], help="show versions, what is compiled in, the workspace")
    doctor.set_defaults(action=_doctor)
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 4096")
    return int(text)


# --- studio -----------------------------------------------------------------------------------------------------------


def studio_command(port: int = 8501, host: str = "127.0.0.1", browser: bool = True) -> list[str]:
    """The command that serves the studio; raises ``FileNotFoundError`` when the installation lacks its pages."""
    from tilewright.assets import studio_folder

    script = studio_folder() / "app" / "main.py"
    if not script.is_file():
        raise FileNotFoundError(f"the studio's pages are missing ({script}); install Tilewright again")
    return [
        sys.executable, "-m", "streamlit", "run", str(script),
        f"--server.port={port}", f"--server.address={host}", f"--server.headless={str(not browser).lower()}",
        "--browser.gatherUsageStats=false",
    ]  # fmt: skip


def _studio(options: argparse.Namespace) -> int:
    command = studio_command(options.port, options.host, not options.no_browser)
    print(f"Tilewright studio: http://{options.host}:{options.port} (Ctrl+C ends it; runs go on)", flush=True)
    return _become(command, os.environ)


def _become(command: list[str], environment: Mapping[str, str]) -> int:
    """Go on as another program, so that signals reach it and nothing is left behind."""
    os.execve(command[0], command, environment)


# --- run --------------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    import torch

    from tilewright.runs import RunSpec, SyncEngine
    from tilewright.workspace import Workspace

    if bool(options.spec) == bool(options.resume):
        raise ValueError("give either a YAML file or --resume RUN")
    torch.set_num_threads(options.threads)
    with SyncEngine(Workspace().runs) as engine:
        if options.resume:
            run_id = options.resume
            engine.resume(run_id)
        else:
            run_id = engine.submit(RunSpec.from_yaml(_text(options.spec)))
        print(f"run {run_id} in {engine.store.folder}", flush=True)
        return _follow(engine, run_id)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None


def _follow(engine: Engine, run_id: str) -> int:
    """Show progress until the run is over; Ctrl+C cancels it after a checkpoint."""
    live = sys.stdout.isatty()
    since, interrupted = 0, False
    while True:
        try:
            row = engine.store.get(run_id)
            for found in engine.follow(run_id, since):
                since = found.seq
                if found.name == "test_accuracy":
                    print(f"{_clear(live)}step {found.step}: test accuracy {100 * found.value:.1f} %", flush=True)
            if not row.active:
                break
            if live:
                print(f"{_clear(live)}{_progress_line(row)}", end="", flush=True)
            time.sleep(0.2)
        except KeyboardInterrupt:
            interrupted = True
            engine.cancel(run_id)
    words = f"{row.state} after {row.seconds:.0f} s"
    if row.state == "finished":
        print(f"{_clear(live)}{words}: test accuracy {100 * (row.test_accuracy or 0):.1f} %, loss {row.loss:.4g}")
        return 0
    print(f"{_clear(live)}{words}: {row.message}\ngo on with: tilewright run --resume {run_id}")
    return INTERRUPTED if interrupted else 1


def _clear(live: bool) -> str:
    return "\r\x1b[K" if live else ""


def _progress_line(row: RunRow) -> str:
    if row.state == "queued":
        return "waiting"
    bar = "#" * round(30 * row.progress)
    loss = "" if row.loss is None else f" loss {row.loss:.4g}"
    left = "" if row.seconds_left is None else f" {row.seconds_left:.0f} s left"
    return f"[{bar:<30}] {100 * row.progress:3.0f} %{loss}{left}"


# --- bench ------------------------------------------------------------------------------------------------------------


def _bench(options: argparse.Namespace) -> int:
    from tilewright.bench.command import run

    return run(options)


# --- worker and doctor ------------------------------------------------------------------------------------------------


def _worker(options: argparse.Namespace) -> int:
    from tilewright.runs.environment import usable_cores
    from tilewright.worker_task import THREADS_VARIABLE

    workers = options.workers or usable_cores()
    target = ["--scheduler-file", options.scheduler] if Path(options.scheduler).is_file() else [options.scheduler]
    command = [
        sys.executable, "-P", "-m", "distributed.cli.dask_worker", *target,
        "--nworkers", str(workers), "--nthreads", "1", "--no-dashboard", "--preload", "tilewright.worker_task",
    ]  # fmt: skip
    threads = str(max(1, usable_cores() // workers))
    return _become(command, {**os.environ, THREADS_VARIABLE: threads})


def _doctor(options: argparse.Namespace) -> int:
    from tilewright.assets import studio_folder
    from tilewright.runs.environment import usable_cores, versions
    from tilewright.workspace import Workspace

    print(f"machine     {platform.platform()}, {usable_cores()} usable cores")
    print("versions    " + ", ".join(f"{name} {version}" for name, version in versions().items()))
    healthy = True
    for title, describe in (("kernels", _kernels_text), ("studio", lambda: str(studio_folder()))):
        try:
            print(f"{title:<11} {describe()}")
        except (ImportError, OSError, RuntimeError) as error:
            healthy = False
            print(f"{title:<11} PROBLEM: {error}")
    try:
        workspace = Workspace()
        print(f"workspace   {workspace.folder}: {_workspace_text(workspace)}")
    except (ValueError, OSError) as error:
        healthy = False
        print(f"workspace   PROBLEM: {error}")
    return 0 if healthy else 1


def _kernels_text() -> str:
    from tilewright.kernels import capabilities

    return ", ".join(f"{name}: {value}" for name, value in capabilities().items())


def _workspace_text(workspace: Workspace) -> str:
    if not workspace.folder.exists():
        return "does not exist yet; it is made when something is saved"
    shelves = (workspace.measurements, workspace.devices, workspace.tiles)
    counts = [f"{len(shelf.names())} {shelf.folder.name}" for shelf in shelves]
    rows = workspace.runs.list()
    active = sum(row.active for row in rows)
    return ", ".join([*counts, f"{len(rows)} runs ({active} waiting or training)"])


if __name__ == "__main__":
    sys.exit(main())
