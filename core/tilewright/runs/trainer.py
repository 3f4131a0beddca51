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

from tilewright.data import Dataset, load_dataset
from tilewright.ledger import Ledger, count_pulses, ledger
from tilewright.runs.health import health_readings, last_pulses, tiles_of
from tilewright.runs.spec import RunSpec, build_network, check_data

CHECKPOINT_FORMAT = 1
POINTS_PER_RUN = 400  # values of each step metric, whatever the length of the run
CANCEL_CHECK = 0.05  # seconds between looks at the cancel flag
EVALUATION_BATCH = 500
# Sums over all tiles since the start of the run, once per epoch; slots and operations by the published accounting.
COST_METRICS = {"line_reads": "line_reads", "update_slots": "slots", "digital_operations": "digital"}

EventKind = Literal["started", "step", "epoch", "checkpoint", "finished", "failed", "cancelled"]


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run. The message says which and what to do."""


@dataclass(frozen=True)
class Event:
    """What has just happened.

    ``step`` counts optimiser steps done, ``epoch`` passes begun, ``seconds`` the time spent training. ``values`` are
    metrics: every so many steps ``loss`` (mean since the last one), ``throughput`` (images per second),
    ``learning_rate`` and, where the algorithm counts them, ``pulses`` (in all so far); per epoch ``train_loss``,
    ``train_accuracy`` (over the epoch, as it trained), ``test_loss``, ``test_accuracy``, health readings and, for a
    network on tiles, the sums of the ledger so far (``COST_METRICS``); ``total_steps`` when started. ``state`` comes
    with ``checkpoint`` and has to be saved before the next event is asked for, and with it the ``ledger`` of all tiles
    at that moment; ``model`` comes with ``finished``.
    """

    kind: EventKind
    step: int
    epoch: int
    seconds: float
    values: dict[str, float] = field(default_factory=dict)
    message: str = ""
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
    seconds: float = 0.0


def train(
    spec: RunSpec,
    dataset: Dataset | None = None,
    resume: dict[str, Any] | None = None,
    cancelled: Callable[[], bool] | None = None,
    checkpoint_seconds: float = 20.0,
) -> Iterator[Event]:
    """Train a network; yields events as it goes and trains only while they are asked for.

    Args:
        spec: what to train.
        dataset: the images, when already loaded.
        resume: the ``state`` of a ``checkpoint`` event of the same run.
        cancelled: asked every 50 ms; True ends the run after a last checkpoint.
        checkpoint_seconds: time between checkpoints; one is also made at the end of each epoch.

    Reseeds torch's generator. Raises ``DataError``, ``ParameterError`` or :class:`CheckpointError` before the first
    step when the run cannot begin; a loss that is not finite ends it with a ``failed`` event.
    """
    dataset = dataset or load_dataset(spec.data.name, spec.data.folder or None)
    check_data(spec, dataset)
    spec = copy.deepcopy(spec)
    spec.data.checksum = dataset.checksum
    yield from _Training(spec, dataset, resume, cancelled or (lambda: False), checkpoint_seconds).events()


def epoch_order(seed: int, epoch: int, n: int) -> Tensor:
    """Order in which the images are taken in an epoch; a function of its arguments alone."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    generator = torch.Generator().manual_seed(int(state[0]) << 31 ^ int(state[1]))
    return torch.randperm(n, generator=generator)


def make_optimizer(model: nn.Module, spec: RunSpec) -> torch.optim.Optimizer:
    """Plain SGD for a digital network, :class:`tilewright.optim.AnalogSGD` for one with tiles."""
    if spec.rpu_config is None:
        return torch.optim.SGD(model.parameters(), lr=spec.learning_rate)
    from tilewright.optim import AnalogSGD

    optimizer: torch.optim.Optimizer = AnalogSGD(model.parameters(), lr=spec.learning_rate)
    return optimizer


class _Cancelled(Exception):
    """Ends an evaluation that is no longer wanted."""


class _Training:
    def __init__(
        self,
        spec: RunSpec,
        dataset: Dataset,
        resume: dict[str, Any] | None,
        cancelled: Callable[[], bool],
        checkpoint_seconds: float,
    ) -> None:
        self.spec = spec
        self.dataset = dataset
        self.checkpoint_seconds = checkpoint_seconds
        self.n_train = spec.n_train(len(dataset.train_labels))
        self.batches = spec.steps_per_epoch(len(dataset.train_labels))
        self.total_steps = self.batches * spec.epochs
        self.log_every = max(1, self.total_steps // POINTS_PER_RUN)
        self.subset = self._chosen_images()
        self.model = build_network(spec)
        self.optimizer = make_optimizer(self.model, spec)
        self.tiles = tiles_of(self.model)
        count_pulses(self.model)
        self.at = _Position()
        if resume is not None:
            self._restore(resume)
        self._cancelled = cancelled
        self._clock = self._next_look = self._window_start = self._last_checkpoint = time.monotonic()
        self._window_images = 0
        self._counts_pulses = False

    def _chosen_images(self) -> Tensor | None:
        available = len(self.dataset.train_labels)
        if self.n_train == available:
            return None
        # Epochs count from 0, so this draw is none of theirs.
        return epoch_order(self.spec.seeds.data, 2**32 - 1, available)[: self.n_train]

    # --- the loop -----------------------------------------------------------------------------------------------------

    def events(self) -> Iterator[Event]:
        yield self._event("started", {"total_steps": float(self.total_steps), "log_every": float(self.log_every)})
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
            loss = self._step(order[first : first + self.spec.batch_size])
            if not math.isfinite(loss):
                yield self._event("failed", message=self._diverged())
                return
            if self.at.step % self.log_every == 0 or self.at.step == self.total_steps:
                yield self._window_event()
            now = time.monotonic()
            if now - self._last_checkpoint >= self.checkpoint_seconds and self.at.batch < self.batches:
                yield self._checkpoint()
            if now >= self._next_look:
                self._next_look = now + CANCEL_CHECK
                if self._cancelled():
                    yield self._checkpoint()
                    yield self._event("cancelled", message="cancelled")
                    return
        try:
            values = self._epoch_values()
        except _Cancelled:
            yield self._checkpoint()
            yield self._event("cancelled", message="cancelled")
            return
        yield self._event("epoch", values)
        self.at.epoch, self.at.batch = self.at.epoch + 1, 0
        self.at.epoch_loss, self.at.epoch_correct, self.at.epoch_seen = 0.0, 0, 0
        yield self._checkpoint()

    def _step(self, index: Tensor) -> float:
        images, labels = self.dataset.train_images[index], self.dataset.train_labels[index]
        rate = self.spec.rate_at(self.at.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        output = self.model(images)
        loss = nn.functional.nll_loss(output, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        value = loss.item()
        at, count = self.at, len(index)
        at.step, at.batch = at.step + 1, at.batch + 1
        at.window_loss, at.window_steps = at.window_loss + value, at.window_steps + 1
        at.epoch_loss, at.epoch_seen = at.epoch_loss + value * count, at.epoch_seen + count
        at.epoch_correct += int((output.argmax(dim=1) == labels).sum())
        pulses = last_pulses(self.tiles)
        self._counts_pulses = pulses is not None
        at.pulses += pulses or 0
        self._window_images += count
        return value

    # --- what events carry --------------------------------------------------------------------------------------------

    def _event(self, kind: EventKind, values: dict[str, float] | None = None, **fields: Any) -> Event:
        now = time.monotonic()
        self.at.seconds, self._clock = self.at.seconds + now - self._clock, now
        epoch = min(self.at.epoch + 1, self.spec.epochs)
        return Event(kind, self.at.step, epoch, self.at.seconds, values or {}, **fields)

    def _window_event(self) -> Event:
        now = time.monotonic()
        values = {
            "loss": self.at.window_loss / self.at.window_steps,
            "throughput": self._window_images / max(now - self._window_start, 1e-9),
            "learning_rate": self.spec.rate_at(self.at.step - 1, self.total_steps),
        }
        if self._counts_pulses:
            values["pulses"] = float(self.at.pulses)
        self.at.window_loss, self.at.window_steps = 0.0, 0
        self._window_images, self._window_start = 0, now
        return self._event("step", values)

    def _epoch_values(self) -> dict[str, float]:
        test_loss, test_accuracy = self._evaluate()
        return {
            "train_loss": self.at.epoch_loss / self.at.epoch_seen,
            "train_accuracy": self.at.epoch_correct / self.at.epoch_seen,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            **health_readings(self.model),
            **self._costs(),
        }

    def _costs(self) -> dict[str, float]:
        if not self.tiles:
            return {}
        totals = ledger(self.model).totals()
        return {metric: float(totals[name]) for metric, name in COST_METRICS.items()}

    def _evaluate(self) -> tuple[float, float]:
        model = copy.deepcopy(self.model).eval()
        images, labels = self.dataset.test_images, self.dataset.test_labels
        loss, correct = 0.0, 0
        with torch.no_grad():
            for first in range(0, len(labels), EVALUATION_BATCH):
                if self._cancelled():
                    raise _Cancelled
                wanted = labels[first : first + EVALUATION_BATCH]
                output = model(images[first : first + EVALUATION_BATCH])
                loss += nn.functional.nll_loss(output, wanted, reduction="sum").item()
                correct += int((output.argmax(dim=1) == wanted).sum())
        return loss / len(labels), correct / len(labels)

    def _diverged(self) -> str:
        return (
            f"the loss is not finite after step {self.at.step}: training diverged; lower the learning rate "
            f"({self.spec.rate_at(self.at.step - 1, self.total_steps):g}) or use a larger granularity"
        )

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _checkpoint(self) -> Event:
        self._last_checkpoint = time.monotonic()
        event = self._event("checkpoint")
        state = {
            "format": CHECKPOINT_FORMAT,
            "spec": self.spec.digest(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "position": asdict(self.at),
        }
        book = ledger(self.model) if self.tiles else None
        return Event(event.kind, event.step, event.epoch, event.seconds, state=state, ledger=book)

    def _restore(self, state: dict[str, Any]) -> None:
        if state.get("format") != CHECKPOINT_FORMAT:
            raise CheckpointError(f"checkpoint format {state.get('format')!r} is not read by this release")
        if state.get("spec") != self.spec.digest():
            raise CheckpointError("the checkpoint belongs to a run with other settings; start the run afresh")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["torch_rng"])
            self.at = _Position(**state["position"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint does not fit the network: {error}") from None
