"""What users are told about graphics processors, and the bench of them, run by the host at a size that it can do."""

from __future__ import annotations

import pytest
import torch
from gpu import first_run

from tilewright.bench import cuda
from tilewright.cli import main
from tilewright.configs import SingleRPUConfig
from tilewright.kernels import capabilities, gpu
from tilewright.tile import AnalogTile


def test_doctor_says_what_is_compiled_in_and_why_there_is_no_device(capsys, tmp_path):
    assert main(["doctor", "--workspace", str(tmp_path)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cuda")]
    found = gpu.state()
    assert ("not yet run on a GPU" in line) is found["compiled"]
    if found["problem"]:
        assert found["problem"] in line
    else:
        assert found["devices"][0] in line
    assert capabilities()["cuda"] in line
    assert ("cuda" in capabilities()["backends"]) is not bool(found["problem"])


@pytest.mark.skipif(not gpu.problem(), reason="there is a GPU")
def test_without_a_gpu_tiles_stay_and_say_why():
    tile = AnalogTile(3, 4, SingleRPUConfig())
    with pytest.raises(RuntimeError, match="cannot move to cuda"):
        tile._check_move(torch.device("cuda"))
    with pytest.raises(RuntimeError, match="cannot move to meta"):
        tile.to("meta")
    with pytest.raises(RuntimeError, match="nothing to time"):
        cuda.measure()


def test_the_bench_counts_and_prints():
    host = torch.device("cpu")
    with gpu.run_on_host():
        limits = cuda.limits_of(host, megabytes=1, side=64)
        rows = cuda.tile_rows(host, limits, [40], [1, 3], repeats=1)
        rows += cuda.training_rows(host, [5], images=10, layers=(12, 8, 4))
    assert [row.name for row in rows][:3] == [f"{name} 40 x 40, B = 1" for name in ("forward", "backward", "update")]
    assert all(row.fraction > 0 for row in rows[:-1])
    state = {"devices": ["a device"], "architectures": "75", "toolkit": "CUDA"}
    found = {"device": state, "torch": "2", "limits": vars(limits), "rows": [vars(row) for row in rows]}
    table = cuda.text(found)
    assert table.count("\n| ") == len(rows) + 2
    assert "launched" in table


def test_the_first_run_compares_every_kernel(capsys, monkeypatch):
    assert first_run.main(["--host"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.endswith(": agrees")]) == len(lines) - 2 > 50
    monkeypatch.setattr(first_run, "work", lambda tile, put, rounds: [torch.rand(3)])
    assert first_run.main(["--host", "--only", "cells, sgd"]) == 1
    assert "cells, sgd: differs, result 0: 3 of 3 differ, by at most 0." in capsys.readouterr().out


@pytest.mark.skipif(not gpu.problem(), reason="there is a GPU")
def test_the_first_run_says_why_it_does_nothing(capsys):
    assert first_run.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"skipped: no GPU: {gpu.problem()}"
