"""Pulse responses: mean and std over devices of every recorded class and preset."""

from __future__ import annotations

import numpy as np
import pytest
from oracle.recorded import Comparison, load

from tilewright import configs, presets
from tilewright.devices import trace_pulses

# Recorded cases in which ours differs on purpose, each with the reason. None so far: the recorded devices have no
# spread, start inside their bounds and subtract no reference, where the differences lie.
DIFFERENT: dict[str, str] = {}
# Fields without a counterpart here, and the only value they may have in a record.
WITHOUT_COUNTERPART = {"count_pulses": False}


def recorded_class(name: str) -> type:
    return getattr(configs, name, None) or getattr(presets, name)


@pytest.mark.parametrize("n", [10_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_recorded_pulse_responses(shared_data, n):
    """n devices against 2000 recorded ones, spreads at zero, cycle and write noise on."""
    recording = load(shared_data, "pulse_response.json")
    checkpoints = np.array(recording["checkpoints"])
    pulses = np.repeat([1, -1], checkpoints[-1])
    rows = np.concatenate([checkpoints, checkpoints[-1] + checkpoints])
    comparison, compared, left_out, fields = Comparison(digits=5), [], [], {}
    for seed, record in enumerate(recording["records"]):
        if isinstance(record["params"], dict):
            fields[record["case"]] = record["params"]
        if record["case"] in DIFFERENT:
            left_out.append(record["case"])
            continue
        cls = recorded_class(record["cls"])
        known = {k: v for k, v in fields[record["case"]].items() if k in cls.model_fields}
        missing = {k: v for k, v in fields[record["case"]].items() if k not in known}
        unused = {"reverse_offset"}  # where nothing is reversed
        assert all(k in unused or WITHOUT_COUNTERPART[k] == v for k, v in missing.items()), missing
        device = cls(**known)
        traces = trace_pulses(device, pulses, n_traces=n, seed=seed, w0=record["w0"])[rows]
        draws = np.arange(1, len(pulses) + 1)[rows - 1]
        bias = 0.01 * device.dw_min * (device.dw_min_std * draws + getattr(device, "write_noise_std", 0.0))
        comparison.add(f"{record['case']} from {record['start']}", traces.T, record, recording["n_devices"], bias)
        compared.append(record["case"])
    assert set(left_out) == set(DIFFERENT), "every exclusion excludes something"
    assert len(compared) + len(left_out) == len(recording["records"]) > 0
    comparison.judge()
