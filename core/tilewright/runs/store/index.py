"""The SQLite file behind the runs of a workspace: its tables, how it is opened, and its errors in words."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine, RowMapping

from tilewright.runs.store.records import ArtifactRow, RunRow, StoreError

JOURNAL_VARIABLE = "TILEWRIGHT_JOURNAL"  # set to "delete" where several machines share the workspace folder

TABLES = sql.MetaData()
RUNS = sql.Table(
    "run",
    TABLES,
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
METRICS = sql.Table(
    "metric",
    TABLES,
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
ARTIFACTS = sql.Table(
    "artifact",
    TABLES,
    sql.Column("run_id", sql.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("path", sql.String, nullable=False),
    sql.Column("sha256", sql.String, nullable=False),
    sql.Column("size", sql.Integer, nullable=False),
    sql.Column("t", sql.Float, nullable=False),
)


def open_index(path: Path) -> Engine:
    """Open the file, or make it; raises :class:`StoreError` when it cannot be used."""
    engine = sql.create_engine(
        sql.URL.create("sqlite", database=str(path)), connect_args={"timeout": 30, "check_same_thread": False}
    )
    sql.event.listen(engine, "connect", _configure)
    sql.event.listen(engine, "begin", _begin)
    sql.event.listen(engine, "handle_error", functools.partial(_worded, path))
    try:
        with engine.connect().execution_options(writes=True) as connection:
            _add_columns(connection)
            TABLES.create_all(connection)
            connection.commit()
    except StoreError:
        engine.dispose()
        raise
    return engine


def _add_columns(connection: Connection) -> None:
    """Bring the index of an earlier release up to date: columns are only ever added."""
    there = {row[1] for row in connection.exec_driver_sql("PRAGMA table_info(run)")}
    for column in RUNS.columns if there else ():
        if column.name not in there:
            kind = column.type.compile(connection.dialect)
            default = column.server_default.arg if column.server_default is not None else None  # type: ignore[attr-defined]
            rest = "" if default is None else f" NOT NULL DEFAULT '{default}'"
            connection.exec_driver_sql(f"ALTER TABLE run ADD COLUMN {column.name} {kind}{rest}")


def _worded(path: Path, context: sql.engine.ExceptionContext) -> None:
    """Errors of the file behind the index in words, wherever they come up."""
    words = _in_words(path, context.original_exception)
    if words is not None:
        raise words from None


def _in_words(path: Path, error: BaseException) -> StoreError | None:
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return StoreError(f"the index of runs {path} cannot be written: {text}; free some space, then resume")
    if "malformed" in text or "not a database" in text:
        return StoreError(
            f"the index of runs {path} cannot be used: {text}. If it is damaged, move it away: "
            "a new one is started, and the files of the runs stay where they are"
        )
    if isinstance(error, sqlite3.OperationalError):
        return StoreError(f"the index of runs {path} cannot be used: {text}")
    return None


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


# --- rows -------------------------------------------------------------------------------------------------------------


def find_run(connection: Connection, run_id: str) -> RowMapping:
    """The row of a run; raises :class:`StoreError` when there is none of that id."""
    found = connection.execute(sql.select(RUNS).where(RUNS.c.id == run_id)).mappings().one_or_none()
    if found is None:
        raise StoreError(f"there is no run {run_id!r} in this workspace")
    return found


def run_row(found: RowMapping) -> RunRow:
    """A row in plain types."""
    fields = dict(found)
    fields["spec_yaml"] = fields.pop("spec")
    for name in ("versions", "tags", "results"):
        fields[name] = json.loads(fields[name])
    del fields["tries"]
    return RunRow(**fields)


def glance(engine: Engine, path: Path, query: str, *values: Any) -> Any:
    """First row of a query, or None, past the layers that take longer than SQLite: for what is asked all the time."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(query, values)
        return cursor.fetchone()
    except sqlite3.Error as error:
        raise (_in_words(path, error) or error) from None
    finally:
        connection.close()


def insert_metrics(connection: Connection, run_id: str, metrics: Iterable[tuple[str, int, float]], now: float) -> None:
    """Add values of metrics ``(name, step, value)``; as plain SQL, since runs write thousands."""
    rows = [(run_id, name, step, value, now) for name, step, value in metrics]
    if rows:
        connection.exec_driver_sql("INSERT INTO metric (run_id, name, step, value, t) VALUES (?, ?, ?, ?, ?)", rows)


def replace_artifact(connection: Connection, run_id: str, artifact: ArtifactRow) -> None:
    """Note a file of a run in place of one of the same name."""
    same = (ARTIFACTS.c.run_id == run_id, ARTIFACTS.c.name == artifact.name)
    connection.execute(ARTIFACTS.delete().where(*same))
    connection.execute(ARTIFACTS.insert().values(run_id=run_id, **vars(artifact)))
