"""What a plan will cost, before it is launched: a few steps of each setting are tried and timed."""

from __future__ import annotations

import io
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from tilewright.data import Dataset
from tilewright.runs.evaluation import batch_for, evaluate, loss_of
from tilewright.runs.health import UpdateCounts, concerns, tiles_of
from tilewright.runs.spec import RunSpec, build_network, check_data
from tilewright.runs.trainer import make_optimizer

PROBE_SECONDS = 0.3
MOST_STEPS = 200
PROCESS_BYTES = 350 * 2**20  # a worker with torch loaded, before any run
MANY_RUNS = 200
LONG = 8 * 3600.0


@dataclass(frozen=True)
class DryRun:
    """One batch of a run, tried out.

    Attributes:
        name: of the run.
        shapes: what each layer gives, such as ``1 AnalogLinearMapped: 5 x 256``.
        loss: before the step.
        loss_after: of the same batch after it.
        readings: what the tiles were sent (see ``UpdateCounts``).
        tiles: how many tiles there are.
        warnings: what may go wrong.
    """

    name: str
    shapes: list[str]
    loss: float
    loss_after: float
    readings: dict[str, float]
    tiles: int
    warnings: list[str]


@dataclass(frozen=True)
class SettingEstimate:
    """One setting of a plan: processor seconds and bytes of a run of it."""

    name: str
    runs: int
    seconds: float
    step_seconds: float
    memory: int
    checkpoint: int


@dataclass(frozen=True)
class Estimate:
    """What a plan will cost.

    Attributes:
        settings: each with its time and memory.
        workers: runs trained at once.
        warnings: sentences; empty when there is nothing to say.
    """

    settings: list[SettingEstimate]
    workers: int
    warnings: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        """How many there are."""
        return sum(setting.runs for setting in self.settings)

    @property
    def seconds(self) -> float:
        """Time until the last run is over, on an otherwise idle machine."""
        work = sum(setting.seconds * setting.runs for setting in self.settings)
        longest = max((setting.seconds for setting in self.settings), default=0.0)
        return max(work / min(self.workers, max(self.runs, 1)), longest)

    @property
    def memory(self) -> int:
        """Bytes while all workers are busy with the largest runs."""
        most = max((setting.memory for setting in self.settings), default=0)
        return min(self.workers, self.runs) * (PROCESS_BYTES + most)

    @property
    def disk(self) -> int:
        """Bytes of checkpoints, one a run."""
        return sum(setting.checkpoint * setting.runs for setting in self.settings)

    def lines(self) -> list[str]:
        """As text."""
        each = [
            f"{s.name}: {s.runs} x {_time(s.seconds)} ({1000 * s.step_seconds:.2f} ms a step)" for s in self.settings
        ]
        total = (
            f"{self.runs} runs, {_time(self.seconds)} with {self.workers} at once, {self.memory / 2**20:.0f} MiB of "
            f"memory, {self.disk / 2**20:.1f} MiB of disk"
        )
        return [*each, total, *(f"warning: {text}" for text in self.warnings)]


def estimate(
    specs: Sequence[RunSpec],
    workers: int = 1,
    folder: Path | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Estimate:
    """Try a few steps of each setting and tell what the whole plan will take.

    Args:
        specs: the runs.
        workers: how many are trained at once.
        folder: where checkpoints will go; its free space is looked at.
        cancelled: asked between settings; True leaves the rest out.

    Raises:
        ParameterError, DataError: a run cannot begin.
    """
    groups: dict[str, list[RunSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.setting_digest(), []).append(spec)
    data: dict[str, Dataset] = {}
    found, warnings = [], []
    for group in groups.values():
        if cancelled():
            break
        key = group[0].data.to_json()
        if key not in data:
            data[key] = group[0].data.load()
        setting, words = _probe(group[0], data[key], len(group))
        found.append(setting)
        warnings += [f"{group[0].name}: {text}" for text in words]
    plan = Estimate(found, workers, list(dict.fromkeys(warnings)))
    plan.warnings.extend(_about(plan, folder))
    return plan


def dry_run(spec: RunSpec, dataset: Dataset | None = None) -> DryRun:
    """Train one batch and say what happened; nothing is kept, and torch's random numbers go on as if never asked.

    Raises:
        ParameterError, DataError: the run cannot begin.
    """
    dataset = spec.data.divided(dataset) if dataset is not None else spec.data.load()
    check_data(spec, dataset)
    with torch.random.fork_rng(devices=[]):
        model = build_network(spec)
        shapes: list[str] = []
        hooks = []
        for name, layer in model.named_children():
            hooks.append(layer.register_forward_hook(lambda m, x, y, n=name: shapes.append(_shape(n, m, y))))
        images, labels = dataset.train_images[: spec.batch_size], dataset.train_labels[: spec.batch_size]
        optimizer = make_optimizer(model, spec)
        output = model(images)
        for hook in hooks:
            hook.remove()
        loss = loss_of(output, labels, dataset.task)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        counts = UpdateCounts.of(tiles_of(model))
        with torch.no_grad():
            after = loss_of(model(images), labels, dataset.task)
    readings = counts.readings()
    return DryRun(
        spec.name,
        shapes,
        loss.item(),
        after.item(),
        readings,
        len(tiles_of(model)),
        _cautions(spec) + concerns(readings, [], 0),
    )


def _shape(name: str, layer: torch.nn.Module, answer: object) -> str:
    value = answer[0] if isinstance(answer, tuple) else answer
    size = " x ".join(map(str, value.shape)) if isinstance(value, torch.Tensor) else "?"
    return f"{name} {type(layer).__name__}: {size}"


def _probe(spec: RunSpec, dataset: Dataset, runs: int) -> tuple[SettingEstimate, list[str]]:
    check_data(spec, dataset)
    # With one thread only what this one spends counts, whatever a page or another run does meanwhile.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.process_time
    n = len(dataset.train_labels)
    steps = spec.steps_per_epoch(n) * spec.epochs
    with torch.random.fork_rng(devices=[]):
        model = build_network(spec)
        optimizer = make_optimizer(model, spec)
        losses = []
        taken, done, start = 0.0, 0, 0
        while done < min(MOST_STEPS, steps) and taken < PROBE_SECONDS:
            images = dataset.train_images[start : start + spec.batch_size]
            labels = dataset.train_labels[start : start + spec.batch_size]
            start = (start + spec.batch_size) % max(1, n - spec.batch_size)
            begin = clock()
            optimizer.zero_grad()
            loss = loss_of(model(images), labels, dataset.task)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if done or steps == 1:  # the first step also loads and compiles
                taken += clock() - begin
            losses.append(loss.item())
            done += 1
        batch = batch_for(model, dataset.image_shape)
        begin = clock()
        tested = min(batch, len(dataset.test_labels))
        evaluate(model, dataset.test_images[:tested], dataset.test_labels[:tested], dataset.task, batch=batch)
        looked = (clock() - begin) * len(dataset.test_labels) / tested
    step_seconds = taken / max(1, done - 1)
    state = io.BytesIO()
    torch.save(model.state_dict(), state)
    size = len(state.getvalue())
    images_bytes = sum(x.numel() * x.element_size() for x in (dataset.train_images, dataset.test_images))
    found = SettingEstimate(
        spec.name.partition(", seed ")[0], runs, steps * step_seconds + spec.epochs * looked, step_seconds,
        3 * size + images_bytes, size,
    )  # fmt: skip
    words = _cautions(spec) + concerns(UpdateCounts.of(tiles_of(model)).readings(), [], 0)
    if not all(map(math.isfinite, losses)):
        words.append("the loss is not finite within the first steps; lower the learning rate")
    return found, words


def _cautions(spec: RunSpec) -> list[str]:
    parts = [spec.rpu_config, *(tile.rpu_config for tile in spec.layer_tiles)]
    return [text for part in parts if part is not None for text in part.cautions()]


def _about(plan: Estimate, folder: Path | None) -> list[str]:
    found = []
    free = int(psutil.virtual_memory().available)
    if plan.memory > free:
        found.append(
            f"the runs would need {plan.memory / 2**20:.0f} MiB of memory at once, {free / 2**20:.0f} are free: "
            "train fewer at a time"
        )
    if folder is not None and folder.exists() and plan.disk > shutil.disk_usage(folder).free:
        found.append(f"the checkpoints need {plan.disk / 2**20:.0f} MiB, more than is free in {folder}")
    if plan.runs > MANY_RUNS:
        found.append(f"{plan.runs} runs are many; a grid over fewer values or seeds may tell as much")
    if plan.seconds > LONG:
        found.append(f"this will take {_time(plan.seconds)}; try a shorter one first, with train_limit or fewer epochs")
    if any(setting.runs < 3 for setting in plan.settings) and len(plan.settings) > 1:
        found.append("with fewer than three seeds a difference of a point or two may be chance")
    return found


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
