"""Curves of runs as logs that TensorBoard shows. Its package is optional: it is named when it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tilewright.runs.store import RunStore


class MissingPackage(RuntimeError):
    """A package that this needs is not installed. The message says how to get it."""


def tensorboard_logs(store: RunStore, run_ids: Sequence[str], folder: Path) -> None:
    """Write one log per run below ``folder``; look at them with ``tensorboard --logdir FOLDER``.

    A log that was written there before is replaced.

    Raises:
        MissingPackage: the package ``tensorboard`` is not installed.
        StoreError: there is no run of one of the ids.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingPackage(
            "logs for TensorBoard need the package 'tensorboard', which is not installed; "
            "install it with: pip install tensorboard"
        ) from None
    for run_id in run_ids:
        row = store.get(run_id)
        for earlier in (folder / run_id).glob("events.out.tfevents.*"):
            earlier.unlink()
        with SummaryWriter(str(folder / run_id)) as writer:
            writer.add_text("specification", f"```yaml\n{row.spec_yaml}\n```")
            for found in store.metrics(run_id):
                writer.add_scalar(found.name, found.value, found.step, walltime=found.t)
