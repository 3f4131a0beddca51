"""Devices, periphery and update schemes taken from publications, built from ``presets.toml``.

Each preset is a subclass of its model that differs only in defaults, so that it validates, prints and exports like
any other. The numbers, their sources and remarks are data; here stand only the names, for imports and type checkers.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tilewright.devices.constant_step import ConstantStepDevice
from tilewright.devices.exp_step import ExpStepDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.soft_bounds import SoftBoundsReferenceDevice
from tilewright.parameters import Parameters, with_defaults
from tilewright.periphery import IOParameters, UpdateParameters

P = TypeVar("P", bound=Parameters)

VERSION = 1


@dataclass(frozen=True)
class PresetRecord:
    """What the data file says about a preset.

    Attributes:
        kind: ``device``, ``periphery`` or ``update``.
        model: name of the class whose defaults it changes.
        summary: one sentence.
        values: field values.
        technology, source, doi, remark: texts, empty where there is nothing to say.
        adjusted: fields that were chosen and not measured.
        measured: what the source measured, where ``values`` departs from it.
    """

    kind: str
    model: str
    summary: str
    values: dict[str, Any]
    technology: str = ""
    source: str = ""
    doi: str = ""
    remark: str = ""
    adjusted: tuple[str, ...] = ()
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def docstring(self) -> str:
        """The summary, then the source, then the remark."""
        cited = self.source + (f", doi:{self.doi}" if self.doi else "")
        parts = [self.summary, f"Source: {cited}." if cited else "", self.remark]
        return "\n\n".join(part for part in parts if part)


def _read(path: Path) -> dict[str, PresetRecord]:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    version = data.pop("version", None)
    if version != VERSION:
        raise ValueError(f"{path.name} has version {version!r}; this release reads {VERSION}")
    return {name: PresetRecord(**{**row, "adjusted": tuple(row.get("adjusted", ()))}) for name, row in data.items()}


RECORDS = _read(Path(__file__).with_suffix(".toml"))


def _preset(model: type[P], name: str) -> type[P]:
    record = RECORDS[name]
    if record.model != model.__name__:
        raise TypeError(f"{name} is a {record.model} in the data, not a {model.__name__}")
    made: type[P] = with_defaults(model, name, record.docstring, __name__, **record.values)
    return made


TutorialRRAMPresetDevice = _preset(SoftBoundsReferenceDevice, "TutorialRRAMPresetDevice")
ReRamESPresetDevice = _preset(ExpStepDevice, "ReRamESPresetDevice")
ReRamSBPresetDevice = _preset(SoftBoundsReferenceDevice, "ReRamSBPresetDevice")
ReRamArrayOMPresetDevice = _preset(SoftBoundsReferenceDevice, "ReRamArrayOMPresetDevice")
ReRamArrayHfO2PresetDevice = _preset(SoftBoundsReferenceDevice, "ReRamArrayHfO2PresetDevice")
CapacitorPresetDevice = _preset(LinearStepDevice, "CapacitorPresetDevice")
EcRamPresetDevice = _preset(LinearStepDevice, "EcRamPresetDevice")
EcRamMOPresetDevice = _preset(LinearStepDevice, "EcRamMOPresetDevice")
IdealizedPresetDevice = _preset(ConstantStepDevice, "IdealizedPresetDevice")
GokmenVlasovPresetDevice = _preset(ConstantStepDevice, "GokmenVlasovPresetDevice")
PCMPresetDevice = _preset(ExpStepDevice, "PCMPresetDevice")

PresetIOParameters = _preset(IOParameters, "PresetIOParameters")
StandardIOParameters = _preset(IOParameters, "StandardIOParameters")
WebComposerIOParameters = _preset(IOParameters, "WebComposerIOParameters")
PresetUpdateParameters = _preset(UpdateParameters, "PresetUpdateParameters")

DEVICE_PRESETS: dict[str, type[PulsedDevice]] = {
    cls.__name__: cls
    for cls in (
        TutorialRRAMPresetDevice,
        ReRamESPresetDevice,
        ReRamSBPresetDevice,
        ReRamArrayOMPresetDevice,
        ReRamArrayHfO2PresetDevice,
        CapacitorPresetDevice,
        EcRamPresetDevice,
        EcRamMOPresetDevice,
        IdealizedPresetDevice,
        GokmenVlasovPresetDevice,
        PCMPresetDevice,
    )
}
PERIPHERY_PRESETS: dict[str, type[IOParameters]] = {
    cls.__name__: cls for cls in (PresetIOParameters, StandardIOParameters, WebComposerIOParameters)
}
UPDATE_PRESETS: dict[str, type[UpdateParameters]] = {PresetUpdateParameters.__name__: PresetUpdateParameters}


def with_corrupt_devices(preset: type[PulsedDevice]) -> PulsedDevice:
    """A device of the preset with the share of stuck devices that its source measured.

    Raises:
        ValueError: the source gives none.
    """
    record = RECORDS.get(preset.__name__)
    if record is None or "corrupt_devices_prob" not in record.measured:
        known = [name for name, row in RECORDS.items() if "corrupt_devices_prob" in row.measured]
        raise ValueError(f"{preset.__name__} has no measured share of stuck devices; {', '.join(known)} have")
    return preset(corrupt_devices_prob=record.measured["corrupt_devices_prob"])


def __getattr__(name: str) -> Any:
    """Whole tiles and cells, which are built on the configurations and hence after this module."""
    if name.endswith(("Preset", "PresetUnitCell")) or name == "TILE_PRESETS":
        from tilewright import tile_presets

        return getattr(tile_presets, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All names, those of whole tiles and cells among them, for completion."""
    from tilewright import tile_presets

    return sorted({*globals(), *tile_presets.TILE_PRESETS, *tile_presets.CELL_PRESETS, "TILE_PRESETS"})
