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

from devices.recipes import without_spread  # noqa: E402
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


def first_launch(machine: Machine) -> str:
    """One number of the simplest kernel; where the driver compiles them, it does so here."""
    expected = kernels.normal_field((1,), 8, 5)
    with machine.running():
        return difference([gpu.field((1,), 8, 5, machine.put(torch.empty(1)))], [expected])


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


def in_turn(machine: Machine, tile: AnalogTile, samples: int) -> str:
    """Products and an update of many or odd numbers of vectors."""
    other, generator = copy.deepcopy(tile), torch.Generator().manual_seed(1)
    x = torch.randn(samples, tile.in_size, generator=generator)
    d = torch.randn(samples, tile.out_size, generator=generator) * 0.1

    def run(one: AnalogTile, put: Any) -> list[Tensor]:
        one.update(put(x), put(d), 0.05)
        return [one.weight, one.forward(put(x)), one.backward(put(d))]

    expected = run(tile, lambda tensor: tensor)
    with machine.running():
        found = run(machine.put(other), machine.put)
    return difference(found, expected)


def repeated_passes(machine: Machine, shape: tuple[int, int]) -> str:
    """Samples that bound management repeats, beside one that passes at once."""
    io = configs.IOParameters(out_bound=1.0, inp_noise=0.01)
    tile = AnalogTile(*shape, configs.SingleRPUConfig(device=configs.IdealDevice(), forward=io), seed=4)
    generator = torch.Generator().manual_seed(1)
    tile.set_weights(torch.rand(shape, generator=generator) * 0.3)
    x = torch.rand(3, shape[1], generator=generator)
    x[1, 1:] *= -1e-3
    other, expected = copy.deepcopy(tile), tile.forward(x)
    with machine.running():
        found = machine.put(other).forward(machine.put(x))
    return difference([found], [expected]) or ("" if tile.passes[0] > 5 else "no sample was repeated")


def read_often(machine: Machine) -> str:
    """More reads than lines and than blocks that share them out, with choppers that flip on the way."""
    compound = configs.ChoppedTransferCompound(
        unit_cell_devices=[quieted(DEVICES["reference"])] * 2, construction_seed=4, transfer_every=1.0,
        in_chop_prob=0.4, out_chop_prob=0.5, buffer_granularity=0.02,
    )  # fmt: skip
    return in_turn(machine, AnalogTile(3, 140, configs.UnitCellRPUConfig(device=compound), seed=9), 300)


def noise(machine: Machine, samples: int) -> str:
    """Pulses of constant steps with cycle and write noise on 4000 devices: states, and the noise of what is seen."""
    device = without_spread(
        configs.LinearStepDevice, gamma_up=0.0, gamma_down=0.0, dw_min=0.001, dw_min_std=0.5, write_noise_std=0.5
    )

    def pulsed(put: Any) -> list[Tensor]:
        tile = put(AnalogTile(50, 80, configs.SingleRPUConfig(device=device), seed=2))
        tile.update(put(torch.full((samples, 80), 0.5)), put(torch.full((samples, 50), -1.0)), 0.01)
        state = tile.cell.array.persistent.cpu().flatten()
        return [state, tile.weight.detach().cpu().flatten() - state]

    expected = pulsed(lambda thing: thing)
    with machine.running():
        found = pulsed(machine.put)
    for what, ours, theirs in zip(("states", "noise of writes"), found, expected, strict=True):
        chance = stats.ks_2samp(ours, theirs).pvalue
        if chance <= 1e-7:
            return f"the {what} have another distribution, p = {chance:.2g}"
    return ""


def repeated(machine: Machine, times: int) -> str:
    """With all noise on, the same work gives the same bits every time: what races leave to chance would not."""
    periphery = configs.IOParameters(**PERIPHERIES["default"])
    start = tile_of(DEVICES["reference"], forward=periphery, backward=periphery)
    with machine.running():
        first, *others = (work(machine.put(copy.deepcopy(start)), machine.put) for _ in range(times))
    return next((wrong for other in others if (wrong := difference(other, first))), "")


def far_places() -> str:
    """Arrays of more numbers than 32 bits can count, whose last ones are looked at."""
    if torch.cuda.mem_get_info()[0] < 20 << 30:
        return ""
    length, before, last = 1100, 2_000_000, 3
    like = torch.empty(1, device="cuda")
    found = [gpu.rows(before + last, length, 8, 5, like)[-last:].clone()]
    expected = [kernels.normal_rows(last, length, 8, 5 + before)]
    x, d = torch.randn(2, length), torch.zeros(2, before + last)
    d[:, -last:] = torch.randn(2, last)
    sums = torch.zeros(before + last, length, device="cuda")
    kernels.accumulate_outer(sums, x.to("cuda"), d.to("cuda"), 0.3)
    expected.append(torch.zeros(last, length))
    kernels.accumulate_outer(expected[1], x, d[:, -last:].contiguous(), 0.3)
    found.append(sums[-last:])
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
    on_gpu = machine.name == "cuda"
    yield "a first kernel", lambda: first_launch(machine)
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
    longer = [(name, quieted(DEVICES[name]), {}) for name in DEVICES]
    longer += [(name, quieted(DEVICES["soft"]), UPDATES[name]) for name in ("fixed", "counted", "implicit", "clipped")]
    for name, device, update in longer:  # more than a block keeps at once
        tile = tile_of(device, update)
        yield f"updates of 150 vectors, {name}", lambda tile=tile: in_turn(machine, tile, 150)
    for name in DEVICES:
        yield f"traces, {name}", lambda name=name: traces(machine, name)
    for name in CONFIGURATIONS:
        tile = AnalogTile(*SHAPE, quiet_configuration(CONFIGURATIONS[name]), seed=9)
        yield f"cells, {name}", lambda tile=tile: on_both(tile, machine)
    for shape, samples in (((1, 1), 1), ((1, 33), 2), ((130, 1), 5), ((9, 257), 1)):
        tile = AnalogTile(*shape, configs.SingleRPUConfig(device=quieted(DEVICES["soft"])), seed=3)
        yield f"a tile of {shape[0]} x {shape[1]}, batch {samples}", lambda t=tile, s=samples: in_turn(machine, t, s)
    # Where each thread has more of the sums, and columns of one stretch and of several.
    for shape, samples in (((512, 20), 513), ((3, 1030), 1400), ((1030, 70), 2050), ((1160, 36), 4), ((1160, 37), 1)):
        tile = AnalogTile(*shape, configs.FloatingPointRPUConfig(), seed=3)
        yield f"products of {shape[0]} x {shape[1]}, batch {samples}", lambda t=tile, s=samples: in_turn(machine, t, s)
    for shape in ((530, 20), (300, 290)):
        yield f"repeated passes of {shape[0]} x {shape[1]}", lambda shape=shape: repeated_passes(machine, shape)
    yield "lines read several times in a mini-batch", lambda: read_often(machine)
    many = 70_000 if on_gpu else 700  # more blocks than 16 bits can count
    small = AnalogTile(9, 12, configs.SingleRPUConfig(device=quieted(DEVICES["soft"])), seed=3)
    yield f"a batch of {many}", lambda: in_turn(machine, small, many)
    for samples in (3, 20):  # few, and more than go that way
        yield f"noise of pulses and writes, batch {samples}", lambda s=samples: noise(machine, s)
    yield "the same again, with all noise", lambda: repeated(machine, 20 if on_gpu else 2)
    size = (4096, 4096) if on_gpu else (130, 90)
    yield f"a tile of {size[0]} x {size[1]}", lambda: large(machine, size)
    if on_gpu:
        yield "numbers beyond 32 bits", far_places
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
    if not options.host:
        found = torch.cuda.get_device_properties()
        print(f"{found.name}: {found.multi_processor_count} multiprocessors, {found.total_memory / 2**30:.0f} GiB")
    return 0 if run(Machine("host" if options.host else "cuda"), options.only) else 1


if __name__ == "__main__":
    sys.exit(main())
