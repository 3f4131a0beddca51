"""The only door to the compiled kernels: checks tensors once, passes addresses, gives clear errors.

Kernels own nothing. They read and write the tensors they are given, use no hidden random state (each call names its
seed and counter) and give the same bits for any number of threads and on any instruction set.
"""

import torch  # noqa: F401  before the compiled module, so that both share one OpenMP runtime

from tilewright._cpu import (
    ArrayProgress,
    DeviceModel,
    ProductStats,
    ReadSettings,
    StepShape,
    TransferPlan,
    UpdateSettings,
    UpdateStats,
)
from tilewright.kernels.accumulators import accumulate_outer, carry_steps
from tilewright.kernels.arrays import PARAMETERS, PULSE_COUNTER, UPDATED, Crosspoints, samples_of
from tilewright.kernels.gpu import on_gpu
from tilewright.kernels.machine import RATE_KINDS, capabilities, exercise
from tilewright.kernels.pair_refresh import RefreshedMember, refresh_pair
from tilewright.kernels.products import TileReads, matrix_product
from tilewright.kernels.random import derive_seed, normal_field, normal_rows, uniform_field, uniform_rows
from tilewright.kernels.responses import nominal_response, pulse_trace, whiten
from tilewright.kernels.transfer_batches import BufferedTransfers, BufferSettings, Gain, LineTransfers
from tilewright.kernels.transfer_state import Relative, Transfers, TransferState
from tilewright.kernels.transfers import follow_reads, read_into_buffer, read_lines, scaled_rates
from tilewright.kernels.updates import ArrayUpdates, QuickStep, Snapshots, split_counts

__all__ = [
    "PARAMETERS",
    "PULSE_COUNTER",
    "RATE_KINDS",
    "UPDATED",
    "ArrayProgress",
    "ArrayUpdates",
    "BufferSettings",
    "BufferedTransfers",
    "Crosspoints",
    "DeviceModel",
    "Gain",
    "LineTransfers",
    "ProductStats",
    "QuickStep",
    "ReadSettings",
    "RefreshedMember",
    "Relative",
    "Snapshots",
    "StepShape",
    "TileReads",
    "TransferPlan",
    "TransferState",
    "Transfers",
    "UpdateSettings",
    "UpdateStats",
    "accumulate_outer",
    "capabilities",
    "carry_steps",
    "derive_seed",
    "exercise",
    "follow_reads",
    "matrix_product",
    "nominal_response",
    "normal_field",
    "normal_rows",
    "on_gpu",
    "pulse_trace",
    "read_into_buffer",
    "read_lines",
    "refresh_pair",
    "samples_of",
    "scaled_rates",
    "split_counts",
    "uniform_field",
    "uniform_rows",
    "whiten",
]
