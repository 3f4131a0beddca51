"""What users are told about graphics processors, and the bench of them, run by the host at a size that it can do."""

from __future__ import annotations

import pytest
import torch
from gpu import first_run

from tilewright.bench import cuda
from tilewright.cli import main
from tilewright.configs import SingleRPUConfig
from tilewright.kernels import capabilities, gpu
from tilewright.kernels.gpu import presence
from tilewright.kernels.gpu.architectures import Architectures
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


NEW, OLD = 13000, 12080  # of CUDA


@pytest.mark.parametrize(
    ("code", "capability", "driver", "why"),
    [
        ("90-real", (9, 0), OLD, ""),
        ("80-real", (8, 6), OLD, ""),
        ("86-real", (8, 0), NEW, "no kernels for compute capability 8.0"),
        ("90-real", (10, 0), NEW, "TILEWRIGHT_CUDA_ARCHITECTURES=100"),
        ("75-virtual", (9, 0), NEW, ""),
        ("75-virtual", (9, 0), OLD, "the driver is for CUDA 12.8 and cannot compile what CUDA 13.0 made"),
        ("75-virtual", (7, 0), NEW, "no kernels for compute capability 7.0"),
        ("75-real 80-real 121-virtual", (12, 1), NEW, ""),
        ("80 90", (8, 9), OLD, ""),
        ("80", (9, 0), NEW, ""),
        ("all-major", (9, 0), OLD, ""),
    ],
)
def test_which_devices_the_compiled_code_is_for(code, capability, driver, why):
    problem = Architectures.of(code).problem(*capability, NEW, driver)
    assert why in problem
    assert bool(problem) is bool(why)


def test_architectures_in_words():
    text = str(Architectures.of("75-real 90-real 120-virtual"))
    assert text == "machine code for 7.5, 9.0; code that the driver compiles for 12.0 and newer"


class Compiled:
    """Stands for the compiled module on a machine with one H100."""

    def __init__(self, code: str = "90-real", driver: int = NEW, why: str = "") -> None:
        self._code, self._driver, self._why = code, driver, why

    def toolkit(self) -> str:
        return "CUDA 13.0.88"

    def architectures(self) -> str:
        return self._code

    def versions(self) -> tuple[int, int]:
        return NEW, self._driver

    def devices(self) -> list[tuple[str, int, int]]:
        return [] if self._why else [("NVIDIA H100", 9, 0)]

    def why_no_device(self) -> str:
        return self._why


@pytest.mark.parametrize(
    ("compiled", "torch_cuda", "sees", "said"),
    [
        (None, "13.0", True, "not compiled in: install with nvcc"),
        (Compiled(), None, False, "this PyTorch is built without CUDA"),
        (Compiled(why="no CUDA-capable device is detected"), "13.0", False, "no CUDA-capable device is detected"),
        (Compiled(why="driver version is insufficient", driver=OLD), "12.8", True, "insufficient (kernels by CUDA"),
        (Compiled(), "13.0", False, "does not see the GPU"),
        (Compiled("80-real"), "13.0", True, "no kernels for compute capability 9.0"),
        (Compiled("75-virtual", driver=OLD), "12.8", True, "cannot compile what CUDA 13.0 made"),
        (Compiled(), "13.0", True, ""),
        (Compiled("75-virtual"), "13.0", True, ""),
    ],
)  # fmt: skip
def test_doctor_says_why_a_gpu_cannot_be_used(monkeypatch, compiled, torch_cuda, sees, said):
    monkeypatch.setattr(presence, "compiled", compiled)
    monkeypatch.setattr(torch.version, "cuda", torch_cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees)
    problem, line = gpu.problem(), gpu.describe()
    assert said in problem
    assert bool(problem) is bool(said)
    assert problem in line
    if compiled is not None and not said:
        assert "devices: NVIDIA H100 (compute capability 9.0); driver for CUDA 13.0" in line
    if said.startswith("no kernels"):
        assert "9.0, no kernels for it)" in line


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
    assert all(row.fraction > 0 and row.launched > 0 for row in rows[:-1])
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
