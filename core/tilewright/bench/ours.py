"""Our side of the cases: each kind of case made ready with the package's public calls."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import tilewright
from tilewright import configs, kernels, periphery, presets
from tilewright.bench import inputs, memory
from tilewright.bench.timing import Prepared, Unavailable
from tilewright.devices import symmetry_point, trace_pulses, trace_statistics
from tilewright.devices.analysis import step_curves
from tilewright.devices.pulsed import PulsedDevice
from tilewright.nn import AnalogLinear
from tilewright.optim import AnalogSGD
from tilewright.tile import AnalogTile

Settings = dict[str, Any]


def describe() -> dict[str, str]:
    """Name and versions of this side."""
    return {"name": "tilewright", "version": tilewright.__version__, "torch": torch.__version__}


def set_threads(count: int) -> None:
    """Threads of the calls that follow."""
    torch.set_num_threads(count)


def prepare(kind: str, settings: Settings) -> Prepared:
    """Make a case ready.

    Raises:
        Unavailable: this version lacks what the case needs.
    """
    return _KINDS[kind](settings)


def _device(fields: Settings) -> PulsedDevice:
    name = fields["class"]
    made: type[PulsedDevice] | None = getattr(configs, name, None)
    if made is None:
        raise Unavailable(f"this version has no {name}")
    return made(**{key: value for key, value in fields.items() if key != "class"})


def build_tile(settings: Settings) -> AnalogTile:
    """A square tile of single devices."""
    config = configs.SingleRPUConfig(
        device=_device(settings["device"]), update=configs.UpdateParameters(**settings.get("update", {}))
    )
    return AnalogTile(settings["size"], settings["size"], config, seed=1)


def _pair(settings: Settings) -> tuple[Tensor, Tensor, str]:
    x, d = inputs.vectors(settings["batch"], settings["size"], settings["size"])
    return torch.from_numpy(x), torch.from_numpy(d), inputs.fingerprint(x, d)


def _start(tile: AnalogTile) -> Callable[[], None]:
    weights = torch.from_numpy(inputs.start_weights(tile.out_size, tile.in_size))
    return lambda: tile.set_weights(weights)


# --- tiles ------------------------------------------------------------------------------------------------------------


def _update(settings: Settings) -> Prepared:
    tile = build_tile(settings)
    x, d, fingerprint = _pair(settings)
    lr = settings["lr"]
    return Prepared(lambda: tile.update(x, d, lr), _start(tile), fingerprint)


def _cell_update(settings: Settings) -> Prepared:
    config = _config(settings["algorithm"], _device(settings["device"]), settings["update"])
    tile = AnalogTile(settings["size"], settings["size"], config, seed=1)
    x, d, fingerprint = _pair(settings)
    lr, errors = settings["lr"], cycle((d, -d))  # to and fro: setting weights would start the algorithm afresh
    _start(tile)()

    def call() -> None:
        tile.update(x, next(errors), lr)
        tile.pass_time()

    return Prepared(call, fingerprint=fingerprint)


def _forward(settings: Settings) -> Prepared:
    return _product(settings, transposed=False)


def _backward(settings: Settings) -> Prepared:
    return _product(settings, transposed=True)


def _product(settings: Settings, transposed: bool) -> Prepared:
    tile = build_tile(settings)
    _start(tile)()
    x, d, fingerprint = _pair(settings)
    vector = d if transposed else x
    if settings["layer"] == "tile":
        run = tile.backward if transposed else tile.forward
        return Prepared(lambda: run(vector), fingerprint=fingerprint)
    io = periphery.compile_io(periphery.IOParameters(), None, backward=transposed)
    weight = tile.weight.data
    shape = (int(weight.shape[0]), int(weight.shape[1]))
    reads = kernels.TileReads(io, shape, transposed=transposed, seed=1, keep_saturated=not transposed)
    return Prepared(lambda: reads(weight, vector, 0), fingerprint=fingerprint)


def _config(algorithm: str, device: PulsedDevice, update: Settings) -> configs.RPUConfig:
    if algorithm not in configs.algorithm_names():
        raise Unavailable(f"this version has no algorithm {algorithm!r}")
    config = configs.build_config(
        algorithm, device, mapping=configs.MappingParameter(max_input_size=0, max_output_size=0)
    )
    for name, value in update.items():
        setattr(config.update, name, value)
    return config


# --- devices ----------------------------------------------------------------------------------------------------------


def _trace(settings: Settings) -> Prepared:
    device, pulses = _device(settings["device"]), inputs.ramps(settings["pulses"], settings["loops"])
    devices = settings["devices"]
    return Prepared(lambda: trace_pulses(device, pulses, n_traces=devices), fingerprint=inputs.fingerprint(pulses))


def _trace_memory(settings: Settings) -> Prepared:
    device, pulses = _device(settings["device"]), inputs.ramps(settings["pulses"], settings["loops"])

    def call() -> object:
        return trace_statistics(device, pulses, n_traces=settings["devices"])

    return Prepared(call, fingerprint=inputs.fingerprint(pulses), value=lambda: {"MB": memory.peak_of(call) / 1e6})


def _compact_core(settings: Settings) -> Prepared:
    device = getattr(presets, settings["preset"])()
    steps = round(device.number_of_states)
    pulses = inputs.ramps(4 * steps, 2)

    def call() -> object:
        return step_curves(device), symmetry_point(device), trace_pulses(device, pulses, n_traces=3)

    return Prepared(call)


def _compact_figure(settings: Settings) -> Prepared:
    from tilewright.figures import plot_device_compact

    device = getattr(presets, settings["preset"])()
    return Prepared(lambda: plot_device_compact(device))


def _fit(settings: Settings) -> Prepared:
    from tilewright.fitting import fit_measurements

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
    config = _config(settings["algorithm"], _device(settings["device"]), {})
    torch.manual_seed(1)
    sizes = settings["layers"]
    layers = [AnalogLinear(a, b, True, config, path=str(k)) for k, (a, b) in enumerate(pairwise(sizes))]
    model = nn.Sequential(layers[0], nn.Sigmoid(), layers[1], nn.Sigmoid(), layers[2], nn.LogSoftmax(dim=1))
    optimiser = AnalogSGD(model.parameters(), lr=settings["lr"])
    images, labels = inputs.digits(settings["batches"], settings["batch"], sizes[0], sizes[-1])
    batches = cycle(zip(torch.from_numpy(images), torch.from_numpy(labels), strict=True))
    for layer, (a, b) in zip(layers, pairwise(sizes), strict=True):
        layer.set_weights(torch.from_numpy(inputs.start_weights(b, a, 0.05)), torch.zeros(b))

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

    def make() -> AnalogTile:
        tile = build_tile(settings)
        tile.update(x, d, settings["lr"])
        return tile

    make()  # what is allocated once in a process is not the tile's
    return Prepared(make, value=lambda: {"B": memory.grown_by(make) / size**2})


_KINDS: dict[str, Callable[[Settings], Prepared]] = {
    "update": _update,
    "cell update": _cell_update,
    "forward": _forward,
    "backward": _backward,
    "trace": _trace,
    "trace memory": _trace_memory,
    "compact core": _compact_core,
    "compact figure": _compact_figure,
    "fit": _fit,
    "training": _training,
    "memory": _memory,
}
