"""Every device class is found again from its own noise-free response, from default first guesses."""

from __future__ import annotations

import pytest
from truths import NAMES, TRUTHS, fitted_to, noise_free, value_of


@pytest.mark.parametrize("name", list(TRUTHS))
def test_noise_free_recovery_within_a_thousandth(name):
    fit = fitted_to(name, noise_free(name))
    device = TRUTHS[name][0]
    for field in NAMES[name]:
        assert value_of(fit.device, field) == pytest.approx(value_of(device, field), rel=1e-3), field
    assert fit.rms < 1e-4
