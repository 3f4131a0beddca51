"""Pausing, going on, making longer, changing the order; and an index that is full, old or damaged."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy

from runs.recipes import history, same_state, small_spec, wait_until
from tilewright.runs import (
    CosineSchedule,
    DropSchedule,
    RunStore,
    StoreError,
    execution,
    trained_network,
)


def test_a_paused_run_frees_its_worker_and_ends_as_if_it_had_not_paused(engine):
    spec = small_spec(epochs=6)
    parts = engine.submit(spec)
    wait_until(lambda: engine.store.get(parts).step > 0)
    engine.pause(parts)
    paused = engine.wait(parts, 60)
    assert (paused.state, paused.message) == ("paused", "")
    assert 0 < paused.checkpoint_step == paused.step < paused.total_steps
    whole = engine.submit(spec)  # the worker is free for it
    assert engine.wait(whole, 60).state == "finished"
    engine.resume(parts)
    assert engine.wait(parts, 60).state == "finished"
    assert history(engine.follow(parts)) == history(engine.follow(whole))


def test_a_waiting_run_is_paused_and_a_paused_one_cancelled_at_once(store):
    row = store.add(small_spec())
    assert store.request_pause(row.id).state == "paused"
    assert store.claim(row.id, "worker") is None
    assert store.request_cancel(row.id).state == "cancelled"
    store.requeue(row.id)
    claim = store.claim(row.id, "worker")
    store.request_pause(row.id)
    assert store.stop_requested(claim) == "paused"
    store.request_cancel(row.id)
    assert store.stop_requested(claim) == "cancelled"


@pytest.mark.parametrize("schedule", [DropSchedule(), CosineSchedule(warm_up=0.1)])
def test_an_extended_run_equals_one_of_that_length_with_the_first_schedule(engine, schedule):
    spec = small_spec("mp", epochs=2, train_limit=100, lr_schedule=schedule)
    extended = engine.submit(spec)
    assert engine.wait(extended, 60).total_steps == 40
    engine.extend(extended, 2)
    row = engine.wait(extended, 60)
    assert (row.state, row.step, row.total_steps, row.spec.epochs) == ("finished", 80, 80, 4)
    whole = engine.submit(spec.extended(2))
    engine.wait(whole, 60)
    assert row.digest == engine.store.get(whole).digest
    states = [trained_network(engine.store, run_id).state_dict() for run_id in (extended, whole)]
    assert same_state(*states)
    assert row.spec.rate_at(79, 80) == pytest.approx(spec.rate_at(40, 40))


def test_only_a_finished_run_is_extended(store):
    with pytest.raises(StoreError, match="is queued: only a finished run"):
        store.extend(store.add(small_spec()).id, 1)


def test_the_order_of_the_queue_can_be_changed(engine):
    first = engine.submit(small_spec(epochs=1000))
    wait_until(lambda: engine.store.get(first).state == "running")
    rest = [engine.submit(small_spec(name=str(k), epochs=1, train_limit=20)) for k in range(3)]
    engine.move(rest[2], first=True)
    engine.move(rest[0], first=False)
    engine.cancel(first)
    for run_id in rest:
        engine.wait(run_id, 60)
    assert sorted(rest, key=lambda run_id: engine.store.get(run_id).started) == [rest[2], rest[1], rest[0]]
    with pytest.raises(StoreError, match="only waiting runs have a place"):
        engine.move(rest[0])


def test_a_hand_over_that_was_replaced_is_void(store):
    row = store.add(small_spec())
    assert store.next_submission(row.id, 0) == 1
    assert store.next_submission(row.id, 1, waiting_only=True) == 2
    assert store.claim(row.id, "worker", submission=1) is None
    assert store.get(row.id).state == "queued"
    assert store.claim(row.id, "worker", submission=2) is not None
    assert store.next_submission(row.id, 2, waiting_only=True) is None, "it is being trained"


def test_results_are_open_ended_and_kept_with_the_run(engine):
    run_id = engine.submit(small_spec("sgd", epochs=1, train_limit=50))
    results = engine.wait(run_id, 60).results
    assert {"test_accuracy", "test_loss", "train_loss", "pulses", "cpu_seconds", "saturated_weights"} <= set(results)
    engine.store.add_results(run_id, {"energy": 1.5e-6, "pulses": 3.0})
    again = engine.store.get(run_id).results
    assert again == {**results, "energy": 1.5e-6, "pulses": 3.0}


def test_tags_and_notes(store):
    row = store.add(small_spec(), batch="sweep 1", tags=["first", " first ", ""])
    assert (row.batch, row.tags) == ("sweep 1", ["first"])
    store.annotate(row.id, tags=["kept"], notes="looks good")
    store.annotate(row.id)
    assert (store.get(row.id).tags, store.get(row.id).notes) == (["kept"], "looks good")


def test_an_index_of_the_first_release_is_brought_up_to_date(tmp_path):
    store = RunStore(tmp_path)
    kept = store.add(small_spec())
    store.close()
    with sqlite3.connect(tmp_path / "runs.sqlite") as connection:
        connection.execute("DROP INDEX ix_run_batch")
        for name in ("pause_requested", "position", "batch", "tags", "notes", "results"):
            connection.execute(f"ALTER TABLE run DROP COLUMN {name}")
    connection.close()
    store = RunStore(tmp_path)
    row = store.get(kept.id)
    assert (row.pause_requested, row.batch, row.tags, row.notes, row.results) == (False, "", [], "", {})
    store.close()


def test_a_full_index_fails_the_run_in_words_and_the_next_one_works(engine, monkeypatch):
    """SQLite is told that its file may not grow: what it meets on a full disk. Then somebody makes room."""
    with sqlite3.connect(engine.store.path) as connection:
        limit = {"pages": connection.execute("PRAGMA page_count").fetchone()[0] + 4}
    connection.close()
    refused = []

    def limit_pages(connection, record, proxy):
        connection.execute(f"PRAGMA max_page_count={limit['pages']}")

    sqlalchemy.event.listen(engine.store._engine, "checkout", limit_pages)
    monkeypatch.setattr(execution, "WRITE_PAUSE", 0.05)
    note_failure = execution._Recorder.fail
    monkeypatch.setattr(execution._Recorder, "fail", lambda self, why: refused.append(why) or note_failure(self, why))
    run_id = engine.submit(small_spec(epochs=5000, train_limit=5))
    wait_until(lambda: refused)
    assert engine.store.get(run_id).state == "running", "what cannot be written is not pretended"
    limit["pages"] = 1_000_000
    row = engine.wait(run_id, 60)
    assert row.state == "failed"
    assert "full; free some space, then resume" in row.message
    other = engine.submit(small_spec(epochs=1, train_limit=20))
    assert engine.wait(other, 60).state == "finished"


def test_an_index_damaged_while_in_use_is_named(store):
    for _ in range(20):
        store.add(small_spec("ttv2"))
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    store.close()
    content = bytearray(store.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    store.path.write_bytes(content)
    with pytest.raises(StoreError, match="move it away"):
        store.list()
