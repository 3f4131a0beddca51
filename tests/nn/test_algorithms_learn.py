"""Every algorithm fits a small linear map: the loss falls to a stated share of where it began, over three fixed seeds.

The device has about 200 states, cycle noise of 0.3 steps and the usual spread; products go through the usual periphery.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tilewright import configs
from tilewright.nn import AnalogLinear
from tilewright.optim import AnalogSGD

DEVICE = configs.SoftBoundsReferenceDevice(
    dw_min=0.01, w_max=1.0, w_min=-1.0, w_max_dtod=0.1, w_min_dtod=0.1, subtract_symmetry_point=True
)
UPWARDS = configs.ConstantStepDevice(dw_min=0.005, w_max=1.0, w_min=0.0, w_max_dtod=0.1)
QUIET = configs.IOParameters(noise_management="None", bound_management="None", out_noise=0.01, out_bound=2.0)


def pair() -> configs.OneSidedUnitCell:
    return configs.OneSidedUnitCell(
        unit_cell_devices=[UPWARDS], refresh_every=5, refresh_upper_thres=0.5, refresh_lower_thres=0.2
    )


def vector(policy: str) -> configs.UnitCellRPUConfig:
    return configs.UnitCellRPUConfig(
        device=configs.VectorUnitCell(unit_cell_devices=[DEVICE] * 3, update_policy=policy)
    )


SETTLED = {"auto_scale": True, "fast_lr": 0.5, "transfer_lr": 3.0}
# Configuration, learning rate, steps, share of the first loss that must be reached.
REFERENCE = configs.ReferenceUnitCell(unit_cell_devices=[DEVICE])
CASES: dict[str, tuple[Any, float, int, float]] = {
    "sgd": (configs.build_config("sgd", DEVICE), 0.1, 120, 0.15),
    "sgd, 3 devices": (configs.build_config("sgd", DEVICE, n_devices=3), 0.1, 120, 0.3),
    "vector, all": (vector("All"), 0.1, 120, 0.3),
    "vector, in turn": (vector("SingleSequential"), 0.1, 120, 0.3),
    "reference": (configs.UnitCellRPUConfig(device=REFERENCE), 0.1, 120, 0.3),
    "one-sided": (configs.UnitCellRPUConfig(device=pair()), 0.1, 120, 0.3),
    "tiki-taka": (configs.build_config("tiki-taka", DEVICE, cell={"transfer_forward": QUIET}), 0.3, 300, 0.25),
    "buffered": (
        configs.UnitCellRPUConfig(
            device=configs.BufferedTransferCompound(
                unit_cell_devices=[DEVICE, DEVICE], transfer_forward=QUIET, units_in_mbatch=False, transfer_lr=2.0
            )
        ),
        0.2, 200, 0.35,
    ),
    "ttv2": (configs.build_config("ttv2", DEVICE, cell=SETTLED), 0.1, 200, 0.25),
    "c-ttv2": (configs.build_config("c-ttv2", DEVICE, cell=SETTLED), 0.1, 200, 0.4),
    "agad": (configs.build_config("agad", DEVICE, cell=SETTLED), 0.1, 250, 0.25),
    "residual-v2": (configs.build_config("residual-v2", DEVICE), 0.1, 300, 0.25),
    "rider": (configs.build_config("rider", DEVICE), 0.1, 300, 0.25),
    "e-rider": (configs.build_config("e-rider", DEVICE), 0.1, 300, 0.25),
    "multi-tile residual": (configs.build_config("multi-tile-residual", DEVICE, n_devices=3), 0.1, 300, 0.25),
    "mp": (configs.build_config("mp", DEVICE), 0.1, 120, 0.1),
    "mp, quantised": (configs.build_config("mp", DEVICE, cell={"n_x_bins": 5, "n_d_bins": 5}), 0.1, 120, 0.3),
    "mp, pair": (
        configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=pair())), 0.1, 120, 0.1,
    ),
}  # fmt: skip


def losses(config: Any, rate: float, steps: int, seed: int) -> tuple[float, float]:
    """Mean losses of the first 5 and the last 20 steps."""
    torch.manual_seed(seed)
    layer = AnalogLinear(8, 4, bias=False, rpu_config=config)
    optimizer = AnalogSGD(layer.parameters(), lr=rate)
    wanted = torch.rand(4, 8) - 0.5
    layer.set_weights(torch.zeros(4, 8))
    found = []
    for _ in range(steps):
        x = torch.rand(10, 8) * 2 - 1
        loss = ((layer(x) - x @ wanted.T) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return sum(found[:5]) / 5, sum(found[-20:]) / 20


@pytest.mark.parametrize("name", CASES)
def test_the_loss_falls(name):
    config, rate, steps, share = CASES[name]
    results = [losses(config, rate, steps, seed) for seed in (1, 2, 3)]
    before, after = (sum(part) / 3 for part in zip(*results, strict=True))
    assert after < share * before, f"{before:.3f} to {after:.3f}"
