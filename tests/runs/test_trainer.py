from __future__ import annotations

import copy
import dataclasses
import io

import pytest
import torch
from every_cell import CONFIGURATIONS
from torch import nn

from runs.recipes import ALGORITHMS, same_state, small_spec
from tilewright.cells import cell, chopped_transfer, line_transfer
from tilewright.configs import build_config
from tilewright.data import load_dataset
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import CheckpointError, DropSchedule, Perceptron, train, trainer
from tilewright.runs.checkpoints import load_checkpoint, save_checkpoint
from tilewright.runs.trainer import epoch_order


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits8x8")


def metrics(events):
    """What the events say, without what depends on the clock."""
    return [
        (e.kind, e.step, {k: v for k, v in e.values.items() if k != "throughput"})
        for e in events
        if e.kind in ("step", "epoch")
    ]


def test_a_digital_run_learns_and_reports(digits):
    events = list(train(small_spec(epochs=3), digits))
    kinds = [event.kind for event in events]
    assert kinds[0] == "started"
    assert kinds[-1] == "finished"
    assert kinds.count("epoch") == 3
    assert events[-1].step == 3 * 287 == events[0].values["total_steps"]
    epochs = [event for event in events if event.kind == "epoch"]
    assert epochs[-1].values["test_accuracy"] > 0.85  # about 0.93; chance is 0.1
    assert epochs[-1].values["train_loss"] < 0.5 * epochs[0].values["train_loss"]
    steps = [event for event in events if event.kind == "step"]
    assert 400 <= len(steps) <= 500
    assert all(set(event.values) == {"loss", "throughput", "learning_rate"} for event in steps)
    assert events[-1].seconds > 0


def test_the_loop_is_plain_sgd(digits):
    """Against a loop written out with torch alone: same initial weights, same order, same steps."""
    spec = small_spec(epochs=1, learning_rate=0.1, lr_schedule=DropSchedule(drop=0.5, after=0.5))
    trained = list(train(spec, digits))[-1].model
    torch.manual_seed(spec.seeds.weights)
    model = spec.network.build()
    order = epoch_order(spec.seeds.data, 0, 1433)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(287):
        if step == 144:  # the first step past half of them
            optimizer.param_groups[0]["lr"] = 0.05
        batch = order[5 * step : 5 * step + 5]
        optimizer.zero_grad()
        nn.functional.nll_loss(model(digits.train_images[batch]), digits.train_labels[batch]).backward()
        optimizer.step()
    assert same_state(model.state_dict(), trained.state_dict())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_seeds_repeat_a_run_bit_for_bit(digits, algorithm):
    spec = small_spec(algorithm, epochs=1, train_limit=200)
    first, second = list(train(spec, digits)), list(train(copy.deepcopy(spec), digits))
    assert metrics(first) == metrics(second)
    assert same_state(first[-1].model.state_dict(), second[-1].model.state_dict())
    other = copy.deepcopy(spec)
    other.seeds.data += 1
    assert metrics(list(train(other, digits))) != metrics(first)


@pytest.mark.parametrize("stop_at", [1, 37, 77])
def test_a_run_can_stop_anywhere(digits, tmp_path, stop_at):
    """Interrupted in the first epoch, right after an epoch's first step, and in the middle of the last one."""
    check_resumed_run(small_spec("c-ttv2", epochs=3, train_limit=180, learning_rate=0.1), digits, tmp_path, stop_at)


@pytest.mark.parametrize("name", ["digital", *CONFIGURATIONS])
def test_every_cell_resumes_in_the_middle_of_an_epoch_bit_for_bit(digits, tmp_path, name):
    spec = small_spec(
        rpu_config=CONFIGURATIONS.get(name), epochs=2, train_limit=40, learning_rate=0.1,
        network=Perceptron(layer_sizes=[64, 8, 10]),
    )  # fmt: skip
    check_resumed_run(spec, digits, tmp_path, stop_at=11)


def check_resumed_run(spec, digits, tmp_path, stop_at):
    """The same metrics and the same state as without the interruption, bit for bit."""
    whole = list(train(spec, digits))
    before, path = [], tmp_path / "checkpoint.pt"
    for event in train(spec, digits, cancelled=lambda: False, checkpoint_seconds=0.0):
        before.append(event)
        if event.kind == "checkpoint" and event.step >= stop_at:
            save_checkpoint(path, event.state)
            break  # as a process that dies here: nothing but the file is left
    torch.manual_seed(999)  # whatever else the new process did
    after = list(train(copy.deepcopy(spec), digits, resume=load_checkpoint(path)))
    assert metrics(before) + metrics(after) == metrics(whole)
    assert same_state(after[-1].model.state_dict(), whole[-1].model.state_dict())


def test_cancelling_during_the_evaluation_loses_nothing(digits):
    spec = small_spec(epochs=2, train_limit=50, batch_size=50)  # one step an epoch: the second look is the evaluation's
    whole = list(train(spec, digits))
    looks = iter([False, True])
    part = list(train(spec, digits, cancelled=lambda: next(looks)))
    assert [event.kind for event in part] == ["started", "step", "checkpoint", "cancelled"]
    rest = list(train(spec, digits, resume=part[-2].state))
    assert metrics(part) + metrics(rest) == metrics(whole)


def test_measuring_accuracy_does_not_disturb_training(digits):
    """With noisy tiles: the state after an epoch is the same whether or not the evaluation took place."""
    spec = small_spec("ttv2", epochs=1, train_limit=50, batch_size=50)
    evaluated = [event.state for event in train(spec, digits) if event.kind == "checkpoint"][-1]
    looks = iter([False, True])
    skipped = [e.state for e in train(spec, digits, cancelled=lambda: next(looks)) if e.kind == "checkpoint"][-1]
    assert same_state(evaluated["model"], skipped["model"])


@pytest.mark.parametrize("algorithm", ["sgd", "mp", "agad", "tiki-taka"])
def test_a_long_step_is_given_up_and_done_again_bit_for_bit(digits, algorithm, monkeypatch):
    """The wish to stop comes at a question asked within a step, between tiles or parts of a batch."""
    monkeypatch.setattr(trainer, "LONG_STEP", 0.0)
    monkeypatch.setattr(trainer, "CANCEL_CHECK", 0.0)
    for module in (cell, line_transfer, chopped_transfer):
        monkeypatch.setattr(module, "VECTORS_AT_ONCE", 50)
    within, step = [], trainer._Training._step

    def watched(self, index):
        within.append(self.at.step)
        loss = step(self, index)
        within.clear()
        return loss

    monkeypatch.setattr(trainer._Training, "_step", watched)
    spec = small_spec(epochs=2, batch_size=240, rpu_config=build_config(algorithm, TutorialRRAMPresetDevice()))
    whole = list(train(spec, digits))
    for question in (1, 2, 5):
        left = [question]

        def wanted(left=left):
            left[0] -= bool(within)
            return left[0] <= 0

        part = list(train(spec, digits, cancelled=wanted))
        assert [event.kind for event in part][-2:] == ["checkpoint", "cancelled"]
        assert within == [part[-1].step], "given up in the middle of a step"
        assert 0 < part[-1].step < whole[-1].step
        within.clear()
        rest = list(train(spec, digits, resume=part[-2].state))
        assert same_state(rest[-1].model.state_dict(), whole[-1].model.state_dict())
        assert metrics(part) + metrics(rest) == metrics(whole)


def test_a_cancelled_run_ends_with_a_checkpoint_and_says_so(digits):
    events = list(train(small_spec(epochs=1000), digits, cancelled=lambda: True))
    assert [event.kind for event in events][-2:] == ["checkpoint", "cancelled"]
    assert events[-1].step < 287 * 1000


def test_a_run_that_diverges_fails_with_advice(digits):
    too_large = dataclasses.replace(digits, train_images=digits.train_images * 1e38)
    spec = small_spec(network=Perceptron(layer_sizes=[64, 16, 10], activation="ReLU"))
    events = list(train(spec, too_large))
    assert events[-1].kind == "failed"
    assert "lower the learning rate" in events[-1].message


def test_train_limit_draws_images_at_random_once(digits):
    spec = small_spec(epochs=2, train_limit=40, batch_size=40)
    events = list(train(spec, digits))
    assert events[-1].step == 2
    # Not the first forty of the file: those hold each class four times by construction.
    chosen = epoch_order(spec.seeds.data, 2**32 - 1, 1433)[:40]
    assert len(set(chosen.tolist())) == 40
    assert chosen.max() > 40


def test_the_order_of_images_follows_from_seed_and_epoch_alone():
    first = epoch_order(1, 0, 1000)
    torch.manual_seed(77)
    assert torch.equal(first, epoch_order(1, 0, 1000))
    assert sorted(first.tolist()) == list(range(1000))
    others = {tuple(epoch_order(seed, epoch, 1000).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(others) == 25


def test_a_checkpoint_of_another_run_is_refused(digits):
    state = next(e.state for e in train(small_spec(epochs=1), digits) if e.kind == "checkpoint")
    with pytest.raises(CheckpointError, match="other settings"):
        next(train(small_spec(epochs=1, learning_rate=0.3), digits, resume=state))
    with pytest.raises(CheckpointError, match="format 99"):
        next(train(small_spec(epochs=1), digits, resume=state | {"format": 99}))
    del state["position"]["batch"], state["model"]["1.weight"]
    with pytest.raises(CheckpointError, match="does not fit"):
        next(train(small_spec(epochs=1), digits, resume=state))


def test_checkpoint_files_hold_no_code_and_are_checked(digits, tmp_path):
    state = next(e.state for e in train(small_spec("ttv2", epochs=1, train_limit=20), digits) if e.kind == "checkpoint")
    path = tmp_path / "checkpoint.pt"
    saved = save_checkpoint(path, state)
    assert same_state(load_checkpoint(path, saved.sha256)["model"], state["model"])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="have changed"):
        load_checkpoint(path, saved.sha256)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)

    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    buffer = io.BytesIO()
    torch.save({"format": 1, "model": Harmful()}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)
    assert not (tmp_path / "executed").exists()
