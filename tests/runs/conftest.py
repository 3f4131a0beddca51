from __future__ import annotations

import pytest

from tilewright.runs import RunStore


@pytest.fixture
def store(tmp_path):
    opened = RunStore(tmp_path / "workspace")
    yield opened
    opened.close()
