"""Kernels for graphics processors: whether they are compiled in, on which device, and what they keep there.

Nothing here waits for the device. Where an array or a tile stands in its random numbers is kept in a tensor on the
device, a clock, so that a captured CUDA graph draws new numbers with each replay; reading a clock waits, and happens
in checkpoints and reports alone.
"""

from tilewright.kernels.gpu.accumulators import accumulate, carry_steps
from tilewright.kernels.gpu.arrays import GpuArray
from tilewright.kernels.gpu.launching import capturing, on_gpu, run_on_host, standing_in
from tilewright.kernels.gpu.lines import NextLines, count, follow_reads, next_lines, read_lines
from tilewright.kernels.gpu.presence import describe, problem, state
from tilewright.kernels.gpu.products import GpuReads, matrix_product
from tilewright.kernels.gpu.random import field, rows
from tilewright.kernels.gpu.rates import filled, rate_of
from tilewright.kernels.gpu.transfers import Sent, plan_transfers, read_into_buffer
from tilewright.kernels.gpu.updates import GpuUpdates, trace

__all__ = [
    "GpuArray",
    "GpuReads",
    "GpuUpdates",
    "NextLines",
    "Sent",
    "accumulate",
    "capturing",
    "carry_steps",
    "count",
    "describe",
    "field",
    "filled",
    "follow_reads",
    "matrix_product",
    "next_lines",
    "on_gpu",
    "plan_transfers",
    "problem",
    "rate_of",
    "read_into_buffer",
    "read_lines",
    "rows",
    "run_on_host",
    "standing_in",
    "state",
    "trace",
]
