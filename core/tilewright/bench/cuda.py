"""The CUDA kernels against the limits of the graphics processor they run on, both measured in one session.

What a kernel must do at least is counted: bytes of state and parameters moved once, multiplications of a product,
normal numbers of the pulses sent. Each takes a time at the rate that torch and our own generator reach on the same
device; the longest of these over the time taken is the fraction of the limit.

Times are those of the device: calls are captured in a graph one after the other, and replayed. Beside them stands what
a call takes that Python launches.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tilewright.configs import SingleRPUConfig
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import gpu
from tilewright.nn import capture_step, convert_to_analog
from tilewright.optim import AnalogSGD
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.tile import AnalogTile

SIZES = (1024, 4096)
BATCHES = (1, 32, 256)
TRAINING_BATCHES = (5, 64)
IMAGES = 60_000
LAYERS = (784, 256, 128, 10)
REPEATS = 30
IN_A_GRAPH = 10  # calls
FLOAT = 4


@dataclass
class Limits:
    """Rates that the device reaches, per second."""

    bytes: float
    operations: float
    normals: float


@dataclass
class CudaRow:
    """One measured call."""

    name: str
    seconds: float
    bound: str  # what limits it
    fraction: float  # of that limit; nan where none applies
    launched: float = float("nan")  # seconds of a call that is launched from Python; nan where that makes no sense


class _Clock:
    """Times work on a device; on the host, where tests run these functions, by the wall."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, work: Callable[[], object], repeats: int = REPEATS) -> float:
        """Median seconds of a call on the device, of graphs that hold several of them."""
        if self.device.type != "cuda":
            return statistics.median(_wall(work) for _ in range(repeats))

        def several() -> None:
            for _ in range(IN_A_GRAPH):
                work()

        graph = capture_step(several)
        graph.replay()
        return statistics.median(_on_device(graph.replay) / IN_A_GRAPH for _ in range(repeats))

    def launched(self, work: Callable[[], object], repeats: int = REPEATS) -> float:
        """Mean seconds of calls that are launched one after the other."""
        work()

        def all_of_them() -> None:
            for _ in range(repeats):
                work()
            if self.device.type == "cuda":
                torch.cuda.synchronize()

        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return _wall(all_of_them) / repeats


def _wall(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _on_device(work: Callable[[], object]) -> float:
    begin: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) * 1e-3


def limits_of(device: torch.device, megabytes: int = 512, side: int = 8192) -> Limits:
    """Bandwidth by copying, single-precision operations by torch's product, normal numbers by our generator."""
    clock = _Clock(device)
    source = torch.ones(megabytes << 18, device=device)
    target, square = torch.empty_like(source), torch.ones(side, side, device=device)
    tensor_cores = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        product = clock(lambda: square @ square, 5)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tensor_cores
    return Limits(
        bytes=2 * FLOAT * source.numel() / clock(lambda: target.copy_(source)),
        operations=2 * side**3 / product,
        normals=source.numel() / clock(lambda: gpu.field(source.shape, 1, 1, source), 5),
    )


def _row(
    name: str, times: tuple[float, float], limits: Limits, moved: float, operations: float, normals: float
) -> CudaRow:
    """A call with its times, on the device and launched, and what it had to do at least."""
    seconds, launched = times
    needed = {
        "memory": moved / limits.bytes,
        "arithmetic": operations / limits.operations,
        "random numbers": normals / limits.normals,
    }
    bound = max(needed, key=lambda resource: needed[resource])
    return CudaRow(name, seconds, bound, needed[bound] / seconds, launched)


def tile_rows(
    device: torch.device, limits: Limits, sizes: Sequence[int], batches: Sequence[int], repeats: int = REPEATS
) -> list[CudaRow]:
    """Products both ways and updates of square tiles."""
    clock, rows = _Clock(device), []

    def times(call: Callable[[], None]) -> tuple[float, float]:
        return clock(call, repeats), clock.launched(call, repeats)

    for size in sizes:
        tile = AnalogTile(size, size, SingleRPUConfig(device=TutorialRRAMPresetDevice()), seed=1).to(device)
        array = tile.cell.pulsed_arrays()["W"]
        assert isinstance(array.device, PulsedDevice)
        planes = sum(b.numel() for b in array.buffers() if b.dtype is torch.float32 and b.numel() == size * size)
        for batch in batches:
            x, d = (torch.randn(batch, size, device=device) for _ in range(2))
            d *= 0.05

            def forward(tile: AnalogTile = tile, x: Tensor = x) -> None:
                tile.forward(x)

            def backward(tile: AnalogTile = tile, d: Tensor = d) -> None:
                tile.backward(d)

            def update(tile: AnalogTile = tile, x: Tensor = x, d: Tensor = d) -> None:
                tile.update(x, d, 0.01)

            for name, call in (("forward", forward), ("backward", backward)):
                moved, operations = FLOAT * (size * size + 2 * batch * size), 2 * size * size * batch
                rows.append(_row(f"{name} {size} x {size}, B = {batch}", times(call), limits, moved, operations, 0))
            before = array.sent.pulses
            update()
            pulses = array.sent.pulses - before
            # State and parameters are read, state and visible weight written.
            moved = FLOAT * (planes + size * size * (2 if array.persistent is not None else 1))
            rows.append(_row(f"update {size} x {size}, B = {batch}", times(update), limits, moved, 0, pulses))
    return rows


def network(device: torch.device, layers: Sequence[int] = LAYERS) -> nn.Module:
    """The network of the tutorial, on tiles."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(layers):
        parts += [nn.Linear(inputs, outputs), nn.Sigmoid()]
    parts[-1] = nn.LogSoftmax(dim=1)
    model = convert_to_analog(nn.Sequential(*parts), SingleRPUConfig(device=TutorialRRAMPresetDevice()))
    return model.to(device)


def training_rows(
    device: torch.device, batches: Sequence[int], images: int = IMAGES, layers: Sequence[int] = LAYERS
) -> list[CudaRow]:
    """An epoch of in-memory SGD on random images, launched step by step and, on a GPU, as one captured step."""
    rows = []
    for batch in batches:
        model = network(device, layers)
        optimiser = AnalogSGD(model.parameters(), lr=0.1)
        x = torch.rand(batch, layers[0], device=device)
        y = torch.randint(layers[-1], (batch,), device=device)

        def step(model: nn.Module = model, optimiser: AnalogSGD = optimiser, x: Tensor = x, y: Tensor = y) -> None:
            optimiser.zero_grad()
            nn.functional.nll_loss(model(x), y).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

        steps = images // batch
        name = f"epoch of {'-'.join(map(str, layers))}, {images} images, B = {batch}"
        rows.append(CudaRow(f"{name}, launched", _epoch(device, step, steps), "", float("nan")))
        if device.type == "cuda":
            replay = capture_step(step).replay
            rows.append(CudaRow(f"{name}, one graph a step", _epoch(device, replay, steps), "", float("nan")))
    return rows


def _epoch(device: torch.device, step: Callable[[], object], steps: int) -> float:
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure() -> dict[str, Any]:
    """All of it, on the current GPU.

    Raises:
        RuntimeError: there is none that can be used.
    """
    if why := gpu.problem():
        raise RuntimeError(f"nothing to time: {why}")
    device = torch.device("cuda")
    limits = limits_of(device)
    rows = tile_rows(device, limits, SIZES, BATCHES) + training_rows(device, TRAINING_BATCHES)
    return {
        "device": gpu.state(),
        "torch": torch.__version__,
        "limits": asdict(limits),
        "rows": [asdict(r) for r in rows],
    }


def text(found: dict[str, Any]) -> str:
    """The table, as Markdown."""
    limits = found["limits"]
    lines = [
        f"{', '.join(found['device']['devices'])}; kernels for {found['device']['architectures']} by "
        f"{found['device']['toolkit']}; torch {found['torch']}",
        "",
        f"Measured limits: {limits['bytes'] / 1e9:.4g} GB/s, {limits['operations'] / 1e12:.4g} T operations/s in "
        f"single precision, {limits['normals'] / 1e9:.4g} G normal numbers/s.",
        "",
        "| what | time | limited by | of that limit | launched from Python |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        share = f"{100 * row['fraction']:.3g} %" if row["bound"] else "-"
        times = _text(row["seconds"]), _text(row["launched"])
        lines.append(f"| {row['name']} | {times[0]} | {row['bound'] or '-'} | {share} | {times[1]} |")
    return "\n".join(lines)


def _text(seconds: float) -> str:
    if seconds != seconds:
        return "-"
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{seconds * 1e6:.4g} us"
