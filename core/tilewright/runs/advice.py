"""What is wrong with the settings of a run, before it is launched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tilewright.advice import Conditions, Finding, LayerProbe, Severity, advise, probe_layers
from tilewright.configs import RPUConfig
from tilewright.data import Dataset
from tilewright.runs.evaluation import loss_of
from tilewright.runs.spec import RunSpec, check_data, tile_of_layer
from tilewright.tile_array import split_sizes

PROBED_IMAGES = 64


@dataclass(frozen=True)
class RunFinding:
    """A finding and the layers it concerns, by their place in the network; the numbers are those of the worst."""

    finding: Finding
    layers: tuple[str, ...]
    layers_in_all: int

    def __str__(self) -> str:
        where = "" if len(self.layers) == self.layers_in_all else f" (layer {', '.join(self.layers)})"
        return f"{self.finding}{where}"


def advise_run(spec: RunSpec, dataset: Dataset | None = None) -> list[RunFinding]:
    """Settings of a run that cannot learn, or learn badly; the worst first. Empty for a digital network.

    Sizes, initial weights, inputs and errors are those of the network itself, from the first samples.

    Args:
        spec: the run.
        dataset: its data, when already loaded.

    Raises:
        DataError: the data cannot be read.
        ParameterError: data and network do not fit.
    """
    if spec.rpu_config is None and not spec.layer_tiles:
        return []
    data = spec.data.divided(dataset) if dataset is not None else spec.data.load()
    check_data(spec, data)
    probes = [(probe, tile_of_layer(spec, probe.path)) for probe in _probes(spec, data)]
    images = spec.n_train(len(data.train_labels)) * spec.epochs
    found: dict[tuple[str, str], list[tuple[Finding, str]]] = {}
    for probe, config in probes:
        if config is None:
            continue
        at = conditions_of(probe, config, spec.learning_rate, images, spec.batch_size)
        for finding in advise(config, at):
            found.setdefault((finding.check, finding.field), []).append((finding, probe.path))
    merged = []
    for group in found.values():
        worst = min(group, key=lambda pair: pair[0].severity is not Severity.CANNOT_LEARN)[0]
        merged.append(RunFinding(worst, tuple(path for _, path in group), len(probes)))
    return sorted(merged, key=lambda item: item.finding.severity is not Severity.CANNOT_LEARN)


def conditions_of(probe: LayerProbe, config: RPUConfig, rate: float, images: int, batch: int) -> Conditions:
    """What the largest tile of a layer meets.

    Args:
        probe: of the layer.
        config: of its tiles.
        rate: learning rate.
        images: seen in the whole run.
        batch: images of a mini-batch.
    """
    outputs, inputs = probe.weights.shape[0], probe.weights[0].numel()
    return Conditions(
        outputs=max(split_sizes(outputs, config.mapping.max_output_size)),
        inputs=max(split_sizes(inputs, config.mapping.max_input_size)),
        learning_rate=rate,
        vectors=images * probe.vectors_per_image,
        batch_size=max(1, round(batch * probe.vectors_per_image)),
        largest_input=probe.largest_input,
        largest_error=probe.largest_error,
        weights=probe.weights,
    )


def _probes(spec: RunSpec, data: Dataset) -> list[LayerProbe]:
    """Magnitudes for mini-batches of the run's size, from the same images whatever that is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seeds.weights)
        network: Any = spec.network.build()
    count = min(PROBED_IMAGES, len(data.train_labels))
    wanted = data.train_labels[:count]
    probes = probe_layers(network, data.train_images[:count], lambda output: loss_of(output, wanted, data.task))
    factor = count / spec.batch_size  # errors are divided by the batch
    return [
        LayerProbe(p.path, p.largest_input, p.largest_error * factor, p.vectors_per_image, p.weights) for p in probes
    ]
