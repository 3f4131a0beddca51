"""The roofline of the kernels: work, limits, what was reached, and why not more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from tilewright import configs
from tilewright.bench import inputs, ours
from tilewright.bench.case import Case
from tilewright.bench.cases import DENSITIES, STEP, UPDATE, all_cases
from tilewright.bench.report import duration, markdown_table, plain_table
from tilewright.bench.roofline.limits import Limits, cache_of
from tilewright.bench.roofline.work import (
    WORD,
    Work,
    counted_update_work,
    lanes_in_use,
    product_work,
    trace_work,
    train_lengths,
    update_work,
)
from tilewright.bench.timing import Prepared, clock_cost, timed_turn
from tilewright.tile import AnalogTile

ENOUGH = 0.5
BATCHES = (256, 32, 1)
NAMES = (
    *(f"update SoftBoundsDevice n=512 B={batch} density={density:g}" for batch in BATCHES for density in DENSITIES),
    *(f"update ConstantStepDevice n=512 B=256 density={density:g}" for density in DENSITIES),
    *(f"{kind} kernel n=512 B={batch}" for kind in ("forward", "backward") for batch in BATCHES),
    "trace 1024 devices x 400 pulses",
    "trace 5 devices x 400 pulses",
)  # fmt: skip


@dataclass(frozen=True)
class Counted:
    """A case with its work, and what is known of it beyond."""

    work: Work
    empty: Callable[[], object]  # the same call with nothing to do
    remark: str = ""


@dataclass(frozen=True)
class Standing:
    """Where a kernel stands: seconds."""

    name: str
    work: Work
    parts: dict[str, float]
    measured: float
    empty: float
    remark: str

    @property
    def bound(self) -> float:
        """Seconds of the resource that takes longest; the others could pass meanwhile."""
        return max(self.parts.values())

    @property
    def limit(self) -> str:
        """Name of that resource."""
        name = max(self.parts, key=lambda part: self.parts[part])
        return f"memory ({cache_of(self.work.working_set)})" if name == "memory" else name

    @property
    def fraction(self) -> float:
        """Bound over measured time: 1 is the limit."""
        return self.bound / self.measured

    @property
    def why(self) -> str:
        """Why less than half of the limit is reached; empty otherwise."""
        if self.fraction >= ENOUGH:
            return ""
        reasons = []
        if self.empty > 0.15 * self.measured:
            reasons.append(f"{duration(1e6 * self.empty)} are the cost of any call, however small")
        shared = self.parts["arithmetic"] + self.parts["random"]
        if shared > 1.2 * self.bound:
            share = shared / self.measured
            reasons.append(f"noise and arithmetic share the vector units: together {100 * share:.0f} %")
        if self.remark:
            reasons.append(self.remark)
        return "; ".join(reasons)

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "name": self.name, "bytes": self.work.moved, "working_set": self.work.working_set,
            "operations": self.work.operations, "normals": self.work.normals, "words": self.work.words,
            "seconds": self.parts, "bound": self.bound, "limit": self.limit, "measured": self.measured,
            "empty_call": self.empty, "fraction": self.fraction, "why": self.why,
        }  # fmt: skip


# --- counting ---------------------------------------------------------------------------------------------------------


def counted(case: Case) -> Counted:
    """The work of a case of the list."""
    return {"update": _update, "forward": _product, "backward": _product, "trace": _trace}[case.kind](case.settings)


def _planes(tile: AnalogTile) -> tuple[int, int]:
    """Values per crosspoint that a pulsed one reads and writes; parameters without spread count nothing."""
    points = tile.cell.array.crosspoints(tile.weight.data)  # type: ignore[union-attr, operator]
    held = {name: getattr(points, name) for name in points.__slots__}
    per_point = {name for name, value in held.items() if isinstance(value, torch.Tensor) and value.numel() > 1}
    if "persistent" in per_point:
        return len(per_point) - 1, 2  # the visible weight is written, not read
    return len(per_point), 1


def _update(settings: dict[str, Any]) -> Counted:
    name, size, batch, lr = settings["device"]["class"], settings["size"], settings["batch"], settings["lr"]
    x, d = inputs.vectors(batch, size, size)
    tile = ours.build_tile(settings)
    granularity = tile.rpu_config.device.granularity  # type: ignore[attr-defined]
    lengths = train_lengths(x, d, lr, granularity, UPDATE["desired_bl"])
    pulses = settings["density"] * size * size * batch * STEP / granularity
    reads, writes = _planes(tile)
    inputs_, nothing = torch.from_numpy(x), torch.zeros(batch, size)
    if name == "ConstantStepDevice" and batch >= 32:
        work, remark = counted_update_work(size, size, lengths, pulses, reads), ""
    else:
        work = update_work(name, size, size, lengths, pulses, reads, writes)
        # The kernel works off two words of the trains at a time, at 32 neighbouring crosspoints.
        busy = lanes_in_use(pulses / (size * size) / max(sum(lengths) / (2 * WORD), 1), lanes=32)
        remark = (
            f"pulses of a crosspoint wait for each other and fall unevenly: {100 * busy:.0f} % of the lanes are busy"
        )
    return Counted(work, lambda: tile.update(inputs_, nothing, lr), remark)


def _product(settings: dict[str, Any]) -> Counted:
    size, batch = settings["size"], settings["batch"]
    small = AnalogTile(8, 8, configs.SingleRPUConfig(), seed=1)
    one = torch.ones(1, 8)
    remark = "operands have to be loaded and results rounded besides, which the bound leaves out"
    if batch == 1:
        remark = "one vector: the weight streams in once and nothing is used twice"
    return Counted(product_work(size, size, batch), lambda: small.forward(one), remark)


def _trace(settings: dict[str, Any]) -> Counted:
    devices, name = settings["devices"], settings["device"]["class"]
    tile = ours.build_tile({**settings, "size": 8})
    empty = ours.prepare("trace", {**settings, "devices": 1, "pulses": 4})
    remark = "drawing the devices is part of the call" if devices > 8 else "five devices fill one vector of eight lanes"
    return Counted(trace_work(name, devices, settings["pulses"], _planes(tile)[0]), empty.call, remark)


# --- measuring --------------------------------------------------------------------------------------------------------


def standings(seconds: float, names: Iterable[str] = NAMES) -> tuple[list[Standing], Limits]:
    """Count and measure cases of the list, on one thread of this process.

    Args:
        seconds: aimed at per case.
        names: which.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        limits, cost = Limits(), clock_cost()
        cases = {case.name: case for case in all_cases()}
        found = []
        for name in names:
            case = cases[name]
            known = counted(case)
            prepared = ours.prepare(case.kind, case.settings)
            prepared.reset()
            prepared.call()
            before = limits.times(known.work)
            times = timed_turn(prepared, seconds, 1000, cost)["cpu"]
            known.empty()
            empty = timed_turn(Prepared(known.empty), seconds / 10, 200, cost)["cpu"]
            found.append(Standing(name, known.work, before, median(times), median(empty), known.remark))
        return found, limits
    finally:
        torch.set_num_threads(threads)


# --- words ------------------------------------------------------------------------------------------------------------

HEADER = (
    "kernel", "bytes", "operations", "normals", "words", "memory", "arithmetic", "random", "limit", "measured",
    "reached", "why not half",
)  # fmt: skip


def _cells(row: Standing) -> tuple[str, ...]:
    work = row.work
    counts = (work.moved, work.operations, work.normals, work.words)
    times = (row.parts["memory"], row.parts["arithmetic"], row.parts["random"])
    return (
        row.name, *(_count(value) for value in counts), *(duration(1e6 * value) for value in times), row.limit,
        duration(1e6 * row.measured), f"{100 * row.fraction:.0f} %", row.why,
    )  # fmt: skip


def _count(value: float) -> str:
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def _rates(limits: Limits) -> str:
    bandwidth = ", ".join(
        f"{name} {value / 1e9:.3g} GB/s" for name, value in limits.describe().items() if name.endswith(" B")
    )
    rates = [f"{value / 1e9:.3g} G" for value in (limits.operations, limits.normals, limits.words)]
    return (
        f"One core: {rates[0]} operations/s in products (a fused multiplication and addition counts two), half of it "
        f"elsewhere, {rates[1]} normal numbers/s, {rates[2]} random words/s; {bandwidth}."
    )


def text(rows: list[Standing], limits: Limits, markdown: bool) -> str:
    """The roofline as a table, with the rates it rests on."""
    table = markdown_table if markdown else plain_table
    return f"{_rates(limits)}\n\n{table(HEADER, map(_cells, rows))}"
