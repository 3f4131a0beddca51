"""The truth about runs: one SQLite index and one folder per run, shared by studio, workers and scripts.

A worker *claims* a run before it trains it. The newest claim owns the run; every write of an older claim is refused,
so a run that two workers hold by accident still has one history. A checkpoint and the metrics up to it are committed
together, and a new claim drops the metrics past the last checkpoint: the history has no gaps and no repeats.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine, RowMapping

from tilewright.atomic_write import write_atomically
from tilewright.ledger import Ledger, LedgerError
from tilewright.runs.processes import is_dead
from tilewright.runs.spec import RunSpec

RUN_STATES = ("queued", "running", "paused", "finished", "failed", "cancelled")
ACTIVE_STATES = ("queued", "running")
RESUMABLE_STATES = ("paused", "failed", "cancelled")
JOURNAL_VARIABLE = "TILEWRIGHT_JOURNAL"  # set to "delete" where several machines share the workspace folder
CLUSTER = "cluster"  # owner of the runs that a scheduler hands to its workers
LONGEST_TAG, MOST_TAGS, LONGEST_NOTE = 40, 20, 4000
TRIES_WITHOUT_PROGRESS = 8  # hand-overs and claims without a new checkpoint, after which a run is given up

_tables = sql.MetaData()
_run = sql.Table(
    "run",
    _tables,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("algorithm", sql.String, nullable=False),
    sql.Column("digest", sql.String, nullable=False, index=True),
    sql.Column("setting_digest", sql.String, nullable=False),
    sql.Column("spec", sql.Text, nullable=False),
    sql.Column("state", sql.String, nullable=False, index=True),
    sql.Column("message", sql.Text, nullable=False, default=""),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("started", sql.Float),
    sql.Column("ended", sql.Float),
    sql.Column("heartbeat", sql.Float),
    sql.Column("cancel_requested", sql.Boolean, nullable=False, default=False),
    sql.Column("owner", sql.String, nullable=False, default=""),
    sql.Column("submission", sql.Integer, nullable=False, default=0),
    sql.Column("submitted", sql.Float),
    sql.Column("attempt", sql.Integer, nullable=False, default=0),
    sql.Column("tries", sql.Integer, nullable=False, default=0),
    sql.Column("worker", sql.String, nullable=False, default=""),
    sql.Column("versions", sql.Text, nullable=False, default="{}"),
    sql.Column("step", sql.Integer, nullable=False, default=0),
    sql.Column("total_steps", sql.Integer, nullable=False, default=0),
    sql.Column("epoch", sql.Integer, nullable=False, default=0),
    sql.Column("seconds", sql.Float, nullable=False, default=0.0),
    sql.Column("loss", sql.Float),
    sql.Column("train_accuracy", sql.Float),
    sql.Column("test_accuracy", sql.Float),
    sql.Column("checkpoint", sql.String, nullable=False, default=""),
    sql.Column("checkpoint_step", sql.Integer, nullable=False, default=0),
    # Added since the first release: an index made before gets them when it is opened.
    sql.Column("pause_requested", sql.Boolean, nullable=False, default=False, server_default="0"),
    sql.Column("position", sql.Float, nullable=False, default=0.0, server_default="0"),
    sql.Column("batch", sql.String, nullable=False, default="", server_default="", index=True),
    sql.Column("tags", sql.Text, nullable=False, default="[]", server_default="[]"),
    sql.Column("notes", sql.Text, nullable=False, default="", server_default=""),
    sql.Column("results", sql.Text, nullable=False, default="{}", server_default="{}"),
)
_metric = sql.Table(
    "metric",
    _tables,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("run_id", sql.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("step", sql.Integer, nullable=False),
    sql.Column("value", sql.Float, nullable=False),
    sql.Column("t", sql.Float, nullable=False),
    sql.UniqueConstraint("run_id", "name", "step"),
    sql.Index("metric_by_arrival", "run_id", "seq"),
    sqlite_autoincrement=True,
)
_artifact = sql.Table(
    "artifact",
    _tables,
    sql.Column("run_id", sql.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("path", sql.String, nullable=False),
    sql.Column("sha256", sql.String, nullable=False),
    sql.Column("size", sql.Integer, nullable=False),
    sql.Column("t", sql.Float, nullable=False),
)


class StoreError(RuntimeError):
    """The index cannot be used, or what is asked of a run is not possible. The message says what to do."""


class RunLost(StoreError):
    """Another worker has claimed the run, or it is no longer running: stop working on it."""


@functools.lru_cache(maxsize=2048)
def _parsed(text: str) -> RunSpec:
    """Reading YAML takes ten milliseconds and more, and a page asks for the same runs again and again."""
    return RunSpec.from_yaml(text)


@dataclass(frozen=True)
class RunRow:
    """One run as the index knows it. Times are seconds since 1970; ``seconds`` is the time spent training.

    ``batch`` names the sweep a run belongs to; waiting runs are begun by their ``position``, lowest first. ``results``
    holds figures of the run as a whole under any name, such as ``test_accuracy``, ``pulses`` or ``cpu_seconds``.
    """

    id: str
    name: str
    algorithm: str
    digest: str
    setting_digest: str
    spec_yaml: str
    state: str
    message: str
    created: float
    started: float | None
    ended: float | None
    heartbeat: float | None
    cancel_requested: bool
    owner: str
    submission: int
    submitted: float | None
    attempt: int
    worker: str
    versions: dict[str, str]
    step: int
    total_steps: int
    epoch: int
    seconds: float
    loss: float | None
    train_accuracy: float | None
    test_accuracy: float | None
    checkpoint: str
    checkpoint_step: int
    pause_requested: bool
    position: float
    batch: str
    tags: list[str]
    notes: str
    results: dict[str, float]

    @property
    def spec(self) -> RunSpec:
        """The specification the run was submitted with; raises ``ParameterError`` when this release cannot read it."""
        return copy.deepcopy(_parsed(self.spec_yaml))

    @property
    def active(self) -> bool:
        """Whether the run waits or trains."""
        return self.state in ACTIVE_STATES

    @property
    def progress(self) -> float:
        """Share of the steps done, 0 to 1."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated training time that remains, from the time per step so far; None while nothing is known."""
        if not self.step or not self.total_steps:
            return None
        return self.seconds / self.step * (self.total_steps - self.step)

    @property
    def resumable(self) -> bool:
        """Whether :meth:`Engine.resume` has something to do."""
        return self.state in RESUMABLE_STATES


@dataclass(frozen=True)
class MetricRow:
    """One value of one metric. ``seq`` grows with arrival: ask for what came after it. ``t`` is the wall time."""

    seq: int
    name: str
    step: int
    value: float
    t: float


@dataclass(frozen=True)
class ArtifactRow:
    """A file that belongs to a run; ``path`` is relative to the run's folder."""

    name: str
    path: str
    sha256: str
    size: int
    t: float


@dataclass(frozen=True)
class Claim:
    """The right to work on a run, and where to go on from: ``checkpoint`` is None for a fresh start."""

    run_id: str
    attempt: int
    spec_yaml: str
    checkpoint: Path | None

    @property
    def spec(self) -> RunSpec:
        """What to train; raises ``ParameterError`` when this release cannot read it."""
        return RunSpec.from_yaml(self.spec_yaml)


# Within a class that has a method `list`, the type of that name is out of reach.
MetricRows = list[MetricRow]
ArtifactRows = list[ArtifactRow]


class RunStore:
    """The runs of a workspace folder: ``runs.sqlite`` and one folder per run under ``runs/``.

    Any number of processes may use it at once. Nothing here starts or stops training: that is the engine's part.

    Args:
        folder: the workspace folder; made when it does not exist.

    Raises:
        StoreError: the folder cannot be written or the index is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().resolve()
        self.path = self.folder / "runs.sqlite"
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot hold a workspace: {error.strerror}") from None
        self._engine = _open(self.path)
        self._writing = self._engine.execution_options(writes=True)

    def close(self) -> None:
        """Close the connections of this process."""
        self._engine.dispose()

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run's files; it exists once the run was added."""
        if not re.fullmatch(r"[0-9A-Za-z-]+", run_id):
            raise StoreError(f"{run_id!r} is not the id of a run")
        return self.folder / "runs" / run_id

    # --- what pages and scripts ask ----------------------------------------------------------------------------------

    def add(self, spec: RunSpec, owner: str = "", batch: str = "", tags: Sequence[str] = ()) -> RunRow:
        """Write a new run in state ``queued``, last in the queue. The stored specification spells out every field.

        Args:
            spec: what to train.
            owner: which engine takes care of it: ``cluster``, or the label of the process that trains it itself.
            batch: name of the sweep it belongs to.
            tags: words to find it by.
        """
        now = time.time()
        run_id = f"{datetime.fromtimestamp(now):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.run_folder(run_id).mkdir()
        values = {
            "id": run_id,
            "name": spec.name,
            "algorithm": spec.algorithm,
            "digest": spec.digest(),
            "setting_digest": spec.setting_digest(),
            "spec": spec.to_yaml(full=True),
            "state": "queued",
            "created": now,
            "owner": owner,
            "position": now,
            "batch": batch,
            "tags": json.dumps(_checked_tags(tags)),
        }
        with self._writing.begin() as connection:
            connection.execute(_run.insert().values(values))
        return self.get(run_id)

    def adopt(
        self,
        spec: RunSpec,
        fields: dict[str, Any],
        tags: Sequence[str] = (),
        results: dict[str, float] | None = None,
        metrics: Iterable[tuple[str, int, float]] = (),
        checkpoint: bytes | None = None,
    ) -> str:
        """Add a run that was trained elsewhere and is over; returns its id here.

        Args:
            spec: what was trained.
            fields: columns of the run, ``state`` among them.
            tags: words to find it by.
            results: its figures.
            metrics: its curves.
            checkpoint: its last checkpoint.
        """
        row = self.add(spec, batch=str(fields.get("batch", "")), tags=tags)
        now, values = time.time(), {**fields, "results": json.dumps(results or {}), "ended": time.time()}
        file = None
        if checkpoint is not None:
            path = self.run_folder(row.id) / f"checkpoint-0-{fields['step']}-{fields['epoch']}.pt"
            write_atomically(path, checkpoint)
            file = ArtifactRow("checkpoint", path.name, hashlib.sha256(checkpoint).hexdigest(), len(checkpoint), now)
            values |= {"checkpoint": path.name, "checkpoint_step": fields["step"]}
        rows = [{"run_id": row.id, "name": n, "step": step, "value": v, "t": now} for n, step, v in metrics]
        with self._writing.begin() as connection:
            connection.execute(_run.update().where(_run.c.id == row.id).values(values))
            if rows:
                connection.execute(_metric.insert(), rows)
            if file is not None:
                _replace_artifact(connection, row.id, file)
        return row.id

    def get(self, run_id: str) -> RunRow:
        """One run; raises :class:`StoreError` when there is none of that id."""
        with self._engine.connect() as connection:
            return _row(_find(connection, run_id))

    def list(self, states: Sequence[str] | None = None) -> list[RunRow]:
        """All runs, newest first; only those in ``states`` when given."""
        query = sql.select(_run).order_by(_run.c.created.desc(), _run.c.id.desc())
        if states is not None:
            query = query.where(_run.c.state.in_(states))
        with self._engine.connect() as connection:
            return [_row(found) for found in connection.execute(query).mappings()]

    def metrics(self, run_id: str, names: Sequence[str] | None = None, since: int = 0) -> MetricRows:
        """Values in order of arrival, those after ``since`` (a ``seq``) only."""
        query = sql.select(_metric).where(_metric.c.run_id == run_id, _metric.c.seq > since).order_by(_metric.c.seq)
        if names is not None:
            query = query.where(_metric.c.name.in_(names))
        with self._engine.connect() as connection:
            rows = connection.execute(query)
            return [MetricRow(r.seq, r.name, r.step, r.value, r._mapping["t"]) for r in rows]

    def artifacts(self, run_id: str) -> ArtifactRows:
        """Files that belong to a run."""
        columns = (_artifact.c[name] for name in ("name", "path", "sha256", "size", "t"))
        query = sql.select(*columns).where(_artifact.c.run_id == run_id).order_by(_artifact.c.name)
        with self._engine.connect() as connection:
            return [ArtifactRow(**found) for found in connection.execute(query).mappings()]

    def ledger(self, run_id: str) -> Ledger | None:
        """What the run has counted up to its last checkpoint; None before the first, and for networks without tiles.

        Raises:
            LedgerError: the file is missing or damaged.
        """
        file = next((found.path for found in self.artifacts(run_id) if found.name == "ledger"), None)
        if file is None:
            return None
        path = self.run_folder(run_id) / file
        try:
            return Ledger.from_json(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(f"ledger {path} cannot be read: {error}") from None

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another label."""
        RunSpec(name=name)  # the same rule as at submission
        with self._writing.begin() as connection:
            _find(connection, run_id)
            connection.execute(_run.update().where(_run.c.id == run_id).values(name=name))

    def annotate(self, run_id: str, tags: Sequence[str] | None = None, notes: str | None = None) -> None:
        """Change the tags or the notes of a run; None leaves them as they are."""
        values: dict[str, Any] = {}
        if tags is not None:
            values["tags"] = json.dumps(_checked_tags(tags))
        if notes is not None:
            values["notes"] = notes[:LONGEST_NOTE]
        with self._writing.begin() as connection:
            _find(connection, run_id)
            if values:
                connection.execute(_run.update().where(_run.c.id == run_id).values(values))

    def add_results(self, run_id: str, results: dict[str, float]) -> None:
        """Note further figures of a run, whatever its state; those of the same name are replaced."""
        with self._writing.begin() as connection:
            found = _find(connection, run_id)
            merged = json.dumps({**json.loads(found["results"]), **results})
            connection.execute(_run.update().where(_run.c.id == run_id).values(results=merged))

    def delete(self, run_id: str) -> None:
        """Remove a run and its files; raises :class:`StoreError` while it waits or trains."""
        folder = self.run_folder(run_id)
        with self._writing.begin() as connection:
            if _find(connection, run_id)["state"] in ACTIVE_STATES:
                raise StoreError(f"run {run_id} is not over; cancel it first")
            connection.execute(_run.delete().where(_run.c.id == run_id))
        shutil.rmtree(folder, ignore_errors=True)

    # --- what engines ask --------------------------------------------------------------------------------------------

    def request_cancel(self, run_id: str) -> RunRow:
        """Ask a run to stop: a waiting or paused one ends at once, a training one when its worker next looks."""
        return self._request(run_id, "cancelled", "cancelled before it began", ("queued", "paused"))

    def request_pause(self, run_id: str) -> RunRow:
        """Ask a run to pause: as :meth:`request_cancel`, but it is meant to go on."""
        return self._request(run_id, "paused", "", ("queued",))

    def _request(self, run_id: str, state: str, message: str, at_once: Sequence[str]) -> RunRow:
        with self._writing.begin() as connection:
            found = _find(connection, run_id)
            this = _run.update().where(_run.c.id == run_id)
            if found["state"] in at_once:
                message = message if found["state"] == "queued" and not found["step"] else state
                connection.execute(this.values(state=state, ended=time.time(), message=message))
            elif found["state"] == "running":
                flag = "cancel_requested" if state == "cancelled" else "pause_requested"
                connection.execute(this.values({flag: True}))
        return self.get(run_id)

    def requeue(self, run_id: str, owner: str = "") -> RunRow:
        """Put a paused, failed or cancelled run back in the queue; it goes on from its last checkpoint."""
        with self._writing.begin() as connection:
            state = _find(connection, run_id)["state"]
            if state not in RESUMABLE_STATES:
                raise StoreError(f"run {run_id} is {state}: only paused, failed and cancelled runs can be resumed")
            connection.execute(_run.update().where(_run.c.id == run_id).values(_queued_again(owner)))
        return self.get(run_id)

    def extend(self, run_id: str, epochs: int, owner: str = "") -> RunRow:
        """Let a finished run go on for ``epochs`` more, from its last checkpoint.

        Raises:
            StoreError: it is not finished.
        """
        with self._writing.begin() as connection:
            found = _find(connection, run_id)
            if found["state"] != "finished":
                raise StoreError(f"run {run_id} is {found['state']}: only a finished run can be extended")
            longer = RunSpec.from_yaml(found["spec"]).extended(epochs)
            values = {
                **_queued_again(owner),
                "spec": longer.to_yaml(full=True),
                "digest": longer.digest(),
                "setting_digest": longer.setting_digest(),
                "total_steps": found["total_steps"] // (longer.epochs - epochs) * longer.epochs,
            }
            connection.execute(_run.update().where(_run.c.id == run_id).values(values))
        return self.get(run_id)

    def move(self, run_id: str, first: bool) -> RunRow:
        """Make a waiting run the next to begin, or the last.

        Raises:
            StoreError: it does not wait.
        """
        end = sql.func.min(_run.c.position) if first else sql.func.max(_run.c.position)
        with self._writing.begin() as connection:
            if (state := _find(connection, run_id)["state"]) != "queued":
                raise StoreError(f"run {run_id} is {state}: only waiting runs have a place in the queue")
            edge = connection.execute(sql.select(end).where(_run.c.state == "queued")).scalar_one()
            position = edge - 1.0 if first else edge + 1.0
            connection.execute(_run.update().where(_run.c.id == run_id).values(position=position))
        return self.get(run_id)

    def next_queued(self, owner: str) -> str | None:
        """The waiting run of an owner that is to begin first."""
        query = sql.select(_run.c.id).where(_run.c.state == "queued", _run.c.owner == owner)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(_run.c.position, _run.c.id).limit(1)).scalar_one_or_none()

    def end_orphans(self) -> None:
        """Mark active runs as failed whose process, on this machine, has ended without finishing them."""
        for row in self.list(ACTIVE_STATES):
            if row.owner != CLUSTER and is_dead(row.owner):
                message = "its process ended before the run did; resume goes on from the last checkpoint"
                self.end_unclaimed(row.id, row.attempt, "failed", message)

    def next_submission(
        self, run_id: str, submission: int, last_error: str = "", waiting_only: bool = False
    ) -> int | None:
        """Count another hand-over to a scheduler; the hand-overs before it are void, should a worker yet get to them.

        Args:
            run_id: the run.
            submission: number of its last hand-over.
            last_error: what went wrong with it.
            waiting_only: do nothing unless the run still waits: it is handed over anew for another place in the queue.

        Returns:
            The number of the hand-over; None when the run is over, somebody else has just handed it over, or it was
            tried so often that it is now given up, with ``last_error`` in its message.
        """
        now = time.time()
        with self._writing.begin() as connection:
            found = _find(connection, run_id)
            if found["state"] not in ACTIVE_STATES or found["submission"] != submission:
                return None
            if waiting_only and found["state"] != "queued":
                return None
            if not waiting_only and _give_up(connection, found, last_error):
                return None
            tries = found["tries"] + (not waiting_only)
            values = {"submission": submission + 1, "submitted": now, "tries": tries}
            connection.execute(_run.update().where(_run.c.id == run_id).values(values))
        return submission + 1

    def end_unclaimed(self, run_id: str, attempt: int, state: str, message: str) -> bool:
        """End a run that no worker holds any more, unless somebody has claimed it since ``attempt``."""
        return self._change(
            [_run.c.id == run_id, _run.c.attempt == attempt, _run.c.state.in_(ACTIVE_STATES)],
            {"state": state, "message": message, "ended": time.time()},
        )

    def _change(self, where: Sequence[Any], values: dict[str, Any]) -> bool:
        with self._writing.begin() as connection:
            return connection.execute(_run.update().where(*where).values(values)).rowcount == 1

    # --- what the worker that holds a claim asks ----------------------------------------------------------------------

    def claim(
        self, run_id: str, worker: str, versions: dict[str, str] | None = None, submission: int | None = None
    ) -> Claim | None:
        """Take over a run; None when there is nothing to do: it is over, was stopped, or was handed over anew.

        Args:
            run_id: the run.
            worker: label of the process that takes it.
            versions: what it computes with.
            submission: number of the hand-over it comes from.
        """
        now = time.time()
        with self._writing.begin() as connection:
            found = _find(connection, run_id)
            this = _run.update().where(_run.c.id == run_id)
            if found["state"] not in ACTIVE_STATES:
                return None
            if submission is not None and found["submission"] != submission:
                return None
            if stop := _wanted_end(found):
                connection.execute(this.values(state=stop, ended=now, message=stop))
                return None
            if _give_up(connection, found, ""):
                return None
            attempt = found["attempt"] + 1
            connection.execute(
                this.values(
                    state="running",
                    message="",
                    attempt=attempt,
                    tries=found["tries"] + 1,
                    started=found["started"] or now,
                    heartbeat=now,
                    worker=worker,
                    versions=json.dumps(versions or {}),
                    step=found["checkpoint_step"],
                )
            )
            connection.execute(
                _metric.delete().where(_metric.c.run_id == run_id, _metric.c.step > found["checkpoint_step"])
            )
        checkpoint = self.run_folder(run_id) / found["checkpoint"] if found["checkpoint"] else None
        return Claim(run_id, attempt, found["spec"], checkpoint)

    def stop_requested(self, claim: Claim) -> str:
        """The state somebody asked the run to end in, ``cancelled`` or ``paused``; empty while nobody did.

        Raises:
            RunLost: the claim no longer holds.
        """
        columns = (_run.c.cancel_requested, _run.c.pause_requested, _run.c.attempt, _run.c.state)
        with self._engine.connect() as connection:
            query = sql.select(*columns).where(_run.c.id == claim.run_id)
            found = connection.execute(query).mappings().one_or_none()
        if found is None or found["attempt"] != claim.attempt or found["state"] != "running":
            raise RunLost(f"run {claim.run_id} is no longer this worker's")
        return _wanted_end(found)

    def record(
        self,
        claim: Claim,
        metrics: Iterable[tuple[str, int, float]] = (),
        checkpoint: ArtifactRow | None = None,
        ledger: ArtifactRow | None = None,
        results: dict[str, float] | None = None,
        **fields: Any,
    ) -> None:
        """Write what happened since the last call in one transaction.

        Args:
            claim: the right to write; :class:`RunLost` when it no longer holds.
            metrics: ``(name, step, value)``.
            checkpoint: the file that a resume starts from after this call; give ``step`` with it.
            ledger: the file of the counts at that checkpoint.
            results: figures of the run so far, added to those it has.
            fields: columns of the run, such as ``step``, ``epoch``, ``seconds``, ``state``, ``message``.
        """
        now = time.time()
        values: dict[str, Any] = {"heartbeat": now, **fields}
        if checkpoint is not None:
            values |= {"checkpoint": checkpoint.path, "checkpoint_step": fields["step"], "tries": 0}
        if fields.get("state", "running") != "running":
            values["ended"] = now
        rows = [
            {"run_id": claim.run_id, "name": name, "step": step, "value": value, "t": now}
            for name, step, value in metrics
        ]
        with self._writing.begin() as connection:
            held = (_run.c.id == claim.run_id, _run.c.attempt == claim.attempt, _run.c.state == "running")
            if connection.execute(_run.update().where(*held).values(values)).rowcount != 1:
                raise RunLost(f"run {claim.run_id} is no longer this worker's")
            if results:
                merged = json.dumps({**json.loads(_find(connection, claim.run_id)["results"]), **results})
                connection.execute(_run.update().where(_run.c.id == claim.run_id).values(results=merged))
            if rows:
                connection.execute(_metric.insert(), rows)
            for file in (checkpoint, ledger):
                if file is not None:
                    _replace_artifact(connection, claim.run_id, file)

    def add_artifact(self, run_id: str, artifact: ArtifactRow) -> None:
        """Note a file that was written into the run's folder, replacing one of the same name."""
        with self._writing.begin() as connection:
            _replace_artifact(connection, run_id, artifact)


def _wanted_end(found: RowMapping) -> str:
    return "cancelled" if found["cancel_requested"] else "paused" if found["pause_requested"] else ""


def _queued_again(owner: str) -> dict[str, Any]:
    return {
        "state": "queued", "message": "", "ended": None, "cancel_requested": False, "pause_requested": False,
        "owner": owner, "tries": 0, "submitted": None, "position": time.time(),
    }  # fmt: skip


def _checked_tags(tags: Sequence[str]) -> list[str]:
    kept = list(dict.fromkeys(tag.strip()[:LONGEST_TAG] for tag in tags if tag.strip()))
    return kept[:MOST_TAGS]


def _give_up(connection: Connection, found: RowMapping, last_error: str) -> bool:
    if found["tries"] < TRIES_WITHOUT_PROGRESS:
        return False
    reason = last_error or "its worker stopped each time; the machine may be short of memory"
    message = f"tried {found['tries']} times without getting further: {reason}. See cluster/workers.log, then resume"
    values = {"state": "failed", "ended": time.time(), "message": message}
    connection.execute(_run.update().where(_run.c.id == found["id"]).values(values))
    return True


def _replace_artifact(connection: Connection, run_id: str, artifact: ArtifactRow) -> None:
    same = (_artifact.c.run_id == run_id, _artifact.c.name == artifact.name)
    connection.execute(_artifact.delete().where(*same))
    connection.execute(_artifact.insert().values(run_id=run_id, **vars(artifact)))


def _find(connection: Connection, run_id: str) -> RowMapping:
    found = connection.execute(sql.select(_run).where(_run.c.id == run_id)).mappings().one_or_none()
    if found is None:
        raise StoreError(f"there is no run {run_id!r} in this workspace")
    return found


def _row(found: RowMapping) -> RunRow:
    fields = dict(found)
    fields["spec_yaml"] = fields.pop("spec")
    for name in ("versions", "tags", "results"):
        fields[name] = json.loads(fields[name])
    del fields["tries"]
    return RunRow(**fields)


# --- opening the index ------------------------------------------------------------------------------------------------


def _open(path: Path) -> Engine:
    engine = sql.create_engine(
        sql.URL.create("sqlite", database=str(path)), connect_args={"timeout": 30, "check_same_thread": False}
    )
    sql.event.listen(engine, "connect", _configure)
    sql.event.listen(engine, "begin", _begin)
    sql.event.listen(engine, "handle_error", functools.partial(_worded, path))
    try:
        with engine.connect().execution_options(writes=True) as connection:
            _add_columns(connection)
            _tables.create_all(connection)
            connection.commit()
    except StoreError:
        engine.dispose()
        raise
    return engine


def _add_columns(connection: Connection) -> None:
    """Bring the index of an earlier release up to date: columns are only ever added."""
    there = {row[1] for row in connection.exec_driver_sql("PRAGMA table_info(run)")}
    for column in _run.columns if there else ():
        if column.name not in there:
            kind = column.type.compile(connection.dialect)
            default = column.server_default.arg if column.server_default is not None else None  # type: ignore[attr-defined]
            rest = "" if default is None else f" NOT NULL DEFAULT '{default}'"
            connection.exec_driver_sql(f"ALTER TABLE run ADD COLUMN {column.name} {kind}{rest}")


def _worded(path: Path, context: sql.engine.ExceptionContext) -> None:
    """Errors of the file behind the index in words, wherever they come up."""
    error = context.original_exception
    text = str(error)
    if "full" in text or "disk I/O" in text:
        raise StoreError(f"the index of runs {path} cannot be written: {text}; free some space, then resume") from None
    if "malformed" in text or "not a database" in text:
        raise StoreError(
            f"the index of runs {path} cannot be used: {text}. If it is damaged, move it away: "
            "a new one is started, and the files of the runs stay where they are"
        ) from None
    if isinstance(context.sqlalchemy_exception, sql.exc.OperationalError):
        raise StoreError(f"the index of runs {path} cannot be used: {text}") from None


def _configure(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions begin below, not in the driver
    cursor = connection.cursor()
    # Write-ahead logging needs memory that all processes share: not to be had on a folder shared between machines.
    journal = "DELETE" if os.environ.get(JOURNAL_VARIABLE, "").lower() == "delete" else "WAL"
    for _ in range(50):
        try:
            cursor.execute(f"PRAGMA journal_mode={journal}")
            break
        except Exception as error:
            # Only the very first change of the journal can meet another process doing the same; nothing waits there.
            if "locked" not in str(error):
                raise
            time.sleep(0.05)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read transaction fails instead of waiting.
    immediate = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
