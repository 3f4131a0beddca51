"""The queue: handing runs to schedulers, their order, stopping them and letting them go on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, RowMapping

from tilewright.runs.processes import is_dead
from tilewright.runs.spec import RunSpec
from tilewright.runs.store.catalogue import RunCatalogue
from tilewright.runs.store.index import RUNS, find_run
from tilewright.runs.store.records import ACTIVE_STATES, RESUMABLE_STATES, RunRow, StoreError

CLUSTER = "cluster"  # owner of the runs that a scheduler hands to its workers
TRIES_WITHOUT_PROGRESS = 8  # hand-overs and claims without a new checkpoint, after which a run is given up


class RunQueue(RunCatalogue):
    """What engines ask of the runs of a workspace."""

    def request_cancel(self, run_id: str) -> RunRow:
        """Ask a run to stop: a waiting or paused one ends at once, a training one when its worker next looks."""
        return self._request(run_id, "cancelled", "cancelled before it began", ("queued", "paused"))

    def request_pause(self, run_id: str) -> RunRow:
        """Ask a run to pause: as :meth:`request_cancel`, but it is meant to go on."""
        return self._request(run_id, "paused", "", ("queued",))

    def _request(self, run_id: str, state: str, message: str, at_once: Sequence[str]) -> RunRow:
        with self._writing.begin() as connection:
            found = find_run(connection, run_id)
            this = RUNS.update().where(RUNS.c.id == run_id)
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
            state = find_run(connection, run_id)["state"]
            if state not in RESUMABLE_STATES:
                raise StoreError(f"run {run_id} is {state}: only paused, failed and cancelled runs can be resumed")
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(_queued_again(owner)))
        return self.get(run_id)

    def extend(self, run_id: str, epochs: int, owner: str = "") -> RunRow:
        """Let a finished run go on for ``epochs`` more, from its last checkpoint.

        Raises:
            StoreError: it is not finished.
        """
        with self._writing.begin() as connection:
            found = find_run(connection, run_id)
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
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(values))
        return self.get(run_id)

    def move(self, run_id: str, first: bool) -> RunRow:
        """Make a waiting run the next to begin, or the last.

        Raises:
            StoreError: it does not wait.
        """
        end = sql.func.min(RUNS.c.position) if first else sql.func.max(RUNS.c.position)
        with self._writing.begin() as connection:
            if (state := find_run(connection, run_id)["state"]) != "queued":
                raise StoreError(f"run {run_id} is {state}: only waiting runs have a place in the queue")
            edge = connection.execute(sql.select(end).where(RUNS.c.state == "queued")).scalar_one()
            position = edge - 1.0 if first else edge + 1.0
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(position=position))
        return self.get(run_id)

    def next_queued(self, owner: str) -> str | None:
        """The waiting run of an owner that is to begin first."""
        query = sql.select(RUNS.c.id).where(RUNS.c.state == "queued", RUNS.c.owner == owner)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(RUNS.c.position, RUNS.c.id).limit(1)).scalar_one_or_none()

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
            found = find_run(connection, run_id)
            if found["state"] not in ACTIVE_STATES or found["submission"] != submission:
                return None
            if waiting_only and found["state"] != "queued":
                return None
            if not waiting_only and give_up(connection, found, last_error):
                return None
            tries = found["tries"] + (not waiting_only)
            values = {"submission": submission + 1, "submitted": now, "tries": tries}
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(values))
        return submission + 1

    def end_unclaimed(self, run_id: str, attempt: int, state: str, message: str) -> bool:
        """End a run that no worker holds any more, unless somebody has claimed it since ``attempt``."""
        return self._change(
            [RUNS.c.id == run_id, RUNS.c.attempt == attempt, RUNS.c.state.in_(ACTIVE_STATES)],
            {"state": state, "message": message, "ended": time.time()},
        )

    def _change(self, where: Sequence[Any], values: dict[str, Any]) -> bool:
        with self._writing.begin() as connection:
            return connection.execute(RUNS.update().where(*where).values(values)).rowcount == 1


def _queued_again(owner: str) -> dict[str, Any]:
    return {
        "state": "queued", "message": "", "ended": None, "cancel_requested": False, "pause_requested": False,
        "owner": owner, "tries": 0, "submitted": None, "position": time.time(),
    }  # fmt: skip


def give_up(connection: Connection, found: RowMapping, last_error: str) -> bool:
    """End a run as failed that was tried too often without a new checkpoint; returns whether it was."""
    if found["tries"] < TRIES_WITHOUT_PROGRESS:
        return False
    reason = last_error or "its worker stopped each time; the machine may be short of memory"
    message = f"tried {found['tries']} times without getting further: {reason}. See cluster/workers.log, then resume"
    values = {"state": "failed", "ended": time.time(), "message": message}
    connection.execute(RUNS.update().where(RUNS.c.id == found["id"]).values(values))
    return True
