"""One table of every preset: where it comes from and what its device is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilewright.devices import asymmetry, noise_to_signal, number_of_states, signal_to_noise, symmetry_point
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import Parameters
from tilewright.periphery import IOParameters, UpdateParameters
from tilewright.presets import DEVICE_PRESETS, PERIPHERY_PRESETS, RECORDS, UPDATE_PRESETS
from tilewright.tile_presets import TILE_PRESETS

NOT_A_NUMBER = float("nan")
_DERIVED = (
    "states", "step_up", "step_down", "asymmetry", "symmetry_point", "cycle_noise", "write_noise", "snr",
    "noise_to_signal", "spread",
)  # fmt: skip
_ZERO = np.zeros(1)


@dataclass(frozen=True)
class PresetRow:
    """A preset and, where it has a device, what the nominal device is worth; nan where a quantity does not exist.

    Attributes:
        name: name of the class.
        kind: ``device``, ``periphery``, ``update`` or ``tile``.
        model: the class whose fields it sets.
        device: the preset of the device inside, for tiles.
        technology, source, doi, remark: texts, empty where there is nothing to say.
        states: range divided by the mean step at weight 0.
        step_up, step_down: steps at weight 0, in weight units.
        asymmetry: (down - up) / (down + up) at weight 0.
        symmetry_point: weight where both steps are equal.
        cycle_noise: noise of one pulse at weight 0, in weight units.
        write_noise: noise of the weight after a write, in weight units.
        snr: step at weight 0 over the noise of a read after one pulse.
        noise_to_signal: the inverse, at the symmetry point.
        spread: device-to-device spread of the step, relative (of its logarithm where it is log-normal).
        settings: what it sets, in a line, for periphery and updates; the algorithm of a tile.
    """

    name: str
    kind: str
    model: str
    device: str = ""
    technology: str = ""
    source: str = ""
    doi: str = ""
    remark: str = ""
    states: float = NOT_A_NUMBER
    step_up: float = NOT_A_NUMBER
    step_down: float = NOT_A_NUMBER
    asymmetry: float = NOT_A_NUMBER
    symmetry_point: float = NOT_A_NUMBER
    cycle_noise: float = NOT_A_NUMBER
    write_noise: float = NOT_A_NUMBER
    snr: float = NOT_A_NUMBER
    noise_to_signal: float = NOT_A_NUMBER
    spread: float = NOT_A_NUMBER
    settings: str = ""


def preset_table() -> list[PresetRow]:
    """Every preset of this release: devices, periphery, update schemes and whole tiles, in this order."""
    return [*_devices(), *_settings(), *_tiles()]


def preset_class(name: str) -> type[Parameters]:
    """The class of a preset of any kind.

    Raises:
        KeyError: there is none of that name.
    """
    if name in TILE_PRESETS:
        made: type[Parameters] = TILE_PRESETS[name].config
        return made
    return {**DEVICE_PRESETS, **PERIPHERY_PRESETS, **UPDATE_PRESETS}[name]


def derived(device: PulsedDevice) -> dict[str, Any]:
    """What a nominal device is worth, under the names of :class:`PresetRow`."""
    curves = device.nominal_steps(_ZERO)
    step_up, step_down = float(curves[0][0]), float(curves[1][0])
    raw = _ZERO + device.nominal_reference
    return {
        "states": number_of_states(device),
        "step_up": step_up,
        "step_down": step_down,
        "asymmetry": asymmetry(device),
        "symmetry_point": symmetry_point(device),
        "cycle_noise": float(device.cycle_noise(curves[0], device.steps[0], raw)[0]),
        "write_noise": device.write_noise,
        "snr": signal_to_noise(device),
        "noise_to_signal": noise_to_signal(device),
        "spread": device.dw_min_dtod,
    }


def _devices() -> Iterator[PresetRow]:
    for name, cls in DEVICE_PRESETS.items():
        record = RECORDS[name]
        yield PresetRow(
            name,
            record.kind,
            record.model,
            technology=record.technology,
            source=record.source,
            doi=record.doi,
            remark=record.remark,
            **derived(cls()),
        )


def _settings() -> Iterator[PresetRow]:
    lines = {name: _io_line(cls()) for name, cls in PERIPHERY_PRESETS.items()}
    lines |= {name: _update_line(cls()) for name, cls in UPDATE_PRESETS.items()}
    for name, line in lines.items():
        record = RECORDS[name]
        yield PresetRow(
            name, record.kind, record.model, source=record.source, doi=record.doi, remark=record.summary, settings=line
        )


def _tiles() -> Iterator[PresetRow]:
    worth = {row.name: {key: getattr(row, key) for key in _DERIVED} for row in _devices()}
    for name, preset in TILE_PRESETS.items():
        device = f"{preset.device}PresetDevice"
        record = RECORDS[device]
        yield PresetRow(
            name, "tile", preset.config.__mro__[1].__name__, device=device, technology=record.technology,
            source=preset.source, doi=record.doi, remark=preset.remark, settings=preset.family, **worth[device],
        )  # fmt: skip


def _io_line(io: IOParameters) -> str:
    dac, adc = 2 * io.inp_bound * io.inp_res, 2 * io.out_bound * io.out_res
    return (
        f"DAC step {dac:.3g}, ADC step {adc:.3g} within ±{io.out_bound:g}, output noise {io.out_noise / adc:.2g} steps"
    )


def _update_line(update: UpdateParameters) -> str:
    managed = "managed" if update.update_management else "unmanaged"
    return f"{update.pulse_type.value}, up to {update.desired_bl} pulses, {managed}"
