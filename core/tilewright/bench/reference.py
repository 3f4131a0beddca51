"""The reference toolkit's side of the cases, through its public classes only.

Runs in whatever interpreter has the toolkit; of this package it needs only the modules of this room that say so.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import torch
from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator import configs, presets
from aihwkit.simulator.configs import SingleRPUConfig, build_config
from aihwkit.simulator.parameters import MappingParameter, UpdateParameters
from aihwkit.simulator.tiles import AnalogTile
from torch import nn

from tilewright.bench import inputs, memory
from tilewright.bench.timing import Prepared, Unavailable

Settings = dict[str, Any]


def describe() -> dict[str, str]:
    """Name and versions of this side."""
    return {"name": "aihwkit", "version": metadata.version("aihwkit"), "torch": torch.__version__}


def set_threads(count: int) -> None:
    """Threads of the calls that follow."""
    torch.set_num_threads(count)


def prepare(kind: str, settings: Settings) -> Prepared:
    """Make a case ready."""
    return _KINDS[kind](settings)


def _device(fields: Settings) -> Any:
    made = getattr(configs, fields["class"], None)
    if made is None:
        raise Unavailable(f"the reference has no {fields['class']}")
    return made(**{key: value for key, value in fields.items() if key != "class"})


def _tile(settings: Settings) -> Any:
    config = SingleRPUConfig(device=_device(settings["device"]), update=UpdateParameters(**settings.get("update", {})))
    return AnalogTile(settings["size"], settings["size"], config)


def _pair(settings: Settings) -> tuple[torch.Tensor, torch.Tensor, str]:
    x, d = inputs.vectors(settings["batch"], settings["size"], settings["size"])
    return torch.from_numpy(x), torch.from_numpy(d), inputs.fingerprint(x, d)


def _start(tile: Any) -> Callable[[], object]:
    weights = torch.from_numpy(inputs.start_weights(tile.out_size, tile.in_size))
    return lambda: tile.set_weights(weights)


def _without_gradient(call: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return call()

    return run


# --- tiles ------------------------------------------------------------------------------------------------------------


def _update(settings: Settings) -> Prepared:
    tile = _tile(settings)
    x, d, fingerprint = _pair(settings)
    tile.set_learning_rate(settings["lr"])
    return Prepared(lambda: tile.update(x, d), _start(tile), fingerprint)


def _cell_update(settings: Settings) -> Prepared:
    config = _config(settings["algorithm"], _device(settings["device"]), settings["update"])
    tile = AnalogTile(settings["size"], settings["size"], config)
    x, d, fingerprint = _pair(settings)
    tile.set_learning_rate(settings["lr"])
    errors = cycle((d, -d))  # to and fro: setting weights would start the algorithm afresh
    _start(tile)()

    def call() -> None:
        tile.update(x, next(errors))
        tile.post_update_step()  # transfers that are due once per mini-batch happen here

    return Prepared(call, fingerprint=fingerprint)


def _forward(settings: Settings) -> Prepared:
    tile = _tile(settings)
    _start(tile)()
    x, _, fingerprint = _pair(settings)
    if settings["layer"] == "tile":
        return Prepared(_without_gradient(lambda: tile.forward(x)), fingerprint=fingerprint)
    compiled = tile.tile
    return Prepared(lambda: compiled.forward(x, False), fingerprint=fingerprint)


def _backward(settings: Settings) -> Prepared:
    tile = _tile(settings)
    _start(tile)()
    _, d, fingerprint = _pair(settings)
    if settings["layer"] == "tile":
        return Prepared(_without_gradient(lambda: tile.backward(d)), fingerprint=fingerprint)
    compiled = tile.tile
    return Prepared(lambda: compiled.backward(d, False), fingerprint=fingerprint)


def _config(algorithm: str, device: Any, update: Settings) -> Any:
    config = build_config(algorithm, device)
    config.mapping = MappingParameter(max_input_size=0, max_output_size=0)
    for name, value in update.items():
        setattr(config.update, name, value)
    return config


# --- devices ----------------------------------------------------------------------------------------------------------


def _trace(settings: Settings) -> Prepared:
    from aihwkit.utils.visualization import compute_pulse_response, get_tile_for_plotting

    pulses = inputs.ramps(settings["pulses"], settings["loops"])
    config = SingleRPUConfig(device=_device(settings["device"]))
    tile = get_tile_for_plotting(config, settings["devices"])
    direction = pulses.astype(np.float64)
    return Prepared(
        lambda: compute_pulse_response(tile, direction, use_forward=False), fingerprint=inputs.fingerprint(pulses)
    )


def _trace_memory(settings: Settings) -> Prepared:
    prepared = _trace(settings)
    prepared.value = lambda: {"MB": memory.peak_of(prepared.call) / 1e6}
    return prepared


def _compact_figure(settings: Settings) -> Prepared:
    import matplotlib

    matplotlib.use("Agg")
    from aihwkit.utils.visualization import plot_device_compact
    from matplotlib import pyplot

    device = getattr(presets, settings["preset"])()
    return Prepared(lambda: plot_device_compact(device), reset=lambda: pyplot.close("all"))


def _no_core(settings: Settings) -> Prepared:
    raise Unavailable("the reference does not compute the compact plot apart from its figure")


def _fit(settings: Settings) -> Prepared:
    from aihwkit.utils.fitting import fit_measurements

    pulses = inputs.ramps(settings["pulses"], 1)
    response = inputs.measured_response(pulses, **settings["truth"])
    device = _device(settings["device"])
    parameters = {name: tuple(value) for name, value in settings["parameters"].items()}
    return Prepared(
        lambda: fit_measurements(parameters, pulses.astype(np.float64), response, device, method="powell"),
        fingerprint=inputs.fingerprint(pulses, response),
    )


# --- training ---------------------------------------------------------------------------------------------------------


def _training(settings: Settings) -> Prepared:
    sizes = settings["layers"]

    def layer(a: int, b: int) -> Any:
        return AnalogLinear(a, b, True, rpu_config=_config(settings["algorithm"], _device(settings["device"]), {}))

    layers = [layer(a, b) for a, b in pairwise(sizes)]
    model = AnalogSequential(layers[0], nn.Sigmoid(), layers[1], nn.Sigmoid(), layers[2], nn.LogSoftmax(dim=1))
    optimiser = AnalogSGD(model.parameters(), lr=settings["lr"])
    optimiser.regroup_param_groups(model)
    images, labels = inputs.digits(settings["batches"], settings["batch"], sizes[0], sizes[-1])
    batches = cycle(zip(torch.from_numpy(images), torch.from_numpy(labels), strict=True))
    for one, (a, b) in zip(layers, pairwise(sizes), strict=True):
        one.set_weights(torch.from_numpy(inputs.start_weights(b, a, 0.05)), torch.zeros(b))

    def step() -> None:
        x, target = next(batches)
        optimiser.zero_grad()
        nn.functional.nll_loss(model(x), target).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return Prepared(step, fingerprint=inputs.fingerprint(images, labels))


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(settings: Settings) -> Prepared:
    size = settings["size"]
    x, d = (torch.from_numpy(v) for v in inputs.vectors(1, size, size))

    def make() -> Any:
        tile = _tile(settings)
        tile.set_learning_rate(settings["lr"])
        tile.update(x, d)
        return tile

    make()
    return Prepared(make, value=lambda: {"B": memory.grown_by(make) / size**2})


_KINDS: dict[str, Callable[[Settings], Prepared]] = {
    "update": _update,
    "cell update": _cell_update,
    "forward": _forward,
    "backward": _backward,
    "trace": _trace,
    "trace memory": _trace_memory,
    "compact core": _no_core,
    "compact figure": _compact_figure,
    "fit": _fit,
    "training": _training,
    "memory": _memory,
}
