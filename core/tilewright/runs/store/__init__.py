"""The truth about runs: one SQLite index and one folder per run, shared by studio, workers and scripts.

A worker *claims* a run before it trains it. The newest claim owns the run; every write of an older claim is refused,
so a run that two workers hold by accident still has one history. A checkpoint and the metrics up to it are committed
together, and a new claim drops the metrics past the last checkpoint: the history has no gaps and no repeats.
"""

from tilewright.runs.store.catalogue import ArtifactRows as ArtifactRows
from tilewright.runs.store.catalogue import MetricRows as MetricRows
from tilewright.runs.store.claims import RunClaims
from tilewright.runs.store.queue import CLUSTER as CLUSTER
from tilewright.runs.store.queue import TRIES_WITHOUT_PROGRESS as TRIES_WITHOUT_PROGRESS
from tilewright.runs.store.queue import RunQueue
from tilewright.runs.store.records import ACTIVE_STATES as ACTIVE_STATES
from tilewright.runs.store.records import ArtifactRow as ArtifactRow
from tilewright.runs.store.records import Claim as Claim
from tilewright.runs.store.records import MetricRow as MetricRow
from tilewright.runs.store.records import RunLost as RunLost
from tilewright.runs.store.records import RunRow as RunRow
from tilewright.runs.store.records import StoreError as StoreError


class RunStore(RunQueue, RunClaims):
    """The runs of a workspace folder: ``runs.sqlite`` and one folder per run under ``runs/``.

    Any number of processes may use it at once. Nothing here starts or stops training: that is the engine's part.

    Args:
        folder: the workspace folder; made when it does not exist.

    Raises:
        StoreError: the folder cannot be written or the index is damaged.
    """
