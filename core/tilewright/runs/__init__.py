"""Training runs: what is trained, the loop that trains it, the index of runs, the engines that work through it."""

from tilewright.runs.engine import Engine as Engine
from tilewright.runs.engine import EngineError as EngineError
from tilewright.runs.networks import Activation as Activation
from tilewright.runs.networks import Network as Network
from tilewright.runs.networks import Perceptron as Perceptron
from tilewright.runs.spec import ConstantSchedule as ConstantSchedule
from tilewright.runs.spec import DataSource as DataSource
from tilewright.runs.spec import DropSchedule as DropSchedule
from tilewright.runs.spec import RunSpec as RunSpec
from tilewright.runs.spec import Schedule as Schedule
from tilewright.runs.spec import Seeds as Seeds
from tilewright.runs.spec import algorithm_of as algorithm_of
from tilewright.runs.spec import build_network as build_network
from tilewright.runs.store import MetricRow as MetricRow
from tilewright.runs.store import RunRow as RunRow
from tilewright.runs.store import RunStore as RunStore
from tilewright.runs.store import StoreError as StoreError

# Arriving next, with these signatures:
#   open_engine(store) -> Engine: DaskEngine, or SyncEngine when TILEWRIGHT_ENGINE=sync
#   DaskEngine(store, n_workers=None), SyncEngine(store)
#   train(spec, dataset=None, resume=None, cancelled=None) -> Iterator[Event]
#   compare(store, run_ids=None) -> Comparison(table, curves); recommend(algorithm, device) -> Recommendation
