"""Analog products, forward and backward, for every recorded periphery setting."""

from __future__ import annotations

import pytest
import torch
from devices.recipes import without_noise
from oracle.recorded import Comparison, load

from tilewright import configs
from tilewright.tile import AnalogTile


@pytest.mark.parametrize("n", [6000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_recorded_products(shared_data, n):
    """n repeats of each vector against 8000 recorded ones."""
    recording = load(shared_data, "forward_backward.json")
    n_out, n_in = recording["shape"]
    weights = torch.tensor(recording["weights"]).reshape(n_out, n_in)
    device = without_noise(configs.ConstantStepDevice, w_max=1.0, w_min=-1.0)
    defaults = configs.IOParameters()
    for name, value in recording["defaults"].items():
        assert getattr(getattr(defaults, name), "value", getattr(defaults, name)) == value, name
    comparison = Comparison()
    for record in recording["records"]:
        io = configs.IOParameters(**record["set"])
        tile = AnalogTile(n_out, n_in, configs.SingleRPUConfig(device=device, forward=io, backward=io), seed=5)
        tile.set_weights(weights)
        assert torch.equal(tile.get_weights(), weights)
        forward = record["direction"] == "forward"
        vectors = torch.tensor(recording["x" if forward else "d"])
        outputs = (tile.forward if forward else tile.backward)(vectors.repeat(n, 1))
        samples = outputs.reshape(n, -1).numpy()
        std = torch.tensor(record["std"]).numpy()
        comparison.add(f"{record['io']} {record['direction']}", samples, record, recording["n"], 0.01 * std)
    comparison.judge()
