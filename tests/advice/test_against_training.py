"""Settings that are said to be unable to learn do fail, and settings nothing is said about learn: on a toy, trained."""

from __future__ import annotations

import pytest
from tests.benchmarks.flagged_settings import accuracy_of, settings, specification

from tilewright.advice import Severity
from tilewright.configs import SoftBoundsDevice
from tilewright.runs import advise_run, recommend

CHOSEN = {name: (config, rate) for name, config, rate in settings()}
LEARN = ["CapacitorPreset", "EcRamPreset", "EcRamMOPreset", "IdealizedPreset", "GokmenVlasovPreset"]
FAIL = [
    "ReRamArrayOMPreset", "ReRamArrayHfO2Preset", "TTv2IdealizedPreset", "TTv2EcRamMOPreset",
    "TTv2, tutorial device, granularity 10000", "TTv2, tutorial device, granularity 100000", "AGADCapacitorPreset",
]  # fmt: skip


def outcome(name):
    """Severities of what is said, and the accuracy after three epochs."""
    spec = specification(*CHOSEN[name], seed=1, epochs=3)
    return {item.finding.severity for item in advise_run(spec)}, accuracy_of(spec)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARN)
def test_settings_nothing_is_said_about_learn(name):
    said, accuracy = outcome(name)
    assert said == set()
    assert accuracy > 0.85  # 0.93 and more seen; chance is 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", FAIL)
def test_settings_that_cannot_learn_do_not(name):
    said, accuracy = outcome(name)
    assert Severity.CANNOT_LEARN in said
    assert accuracy < 0.5  # 0.12 to 0.37 seen; floating point reaches 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("up_down", "severity", "least", "most"), [(0.52, "poor", 0.6, 0.9), (0.75, "cannot learn", 0, 0.3)]
)
def test_the_grade_of_an_offset_is_what_training_shows(up_down, severity, least, most):
    """TTv2 with devices whose steps cancel far off 0: 0.75 to 0.76 and 0.09 to 0.11 seen (two seeds, four epochs)."""
    device = SoftBoundsDevice(
        dw_min=0.01, up_down=up_down, w_max=1.0, w_min=-1.0, dw_min_dtod=0.1, dw_min_std=0.3, up_down_dtod=0.0,
        w_max_dtod=0.0, w_min_dtod=0.0, write_noise_std=0.0,
    )  # fmt: skip
    spec = specification(recommend("ttv2", device).rpu_config, 0.1, seed=1, epochs=4)
    said = [item.finding.severity.value for item in advise_run(spec) if "offset" in item.finding.check]
    assert set(said) == {severity}
    assert least <= accuracy_of(spec) <= most
