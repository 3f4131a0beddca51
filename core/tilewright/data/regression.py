"""A linear map to be learned: the toy on which algorithms are told apart in seconds.

Inputs are normal, outputs are ``W* x`` with one fixed draw ``W* ~ N(0, 0.3)`` of 20 x 20, clipped to +-0.95: the
setting of Rasch et al., Nat. Commun. 15:7133 (2024), Fig. 4.
"""

from __future__ import annotations

import numpy as np
import torch

from tilewright.data.dataset import Dataset, checksum_of

SIZE = 20
N_TRAIN, N_TEST = 10_000, 1_000
SEED = 20240819


def target_weights() -> torch.Tensor:
    """The map to be learned (outputs, inputs)."""
    draw = np.random.Generator(np.random.PCG64(SEED)).normal(0.0, 0.3, (SIZE, SIZE))
    return torch.from_numpy(np.clip(draw, -0.95, 0.95).astype(np.float32))


def linear_map() -> Dataset:
    """The data set ``linear20``: (samples, 1, 20) inputs, (samples, 20) values."""
    generator = np.random.Generator(np.random.PCG64(SEED + 1))
    inputs = generator.normal(0.0, 1.0, (N_TRAIN + N_TEST, SIZE)).astype(np.float32)
    # In float64 and rounded once, so that the values do not depend on a library's order of summation.
    outputs = (inputs.astype(np.float64) @ target_weights().numpy().astype(np.float64).T).round(9).astype(np.float32)
    images, values = torch.from_numpy(inputs)[:, None, :], torch.from_numpy(outputs)
    return Dataset(
        name="linear20",
        train_images=images[:N_TRAIN],
        train_labels=values[:N_TRAIN],
        test_images=images[N_TRAIN:],
        test_labels=values[N_TRAIN:],
        checksum=checksum_of([inputs, outputs]),
    )
