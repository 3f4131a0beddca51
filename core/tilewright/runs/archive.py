"""Runs as one file that another workspace takes in: specifications, figures, curves and trained weights.

An archive is a zip of plain files: ``runs/<number>/`` with ``spec.yaml``, ``run.json``, ``metrics.csv`` and, for runs
that have one, ``checkpoint.pt``. The specification repeats the run; data that does not ship with Tilewright has to be
there already and is known by its checksum. Whoever takes an archive in trusts nothing in it: names, sizes and contents
are checked before anything is kept, no path of it is used, and nothing is executed.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any

from tilewright.parameters import ParameterError
from tilewright.runs.checkpoints import load_checkpoint
from tilewright.runs.spec import RunSpec
from tilewright.runs.store import RunStore
from tilewright.runs.trainer import CheckpointError

FORMAT = 1
MOST_RUNS = 2000
LARGEST = {"spec.yaml": 4 * 2**20, "run.json": 4 * 2**20, "metrics.csv": 256 * 2**20, "checkpoint.pt": 1024 * 2**20}
LARGEST_ARCHIVE = 4 * 2**30  # bytes unpacked
STATES = ("finished", "failed", "cancelled", "paused")
MEMBER = re.compile(r"runs/(\d{1,6})/(spec\.yaml|run\.json|metrics\.csv|checkpoint\.pt)", re.ASCII)
FIGURES = ("step", "total_steps", "epoch", "seconds", "loss", "train_accuracy", "test_accuracy")


class ArchiveError(ValueError):
    """A file is not an archive of runs, or not one that can be taken in. The message says what is wrong with it."""


def pack(store: RunStore, run_ids: list[str], weights: bool = True) -> bytes:
    """An archive of runs.

    Args:
        store: where they are.
        run_ids: which ones.
        weights: with the trained weights, so that a run can go on elsewhere and be tested there.

    Raises:
        StoreError: there is no run of one of the ids.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tilewright.json", json.dumps({"format": FORMAT, "runs": len(run_ids)}))
        for number, run_id in enumerate(run_ids):
            row, place = store.get(run_id), f"runs/{number}"
            archive.writestr(f"{place}/spec.yaml", row.spec_yaml)
            about = {name: getattr(row, name) for name in (*FIGURES, "state", "message", "created", "batch", "tags")}
            about |= {"notes": row.notes, "results": row.results, "versions": row.versions, "name": row.name}
            archive.writestr(f"{place}/run.json", json.dumps(about, indent=1))
            archive.writestr(f"{place}/metrics.csv", _metrics_text(store, run_id))
            path = store.run_folder(run_id) / row.checkpoint
            if weights and row.checkpoint and path.is_file():
                archive.write(path, f"{place}/checkpoint.pt")
    return content.getvalue()


def take_in(store: RunStore, source: Path | bytes) -> list[str]:
    """Add the runs of an archive to a store; all of them or, when something is wrong with it, none.

    Raises:
        ArchiveError: it is no archive of runs, damaged, too large, or holds what does not belong there.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = _members(archive)
            runs = [_run(archive, files) for _, files in sorted(members.items())]
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ArchiveError(f"this is not an archive of runs, or it is damaged: {error}") from None
    return [store.adopt(**run) for run in runs]


def _members(archive: zipfile.ZipFile) -> dict[int, dict[str, zipfile.ZipInfo]]:
    found: dict[int, dict[str, zipfile.ZipInfo]] = {}
    total = 0
    for info in archive.infolist():
        if info.filename == "tilewright.json":
            if json_of(_read(archive, info, 4096)).get("format") != FORMAT:
                raise ArchiveError(f"this archive is of another format; this release reads format {FORMAT}")
            continue
        match = MEMBER.fullmatch(info.filename)
        if match is None:
            raise ArchiveError(f"{info.filename[:80]!r} does not belong into an archive of runs; nothing was taken in")
        files = found.setdefault(int(match[1]), {})
        if match[2] in files:
            raise ArchiveError(f"{info.filename!r} is there twice")
        if info.file_size > LARGEST[match[2]]:
            raise ArchiveError(f"{info.filename!r} is larger than {LARGEST[match[2]] // 2**20} MiB")
        total += info.file_size
        files[match[2]] = info
    if "tilewright.json" not in archive.namelist() or not found:
        raise ArchiveError("this is not an archive of runs: it holds none")
    if len(found) > MOST_RUNS or total > LARGEST_ARCHIVE:
        raise ArchiveError(f"the archive holds {len(found)} runs of {total / 2**20:.0f} MiB, which is too much")
    return found


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """What a member holds; its header may claim less than what comes out, so the reading is bounded too."""
    with archive.open(info) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ArchiveError(f"{info.filename!r} holds more than it should")
    return data


def _run(archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    place = next(iter(files.values())).filename.rpartition("/")[0]
    for name in ("spec.yaml", "run.json", "metrics.csv"):
        if name not in files:
            raise ArchiveError(f"{place} has no {name}")
    content = {name: _read(archive, info, LARGEST[name]) for name, info in files.items()}
    try:
        spec = RunSpec.from_yaml(content["spec.yaml"].decode())
    except (ParameterError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{place}/spec.yaml cannot be read: {error}") from None
    about = json_of(content["run.json"])
    if about.get("state") not in STATES:
        about["state"] = "cancelled"  # it waited or trained elsewhere; here it can be resumed
    fields: dict[str, Any] = {name: _number(about.get(name)) for name in FIGURES}
    fields |= {name: int(fields[name] or 0) for name in ("step", "total_steps", "epoch")}
    fields |= {"state": about["state"], "seconds": fields["seconds"] or 0.0}
    fields |= {name: str(about.get(name) or "")[:4000] for name in ("message", "batch", "notes")}
    if isinstance(about.get("name"), str) and 0 < len(about["name"]) <= 120:
        spec.name = about["name"]
    tags, results = about.get("tags"), about.get("results")
    numbers = {str(k)[:80]: _number(v) for k, v in results.items()} if isinstance(results, dict) else {}
    kept = {name: value for name, value in numbers.items() if value is not None}
    return {
        "spec": spec,
        "fields": fields,
        "tags": [str(tag) for tag in tags] if isinstance(tags, list) else [],
        "results": kept,
        "metrics": _metrics(content["metrics.csv"], place),
        "checkpoint": _checked(content["checkpoint.pt"], place) if "checkpoint.pt" in content else None,
    }


def _checked(data: bytes, place: str) -> bytes:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write(data)
        file.flush()
        try:
            load_checkpoint(Path(file.name))
        except CheckpointError as error:
            reason = str(error).replace(file.name, "").partition("; delete")[0]
            raise ArchiveError(f"{place}/checkpoint.pt cannot be used: {reason}") from None
    return data


def json_of(data: bytes) -> dict[str, Any]:
    """A JSON object; raises :class:`ArchiveError` for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ArchiveError("the archive is damaged: a description of it is not JSON") from None
    if not isinstance(found, dict):
        raise ArchiveError("the archive is damaged: a description of it is not an object")
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _metrics_text(store: RunStore, run_id: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "step", "value"])
    writer.writerows((found.name, found.step, repr(found.value)) for found in store.metrics(run_id))
    return text.getvalue()


def _metrics(data: bytes, place: str) -> list[tuple[str, int, float]]:
    found: dict[tuple[str, int], float] = {}
    try:
        lines = csv.reader(io.StringIO(data.decode()))
        if next(lines, None) != ["name", "step", "value"]:
            raise ValueError("its columns are not name, step, value")
        for name, step, value in lines:
            number = float(value)
            if not re.fullmatch(r"\w{1,60}", name, re.ASCII) or not math.isfinite(number):
                raise ValueError(f"{name[:60]!r} = {value[:30]!r} is no metric")
            found[name, int(step)] = number
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError(f"{place}/metrics.csv cannot be read: {error}") from None
    return [(name, step, value) for (name, step), value in found.items()]
