"""Whitening of residuals against a dense Cholesky factor of the covariance it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright import kernels


def covariance(damping, kicks, memory, slow, white):
    """The covariance of walk, slow and white noise, sample by sample."""
    n = len(damping)
    walk = np.zeros((n, n))  # response of sample k to the kick of pulse j
    for j in range(n):
        reach = 1.0
        for k in range(j + 1, n):
            walk[k, j] = reach
            reach *= damping[k]
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return walk @ np.diag(kicks) @ walk.T + slow * memory**lag + white * np.eye(n)


@pytest.mark.parametrize(("memory", "slow"), [(0.0, 0.0), (0.8, 0.5)])
def test_whitened_columns_are_those_of_the_cholesky_factor(memory, slow):
    rng = np.random.default_rng(4)
    damping, kicks = rng.uniform(0, 1, 60), rng.uniform(0, 0.3, 60)
    values = rng.standard_normal((60, 3))
    found, log_determinant = kernels.whiten(damping, kicks, memory, slow, 0.2, values)
    factor = np.linalg.cholesky(covariance(damping, kicks, memory, slow, 0.2))
    np.testing.assert_allclose(found, np.linalg.solve(factor, values), rtol=1e-9, atol=1e-9)
    assert log_determinant == pytest.approx(2 * np.sum(np.log(np.diag(factor))), rel=1e-9)


def test_shapes_that_do_not_belong_together_are_named():
    with pytest.raises(ValueError, match="do not belong together"):
        kernels.whiten(np.ones(3), np.ones(4), 0.0, 0.0, 1.0, np.ones((3, 1)))
