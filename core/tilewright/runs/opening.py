"""Which engine to use."""

from __future__ import annotations

import os

from tilewright.runs.dask_engine import DaskEngine as DaskEngine
from tilewright.runs.engine import Engine, EngineError
from tilewright.runs.store import RunStore
from tilewright.runs.sync_engine import SyncEngine as SyncEngine

ENGINE_VARIABLE = "TILEWRIGHT_ENGINE"


def open_engine(store: RunStore) -> Engine:
    """The engine for the runs of a store; never waits for it to start.

    ``TILEWRIGHT_ENGINE=sync`` trains in this process, ``cluster`` (the default) in workers of their own, which go on
    when this process ends.

    Raises:
        EngineError: the variable has another value.
    """
    wanted = os.environ.get(ENGINE_VARIABLE, "") or "cluster"
    if wanted == "sync":
        return SyncEngine(store)
    if wanted == "cluster":
        return DaskEngine(store)
    raise EngineError(f"{ENGINE_VARIABLE} = {wanted!r}: must be cluster or sync")
