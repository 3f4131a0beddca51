"""Settings that are said to be unable to learn do fail, and settings nothing is said about learn: on a toy, trained."""

from __future__ import annotations

import pytest
from tests.benchmarks.flagged_settings import accuracy_of, settings, specification

from tilewright.advice import Severity
from tilewright.runs import advise_run

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
