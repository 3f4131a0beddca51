from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from runs.recipes import small_spec
from tilewright.parameters import ParameterError
from tilewright.runs import RunStore, StoreError
from tilewright.runs.processes import is_dead, process_label
from tilewright.runs.store import TRIES_WITHOUT_PROGRESS, ArtifactRow, RunLost


def checkpoint_at(step: int) -> ArtifactRow:
    return ArtifactRow("checkpoint", f"checkpoint-{step}.pt", "0" * 64, 10, time.time())


def test_a_run_is_stored_with_every_field_spelled_out(store):
    spec = small_spec("ttv2").completed()
    row = store.add(spec, owner="somebody")
    assert (row.state, row.name, row.algorithm, row.owner) == ("queued", "ttv2", "ttv2", "somebody")
    assert row.spec == spec
    assert "auto_momentum" in row.spec_yaml  # a default: later releases may change it, this run keeps it
    assert store.run_folder(row.id).is_dir()
    assert store.get(row.id) == row


def test_runs_are_listed_newest_first_and_by_state(store):
    ids = [store.add(small_spec(name=str(i))).id for i in range(3)]
    store.request_cancel(ids[1])
    assert [row.id for row in store.list()] == ids[::-1]
    assert [row.id for row in store.list(["queued"])] == [ids[2], ids[0]]
    assert [row.id for row in store.list(["cancelled"])] == [ids[1]]


def test_another_connection_sees_everything_and_keeps_it(store):
    row = store.add(small_spec())
    claim = store.claim(row.id, "worker")
    store.record(claim, [("loss", 5, 2.25)], step=5, total_steps=10)
    other = RunStore(store.folder)
    assert [(m.name, m.step, m.value) for m in other.metrics(row.id)] == [("loss", 5, 2.25)]
    assert other.get(row.id).progress == 0.5
    other.close()


def test_metrics_arrive_in_order_and_since_a_number(store):
    row = store.add(small_spec())
    claim = store.claim(row.id, "worker")
    store.record(claim, [("loss", 1, 3.0), ("accuracy", 1, 0.5)], step=1)
    first = store.metrics(row.id)
    store.record(claim, [("loss", 2, 2.0)], step=2)
    assert [m.value for m in store.metrics(row.id, since=first[-1].seq)] == [2.0]
    assert [m.step for m in store.metrics(row.id, names=["loss"])] == [1, 2]
    assert abs(first[0].t - time.time()) < 60


def test_a_new_claim_takes_over_and_the_old_one_can_write_nothing(store):
    row = store.add(small_spec())
    old = store.claim(row.id, "slow worker")
    new = store.claim(row.id, "quick worker")
    assert new.attempt == old.attempt + 1
    for attempt in (
        lambda: store.record(old, [("loss", 1, 1.0)], step=1),
        lambda: store.record(old, state="finished"),
        lambda: store.stop_requested(old),
    ):
        with pytest.raises(RunLost):
            attempt()
    assert store.metrics(row.id) == []
    assert store.get(row.id).worker == "quick worker"
    assert store.stop_requested(new) == ""


def test_a_claim_drops_what_came_after_the_last_checkpoint(store):
    row = store.add(small_spec())
    claim = store.claim(row.id, "worker")
    store.record(claim, [("loss", 10, 1.0)], checkpoint=checkpoint_at(10), step=10)
    store.record(claim, [("loss", 20, 0.5)], step=20)
    again = store.claim(row.id, "another")
    assert again.checkpoint == store.run_folder(row.id) / "checkpoint-10.pt"
    assert [m.step for m in store.metrics(row.id)] == [10]
    assert store.get(row.id).step == 10
    store.record(again, [("loss", 20, 0.5)], step=20)
    assert [m.step for m in store.metrics(row.id)] == [10, 20]


def test_a_checkpoint_and_its_metrics_are_written_together_or_not_at_all(store):
    row = store.add(small_spec())
    claim = store.claim(row.id, "worker")
    store.record(claim, [("loss", 10, 1.0)], step=10)
    with pytest.raises(Exception, match="UNIQUE"):
        store.record(claim, [("loss", 10, 1.0)], checkpoint=checkpoint_at(10), step=10)
    after = store.get(row.id)
    assert (after.checkpoint, after.checkpoint_step) == ("", 0)
    assert store.artifacts(row.id) == []


def test_cancel_of_a_waiting_and_of_a_training_run(store):
    waiting, training = store.add(small_spec()), store.add(small_spec())
    assert store.request_cancel(waiting.id).state == "cancelled"
    assert store.claim(waiting.id, "worker") is None
    claim = store.claim(training.id, "worker")
    assert store.request_cancel(training.id).state == "running"
    assert store.stop_requested(claim) == "cancelled"
    store.record(claim, state="cancelled", message="cancelled")
    assert store.request_cancel(training.id).state == "cancelled"


def test_a_cancelled_run_whose_worker_died_is_not_trained_again(store):
    row = store.add(small_spec())
    store.claim(row.id, "worker")
    store.request_cancel(row.id)
    assert store.claim(row.id, "another") is None
    assert store.get(row.id).state == "cancelled"


def test_only_failed_and_cancelled_runs_can_be_resumed(store):
    row = store.add(small_spec())
    with pytest.raises(StoreError, match="is queued: only paused, failed and cancelled"):
        store.requeue(row.id)
    claim = store.claim(row.id, "worker")
    store.record(claim, state="failed", message="disk full")
    assert store.requeue(row.id, "me").owner == "me"
    assert store.get(row.id).message == ""
    store.record(store.claim(row.id, "worker"), state="finished")
    with pytest.raises(StoreError, match="is finished"):
        store.requeue(row.id)


def test_a_run_that_never_gets_anywhere_is_given_up_and_can_be_resumed(store):
    row = store.add(small_spec())
    for _ in range(TRIES_WITHOUT_PROGRESS):
        assert store.claim(row.id, "worker") is not None
    assert store.claim(row.id, "worker") is None
    given_up = store.get(row.id)
    assert given_up.state == "failed"
    assert "without getting further" in given_up.message
    store.requeue(row.id)
    claim = store.claim(row.id, "worker")
    store.record(claim, checkpoint=checkpoint_at(1), step=1)
    for _ in range(TRIES_WITHOUT_PROGRESS):
        assert store.claim(row.id, "worker") is not None, "a checkpoint is progress"


def test_hand_overs_are_counted_once(store):
    row = store.add(small_spec())
    assert store.next_submission(row.id, 0) == 1
    assert store.next_submission(row.id, 0) is None, "somebody else was quicker"
    for number in range(1, TRIES_WITHOUT_PROGRESS):
        assert store.next_submission(row.id, number) == number + 1
    assert store.next_submission(row.id, TRIES_WITHOUT_PROGRESS, "no module named torch") is None
    assert "no module named torch" in store.get(row.id).message


def test_ending_a_run_that_was_claimed_meanwhile_does_nothing(store):
    row = store.add(small_spec())
    store.claim(row.id, "worker")
    assert store.end_unclaimed(row.id, 0, "failed", "gone") is False
    assert store.get(row.id).state == "running"


def test_runs_of_a_process_that_ended_are_marked(store):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    row = store.add(small_spec(), process_label(process.pid))
    store.claim(row.id, row.owner)
    store.end_orphans()
    assert store.get(row.id).state == "running"
    process.communicate(b"\n")
    store.end_orphans()
    row = store.get(row.id)
    assert row.state == "failed"
    assert "its process ended" in row.message
    assert row.resumable


def test_only_processes_that_certainly_ended_count_as_dead():
    me = process_label()
    assert not is_dead(me)
    assert is_dead(me.partition(" since ")[0] + " since 1.0"), "the number was given to another process since"
    assert not is_dead("1234@another-machine since 1.0")
    assert not is_dead("")


def test_a_run_over_can_be_deleted_an_active_one_not(store):
    row = store.add(small_spec())
    claim = store.claim(row.id, "worker")
    with pytest.raises(StoreError, match="cancel it first"):
        store.delete(row.id)
    (store.run_folder(row.id) / "checkpoint-1.pt").write_bytes(b"x")
    store.record(claim, [("loss", 1, 1.0)], checkpoint=checkpoint_at(1), step=1, state="finished")
    store.delete(row.id)
    assert store.list() == []
    assert store.metrics(row.id) == []
    assert not store.run_folder(row.id).exists()


def test_renaming_keeps_the_rule_for_names(store):
    row = store.add(small_spec())
    store.rename(row.id, "better")
    assert store.get(row.id).name == "better"
    with pytest.raises(ParameterError):
        store.rename(row.id, "")


@pytest.mark.parametrize("run_id", ["20260101-000000-abcdef", "../../etc", "", "a/b"])
def test_an_id_that_is_none(store, run_id):
    with pytest.raises(StoreError, match="no run"):
        store.get(run_id)
    if "/" in run_id or not run_id:
        with pytest.raises(StoreError, match="not the id"):
            store.run_folder(run_id)


def test_a_damaged_index_says_so_and_is_left_alone(tmp_path):
    (tmp_path / "runs.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="move it away"):
        RunStore(tmp_path)
    assert (tmp_path / "runs.sqlite").read_bytes().startswith(b"this is no database")


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot hold a workspace"):
        RunStore(tmp_path / "file")


def _write_many(folder: str, number: int) -> None:
    own = RunStore(folder)
    claim = own.claim(own.add(small_spec(name=f"run {number}")).id, f"worker {number}")
    for step in range(1, 51):
        own.record(claim, [("loss", step, float(number))], step=step)
    own.close()


def test_processes_that_open_and_write_at_once_lose_nothing(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_write_many, args=(str(tmp_path), 0))
    process.start()
    _write_many(str(tmp_path), 1)
    threads = [threading.Thread(target=_write_many, args=(str(tmp_path), number)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for writer in (process, *threads):
        writer.join()
    assert process.exitcode == 0
    opened = RunStore(tmp_path)
    assert sorted(row.name for row in opened.list()) == [f"run {number}" for number in range(4)]
    for row in opened.list():
        assert [m.step for m in opened.metrics(row.id)] == list(range(1, 51))
        assert {m.value for m in opened.metrics(row.id)} == {float(row.name[-1])}
    opened.close()


def test_a_workspace_shared_between_machines_does_without_shared_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_JOURNAL", "delete")
    opened = RunStore(tmp_path)
    run_id = opened.add(small_spec()).id
    claim = opened.claim(run_id, "worker")
    opened.record(claim, [("loss", 1, 1.0)], step=1)
    assert [m.value for m in RunStore(tmp_path).metrics(run_id)] == [1.0]
    assert not list(tmp_path.glob("runs.sqlite-*"))
    opened.close()


def test_the_index_is_in_wal_mode_so_that_readers_never_wait(store):
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
