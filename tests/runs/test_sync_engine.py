from __future__ import annotations

import os
from contextlib import contextmanager

import psutil
import pytest
import torch

from runs.recipes import history, same_state, small_spec, wait_until
from tilewright.ledger import ledger
from tilewright.parameters import ParameterError
from tilewright.runs import (
    DataSource,
    EngineError,
    Perceptron,
    StoreError,
    SyncEngine,
    cost_table,
    environment,
    open_engine,
    train,
    trained_network,
)
from tilewright.runs.checkpoints import load_checkpoint
from tilewright.runs.trainer import COST_METRICS


def test_a_run_goes_from_queued_to_finished(engine):
    run_id = engine.submit(small_spec("ttv2", epochs=1))
    row = engine.wait(run_id, 60)
    assert (row.state, row.step, row.total_steps, row.epoch, row.message) == ("finished", 287, 287, 1, "")
    assert row.versions["torch"] == torch.__version__
    assert row.spec.data.checksum
    names = {found.name for found in engine.follow(run_id)}
    assert {"loss", "throughput", "learning_rate", "train_accuracy", "test_accuracy", "test_loss"} <= names
    assert "saturated_weights" in names
    assert row.test_accuracy == [m.value for m in engine.follow(run_id) if m.name == "test_accuracy"][-1]
    assert [found.id for found in engine.list()] == [run_id]


def test_what_the_engine_trains_is_what_the_loop_trains(engine):
    spec = small_spec(epochs=1)
    run_id = engine.submit(spec)
    engine.wait(run_id, 60)
    direct = list(train(spec.completed()))[-1].model
    assert same_state(trained_network(engine.store, run_id).state_dict(), direct.state_dict())


def test_several_runs_wait_for_each_other(engine):
    runs = [engine.submit(small_spec(name=str(i), epochs=1, train_limit=50)) for i in range(3)]
    assert [engine.wait(run_id, 60).state for run_id in runs] == ["finished"] * 3
    started = [engine.store.get(run_id).started for run_id in runs]
    assert started == sorted(started)


def test_cancel_and_resume_give_the_result_of_an_uninterrupted_run(engine):
    spec = small_spec(epochs=8)
    whole = engine.submit(spec)
    engine.wait(whole, 120)
    parts = engine.submit(spec)
    wait_until(lambda: engine.store.get(parts).step > 0)
    engine.cancel(parts)
    stopped = engine.wait(parts, 60)
    assert stopped.state == "cancelled"
    assert 0 < stopped.step < stopped.total_steps
    engine.resume(parts)
    assert engine.wait(parts, 120).state == "finished"
    assert history(engine.follow(parts)) == history(engine.follow(whole))
    assert same_state(
        trained_network(engine.store, parts).state_dict(), trained_network(engine.store, whole).state_dict()
    )


def test_cancel_of_a_waiting_run(engine):
    first = engine.submit(small_spec(epochs=1000))
    second = engine.submit(small_spec())
    engine.cancel(second)
    assert engine.wait(second, 10).state == "cancelled"
    engine.cancel(first)
    assert engine.wait(first, 60).state == "cancelled"
    assert engine.store.get(second).step == 0


def test_closing_stops_after_a_checkpoint_and_another_engine_goes_on(store):
    engine = SyncEngine(store)
    run_id = engine.submit(small_spec(epochs=6))
    wait_until(lambda: store.get(run_id).state == "running")
    engine.close()
    assert store.get(run_id).state == "cancelled"
    with SyncEngine(store) as other:
        other.resume(run_id)
        assert other.wait(run_id, 120).state == "finished"


def test_a_specification_that_cannot_work_is_refused_at_once(engine):
    with pytest.raises(ParameterError, match="do not fit"):
        engine.submit(small_spec(network=Perceptron()))
    assert engine.list() == []


def test_data_that_vanished_fails_the_run_in_words(engine, tmp_path, shared_data):
    folder = tmp_path / "images"
    folder.mkdir()
    for file in (shared_data / "data" / "mnist-small").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    busy = engine.submit(small_spec(epochs=1000))
    run_id = engine.submit(small_spec(data=DataSource(name="idx", folder=str(folder)), network=Perceptron()))
    for file in folder.iterdir():
        file.unlink()
    engine.cancel(busy)
    row = engine.wait(run_id, 60)
    assert row.state == "failed"
    assert "has no train-images-idx3-ubyte" in row.message


def test_a_damaged_checkpoint_fails_its_run_and_no_other(engine):
    damaged = engine.submit(small_spec(epochs=1000))
    wait_until(lambda: engine.store.get(damaged).checkpoint)
    engine.cancel(damaged)
    row = engine.wait(damaged, 60)
    path = engine.store.run_folder(damaged) / row.checkpoint
    path.write_bytes(path.read_bytes()[:1000])
    engine.resume(damaged)
    assert "is damaged" in engine.wait(damaged, 60).message
    healthy = engine.submit(small_spec(epochs=1))
    assert engine.wait(healthy, 60).state == "finished"


class AlmostFull:
    """A file with room for a part of a checkpoint."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        if self.file.tell() + len(data) > 1000:
            raise OSError(28, "No space left on device")
        return self.file.write(data)


def test_a_full_disk_fails_the_run_in_words_and_keeps_the_last_checkpoint(engine, monkeypatch):
    import tilewright.runs.checkpoints as checkpoints

    writing, opened = checkpoints.writing_atomically, []

    @contextmanager
    def filling(path):
        opened.append(path)
        with writing(path) as file:
            yield file if len(opened) == 1 else AlmostFull(file)

    monkeypatch.setattr(checkpoints, "writing_atomically", filling)
    run_id = engine.submit(small_spec(epochs=1000))
    row = engine.wait(run_id, 60)
    assert row.state == "failed"
    assert "No space left on device" in row.message
    assert load_checkpoint(engine.store.run_folder(run_id) / row.checkpoint)["position"]["step"] == row.checkpoint_step
    monkeypatch.undo()
    engine.resume(run_id)
    wait_until(lambda: engine.store.get(run_id).step > row.step)
    engine.cancel(run_id)
    engine.wait(run_id, 60)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (False, "training met an error that it does not expect (KeyError: 'surprise'); details"),
        (
            True,
            f"Tilewright was updated on disk while process {os.getpid()} ran, which cannot train any longer; end it",
        ),
    ],
    ids=["plain", "sources replaced"],  # the number of the process would be in the name
)
def test_an_unexpected_error_is_a_sentence_and_its_details_are_in_a_file(engine, monkeypatch, replaced, message):
    import tilewright.runs.execution as execution

    def broken(*args, **kwargs):
        raise KeyError("surprise")
        yield

    monkeypatch.setattr(execution, "train", broken)
    monkeypatch.setattr(execution, "sources_replaced", lambda: replaced)
    run_id = engine.submit(small_spec())
    row = engine.wait(run_id, 60)
    assert row.state == "failed"
    assert row.message.startswith(message)
    assert "Traceback" not in row.message
    assert "Traceback" in (engine.store.run_folder(run_id) / "error.txt").read_text()


def test_replaced_sources_are_noticed(tmp_path, monkeypatch):
    package = tmp_path / "tilewright"
    package.mkdir()
    module = package / "__init__.py"
    module.touch()
    monkeypatch.setattr(environment.tilewright, "__file__", str(module))
    began = psutil.Process().create_time()
    monkeypatch.setattr(environment.psutil.Process, "create_time", lambda self: module.stat().st_ctime + 1)
    assert not environment.sources_replaced()
    monkeypatch.setattr(environment.psutil.Process, "create_time", lambda self: began)
    os.utime(module, (began - 1e6, began - 1e6))  # as an unpacked file, which keeps its age
    assert environment.sources_replaced()


def test_only_the_last_checkpoint_is_kept(engine):
    run_id = engine.submit(small_spec(epochs=3))
    row = engine.wait(run_id, 60)
    assert [path.name for path in engine.store.run_folder(run_id).glob("*.pt")] == [row.checkpoint]
    assert [found.path for found in engine.store.artifacts(run_id)] == [row.checkpoint]


def test_a_run_without_a_checkpoint_has_no_network(engine):
    run_id = engine.store.add(small_spec()).id
    with pytest.raises(StoreError, match="no checkpoint yet"):
        trained_network(engine.store, run_id)


def test_waiting_is_not_endless(engine):
    run_id = engine.submit(small_spec(epochs=1000))
    with pytest.raises(TimeoutError, match="is still"):
        engine.wait(run_id, 0.01)


def test_the_engine_is_chosen_by_a_variable(store, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_ENGINE", "sync")
    with open_engine(store) as engine:
        assert isinstance(engine, SyncEngine)
    monkeypatch.setenv("TILEWRIGHT_ENGINE", "magic")
    with pytest.raises(EngineError, match="must be cluster or sync"):
        open_engine(store)


@pytest.mark.parametrize("algorithm", ["ttv2", "mp"])
def test_the_ledger_of_a_run_is_that_of_its_network_and_survives_a_resume(engine, algorithm):
    spec = small_spec(algorithm, epochs=2)
    whole = engine.submit(spec)
    engine.wait(whole, 120)
    book = engine.store.ledger(whole)
    assert book == ledger(trained_network(engine.store, whole))
    assert all(tile.vectors == 2 * 1433 for tile in book.tiles)
    assert all(array.most_pulses > 0 for tile in book.tiles for array in tile.arrays)
    costs = {row.name: row.value for row in engine.store.metrics(whole, list(COST_METRICS))}  # the last of each
    assert costs == {metric: book.totals()[name] for metric, name in COST_METRICS.items()}

    stopped = engine.submit(spec)
    wait_until(lambda: engine.store.get(stopped).step > 0)
    engine.cancel(stopped)
    assert 0 < engine.wait(stopped, 60).step < 2 * 287
    assert engine.store.ledger(stopped) != book
    engine.resume(stopped)
    assert engine.wait(stopped, 120).state == "finished"
    assert engine.store.ledger(stopped) == book
    assert [found.name for found in engine.store.artifacts(stopped)] == ["checkpoint", "ledger"]
    table = cost_table(engine.store, [whole, stopped])
    assert table["pulses"].tolist() == [book.totals()["pulses"]] * 2
    assert table["update_time"].iloc[0] == pytest.approx(book.update_time() * 1e-9)


def test_a_digital_run_has_no_ledger(engine):
    run_id = engine.submit(small_spec(epochs=1))
    engine.wait(run_id, 60)
    assert engine.store.ledger(run_id) is None
    assert len(cost_table(engine.store, [run_id])) == 0
