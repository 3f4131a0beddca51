"""The training loop: one generator of events, without files, processes or a store.

A run that is interrupted and goes on from its last checkpoint equals an uninterrupted one bit for bit: the order of
the images follows from seed and epoch, everything else that the next step depends on is in the checkpoint, and
accuracy is measured on a copy of the network, so that looking does not disturb training.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tilewright.data import Dataset
from tilewright.data.dataset import CLASSES
from tilewright.interruption import Interrupted, interruptible
from tilewright.ledger import Ledger, count_pulses, ledger
from tilewright.runs.evaluation import EvaluationStopped, batch_for, evaluate, loss_of
from tilewright.runs.health import UpdateCounts, health_readings, tiles_of
from tilewright.runs.snapshots import ArraySnapshot, take_snapshot
from tilewright.runs.spec import RunSpec, build_network, check_data

CHECKPOINT_FORMAT = 2
POINTS_PER_RUN = 400  # values of each step metric, whatever the length of the run
CANCEL_CHECK = 0.05  # seconds between looks at the cancel flag
LONG_STEP = 0.075  # seconds: steps this long are begun so that they can be given up
MARKED_AT_ONCE = 64  # steps whose answers are compared with the labels together
# Sums over all tiles since the start of the run, once per epoch; slots and operations by the published accounting.
COST_METRICS = {"line_reads": "line_reads", "update_slots": "slots", "digital_operations": "digital"}

EventKind = Literal["started", "step", "epoch", "snapshot", "checkpoint", "finished", "failed", "cancelled"]


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run. The message says which and what to do."""


@dataclass(frozen=True)
class Event:
    """What has just happened.

    ``step`` counts optimiser steps done, ``epoch`` passes begun, ``seconds`` the time spent training. ``values`` are
    metrics: every so many steps ``loss`` (mean since the last one), ``throughput`` (images per second),
    ``learning_rate`` and, where the algorithm counts them, ``pulses`` (in all so far) and the readings of
    ``UpdateCounts``; per epoch ``train_loss``, ``train_accuracy`` (over the epoch, as it trained), ``validation_loss``
    and ``validation_accuracy`` where data is set aside for it, ``test_loss``, ``test_accuracy`` and health readings
    (``..._error`` instead of ``..._accuracy`` where values are learned) and, for a network on tiles, the sums of the
    ledger so far (``COST_METRICS``); ``total_steps`` when started. ``results`` are figures of the run so far that
    belong to it as a whole and are kept beside it, under any name. ``state`` comes with ``checkpoint`` and has to be
    saved before the next event is asked for, and with it the ``ledger`` of all tiles at that moment; ``arrays`` comes
    with ``snapshot``, ``model`` with ``finished``.
    """

    kind: EventKind
    step: int
    epoch: int
    seconds: float
    values: dict[str, float] = field(default_factory=dict)
    message: str = ""
    results: dict[str, float] = field(default_factory=dict)
    arrays: list[ArraySnapshot] = field(default_factory=list, repr=False)
    state: dict[str, Any] | None = field(default=None, repr=False)
    ledger: Ledger | None = field(default=None, repr=False)
    model: nn.Module | None = field(default=None, repr=False)


@dataclass
class _Position:
    """Where in the run the loop is, with the sums that the next metrics are made of."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    window_loss: float = 0.0
    window_steps: int = 0
    epoch_loss: float = 0.0
    epoch_correct: int = 0
    epoch_seen: int = 0
    pulses: int = 0
    counts: dict[str, int] = field(default_factory=lambda: asdict(UpdateCounts()))
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def train(
    spec: RunSpec,
    dataset: Dataset | None = None,
    resume: dict[str, Any] | None = None,
    cancelled: Callable[[], bool] | None = None,
    checkpoint_seconds: float = 20.0,
    snapshots: bool = False,
) -> Iterator[Event]:
    """Train a network; yields events as it goes and trains only while they are asked for.

    Args:
        spec: what to train.
        dataset: the images, when already loaded.
        resume: the ``state`` of a ``checkpoint`` event of the same run.
        cancelled: asked every 50 ms; True ends the run after a last checkpoint.
        checkpoint_seconds: time between checkpoints; one is also made at the end of each epoch.
        snapshots: also tell what the arrays look like, before the first step and after each epoch.

    Reseeds torch's generator. Raises ``DataError``, ``ParameterError`` or :class:`CheckpointError` before the first
    step when the run cannot begin; a loss that is not finite ends it with a ``failed`` event.
    """
    dataset = spec.data.divided(dataset) if dataset is not None else spec.data.load()
    check_data(spec, dataset)
    spec = copy.deepcopy(spec)
    spec.data.checksum = dataset.checksum
    yield from _Training(spec, dataset, resume, cancelled or (lambda: False), checkpoint_seconds, snapshots).events()


def epoch_order(seed: int, epoch: int, n: int) -> Tensor:
    """Order in which the images are taken in an epoch; a function of its arguments alone."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    generator = torch.Generator().manual_seed(int(state[0]) << 31 ^ int(state[1]))
    return torch.randperm(n, generator=generator)


def make_optimizer(model: nn.Module, spec: RunSpec) -> torch.optim.Optimizer:
    """Plain SGD for a digital network, :class:`tilewright.optim.AnalogSGD` for one with tiles."""
    options = {"lr": spec.learning_rate, **spec.optimizer.options()}
    if not tiles_of(model):
        return torch.optim.SGD(model.parameters(), **options)
    from tilewright.optim import AnalogSGD

    optimizer: torch.optim.Optimizer = AnalogSGD(model.parameters(), **options)
    return optimizer


class _Training:
    def __init__(
        self,
        spec: RunSpec,
        dataset: Dataset,
        resume: dict[str, Any] | None,
        cancelled: Callable[[], bool],
        checkpoint_seconds: float,
        snapshots: bool,
    ) -> None:
        self.spec = spec
        self.dataset = dataset
        self.task = dataset.task
        self.snapshots = snapshots
        self.checkpoint_seconds = checkpoint_seconds
        self.n_train = spec.n_train(len(dataset.train_labels))
        self.batches = spec.steps_per_epoch(len(dataset.train_labels))
        self.total_steps = self.batches * spec.epochs
        self.log_every = max(1, int(spec.schedule_steps(self.total_steps)) // POINTS_PER_RUN)
        self.subset = self._chosen_images()
        self.model = build_network(spec)
        self.optimizer = make_optimizer(self.model, spec)
        self.tiles = tiles_of(self.model)
        count_pulses(self.model)
        self.evaluation_batch = batch_for(self.model, dataset.image_shape)
        self.at = _Position()
        self.follows_loss = any(tile.cell.follows_loss for tile in self.tiles)
        self.counts, self._counted = UpdateCounts(), UpdateCounts()
        self._unmarked: list[tuple[Tensor, Tensor]] = []
        if resume is not None:
            self._restore(resume)
        self._cancelled = cancelled
        self._clock = self._next_look = self._window_start = self._last_checkpoint = time.monotonic()
        self._cpu_clock = time.process_time()
        self._window_images = 0
        self._long_steps = False

    def _chosen_images(self) -> Tensor | None:
        available = len(self.dataset.train_labels)
        if self.n_train == available:
            return None
        # Epochs count from 0, so this draw is none of theirs.
        return epoch_order(self.spec.seeds.data, 2**32 - 1, available)[: self.n_train]

    # --- the loop -----------------------------------------------------------------------------------------------------

    def events(self) -> Iterator[Event]:
        yield self._event("started", {"total_steps": float(self.total_steps), "log_every": float(self.log_every)})
        if self.snapshots and self.at.step == 0:
            yield self._event("snapshot", arrays=take_snapshot(self.model))
        while self.at.epoch < self.spec.epochs:
            for event in self._epoch():
                yield event
                if event.kind in ("failed", "cancelled"):
                    return
        yield self._event("finished", model=self.model)

    def _epoch(self) -> Iterator[Event]:
        self.model.train()
        order = epoch_order(self.spec.seeds.data, self.at.epoch, self.n_train)
        if self.subset is not None:
            order = self.subset[order]
        while self.at.batch < self.batches:
            first = self.at.batch * self.spec.batch_size
            index = order[first : first + self.spec.batch_size]
            begun = time.monotonic()
            loss = self._step_or_stop(index) if self._long_steps else self._step(index)
            if loss is None:
                yield self._checkpoint()
                yield self._event("cancelled", message="cancelled")
                return
            self._long_steps = time.monotonic() - begun > LONG_STEP
            if not math.isfinite(loss):
                yield self._event("failed", message=self._diverged())
                return
            if self.at.step % self.log_every == 0 or self.at.step == self.total_steps:
                yield self._window_event()
            now = time.monotonic()
            if now - self._last_checkpoint >= self.checkpoint_seconds and self.at.batch < self.batches:
                yield self._checkpoint()
            if self._stopped():
                yield self._checkpoint()
                yield self._event("cancelled", message="cancelled")
                return
        try:
            values = self._epoch_values()
        except EvaluationStopped:
            yield self._checkpoint()
            yield self._event("cancelled", message="cancelled")
            return
        yield self._event("epoch", values, results=self._results(values))
        if self.snapshots:
            yield self._event("snapshot", arrays=take_snapshot(self.model))
        self.at.epoch, self.at.batch = self.at.epoch + 1, 0
        self.at.epoch_loss, self.at.epoch_correct, self.at.epoch_seen = 0.0, 0, 0
        yield self._checkpoint()

    def _stopped(self) -> bool:
        """Whether somebody wants the run to end, asked every so often."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + CANCEL_CHECK
        return self._cancelled()

    def _step_or_stop(self, index: Tensor) -> float | None:
        """A step that is given up when the run is to end: everything is then as before it."""
        before = copy.deepcopy(self._state())
        try:
            with interruptible(self._stopped):
                return self._step(index)
        except Interrupted:
            self._restore(before)
            return None

    def _step(self, index: Tensor) -> float:
        images, labels = self.dataset.train_images[index], self.dataset.train_labels[index]
        rate = self.spec.rate_at(self.at.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        output = self.model(images)
        loss = loss_of(output, labels, self.task)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        value = loss.item()
        if self.follows_loss:
            self.optimizer.note_loss(value)  # type: ignore[attr-defined]
        at, count = self.at, len(index)
        at.step, at.batch = at.step + 1, at.batch + 1
        at.window_loss, at.window_steps = at.window_loss + value, at.window_steps + 1
        at.epoch_loss, at.epoch_seen = at.epoch_loss + value * count, at.epoch_seen + count
        if self.task == CLASSES:
            self._unmarked.append((output.detach(), labels))
            if len(self._unmarked) == MARKED_AT_ONCE:
                self._mark()
        self._window_images += count
        return value

    def _mark(self) -> None:
        """Count the right answers of the last steps: many at once, since each look takes longer than its arithmetic."""
        if self._unmarked:
            outputs, labels = (torch.cat(parts) for parts in zip(*self._unmarked, strict=True))
            self.at.epoch_correct += int((outputs.argmax(dim=1) == labels).sum())
            self._unmarked.clear()

    def _count(self) -> None:
        """Take note of the pulses since the last time."""
        so_far = UpdateCounts.of(self.tiles)
        new, self._counted = so_far.added(self._counted, -1), so_far
        self.counts = self.counts.added(new)
        self.at.pulses += new.pulses

    # --- what events carry --------------------------------------------------------------------------------------------

    def _event(self, kind: EventKind, values: dict[str, float] | None = None, **fields: Any) -> Event:
        now, cpu = time.monotonic(), time.process_time()
        self.at.seconds, self._clock = self.at.seconds + now - self._clock, now
        self.at.cpu_seconds, self._cpu_clock = self.at.cpu_seconds + cpu - self._cpu_clock, cpu
        epoch = min(self.at.epoch + 1, self.spec.epochs)
        return Event(kind, self.at.step, epoch, self.at.seconds, values or {}, **fields)

    def _window_event(self) -> Event:
        self._count()
        now = time.monotonic()
        values = {
            "loss": self.at.window_loss / self.at.window_steps,
            "throughput": self._window_images / max(now - self._window_start, 1e-9),
            "learning_rate": self.spec.rate_at(self.at.step - 1, self.total_steps),
        }
        if self.counts.samples:
            values |= {"pulses": float(self.at.pulses), **self.counts.readings()}
        self.counts = UpdateCounts()
        self.at.window_loss, self.at.window_steps = 0.0, 0
        self._window_images, self._window_start = 0, now
        return self._event("step", values)

    def _epoch_values(self) -> dict[str, float]:
        self._mark()
        values = {"train_loss": self.at.epoch_loss / self.at.epoch_seen}
        if self.task == CLASSES:
            values["train_accuracy"] = self.at.epoch_correct / self.at.epoch_seen
        data = self.dataset
        if data.validation_images is not None and data.validation_labels is not None:
            values |= self._measured("validation", data.validation_images, data.validation_labels)
        values |= self._measured("test", data.test_images, data.test_labels)
        return {**values, **health_readings(self.model), **self._costs()}

    def _costs(self) -> dict[str, float]:
        if not self.tiles:
            return {}
        totals = ledger(self.model).totals()
        return {metric: float(totals[name]) for metric, name in COST_METRICS.items()}

    def _measured(self, part: str, inputs: Tensor, wanted: Tensor) -> dict[str, float]:
        found = evaluate(self.model, inputs, wanted, self.task, self._cancelled, self.evaluation_batch)
        return {f"{part}_{name}": value for name, value in found.items()}

    def _results(self, values: dict[str, float]) -> dict[str, float]:
        """Figures of the run so far that are kept with it: the last of each epoch's, pulses and processor time."""
        self._count()
        self._event("step")  # brings the clocks up to date
        kept = {**values, "cpu_seconds": self.at.cpu_seconds}
        if self.at.pulses:
            kept["pulses"] = float(self.at.pulses)
        return kept

    def _diverged(self) -> str:
        return (
            f"the loss is not finite after step {self.at.step}: training diverged; lower the learning rate "
            f"({self.spec.rate_at(self.at.step - 1, self.total_steps):g}) or use a larger granularity"
        )

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _checkpoint(self) -> Event:
        self._last_checkpoint = time.monotonic()
        event = self._event("checkpoint")
        book = ledger(self.model) if self.tiles else None
        return Event(event.kind, event.step, event.epoch, event.seconds, state=self._state(), ledger=book)

    def _state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        self._mark()
        self._count()
        return {
            "format": CHECKPOINT_FORMAT,
            "spec": self.spec.trajectory_digest(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "position": asdict(self.at) | {"counts": asdict(self.counts)},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state.get("format") != CHECKPOINT_FORMAT:
            raise CheckpointError(f"checkpoint format {state.get('format')!r} is not read by this release")
        if state.get("spec") != self.spec.trajectory_digest():
            raise CheckpointError("the checkpoint belongs to a run with other settings; start the run afresh")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["torch_rng"])
            self.at = _Position(**state["position"])
            self.counts = UpdateCounts(**self.at.counts)
            self._counted = UpdateCounts.of(self.tiles)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint does not fit the network: {error}") from None
