"""What a worker asks that holds the claim to a run: to take it over, whether to stop, and to write what happened."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from tilewright.runs.store.catalogue import RunCatalogue
from tilewright.runs.store.index import METRICS, RUNS, find_run, glance, insert_metrics, replace_artifact
from tilewright.runs.store.queue import give_up
from tilewright.runs.store.records import ACTIVE_STATES, ArtifactRow, Claim, RunLost

_WANTED = "SELECT cancel_requested, pause_requested, attempt, state FROM run WHERE id = ?"


class RunClaims(RunCatalogue):
    """Claims to runs, and what is written under them."""

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
            found = find_run(connection, run_id)
            this = RUNS.update().where(RUNS.c.id == run_id)
            if found["state"] not in ACTIVE_STATES:
                return None
            if submission is not None and found["submission"] != submission:
                return None
            if stop := _wanted_end(found["cancel_requested"], found["pause_requested"]):
                connection.execute(this.values(state=stop, ended=now, message=stop))
                return None
            if give_up(connection, found, ""):
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
                METRICS.delete().where(METRICS.c.run_id == run_id, METRICS.c.step > found["checkpoint_step"])
            )
        checkpoint = self.run_folder(run_id) / found["checkpoint"] if found["checkpoint"] else None
        return Claim(run_id, attempt, found["spec"], checkpoint)

    def stop_requested(self, claim: Claim) -> str:
        """The state somebody asked the run to end in, ``cancelled`` or ``paused``; empty while nobody did.

        Raises:
            RunLost: the claim no longer holds.
        """
        found = glance(self._engine, self.path, _WANTED, claim.run_id)
        if found is None or found[2:] != (claim.attempt, "running"):
            raise RunLost(f"run {claim.run_id} is no longer this worker's")
        return _wanted_end(*found[:2])

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
        with self._writing.begin() as connection:
            held = (RUNS.c.id == claim.run_id, RUNS.c.attempt == claim.attempt, RUNS.c.state == "running")
            if connection.execute(RUNS.update().where(*held).values(values)).rowcount != 1:
                raise RunLost(f"run {claim.run_id} is no longer this worker's")
            if results:
                merged = json.dumps({**json.loads(find_run(connection, claim.run_id)["results"]), **results})
                connection.execute(RUNS.update().where(RUNS.c.id == claim.run_id).values(results=merged))
            insert_metrics(connection, claim.run_id, metrics, now)
            for file in (checkpoint, ledger):
                if file is not None:
                    replace_artifact(connection, claim.run_id, file)


def _wanted_end(cancel: bool, pause: bool) -> str:
    return "cancelled" if cancel else "paused" if pause else ""
