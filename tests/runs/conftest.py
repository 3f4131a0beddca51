from __future__ import annotations

import pytest

from tilewright.runs import RunStore, SyncEngine


@pytest.fixture
def store(tmp_path):
    opened = RunStore(tmp_path / "workspace")
    yield opened
    opened.close()


@pytest.fixture
def engine(store):
    with SyncEngine(store, checkpoint_seconds=0.1) as opened:
        yield opened
