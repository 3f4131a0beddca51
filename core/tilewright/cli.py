"""The ``tilewright`` command: the studio, training from a shell, lending a machine, timing, what is installed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tilewright
from tilewright.bench.options import add_arguments as add_bench_arguments
from tilewright.cli_runs import add_run_commands
from tilewright.cli_runs import become as _become

if TYPE_CHECKING:
    from tilewright.workspace import Workspace

USER_ERROR = 2


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

    add_run_commands(commands, common)

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


# --- bench ------------------------------------------------------------------------------------------------------------


def _bench(options: argparse.Namespace) -> int:
    from tilewright.bench.command import run

    return run(options)


# --- doctor ----------------------------------------------------------------------------------------------------------


def _doctor(options: argparse.Namespace) -> int:
    from tilewright.assets import studio_folder
    from tilewright.runs.environment import usable_cores, versions
    from tilewright.workspace import Workspace

    print(f"machine     {platform.platform()}, {usable_cores()} usable cores")
    print("versions    " + ", ".join(f"{name} {version}" for name, version in versions().items()))
    healthy = True
    described = (("kernels", _kernels_text), ("cuda", _cuda_text), ("studio", lambda: str(studio_folder())))
    for title, describe in described:
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

    return ", ".join(f"{name}: {value}" for name, value in capabilities().items() if name != "cuda")


def _cuda_text() -> str:
    from tilewright.kernels.gpu import describe

    return describe()


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
