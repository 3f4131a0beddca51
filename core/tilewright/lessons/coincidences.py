"""Multiplying by chance: how many pulses of two random trains meet at a crosspoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from tilewright.configs import ConstantStepDevice, SingleRPUConfig, UpdateParameters
from tilewright.tile import AnalogTile

STEP = 1e-3


def coincidences(x: float, d: float, length: int, repeats: int = 500, seed: int = 1) -> NDArray[np.int64]:
    """Pulses that a crosspoint got in each of many updates with the same input and error.

    Args:
        x: probability of a pulse on the input line in each slot, 0 to 1.
        d: probability of a pulse on the error line, 0 to 1.
        length: slots of a train.
        repeats: updates.
        seed: of the trains.

    Returns:
        Number of coincidences (repeats,), 0 to ``length``. Source: Gokmen and Vlasov, Front. Neurosci. 10:333 (2016).
    """
    device = ConstantStepDevice(
        dw_min=STEP, dw_min_std=0.0, dw_min_dtod=0.0, up_down_dtod=0.0, w_max=1e6, w_min=-1e6, w_max_dtod=0.0,
        w_min_dtod=0.0,
    )  # fmt: skip
    update = UpdateParameters(desired_bl=length, update_bl_management=False, update_management=False)
    with torch.no_grad():
        tile = AnalogTile(1, 1, SingleRPUConfig(device=device, update=update), seed=seed)
        weights = [0.0]
        for _ in range(repeats):
            tile.update(torch.tensor([[float(x)]]), torch.tensor([[-float(d)]]), STEP * length)
            weights.append(float(tile.get_weights()[0, 0]))
    return np.rint(np.diff(weights) / STEP).astype(np.int64)


def pulse_probabilities(x: float, d: float, length: int) -> NDArray[Any]:
    """Probability of 0 to ``length`` coincidences (length + 1,): binomial, with chance ``x d`` in each slot."""
    return np.asarray(stats.binom.pmf(np.arange(length + 1), length, x * d))
