"""What a replayed graph does, and that no step waits for the device, shown on the host by recordings of steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from every_cell import CONFIGURATIONS
from gpu.parity import quiet_configuration, quieted
from gpu.recorded import Recording, watched_host
from kernels.digest import DEVICES
from torch import nn

from tilewright import configs
from tilewright.kernels import gpu
from tilewright.nn import AnalogLinear
from tilewright.optim import AnalogSGD

DEVICE = quieted(DEVICES["soft"])
EVERY_BATCH = {"units_in_mbatch": True, "transfer_every": 1.0}
SAMPLES = 6


def named(name: str, **cell: Any) -> Any:
    return configs.build_config(name, DEVICE, construction_seed=3, **({"cell": cell} if cell else {}))


ALIKE = {
    "sgd": named("sgd"),
    "ttv2": named("ttv2", **EVERY_BATCH),
    "c-ttv2": named("c-ttv2", units_in_mbatch=False, transfer_every=2.0, gamma=0.1, auto_scale=True),
    "agad": named("agad", **EVERY_BATCH),
    "mp": named("mp"),
    "tiki-taka": named("tiki-taka", **EVERY_BATCH),
    "tiki-taka, often": named("tiki-taka", units_in_mbatch=False, transfer_every=3.0, n_reads_per_transfer=2),
    "buffered": configs.UnitCellRPUConfig(
        device=configs.BufferedTransferCompound(
            unit_cell_devices=[DEVICE] * 2, thres_scale=0.02, construction_seed=3, **EVERY_BATCH
        )
    ),
    "residual-v2": named("residual-v2", auto_scale=True, **EVERY_BATCH),
    "rider": named("rider", **EVERY_BATCH),
    "one-sided": configs.UnitCellRPUConfig(device=configs.OneSidedUnitCell(unit_cell_devices=[DEVICE])),
    "mp on a pair": configs.DigitalRankUpdateRPUConfig(
        device=configs.MixedPrecisionCompound(device=configs.OneSidedUnitCell(unit_cell_devices=[DEVICE]))
    ),
    "reference": configs.UnitCellRPUConfig(device=configs.ReferenceUnitCell(unit_cell_devices=[DEVICE])),
    "floating point": configs.FloatingPointRPUConfig(),
}


class Training:
    """Steps on inputs that are copied into the same tensors."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimiser = AnalogSGD(model.parameters(), lr=torch.tensor(0.125), fused=True)  # as on a GPU
        self.x = torch.empty(SAMPLES, 20)

    def step(self) -> None:
        self.optimiser.zero_grad()
        (self.model(self.x) ** 2).sum().backward()
        self.optimiser.step()

    def go(self, step: Callable[[], object], numbers: range) -> None:
        """Some steps, each with inputs of its own; the rate falls after the fourth."""
        for number in numbers:
            self.x.copy_(torch.randn(SAMPLES, 20, generator=torch.Generator().manual_seed(number)))
            for group in self.optimiser.param_groups:
                group["lr"].fill_(0.125 if number < 4 else 0.03125)
            step()


@pytest.mark.parametrize("name", ALIKE)
def test_replays_are_steps_like_any_other(name):
    """Four steps, of which the last is recorded, and three replays end where seven steps end, to the last bit."""
    torch.manual_seed(1)
    plain = AnalogLinear(20, 9, rpu_config=ALIKE[name])
    replayed = copy.deepcopy(plain)
    with watched_host() as recordings:
        every = Training(plain.to("cpu"))
        every.go(every.step, range(7))
        training = Training(replayed.to("cpu"))
        training.go(training.step, range(3))
        recording = Recording(replayed)

        def record() -> None:
            recordings.append(recording)
            with recording:
                training.step()
            recordings.clear()

        training.go(record, range(3, 4))
        assert not recording.waits
        training.go(recording.replay, range(4, 7))
        ours, theirs = replayed.state_dict(), plain.state_dict()
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor) and not key.endswith("_extra_state"):
            assert torch.equal(ours[key], value), key
    assert all(
        ours.sent == theirs.sent
        for ours, theirs in zip(
            replayed.tile.cell.pulsed_arrays().values(), plain.tile.cell.pulsed_arrays().values(), strict=True
        )
    )


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_step_waits_for_the_device(name):
    model = AnalogLinear(20, 9, rpu_config=quiet_configuration(CONFIGURATIONS[name]))
    with watched_host() as recordings:
        training = Training(model.to("cpu"))
        training.go(training.step, range(4))
        recording = Recording(model)
        recordings.append(recording)
        with recording:
            training.go(training.step, range(4, 6))
    assert not recording.waits


LAUNCHED = {
    "sgd": {"run": 2},
    "ttv2": {"run": 3, "plan_transfers": 1, "buffer": 1},
    "mp": {"run": 2, "accumulate": 1, "carry": 1},
    "tiki-taka": {"run": 3, "next_lines": 1, "read_lines": 1},
    "residual-v2": {"run": 3, "plan_transfers": 1, "next_lines": 1, "follow": 1},
}


@pytest.mark.parametrize("name", LAUNCHED)
def test_a_step_calls_for_no_kernel_that_only_counts(name):
    """A product, updates, reads and what settles them, where devices do not age."""
    device = DEVICE.model_copy(update={"diffusion": 0.0, "lifetime": 0.0})
    config = configs.build_config(name, device, cell={} if name in ("sgd", "mp") else EVERY_BATCH)
    model = AnalogLinear(20, 9, rpu_config=config)
    with watched_host() as recordings:
        training = Training(model.to("cpu"))
        training.go(training.step, range(3))
        recording = Recording(model)
        recordings.append(recording)
        training.go(training.step, range(3, 4))
    assert recording.launches == LAUNCHED[name]


REFUSED = {
    "every": ("tiki-taka", {"units_in_mbatch": False, "transfer_every": 4.0}, "as many reads"),
    "random lines": ("tiki-taka", {"random_selection": True}, "settled on the CPU"),
    "resets": ("tiki-taka", {"with_reset_prob": 0.1}, "settled on the CPU"),
    "flips": ("e-rider", {}, "settled on the CPU"),
    "adaptive": ("agad", {"experimental_fast_lr_feedback": True}, "experimental options"),
    "few rows": ("mp", {"n_rows_per_transfer": 2}, "every step is alike"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_steps_that_are_not_alike_refuse_to_be_captured(name, monkeypatch):
    algorithm, cell, why = REFUSED[name]
    _refuses(configs.build_config(algorithm, DEVICE, construction_seed=3, cell=cell), why, monkeypatch)


def test_cells_that_are_not_alike_refuse_to_be_captured(monkeypatch):
    turns = configs.VectorUnitCell(unit_cell_devices=[DEVICE] * 2, update_policy="SingleRandom")
    pair = configs.OneSidedUnitCell(unit_cell_devices=[DEVICE], refresh_every=1)
    for cell, why in ((turns, "whose turn"), (pair, "when the next refresh is due")):
        _refuses(configs.UnitCellRPUConfig(device=cell), why, monkeypatch)


def _refuses(config: Any, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AnalogLinear(20, 9, rpu_config=config)
    with watched_host():
        training = Training(model.to("cpu"))
        training.go(training.step, range(3))
        monkeypatch.setattr(gpu, "capturing", lambda like: True)
        with pytest.raises(RuntimeError, match=why):
            training.go(training.step, range(3, 4))
        monkeypatch.undo()
