"""F, G and the analog update formula, against single pulses and against the mean of pulsed updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices.recipes import FAMILIES, quiet_devices, without_noise, without_spread
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import devices as oracle
from oracle.statistics import assert_mean

from tilewright import configs
from tilewright.devices import analog_update, response_functions
from tilewright.tile import AnalogTile

# Trains of 8 slots that fire always on one side: a change of k steps is k pulses, and devices do not share their noise.
COUNTED = configs.UpdateParameters(
    pulse_type="MeanCount", desired_bl=8, update_management=False, update_bl_management=False
)


@pytest.mark.parametrize("cls", FAMILIES)
@settings(max_examples=25)
@given(data=st.data())
def test_one_pulse_is_what_the_formula_says(cls, data):
    """A change of one granularity up or down is one pulse of the equations, wherever the device stands."""
    device = data.draw(quiet_devices(cls))
    point = oracle.nominal_crosspoint(device)
    raw = np.linspace(device.w_min, device.w_max, 7)
    for direction in (1, -1):
        expected = [oracle.pulse(point, w, direction) - point.reference for w in raw]
        moved = analog_update(device, raw - point.reference, direction * device.granularity)
        assert np.allclose(moved, expected, rtol=1e-5, atol=1e-6)


def test_q_curves_are_one_where_the_step_is_the_granularity():
    device = without_noise(configs.SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-1.0)
    found = response_functions(device, [-1.0, 0.0, 0.5])
    assert found.q_plus == pytest.approx([2.0, 1.0, 0.5])
    assert found.q_minus == pytest.approx([0.0, 1.0, 1.5])
    assert found.symmetric == pytest.approx([1.0, 1.0, 1.0])
    assert found.asymmetric == pytest.approx([-1.0, 0.0, 0.5])


def test_the_mean_of_pulsed_updates_follows_the_formula():
    """Counted pulses with cycle noise at four weights and six changes; 3000 devices each, 72000 in all."""
    device = without_spread(configs.SoftBoundsDevice, dw_min=0.0005, w_max=0.8, w_min=-0.6, up_down=0.2)
    g = device.granularity
    for start in (-0.4, -0.1, 0.2, 0.5):
        tile = AnalogTile(3000, 6, configs.SingleRPUConfig(device=device, update=COUNTED), seed=3)
        tile.set_weights(torch.full((3000, 6), start))
        wanted = torch.tensor([[8.0, -8.0, 4.0, -4.0, 2.0, -2.0]]) * g
        tile.update(-wanted / (8 * g), torch.ones(1, 3000), 8 * g)
        expected = analog_update(device, start, wanted.numpy()[0])
        moved = tile.get_weights().numpy() - start
        # Steps change along the way by the square of the change: 8 pulses of 5e-4 here.
        assert_mean(moved, expected - start, f"update at {start}", rounding=1.5e-5)
