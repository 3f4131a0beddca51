"""More devices than fit into memory pulse by pulse: last weights and streaming statistics are those of the traces."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.devices import trace_pulses, trace_statistics, tracing
from tilewright.presets import EcRamPresetDevice, TutorialRRAMPresetDevice

PULSES = [1] * 40 + [-1] * 20 + [2, 0, -3]


@pytest.mark.parametrize("cls", [TutorialRRAMPresetDevice, EcRamPresetDevice])
@pytest.mark.parametrize("w0", [None, 0.1])
def test_the_final_weights_are_the_last_row(cls, w0):
    every = trace_pulses(cls(), PULSES, n_traces=333, seed=4, w0=w0)
    final = trace_pulses(cls(), PULSES, n_traces=333, seed=4, w0=w0, keep="final")
    np.testing.assert_array_equal(final, every[-1])


@pytest.mark.parametrize("held", [1, 64 * 20, 10**6])
def test_statistics_are_those_of_the_traces_however_few_are_held(held, monkeypatch):
    monkeypatch.setattr(tracing, "TRACED_VALUES", held)
    device = TutorialRRAMPresetDevice()
    traces = trace_pulses(device, PULSES, n_traces=333, seed=4)
    found = trace_statistics(device, PULSES, n_traces=333, seed=4)
    np.testing.assert_array_equal(found.final, traces[-1])
    np.testing.assert_array_equal(found.lowest, traces.min(axis=1))
    np.testing.assert_array_equal(found.highest, traces.max(axis=1))
    np.testing.assert_allclose(found.mean, traces.mean(axis=1, dtype=float), atol=1e-6)
    np.testing.assert_allclose(found.std, traces.std(axis=1, dtype=float), rtol=1e-5)


def test_what_to_keep_is_checked():
    with pytest.raises(ValueError, match="keep must be 'all' or 'final', found 'last'"):
        trace_pulses(EcRamPresetDevice(), [1], keep="last")


@pytest.mark.slow
def test_a_million_devices_for_400_pulses():
    """Traces of 1.6 GB in a tenth of that: peak resident memory grows by under 200 MB."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = trace_statistics(EcRamPresetDevice(), [1] * 200 + [-1] * 200, n_traces=1_000_000)
    assert found.final.shape == (1_000_000,)
    assert np.all(np.isfinite(found.mean))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024
