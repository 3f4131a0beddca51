"""The headline experiment: from a measured device to six algorithms side by side, in one call.

Fits a device to an example measurement (or takes one that is given), and compares every analog training algorithm on
it with its recommended settings: three seeds each, on ``mnist-small``.
"""

from __future__ import annotations

from collections.abc import Callable

from tilewright.configs import RPUConfig, SoftBoundsReferenceDevice
from tilewright.devices.pulsed import PulsedDevice
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs.data_source import DataSource
from tilewright.runs.grid import Contender, Grid
from tilewright.runs.recommended import recommend
from tilewright.runs.spec import RunSpec

ALGORITHMS = ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp")
SEEDS = 3
LABELS = {
    "sgd": "In-memory SGD",
    "tiki-taka": "Tiki-Taka",
    "ttv2": "TTv2",
    "c-ttv2": "c-TTv2",
    "agad": "AGAD",
    "mp": "Mixed precision",
}


def fitted_example(cancelled: Callable[[], bool] = lambda: False) -> PulsedDevice:
    """A device fitted to the first bundled measurement, with its noise and the typical spread between devices."""
    from tilewright.fitting import estimate_noise, fit_device
    from tilewright.measurement import example_names, load_example, suggested_normalisation

    raw = load_example(example_names()[0])
    measurement = raw.normalised(suggested_normalisation(raw))
    fit = fit_device(measurement, SoftBoundsReferenceDevice, cancelled=cancelled)
    device = estimate_noise(measurement, fit).apply(fit.device)
    # One measured device cannot tell how devices differ: that is taken from a published one.
    typical = TutorialRRAMPresetDevice()
    shared = ("subtract_symmetry_point", "reference_std", "enforce_consistency")
    names = [name for name in type(typical).model_fields if "_dtod" in name or name in shared]
    fields = {name: getattr(device, name) for name in type(device).model_fields}
    return type(device)(**fields | {name: getattr(typical, name) for name in names if name in fields})


def headline_grid(
    device: PulsedDevice, device_name: str = "fitted device", epochs: int = 1, seeds: int = SEEDS
) -> Grid:
    """The experiment as data.

    Args:
        device: what every algorithm runs on.
        device_name: how it is called in the names of the runs.
        epochs: passes over the 6,000 images.
        seeds: repetitions.
    """
    contenders = []
    for algorithm in ALGORITHMS:
        advice = recommend(algorithm, device)
        config: RPUConfig = advice.rpu_config
        contenders.append(
            Contender(
                name=f"{LABELS[algorithm]}, {device_name}"[:80],
                rpu_config=config,
                learning_rate=advice.learning_rate,
                lr_schedule=advice.lr_schedule,
            )
        )
    base = RunSpec(data=DataSource(name="mnist-small"), epochs=epochs, batch_size=5)
    return Grid(name="six algorithms", base=base, contenders=contenders, seeds=seeds)
