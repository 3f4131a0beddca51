"""Pulse responses: mean and std over devices of every recorded class and preset that exists here."""

from __future__ import annotations

import numpy as np
import pytest
from oracle.recorded import Comparison, load

from tilewright import configs, presets
from tilewright.devices import trace_pulses


def known_class(name: str) -> type | None:
    return getattr(configs, name, None) or getattr(presets, name, None)


@pytest.mark.parametrize("n", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_recorded_pulse_responses(shared_data, n):
    """n devices against 2000 recorded ones, spreads at zero, cycle and write noise on."""
    recording = load(shared_data, "pulse_response.json")
    checkpoints = np.array(recording["checkpoints"])
    pulses = np.repeat([1, -1], checkpoints[-1])
    rows = np.concatenate([checkpoints, checkpoints[-1] + checkpoints])
    comparison, seen, fields = Comparison(digits=5), set(), {}
    for seed, record in enumerate(recording["records"]):
        if isinstance(record["params"], dict):
            fields[record["case"]] = record["params"]
        cls = known_class(record["cls"])
        if cls is None:
            continue
        seen.add(record["case"])
        known = {k: v for k, v in fields[record["case"]].items() if k in cls.model_fields}
        missing = {k: v for k, v in fields[record["case"]].items() if k not in known}
        assert not any(v for k, v in missing.items() if k != "reverse_offset"), f"no counterpart for {missing}"
        device = cls(**known)
        traces = trace_pulses(device, pulses, n_traces=n, seed=seed, w0=record["w0"])[rows]
        draws = np.arange(1, len(pulses) + 1)[rows - 1]
        bias = 0.01 * device.dw_min * (device.dw_min_std * draws + getattr(device, "write_noise_std", 0.0))
        comparison.add(f"{record['case']} from {record['start']}", traces.T, record, recording["n_devices"], bias)
    assert {
        "ConstantStepDevice",
        "ConstantStepDevice/dw0.02",
        "LinearStepDevice",
        "LinearStepDevice/gamma",
        "SoftBoundsDevice",
        "SoftBoundsReferenceDevice",
        "SoftBoundsReferenceDevice/write",
        "CapacitorPresetDevice",
        "ReRamArrayOMPresetDevice",
    } <= seen
    comparison.judge()
