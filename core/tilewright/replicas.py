"""Data-parallel training: every process has a replica of the model, and every replica makes the same update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tilewright.tile import AnalogTile

_SHARED = ("forward_average", "backward_average")  # running means of the periphery: DDP sends those of rank 0 around


def prepare_for_ddp(
    model: nn.Module, process_group: dist.ProcessGroup | None = None, independent: bool = False
) -> nn.Module:
    """Make the tiles of a model replicas of each other over the processes of a group; call it in each process.

    Takes over the whole state of the first process. From then on :class:`tilewright.optim.AnalogSGD` gathers the
    inputs and errors of all processes and every replica makes the update of the whole batch, with the same random
    numbers, so that replicas stay equal to the last bit. Errors are divided by the number of processes, as
    ``DistributedDataParallel`` does with gradients: the loss of each process is a mean over its own part of the
    batch. Products have noise of their own in each process.

    Wrap the result in ``DistributedDataParallel`` for its digital parameters, if it has any.

    Args:
        model: in each process a model of the same architecture and configuration.
        process_group: None is the default group.
        independent: say instead that the processes train models of their own, which have nothing to do with each
            other.

    Returns:
        the model itself.

    Raises:
        RuntimeError: torch.distributed is not initialised.
    """
    tiles = [(name, module) for name, module in model.named_modules() if isinstance(module, AnalogTile)]
    if independent:
        for _, tile in tiles:
            tile.replicate(None, 0, 1)
        return model
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError("call torch.distributed.init_process_group(...) before prepare_for_ddp(model)")
    rank, size = dist.get_rank(process_group), dist.get_world_size(process_group)
    _take_over_state(model, process_group)
    kept_out = []
    for name, tile in tiles:
        tile.replicate(process_group, rank, size)
        kept_out.append(f"{name}.weight" if name else "weight")
        kept_out += [f"{name}.{key}" for key, _ in tile.named_buffers() if key not in _SHARED]
    nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(  # type: ignore[no-untyped-call]
        model, kept_out
    )
    return model


def _take_over_state(model: nn.Module, group: dist.ProcessGroup | None) -> None:
    """Load the state of the group's first process, counters included."""
    source = dist.get_global_rank(group, 0) if group is not None else 0
    state = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    for value in state.values():
        dist.broadcast(value, source, group)
    model.load_state_dict(state)


def gather_records(tiles: Sequence[AnalogTile]) -> None:
    """Give each tile what all replicas of it have recorded, in the order of their ranks.

    Processes may have recorded different numbers of vectors, or none.

    Raises:
        RuntimeError: several processes train and nobody said whether their tiles are replicas.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1 or not tiles:
        return
    unprepared = [tile for tile in tiles if tile.replicas is None]
    if unprepared:
        raise RuntimeError(
            f"{dist.get_world_size()} processes train, and {len(unprepared)} tiles are not prepared for it: call "
            "tilewright.nn.prepare_for_ddp(model) in each process, before DistributedDataParallel (or with "
            "independent=True for models that have nothing to do with each other)"
        )
    groups = {tile.replicas[0]: tile.replicas[2] for tile in tiles if tile.replicas is not None}
    for group, size in groups.items():
        if size > 1:
            _gather([t for t in tiles if t.replicas is not None and t.replicas[0] is group], group, size)


def mean_of_replicas(value: float, tiles: Sequence[AnalogTile]) -> float:
    """The mean of a number over the processes that hold replicas of these tiles; the number itself without any."""
    group, _, size = next((tile.replicas for tile in tiles if tile.replicas is not None), (None, 0, 1))
    if size == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(total, group=group)
    return total.item() / size


def _gather(tiles: Sequence[AnalogTile], group: dist.ProcessGroup | None, size: int) -> None:
    rows = torch.tensor([sum(x.shape[0] for x, _ in tile.pending) for tile in tiles])
    all_rows = [torch.empty_like(rows) for _ in range(size)]
    dist.all_gather(all_rows, rows, group)
    widths = [tile.in_size + tile.out_size for tile in tiles]
    lengths = [sum(int(n) * width for n, width in zip(counts, widths, strict=True)) for counts in all_rows]
    if max(lengths) == 0:
        return
    flat = torch.zeros(max(lengths))
    place = 0
    for tile in tiles:
        for part in range(2):  # all inputs, then all errors
            for pair in tile.pending:
                flat[place : place + pair[part].numel()] = pair[part].reshape(-1)
                place += pair[part].numel()
        tile.pending.clear()
    gathered = [torch.empty_like(flat) for _ in range(size)]
    dist.all_gather(gathered, flat, group)
    for values, counts in zip(gathered, all_rows, strict=True):
        place = 0
        for tile, n in zip(tiles, counts.tolist(), strict=True):
            x, place = _slice(values, place, n, tile.in_size)
            d, place = _slice(values, place, n, tile.out_size)
            if n > 0:
                tile.pending.append((x, d / size))


def _slice(values: Tensor, place: int, rows: int, width: int) -> tuple[Tensor, int]:
    end = place + rows * width
    return values[place:end].view(rows, width), end
