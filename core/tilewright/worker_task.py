"""What worker processes load and run.

The scheduler reads the name of the task too, so this module imports nothing at its top: a scheduler then needs neither
torch nor its memory.
"""

from __future__ import annotations

import os
from typing import Any

THREADS_VARIABLE = "TILEWRIGHT_THREADS"


def dask_setup(worker: Any) -> None:
    """Called once when a worker starts with ``--preload tilewright.worker_task``: the first run then begins at once."""
    import torch

    import tilewright.runs  # noqa: F401 - imported so that the first run finds it

    _set_threads()
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()  # torch loads its compiler here, which takes seconds


def train_in_worker(folder: str, run_id: str, checkpoint_seconds: float, submission: int) -> str:
    """Train one run of the workspace ``folder``, unless it was handed over anew since; returns its state."""
    from tilewright.runs.execution import execute_run
    from tilewright.runs.processes import process_label
    from tilewright.runs.store import RunStore

    _set_threads()
    store = RunStore(folder)
    try:
        return execute_run(store, run_id, process_label(), checkpoint_seconds, submission)
    finally:
        store.close()


def _set_threads() -> None:
    import torch

    torch.set_num_threads(int(os.environ.get(THREADS_VARIABLE, "1")))
