"""The demonstration: the whole path on bundled data, in one click."""

from __future__ import annotations

from studio.background import Task, find_task, start_task
from studio.fits import Outcome, with_noise, with_typical_spread
from studio.launching import demo_specs
from studio.workspace import engine, workspace
from tilewright.configs import SoftBoundsReferenceDevice
from tilewright.fitting import estimate_noise, fit_device
from tilewright.measurement import example_names, load_example, suggested_normalisation
from tilewright.runs import Engine
from tilewright.workspace import Workspace

NAME = "demo"
ALGORITHMS = ("sgd", "ttv2", "mp")
STEPS = ("Read the example", "Fit a device", "Save it", "Start three runs")


def find_demo() -> Task | None:
    """The demonstration, if it was started."""
    return find_task(NAME)


def start_demo() -> Task:
    """Load an example, fit a device, save it, and train on it with three algorithms."""
    # Opened here, since a thread of its own has no page to show a starting engine on.
    space, trainer = workspace(), engine()
    return start_task(NAME, lambda task: _walk(task, space, trainer))


def _walk(task: Task, space: Workspace, trainer: Engine) -> list[str]:
    task.report(step=0)
    example = example_names()[0]
    raw = load_example(example)
    shelf = space.measurements
    name = shelf.save(example, raw.with_name(example))
    measurement = raw.normalised(suggested_normalisation(raw))
    task.report(step=1)
    fit = fit_device(measurement, SoftBoundsReferenceDevice, cancelled=task.cancelled)
    device = with_typical_spread(with_noise(Outcome(measurement, fit, estimate_noise(measurement, fit))))
    task.report(step=2)
    name = space.devices.save(f"{name} device", device)
    task.report(step=3, device=name)
    specs = demo_specs(ALGORITHMS, name, device)
    runs = [trainer.submit(spec) for spec in specs]
    task.report(step=4)
    return runs
