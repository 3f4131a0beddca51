"""Devices a page can start from: presets and the workspace's own."""

from __future__ import annotations

import streamlit as st

from studio.errors import show_error
from studio.forms import named_choice
from studio.workspace import workspace
from tilewright.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    TableStepDevice,
)
from tilewright.devices.pulsed import PulsedDevice
from tilewright.parameters import ParameterError
from tilewright.presets import DEVICE_PRESETS

PLAIN_MODELS = {
    cls.__name__: cls
    for cls in (
        SoftBoundsReferenceDevice,
        SoftBoundsDevice,
        SoftBoundsPmaxDevice,
        LinearStepDevice,
        ConstantStepDevice,
        ExpStepDevice,
        PowStepDevice,
        PowStepReferenceDevice,
        PiecewiseStepDevice,
        TableStepDevice,
    )
}

DEFAULT = "TutorialRRAMPresetDevice"


def device_names() -> list[str]:
    """Own devices first, then presets, then the plain models."""
    return [*workspace().devices.names(), *DEVICE_PRESETS, *PLAIN_MODELS]


def origin_of(name: str) -> str:
    """Where a device comes from, in a sentence."""
    if workspace().devices.exists(name):
        return "A device of your own."
    cls = DEVICE_PRESETS.get(name) or PLAIN_MODELS[name]
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def own_name(name: str) -> str:
    """A name for a device made from another one."""
    return (
        name if workspace().devices.exists(name) else f"my {name.removesuffix('PresetDevice').removesuffix('Device')}"
    )


def load_device(name: str) -> PulsedDevice:
    """The device of that name: the workspace's own wins over a preset."""
    if workspace().devices.exists(name):
        found = workspace().devices.load(name)
        if not isinstance(found, PulsedDevice):
            raise ParameterError(f"{name} holds a {type(found).__name__}, not a pulsed device; choose another")
        return found
    cls = DEVICE_PRESETS.get(name) or PLAIN_MODELS[name]
    return cls()


def as_model(device: PulsedDevice) -> PulsedDevice:
    """The plain model behind a preset, with all its numbers.

    Tiles and runs keep this: they then say what they were made with even when a preset changes in a later release.
    """
    cls = type(device)
    if cls.__name__ not in DEVICE_PRESETS:
        return device
    model = next(base for base in cls.__mro__[1:] if base.__name__ in PLAIN_MODELS)
    return model(**{name: getattr(device, name) for name in cls.model_fields})


def choose_device(label: str = "Device", key: str = "device") -> tuple[str, PulsedDevice]:
    """A selection of devices; returns the name and the object."""
    names = device_names()
    name = named_choice(label, names, key, default=DEFAULT, help="Yours come first, then published presets.")
    name = name or DEFAULT
    try:
        return name, load_device(name)
    except ParameterError as error:
        show_error(error)
        st.stop()
