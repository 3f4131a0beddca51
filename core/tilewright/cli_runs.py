"""Training from a shell: ``tilewright run``, ``experiment``, ``compare`` and ``worker``, on the workspace's store."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.runs import Engine, Grid, RunRow, RunSpec

INTERRUPTED = 130
BAR = 24
LOOK = 0.3  # seconds between looks at the store


def add_run_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of ``tilewright``."""
    run = commands.add_parser("run", parents=[common], help="train a run, or a grid of runs, in this terminal")
    run.add_argument("spec", nargs="?", help="YAML file of a RunSpec or a Grid")
    run.add_argument("--resume", metavar="RUN", help="go on with a paused, failed or cancelled run instead")
    run.add_argument(
        "--threads", type=_count, default=1, help="processor threads (default 1: small layers like it best)"
    )
    run.add_argument(
        "--workers", type=_count, default=0, help="train in this many processes of their own, several runs at once"
    )
    run.add_argument("--estimate", action="store_true", help="only say how long it will take and what may go wrong")
    run.set_defaults(action=_run)

    headline = commands.add_parser(
        "experiment", parents=[common], help="fit a device and compare six algorithms on it, three seeds each"
    )
    headline.add_argument("--device", help="a device of the workspace instead of one fitted to the bundled example")
    headline.add_argument("--epochs", type=_count, default=3, help="passes over the 6,000 images (default 3)")
    headline.add_argument("--seeds", type=_count, default=3, help="repetitions (default 3)")
    headline.add_argument("--workers", type=_count, default=0, help="worker processes (default one per core)")
    headline.set_defaults(action=_experiment)

    compare = commands.add_parser("compare", parents=[common], help="show runs side by side, or export them")
    compare.add_argument("runs", nargs="*", help="ids of runs; default all")
    compare.add_argument("--batch", help="only the runs of this sweep")
    compare.add_argument("--tag", help="only runs with this tag")
    compare.add_argument("--metric", default="test_accuracy", help="figure to compare (default test_accuracy)")
    compare.add_argument(
        "--by", default="setting", metavar="FIELD",
        help="what to group runs by: setting (default), algorithm, device, tags ... or a field such as learning_rate",
    )  # fmt: skip
    compare.add_argument("--csv", type=Path, help="write the table of runs here")
    compare.add_argument("--html", type=Path, help="write a report here: one file, nothing else needed to read it")
    compare.add_argument("--zip", type=Path, help="write an archive here that another workspace can take in")
    compare.add_argument("--tensorboard", type=Path, help="write logs for TensorBoard into this folder")
    compare.add_argument("--take-in", type=Path, metavar="ZIP", help="add the runs of an archive to this workspace")
    compare.set_defaults(action=_compare)

    worker = commands.add_parser("worker", parents=[common], help="train runs that a studio hands out")
    worker.add_argument("scheduler", help="address of the scheduler, e.g. tls://host:8786, or its scheduler file")
    worker.add_argument("--workers", type=_count, default=0, help="processes (default one per core)")
    worker.set_defaults(action=_worker)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 4096")
    return int(text)


def become(command: list[str], environment: Mapping[str, str]) -> int:
    """Go on as another program, so that signals reach it and nothing is left behind."""
    os.execve(command[0], command, environment)


# --- run --------------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    import torch

    from tilewright.runs import RunSpec, read_plan

    if bool(options.spec) == bool(options.resume):
        raise ValueError("give either a YAML file or --resume RUN")
    torch.set_num_threads(options.threads)
    plan = read_plan(_text(options.spec)) if options.spec else None
    if options.estimate:
        if plan is None:
            raise ValueError("--estimate needs a YAML file")
        return _estimate(plan, options.workers or 1)
    with _engine(options.workers) as engine:
        if plan is None:
            runs = [options.resume]
            engine.resume(options.resume)
        elif isinstance(plan, RunSpec):
            runs = [engine.submit(plan)]
        else:
            runs = engine.submit_all(plan.specs(), plan.name)
        names = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs"
        print(f"{names} in {engine.store.folder}", flush=True)
        return _follow_all(engine, runs)


def _engine(workers: int) -> Engine:
    from tilewright.runs import DaskEngine, SyncEngine
    from tilewright.workspace import Workspace

    store = Workspace().runs
    return DaskEngine(store, n_workers=workers) if workers else SyncEngine(store)


def _estimate(plan: RunSpec | Grid, workers: int) -> int:
    from tilewright.runs import RunSpec, estimate

    specs = [plan] if isinstance(plan, RunSpec) else plan.specs()
    for line in estimate(specs, workers).lines():
        print(line)
    return 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None


def _follow_all(engine: Engine, runs: Sequence[str]) -> int:
    """Show progress until every run is over; Ctrl+C cancels them after a checkpoint."""
    display = _Display(len(runs) > 1)
    interrupted = False
    while True:
        try:
            rows = [engine.store.get(run_id) for run_id in runs]
            display.show(rows, engine.problem)
            if not any(row.active for row in rows):
                break
            time.sleep(LOOK)
        except KeyboardInterrupt:
            interrupted = True
            for run_id in runs:
                engine.cancel(run_id)
    if all(row.state == "finished" for row in rows):
        return 0
    return INTERRUPTED if interrupted else 1


class _Display:
    """Progress of runs: bars that are drawn anew in a terminal, lines as something happens elsewhere."""

    def __init__(self, several: bool) -> None:
        self.live = sys.stdout.isatty()
        self.several = several
        self.drawn = 0
        self.said: dict[str, tuple[str, int]] = {}
        self.problem = ""

    def show(self, rows: Sequence[RunRow], problem: str) -> None:
        self._clear()
        if problem and problem != self.problem:
            print(f"runs wait because {problem}", flush=True)
        self.problem = problem
        for row in rows:
            self._say(row)
        if self.live:
            self._draw(rows)

    def _clear(self) -> None:
        if self.drawn:
            print(f"\x1b[{self.drawn}A\x1b[J", end="")
            self.drawn = 0

    def _say(self, row: RunRow) -> None:
        """Whatever is new: an epoch, an end."""
        key = (row.state, row.epoch if row.test_accuracy is not None else 0)
        if self.said.get(row.id) == key:
            return
        self.said[row.id] = key
        start = f"{row.name}: " if self.several else ""
        if row.active:
            if row.test_accuracy is not None and not self.several:
                print(f"step {row.step}: test accuracy {100 * row.test_accuracy:.1f} %", flush=True)
            return
        words = f"{start}{row.state} after {row.seconds:.0f} s"
        if row.state == "finished":
            print(f"{words}: {_result(row)}", flush=True)
        else:
            why = f": {row.message}" if row.message and row.message != row.state else ""
            print(f"{words}{why}\ngo on with: tilewright run --resume {row.id}", flush=True)

    def _draw(self, rows: Sequence[RunRow]) -> None:
        active = [row for row in rows if row.state == "running"]
        lines = [f"{row.name[:30]:30} {_bar(row)}" for row in active]
        if self.several:
            over = sum(not row.active for row in rows)
            lines.append(f"{over} of {len(rows)} runs over, {len(active)} training")
        elif not lines and rows[0].active:
            lines.append("waiting")
        print("\n".join(lines), flush=True)
        self.drawn = len(lines)


def _bar(row: RunRow) -> str:
    filled = round(BAR * min(row.progress, 1.0))
    loss = "" if row.loss is None else f" loss {row.loss:.4g}"
    left = "" if row.seconds_left is None else f" {row.seconds_left:.0f} s left"
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {100 * row.progress:3.0f} %{loss}{left}"


def _result(row: RunRow) -> str:
    loss = "" if row.loss is None else f", loss {row.loss:.4g}"
    if row.test_accuracy is not None:
        return f"test accuracy {100 * row.test_accuracy:.1f} %{loss}"
    return f"test error {row.results.get('test_error', math.nan):.3g}{loss}"


# --- experiment and compare -------------------------------------------------------------------------------------------


def _experiment(options: argparse.Namespace) -> int:
    from tilewright.runs import fitted_example, headline_grid
    from tilewright.runs.environment import usable_cores
    from tilewright.workspace import Workspace

    start = time.monotonic()
    space = Workspace()
    if options.device:
        name, device = options.device, space.devices.load(options.device)
    else:
        print("fitting a device to the bundled measurement", flush=True)
        device = fitted_example()
        name = space.devices.save("fitted-example", device)
    grid = headline_grid(device, name, options.epochs, options.seeds)
    batch = f"{grid.name} {time.strftime('%d %b %H:%M:%S')}"
    with _engine(options.workers or usable_cores()) as engine:
        print(f"{grid.size} runs in {engine.store.folder}", flush=True)
        runs = engine.submit_all(grid.specs(), batch)
        status = _follow_all(engine, runs)
        print(_tables(engine.store.list(), runs, "test_accuracy"))
        spent = sum(engine.store.get(run_id).results.get("cpu_seconds", 0.0) for run_id in runs)
    print(f"{time.monotonic() - start:.0f} s in all, {spent:.0f} s of processor time for training")
    return status


def _compare(options: argparse.Namespace) -> int:
    from tilewright import report
    from tilewright.runs import archive, tensorboard_logs
    from tilewright.runs.grouping import groupings
    from tilewright.runs.side_by_side import runs_table
    from tilewright.workspace import Workspace

    store = Workspace().runs
    if options.take_in:
        taken = archive.take_in(store, options.take_in)
        print(f"took in {len(taken)} runs: {', '.join(taken)}")
        return 0
    rows = [row for row in store.list() if not options.runs or row.id in options.runs]
    missing = set(options.runs) - {row.id for row in rows}
    if missing:
        raise ValueError(f"there is no run {sorted(missing)[0]!r} in {store.folder}")
    rows = [r for r in rows if (not options.batch or r.batch == options.batch)]
    rows = [r for r in rows if not options.tag or options.tag in r.tags]
    if not rows:
        raise ValueError(f"there is nothing to compare in {store.folder}")
    ids = [row.id for row in reversed(rows)]
    if options.by not in (known := groupings(rows)):
        raise ValueError(f"these runs cannot be grouped by {options.by!r}, only by {', '.join(known)}")
    print(_tables(rows, ids, options.metric, options.by))
    if options.csv:
        options.csv.write_text(runs_table(rows).to_csv(index=False), encoding="utf-8")
    if options.html:
        options.html.write_text(report.html_report(store, ids, metric=options.metric, by=options.by), encoding="utf-8")
    if options.zip:
        options.zip.write_bytes(archive.pack(store, ids))
    if options.tensorboard:
        tensorboard_logs(store, ids, options.tensorboard)
    for path in (options.csv, options.html, options.zip, options.tensorboard):
        if path:
            print(f"wrote {path}")
    return 0


def _tables(rows: Sequence[RunRow], ids: Sequence[str], metric: str, by: str = "setting") -> str:
    from tilewright.runs.side_by_side import differences_text, settings_text

    by_id = {row.id: row for row in rows}
    chosen = [by_id[run_id] for run_id in ids]
    return f"\n{settings_text(chosen, metric, by)}\n\n{differences_text(chosen, metric, by)}".rstrip()


# --- worker -----------------------------------------------------------------------------------------------------------


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
    return become(command, {**os.environ, THREADS_VARIABLE: threads})
