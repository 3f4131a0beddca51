"""What a layer on tiles costs beyond its arithmetic: CPU time of a training step of one small layer.

The layer has 16 inputs and 16 outputs and the batch 5 vectors, so that there is next to nothing to compute: what is
left is Python, torch's bookkeeping and calls. Rounds of the contenders alternate; the least time of all rounds counts,
since other work on a machine only ever adds to it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from tilewright.configs import FloatingPointRPUConfig, RPUConfig, SoftBoundsReferenceDevice, build_config
from tilewright.nn import AnalogLinear
from tilewright.optim import AnalogSGD

SIZE, BATCH = 16, 5


def configurations() -> dict[str, RPUConfig | None]:
    """What is measured, by name; None is torch's own layer."""
    device = SoftBoundsReferenceDevice()
    algorithms = {name: build_config(name, device) for name in ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp")}
    return {"torch": None, "floating point": FloatingPointRPUConfig(), **algorithms}


def stages(config: RPUConfig | None) -> tuple[Callable[[], None], Callable[[], None], Callable[[], None]]:
    """Forward, backward and step of one layer."""
    torch.manual_seed(0)
    layer: nn.Module = nn.Linear(SIZE, SIZE) if config is None else AnalogLinear(SIZE, SIZE, rpu_config=config)
    kind = torch.optim.SGD if config is None else AnalogSGD
    optimizer = kind(layer.parameters(), lr=0.01)
    x, error = torch.rand(BATCH, SIZE, requires_grad=True), torch.rand(BATCH, SIZE)
    held: list[torch.Tensor] = []

    def forward() -> None:
        held.append(layer(x))

    def backward() -> None:
        held.pop().backward(error)

    def step() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return forward, backward, step


def least_times(rounds: int, steps: int) -> dict[str, list[float]]:
    """Microseconds of forward, backward and step by contender."""
    contenders = {name: stages(config) for name, config in configurations().items()}
    best = {name: [float("inf")] * 3 for name in contenders}
    for _ in range(rounds):
        for name, parts in contenders.items():
            spent = [0.0] * 3
            for _ in range(steps):
                for index, part in enumerate(parts):
                    start = time.thread_time()
                    part()
                    spent[index] += time.thread_time() - start
            best[name] = [min(old, 1e6 * new / steps) for old, new in zip(best[name], spent, strict=True)]
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    best = least_times(options.rounds, options.steps)
    own = sum(best["torch"])
    print("| one layer, batch 5 | forward | backward | step | all | more than torch |")
    print("|---|---|---|---|---|---|")
    for name, parts in best.items():
        shown = " | ".join(f"{part:.0f}" for part in (*parts, sum(parts)))
        print(f"| {name} | {shown} | {'' if name == 'torch' else f'{sum(parts) - own:.0f}'} |")


if __name__ == "__main__":
    main()
