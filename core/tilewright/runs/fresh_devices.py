"""Accuracy on fresh devices: trained weights written onto devices that were drawn anew.

What a network learned on one set of devices says little about the next chip. The weights of a finished run are
programmed onto tiles of the same configuration with other device draws, as far as the new devices can hold them, and
the network is tested there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import nn

from tilewright.runs.evaluation import batch_for, evaluate
from tilewright.runs.execution import trained_network
from tilewright.runs.health import tiles_of
from tilewright.runs.paired import mean_interval
from tilewright.runs.spec import RunSpec, Seeds, build_network
from tilewright.runs.store import RunStore

INSTANCES = 5
FIRST_SEED = 900_001  # far from the seeds that people choose for training


def fresh_accuracies(
    store: RunStore, run_id: str, instances: int = INSTANCES, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[float]:
    """Test accuracy (or error, where values are learned) on one set of fresh devices after the other.

    The mean and its 95 % interval are kept with the run as ``fresh_test_accuracy``, ``_low`` and ``_high``.

    Raises:
        StoreError: the run has no checkpoint.
        ValueError: it has no tiles, or its devices are drawn by a fixed ``construction_seed``.
    """
    spec = store.get(run_id).spec
    trained = trained_network(store, run_id)
    if not tiles_of(trained):
        raise ValueError(f"run {run_id} has no tiles, so there are no devices to draw anew")
    data = spec.data.load()
    name = "accuracy" if data.task == "classes" else "error"
    values = []
    for number in range(instances):
        if cancelled():
            return
        model = programmed(spec, trained, FIRST_SEED + number)
        found = evaluate(
            model, data.test_images, data.test_labels, data.task, cancelled, batch_for(model, data.image_shape)
        )
        values.append(found[name])
        yield found[name]
    mean, low, high = mean_interval(values)
    results = {f"fresh_test_{name}": mean}
    if instances > 1:
        results |= {f"fresh_test_{name}_low": low, f"fresh_test_{name}_high": high}
    store.add_results(run_id, results)


@torch.no_grad()
def programmed(spec: RunSpec, trained: nn.Module, seed: int) -> nn.Module:
    """A network with the weights of ``trained`` on tiles whose devices are drawn by ``seed``."""
    fresh = copy.deepcopy(spec)
    fresh.seeds = Seeds(data=spec.seeds.data, weights=spec.seeds.weights, devices=seed)
    for config in (fresh.rpu_config, *(tile.rpu_config for tile in fresh.layer_tiles)):
        _free_draws(config)
    model = build_network(fresh)
    digital = {name: value for name, value in trained.named_parameters() if not hasattr(value, "tile")}
    for name, value in model.named_parameters():
        if name in digital:
            value.copy_(digital[name])
    buffers = dict(trained.named_buffers())
    inside_tiles = {id(b) for tile in tiles_of(model) for b in tile.buffers()}
    for name, buffer in model.named_buffers():
        if id(buffer) not in inside_tiles and name in buffers and buffer.shape == buffers[name].shape:
            buffer.copy_(buffers[name])
    for target, source in zip(tiles_of(model), tiles_of(trained), strict=True):
        target.set_weights(source.get_weights())
    return model.eval()


def _free_draws(part: object) -> None:
    """Let the seeds decide over every device: construction seeds would draw the same ones again."""
    for name in getattr(type(part), "model_fields", {}):
        value = getattr(part, name)
        if name == "construction_seed":
            setattr(part, name, 0)
        for item in value if isinstance(value, list) else [value]:
            _free_draws(item)
