"""Where kernels for graphics processors can run: on the host, thread after thread either way round, and on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from tilewright.kernels import gpu

MACHINES = ("host", "host, backwards", "cuda")


class Machine:
    """Moves modules and tensors onto the machine and back; work on it happens inside ``running()``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = torch.device("cuda" if name == "cuda" else "cpu")

    @contextmanager
    def running(self) -> Iterator[None]:
        if self.name == "cuda":
            yield
            return
        with gpu.run_on_host(backwards=self.name != "host"):
            yield

    def put(self, thing: Any) -> Any:
        return thing.to(self.device)


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    if request.param == "cuda" and gpu.problem():
        pytest.skip(f"no GPU: {gpu.problem()}")
    return Machine(request.param)


@pytest.fixture
def cuda() -> Machine:
    """A real GPU."""
    if gpu.problem():
        pytest.skip(f"no GPU: {gpu.problem()}")
    return Machine("cuda")
