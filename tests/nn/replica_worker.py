"""One of the processes of test_replicas.py: trains its part of every batch and writes what became of the model."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from every_cell import CONFIGURATIONS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tilewright.nn import convert_to_analog, prepare_for_ddp
from tilewright.optim import AnalogSGD

STEPS = 4


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator)


def exact_reads(config):
    config = config.model_copy(deep=True)
    config.forward.is_perfect = config.backward.is_perfect = True
    return config


def cases():
    """Name, configuration, whether layers have digital parameters."""
    for name in ("sgd", "ttv2", "c-ttv2", "mp", "vector SingleRandom", "one-sided"):
        yield f"{name}, exact reads", exact_reads(CONFIGURATIONS[name]), False
    for name, config in CONFIGURATIONS.items():
        yield name, config, True


def build(config, digital: bool, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(6, 5, bias=digital), nn.Tanh(), nn.Linear(5, 3, bias=digital)]
    if digital:
        layers.insert(1, nn.LayerNorm(5))
    return convert_to_analog(nn.Sequential(*layers), config)


def train(model: nn.Module, rank: int, size: int) -> list[dict[str, torch.Tensor]]:
    optimiser = AnalogSGD(model.parameters(), lr=0.1)
    states = []
    for step in range(STEPS):
        x, target = (part.chunk(size)[rank] for part in batch(step))
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimiser.step()
        optimiser.note_loss(loss.item())
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    return states


def uneven(model: nn.Module, rank: int) -> list[torch.Tensor]:
    """Batches of another size in each process, and a step to which one of them brings nothing."""
    optimiser = AnalogSGD(model.parameters(), lr=0.1)
    for step in range(3):
        x, _ = batch(step)
        optimiser.zero_grad()
        if not (step == 1 and rank == 1):
            (model(x[: 3 + 2 * rank]).square().sum()).backward()
        optimiser.step()
    return [tile.weight.detach().clone() for tile in model.analog_tiles()]


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found = {}
    for name, config, digital in cases():
        model = prepare_for_ddp(build(config, digital, seed=rank))
        found[name] = train(DistributedDataParallel(model) if digital else model, rank, 2)
    found["uneven"] = uneven(prepare_for_ddp(build(CONFIGURATIONS["ttv2"], False, seed=rank)), rank)
    model = prepare_for_ddp(build(CONFIGURATIONS["sgd"], False, seed=rank))
    found["reads"] = model(torch.ones(2, 6)).detach()
    try:
        train(build(CONFIGURATIONS["sgd"], False, seed=0), rank, 2)
    except RuntimeError as error:
        found["unprepared"] = str(error)
    found["independent"] = train(prepare_for_ddp(build(CONFIGURATIONS["sgd"], False, rank), independent=True), rank, 2)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
