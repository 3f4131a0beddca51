"""One stochastic update of a 4 x 6 tile for every recorded update setting."""

from __future__ import annotations

import numpy as np
import pytest
from devices.recipes import without_spread
from oracle.recorded import Comparison, load
from oracle.repeats import weight_changes

from tilewright import configs
from tilewright.parameters import ParameterError


@pytest.mark.parametrize("n", [1500, pytest.param(40_000, marks=pytest.mark.slow)])
def test_recorded_updates(shared_data, n):
    """n repeats against 8000 recorded ones."""
    recording = load(shared_data, "stochastic_update.json")
    comparison, refused = Comparison(), []
    for record in recording["records"]:
        device = without_spread(getattr(configs, record["device"]), **record["params"])
        try:
            update = configs.UpdateParameters(**record["update"])
        except ParameterError as error:
            refused.append((record["update"], str(error)))
            continue
        config = configs.SingleRPUConfig(device=device, update=update)
        changes = weight_changes(config, recording["x"], recording["d"], record["w0"], record["lr"], n)
        label = f"{record['device']} {record['params']} {record['update']} lr {record['lr']}"
        comparison.add(label, changes, record, recording["n"], 0.01 * np.array(record["std"]))
    comparison.judge()
    assert [update for update, _ in refused] == [{"fixed_bl": False, "update_bl_management": False}]
    assert "update_management" in refused[0][1], "a growing train under management is refused in words"
