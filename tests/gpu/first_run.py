"""What to run first on a machine with a GPU: every kernel once beside the processor, in a minute or two.

    python tests/gpu/first_run.py [--only WORD] [--host]

Prints a line for each check: whether it agrees, by how much it does not, and the seconds it took; what comes first is
simplest, and the run stops where the GPU itself fails. Where there is no GPU it says why and does nothing; ``--host``
runs the same checks with the kernels' threads on the host. Ends with status 0 if all agree, or there is no GPU.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parents[1])]

from every_cell import CONFIGURATIONS  # noqa: E402
from gpu.conftest import Machine  # noqa: E402
from gpu.parity import quiet_configuration, quieted, tile_of, work  # noqa: E402
from kernels.digest import DEVICES, PERIPHERIES, SHAPE, UPDATES, batch  # noqa: E402

from tilewright import configs, kernels  # noqa: E402
from tilewright.devices import trace_pulses  # noqa: E402
from tilewright.kernels import gpu  # noqa: E402
from tilewright.nn import AnalogLinear, capture_step  # noqa: E402
from tilewright.optim import AnalogSGD  # noqa: E402
from tilewright.tile import AnalogTile  # noqa: E402

Check = Callable[[], str]  # what is wrong, in words; empty where nothing is


def difference(ours: list[Tensor], theirs: list[Tensor]) -> str:
    """How results differ from those of the processor."""
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        a, b = a.detach().cpu(), b.detach().cpu()
        differ = (a != b) & ~(a.isnan() & b.isnan())
        if bool(differ.any()):
            largest = float((a.double() - b.double())[differ].abs().max())
            return f"result {number}: {int(differ.sum())} of {a.numel()} differ, by at most {largest:.3g}"
    return ""


def on_both(tile: AnalogTile, machine: Machine, rounds: int = 2) -> str:
    """Products, updates and time, on the processor and on the machine."""
    other = copy.deepcopy(tile)
    expected = work(tile, lambda tensor: tensor, rounds)
    with machine.running():
        found = work(machine.put(other), machine.put, rounds)
    return difference(found, expected)


def fields(machine: Machine) -> str:
    """Random numbers, and sums of outer products."""
    x, d, sums = torch.randn(600, 70), torch.randn(600, 50), torch.zeros(2, 50, 70)
    expected = [kernels.normal_field((3, 300), 8, 5), kernels.uniform_field((3, 300), 8, 5), sums[0]]
    kernels.accumulate_outer(sums[0], x, d, 0.3)
    with machine.running():
        like, placed = machine.put(torch.empty(1)), machine.put(sums[1])
        found = [gpu.field((3, 300), 8, 5, like), gpu.field((3, 300), 8, 5, like, uniform=True), placed]
        kernels.accumulate_outer(placed, machine.put(x), machine.put(d), 0.3)
    return difference(found, expected)


def spoiled(machine: Machine) -> str:
    """Samples with an input that is no number."""
    tile, (x, _) = tile_of(quieted(DEVICES["soft"])), batch(np.random.default_rng(2))
    x[2, 5] = float("nan")
    other, expected = copy.deepcopy(tile), tile.forward(x)
    with machine.running():
        found = machine.put(other).forward(machine.put(x))
    return difference([found], [expected])


def traces(machine: Machine, name: str) -> str:
    """Pulse responses: the same bits without noise, the same distribution with it."""
    pulses = np.repeat([1, -1, 1], 20)
    devices = quieted(DEVICES[name]), DEVICES[name]
    expected, noisy = (trace_pulses(device, pulses, 400, 7, 0.05) for device in devices)
    with machine.running():
        found, also_noisy = (trace_pulses(device, pulses, 400, 7, 0.05, on=machine.device) for device in devices)
    if wrong := difference([torch.from_numpy(found)], [torch.from_numpy(expected)]):
        return wrong
    chance = stats.ks_2samp(also_noisy[-1], noisy[-1]).pvalue
    return "" if chance > 1e-7 else f"the last weights have another distribution, p = {chance:.2g}"


def large(machine: Machine, shape: tuple[int, int]) -> str:
    """A tile of full size."""
    tile = AnalogTile(*shape, configs.SingleRPUConfig(device=quieted(DEVICES["reference"])), seed=1)
    other, generator = copy.deepcopy(tile), torch.Generator().manual_seed(1)
    x = torch.randn(4, shape[1], generator=generator)
    d = torch.randn(4, shape[0], generator=generator) * 0.1

    def run(one: AnalogTile, put: Any) -> list[Tensor]:
        y = one.forward(put(x)), one.backward(put(d))
        one.update(put(x), put(d), 0.05)
        return [*y, one.weight, one.forward(put(x))]

    expected = run(tile, lambda tensor: tensor)
    with machine.running():
        found = run(machine.put(other), machine.put)
    return difference(found, expected)


def graph(name: str) -> str:
    """Three steps and four replays end where seven steps end, with another learning rate on the way."""
    torch.manual_seed(1)
    device = configs.SoftBoundsDevice(dw_min=0.01, dw_min_std=0.0, diffusion=0.001)
    cell = {} if name in ("sgd", "mp") else {"units_in_mbatch": True, "transfer_every": 1.0}
    config = configs.build_config(name, device, construction_seed=3, **({"cell": cell} if cell else {}))
    captured = AnalogLinear(40, 7, rpu_config=config)
    plain = copy.deepcopy(captured)

    def step_of(model: nn.Module) -> tuple[AnalogSGD, Callable[[], None]]:
        torch.manual_seed(2)
        optimiser = AnalogSGD(model.parameters(), lr=0.125)
        optimiser.keep_rates_on_device()
        x, y = torch.rand(6, 40, device="cuda"), torch.rand(6, 7, device="cuda")

        def step() -> None:
            optimiser.zero_grad()
            ((model(x) - y) ** 2).sum().backward()
            optimiser.step()

        return optimiser, step

    def change(optimiser: AnalogSGD) -> None:
        for group in optimiser.param_groups:
            group["lr"].fill_(0.5)

    optimiser, step = step_of(captured.to("cuda"))
    replay = capture_step(step, optimiser).replay
    replay()
    change(optimiser)
    for _ in range(3):
        replay()
    optimiser, step = step_of(plain.to("cuda"))
    for number in range(7):
        if number == 4:
            change(optimiser)
        step()
    return difference([captured.weight, captured.bias], [plain.weight, plain.bias])


def streams() -> str:
    """Work on a stream other than the default one, which nothing waits for."""
    tile = AnalogTile(30, 40, configs.SingleRPUConfig(device=quieted(DEVICES["soft"])), seed=1)
    other, x, d = copy.deepcopy(tile).to("cuda"), torch.rand(5, 40), torch.rand(5, 30)
    placed = x.to("cuda"), d.to("cuda")
    other.forward(placed[0])
    stream: Any = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.stream(stream):
            other.update(*placed, 0.1)
            y = other.forward(placed[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    stream.synchronize()
    tile.forward(x)
    tile.update(x, d, 0.1)
    return difference([y], [tile.forward(x)])


def checks(machine: Machine) -> Iterator[tuple[str, Check]]:
    """All checks, the simplest first."""
    yield "random fields and outer products", lambda: fields(machine)
    exact = AnalogTile(*SHAPE, configs.FloatingPointRPUConfig(), seed=1)
    yield "exact products and updates", lambda: on_both(exact, machine)
    for name in PERIPHERIES:
        io = configs.IOParameters(**PERIPHERIES[name])
        tile = tile_of(quieted(DEVICES["soft"]), forward=io, backward=io)
        yield f"products, {name}", lambda tile=tile: on_both(tile, machine)
    yield "products with nan", lambda: spoiled(machine)
    for name in DEVICES:
        yield f"updates, {name}", lambda name=name: on_both(tile_of(quieted(DEVICES[name])), machine)
    for name in ("fixed", "plain", "counted", "implicit", "clipped"):
        tile = tile_of(quieted(DEVICES["soft"]), UPDATES[name])
        yield f"updates, {name}", lambda tile=tile: on_both(tile, machine)
    for name in DEVICES:
        yield f"traces, {name}", lambda name=name: traces(machine, name)
    for name in CONFIGURATIONS:
        tile = AnalogTile(*SHAPE, quiet_configuration(CONFIGURATIONS[name]), seed=9)
        yield f"cells, {name}", lambda tile=tile: on_both(tile, machine)
    on_gpu = machine.name == "cuda"
    size = (4096, 4096) if on_gpu else (130, 90)
    yield f"a tile of {size[0]} x {size[1]}", lambda: large(machine, size)
    if on_gpu:
        yield "streams, and no waiting", streams
        for name in ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "residual-v2", "mp"):
            yield f"graphs, {name}", lambda name=name: graph(name)


def run(machine: Machine, only: str = "") -> bool:
    """Run the checks whose names hold a word; says whether all agreed."""
    wrong: list[str] = []
    begun = time.monotonic()
    for name, check in checks(machine):
        if only not in name:
            continue
        started = time.monotonic()
        try:
            found = check()
            if machine.name == "cuda":
                torch.cuda.synchronize()
        except Exception as error:  # the other checks may still tell where it comes from
            found = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - started
        print(f"{seconds:6.2f} s  {name}: {f'differs, {found}' if found else 'agrees'}", flush=True)
        if found:
            wrong.append(name)
        if "CUDA error" in found or "could not be launched" in found:  # nothing works in this process any more
            print(f"stopped; again with CUDA_LAUNCH_BLOCKING=1 and --only '{name}', or under compute-sanitizer")
            break
    print(f"{len(wrong)} of the checks differ" if wrong else f"all agree, in {time.monotonic() - begun:.0f} s")
    return not wrong


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="checks whose names hold this word")
    parser.add_argument("--host", action="store_true", help="run the threads of the kernels on the host")
    options = parser.parse_args(arguments)
    print(f"kernels: {gpu.describe()}; torch {torch.__version__}", flush=True)
    if not options.host and (problem := gpu.problem()):
        print(f"skipped: no GPU: {problem}")
        return 0
    return 0 if run(Machine("host" if options.host else "cuda"), options.only) else 1


if __name__ == "__main__":
    sys.exit(main())
