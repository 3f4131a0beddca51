"""Adding runs to a workspace, reading them, and what people write beside them."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from tilewright.atomic_write import write_atomically
from tilewright.ledger import Ledger, LedgerError
from tilewright.runs.spec import RunSpec
from tilewright.runs.store.index import (
    ARTIFACTS,
    METRICS,
    RUNS,
    find_run,
    insert_metrics,
    open_index,
    replace_artifact,
    run_row,
)
from tilewright.runs.store.records import ACTIVE_STATES, ArtifactRow, MetricRow, RunRow, StoreError

LONGEST_TAG, MOST_TAGS, LONGEST_NOTE = 40, 20, 4000

# Within a class that has a method `list`, the type of that name is out of reach.
MetricRows = list[MetricRow]
ArtifactRows = list[ArtifactRow]


class RunCatalogue:
    """The runs of a folder, and their files; raises :class:`StoreError` when it cannot be written or used."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().resolve()
        self.path = self.folder / "runs.sqlite"
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot hold a workspace: {error.strerror}") from None
        self._engine = open_index(self.path)
        self._writing = self._engine.execution_options(writes=True)

    def close(self) -> None:
        """Close the connections of this process."""
        self._engine.dispose()

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run's files; it exists once the run was added."""
        if not re.fullmatch(r"[0-9A-Za-z-]+", run_id):
            raise StoreError(f"{run_id!r} is not the id of a run")
        return self.folder / "runs" / run_id

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
            connection.execute(RUNS.insert().values(values))
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
        with self._writing.begin() as connection:
            connection.execute(RUNS.update().where(RUNS.c.id == row.id).values(values))
            insert_metrics(connection, row.id, metrics, now)
            if file is not None:
                replace_artifact(connection, row.id, file)
        return row.id

    def get(self, run_id: str) -> RunRow:
        """One run; raises :class:`StoreError` when there is none of that id."""
        with self._engine.connect() as connection:
            return run_row(find_run(connection, run_id))

    def list(self, states: Sequence[str] | None = None) -> list[RunRow]:
        """All runs, newest first; only those in ``states`` when given."""
        query = sql.select(RUNS).order_by(RUNS.c.created.desc(), RUNS.c.id.desc())
        if states is not None:
            query = query.where(RUNS.c.state.in_(states))
        with self._engine.connect() as connection:
            return [run_row(found) for found in connection.execute(query).mappings()]

    def metrics(self, run_id: str, names: Sequence[str] | None = None, since: int = 0) -> MetricRows:
        """Values in order of arrival, those after ``since`` (a ``seq``) only."""
        query = sql.select(METRICS).where(METRICS.c.run_id == run_id, METRICS.c.seq > since).order_by(METRICS.c.seq)
        if names is not None:
            query = query.where(METRICS.c.name.in_(names))
        with self._engine.connect() as connection:
            rows = connection.execute(query)
            return [MetricRow(r.seq, r.name, r.step, r.value, r._mapping["t"]) for r in rows]

    def artifacts(self, run_id: str) -> ArtifactRows:
        """Files that belong to a run."""
        columns = (ARTIFACTS.c[name] for name in ("name", "path", "sha256", "size", "t"))
        query = sql.select(*columns).where(ARTIFACTS.c.run_id == run_id).order_by(ARTIFACTS.c.name)
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
            find_run(connection, run_id)
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(name=name))

    def annotate(self, run_id: str, tags: Sequence[str] | None = None, notes: str | None = None) -> None:
        """Change the tags or the notes of a run; None leaves them as they are."""
        values: dict[str, Any] = {}
        if tags is not None:
            values["tags"] = json.dumps(_checked_tags(tags))
        if notes is not None:
            values["notes"] = notes[:LONGEST_NOTE]
        with self._writing.begin() as connection:
            find_run(connection, run_id)
            if values:
                connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(values))

    def add_results(self, run_id: str, results: dict[str, float]) -> None:
        """Note further figures of a run, whatever its state; those of the same name are replaced."""
        with self._writing.begin() as connection:
            found = find_run(connection, run_id)
            merged = json.dumps({**json.loads(found["results"]), **results})
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(results=merged))

    def delete(self, run_id: str) -> None:
        """Remove a run and its files; raises :class:`StoreError` while it waits or trains."""
        folder = self.run_folder(run_id)
        with self._writing.begin() as connection:
            if find_run(connection, run_id)["state"] in ACTIVE_STATES:
                raise StoreError(f"run {run_id} is not over; cancel it first")
            connection.execute(RUNS.delete().where(RUNS.c.id == run_id))
        shutil.rmtree(folder, ignore_errors=True)

    def add_artifact(self, run_id: str, artifact: ArtifactRow) -> None:
        """Note a file that was written into the run's folder, replacing one of the same name."""
        with self._writing.begin() as connection:
            replace_artifact(connection, run_id, artifact)


def _checked_tags(tags: Sequence[str]) -> list[str]:
    kept = list(dict.fromkeys(tag.strip()[:LONGEST_TAG] for tag in tags if tag.strip()))
    return kept[:MOST_TAGS]
