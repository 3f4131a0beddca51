"""Image sets for training runs."""

from tilewright.data.idx import DataError as DataError
from tilewright.data.idx import read_idx as read_idx
from tilewright.data.sets import Dataset as Dataset
from tilewright.data.sets import DatasetSummary as DatasetSummary
from tilewright.data.sets import dataset_names as dataset_names
from tilewright.data.sets import describe_dataset as describe_dataset
from tilewright.data.sets import load_dataset as load_dataset
