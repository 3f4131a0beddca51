"""Data sets for training runs."""

from tilewright.data.dataset import Dataset as Dataset
from tilewright.data.dataset import DatasetSummary as DatasetSummary
from tilewright.data.download import download_images as download_images
from tilewright.data.download import downloadable_names as downloadable_names
from tilewright.data.idx import DataError as DataError
from tilewright.data.idx import read_idx as read_idx
from tilewright.data.sets import dataset_names as dataset_names
from tilewright.data.sets import describe_dataset as describe_dataset
from tilewright.data.sets import load_dataset as load_dataset
from tilewright.data.table import TableLayout as TableLayout
