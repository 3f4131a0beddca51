"""The studio's engine with real processes: they die, the runs do not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import time
from contextlib import contextmanager
from urllib.parse import urlparse

import psutil
import pytest

from runs.recipes import history, small_spec
from tilewright.runs import DaskEngine, EngineError, RunStore, SyncEngine, dask_engine
from tilewright.runs.cluster import DetachedCluster

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of processes killed on purpose


@contextmanager
def opened(store, **options):
    engine = DaskEngine(store, n_workers=2, checkpoint_seconds=0.2, **options)
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A workspace whose cluster is ended after the last test, whatever happened."""
    path = tmp_path_factory.mktemp("workspace")
    yield path
    DetachedCluster(path).stop()


@pytest.fixture
def store(folder):
    found = RunStore(folder)
    yield found
    found.close()


def wait_until(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def process_id(label: str) -> int:
    return int(label.partition("@")[0])


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The history of the run that the tests interrupt, without interruption."""
    store = RunStore(tmp_path_factory.mktemp("reference"))
    with SyncEngine(store) as engine:
        run_id = engine.submit(small_spec(epochs=LENGTH))
        engine.wait(run_id, 120)
        result = history(engine.follow(run_id))
    store.close()
    return result


LENGTH = 6


def test_runs_go_on_without_their_client_and_a_new_one_sees_them(store, expected):
    with opened(store) as engine:
        long = engine.submit(small_spec(epochs=1000))
        short = [engine.submit(small_spec(epochs=LENGTH)) for _ in range(2)]
        wait_until(lambda: store.get(long).step > 0)
        assert engine.problem == ""
    seen = store.get(long).step
    wait_until(lambda: store.get(long).step > seen)
    with opened(store) as engine:
        assert {row.id for row in engine.list()} == {long, *short}
        for run_id in short:
            assert engine.wait(run_id, 120).state == "finished"
            assert history(engine.follow(run_id)) == expected
        engine.cancel(long)
        assert engine.wait(long, 60).state == "cancelled"
    workers = {process_id(store.get(run_id).worker) for run_id in (long, *short)}
    assert os.getpid() not in workers
    assert len(workers) == 2


def test_a_killed_worker_loses_nothing(store, expected):
    with opened(store) as engine:
        run_id = engine.submit(small_spec(epochs=LENGTH))
        wait_until(lambda: store.get(run_id).checkpoint_step > 0)
        before = store.get(run_id)
        os.kill(process_id(before.worker), signal.SIGKILL)
        after = engine.wait(run_id, 120)
        assert (after.state, after.attempt) == ("finished", before.attempt + 1)
        assert after.worker != before.worker
        assert history(engine.follow(run_id)) == expected


def test_cancel_stops_and_resume_goes_on(store, expected):
    with opened(store) as engine:
        run_id = engine.submit(small_spec(epochs=LENGTH))
        wait_until(lambda: store.get(run_id).step > 0)
        engine.cancel(run_id)
        row = engine.wait(run_id, 60)
        assert row.state == "cancelled"
        assert 0 < row.step < row.total_steps
        assert row.checkpoint_step == row.step
        engine.resume(run_id)
        assert engine.wait(run_id, 120).state == "finished"
        assert history(engine.follow(run_id)) == expected


def test_a_killed_scheduler_is_replaced_and_its_runs_resume(store, expected):
    with opened(store) as engine:
        run_id = engine.submit(small_spec(epochs=LENGTH))
        wait_until(lambda: store.get(run_id).checkpoint_step > 0)
        first = engine.cluster.process_ids()
        for number in first:  # everything at once, as when a machine restarts
            for child in psutil.Process(number).children(recursive=True):
                child.kill()
            os.kill(number, signal.SIGKILL)
        assert engine.wait(run_id, 180).state == "finished"
        assert history(engine.follow(run_id)) == expected
        assert not set(first) & set(engine.cluster.process_ids())


def test_everything_listens_on_the_loopback_address_only(store):
    with opened(store) as engine:
        run_id = engine.submit(small_spec(epochs=1))
        assert engine.wait(run_id, 120).state == "finished"
        found = set()
        for number in engine.cluster.process_ids():
            parent = psutil.Process(number)
            for process in [parent, *parent.children(recursive=True)]:
                sockets = process.net_connections(kind="inet")
                found |= {entry.laddr.ip for entry in sockets if entry.status == psutil.CONN_LISTEN}
    assert found == {"127.0.0.1"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command to make a certificate with")
def test_whoever_lacks_the_certificate_of_the_workspace_is_refused(store):
    with opened(store) as engine:
        engine.wait(engine.submit(small_spec(epochs=1)), 120)
        address = json.loads(engine.cluster.scheduler_file.read_text())["address"]
        place = urlparse(address)
        assert place.scheme == "tls"
        secret = engine.cluster.folder / "tls" / "key.pem"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        with pytest.raises((ssl.SSLError, ConnectionError)):
            talk_without_certificate(place.hostname, place.port)


def talk_without_certificate(host, port):
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=10) as plain, anybody.wrap_socket(plain) as shown:
        shown.sendall(b"x" * 64)
        if not shown.recv(1):
            raise ConnectionResetError


def test_stopping_ends_every_process(store):
    with opened(store) as engine:
        run_id = engine.submit(small_spec(epochs=1))
        engine.wait(run_id, 120)
        family = []
        for number in engine.cluster.process_ids():
            parent = psutil.Process(number)
            family += [parent, *parent.children(recursive=True)]
        engine.stop_cluster()
    assert len(family) >= 4
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_a_scheduler_that_cannot_be_reached_is_named_and_the_run_waits(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_SCHEDULER", "tcp://127.0.0.1:9")
    monkeypatch.setattr(dask_engine, "CONNECT_SECONDS", 1)
    store = RunStore(tmp_path)
    with opened(store) as engine:
        run_id = engine.submit(small_spec())
        with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9 cannot be reached"):
            engine.wait(run_id, 60)
        assert store.get(run_id).state == "queued"
        assert not (tmp_path / "cluster").exists()
    store.close()
