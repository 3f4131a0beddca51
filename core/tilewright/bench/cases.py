"""The list of what is timed: every row of the goals, at all its sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tilewright.bench.case import Case
from tilewright.bench.inputs import learning_rate

SIZES = (256, 512, 1024)
BATCHES = (1, 8, 32, 256)
DENSITIES = (0.8, 0.08, 0.008)
STEP = 0.001
# The common fields of both toolkits, spelled out so that neither's defaults decide.
COMMON = {
    "dw_min": STEP, "dw_min_std": 0.3, "dw_min_dtod": 0.3, "up_down": 0.0, "up_down_dtod": 0.01,
    "w_max": 0.6, "w_min": -0.6, "w_max_dtod": 0.3, "w_min_dtod": 0.3,
}  # fmt: skip
DEVICES: dict[str, dict[str, Any]] = {
    "ConstantStepDevice": {},
    "LinearStepDevice": {"gamma_up": 0.1, "gamma_down": 0.1},
    "SoftBoundsDevice": {},
    "SoftBoundsReferenceDevice": {"reference_std": 0.05},
    "ExpStepDevice": {},
    "PowStepDevice": {"pow_gamma": 1.5},
    "PiecewiseStepDevice": {"piecewise_up": [1.2, 1.1, 1.0, 0.8, 0.5], "piecewise_down": [0.5, 0.8, 1.0, 1.1, 1.2]},
}
SECONDS_PER_PULSE = {"ExpStepDevice": 28e-9, "PowStepDevice": 60e-9}  # the reference's; others 15 ns
UPDATE = {"desired_bl": 31, "update_bl_management": True, "update_management": True, "fixed_bl": True}
TRAINED_DEVICE = {
    "class": "SoftBoundsReferenceDevice", "dw_min": 0.0116, "up_down": -0.24, "w_max": 2.0, "w_min": -0.777,
    "dw_min_dtod": 0.3, "dw_min_dtod_log_normal": True, "dw_min_std": 5.0, "mult_noise": False, "w_max_dtod": 0.1,
    "w_min_dtod": 0.1, "up_down_dtod": 0.05, "write_noise_std": 6.5, "subtract_symmetry_point": True,
    "reference_std": 0.05,
}  # fmt: skip
ALGORITHMS = ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp")
CHOPPED = ("c-ttv2", "agad")


def device(name: str, **fields: Any) -> dict[str, Any]:
    """A device of the list as data."""
    return {"class": name, **COMMON, **DEVICES[name], **fields}


def all_cases() -> list[Case]:
    """Every case, quick ones included."""
    return [
        *_updates(), *_products(), *_traces(), *_figures(), *_fits(), *_training(), *_mixed_precision(), *_memory(),
    ]  # fmt: skip


def quick_cases() -> list[Case]:
    """The selection that takes a couple of minutes."""
    return [case for case in all_cases() if case.quick]


def table_cases() -> list[Case]:
    """Every goal, updates and products at 512 x 512: what the table of the README shows."""
    return [case for case in all_cases() if case.quick or case.in_table]


def _updates() -> Iterator[Case]:
    for name in DEVICES:
        for size in SIZES:
            for batch in BATCHES:
                for density in DENSITIES:
                    pulses = size * size * batch * density
                    seconds = SECONDS_PER_PULSE.get(name, 15e-9) * pulses + batch * size * 3e-7
                    yield Case(
                        f"update {name} n={size} B={batch} density={density:g}",
                        "update",
                        _update_goal(name, batch, density),
                        {
                            "device": device(name), "update": UPDATE, "size": size, "batch": batch,
                            "density": density, "lr": learning_rate(density, STEP),
                        },
                        quick=size == 512 and batch in (1, 32) and name in QUICK_DEVICES,
                        in_table=size == 512 and name in TABLE_DEVICES and (batch <= 32 or name == TABLE_DEVICES[0]),
                        two_threads=batch >= 32 and density >= 0.08,
                        expected=seconds,
                    )  # fmt: skip


QUICK_DEVICES = ("ConstantStepDevice", "SoftBoundsReferenceDevice", "ExpStepDevice")
TABLE_DEVICES = (*QUICK_DEVICES, "SoftBoundsDevice", "PowStepDevice")


def _update_goal(name: str, batch: int, density: float) -> str:
    if batch < 32:
        return f"update B={batch} density={density:g}"
    if name == "ConstantStepDevice":
        return f"constant density={density:g}"
    if name in ("ExpStepDevice", "PowStepDevice"):
        return "update exp pow"
    return "update B>=32 density=0.008" if density < 0.08 else "update B>=32 density>=0.08"


def _products() -> Iterator[Case]:
    for kind in ("forward", "backward"):
        for layer in ("kernel", "tile"):
            for size in SIZES:
                for batch in (1, 32, 256):
                    yield Case(
                        f"{kind} {layer} n={size} B={batch}",
                        kind,
                        f"{kind} B=1" if batch == 1 else f"{kind} B>=32",
                        {"device": device("ConstantStepDevice"), "size": size, "batch": batch, "layer": layer},
                        quick=size == 512 and batch in (1, 32),
                        in_table=size == 512,
                        two_threads=batch >= 32,
                        expected=1e-10 * size * size * batch,
                    )


def _traces() -> Iterator[Case]:
    for devices in (5, 1024):
        yield Case(
            f"trace {devices} devices x 400 pulses",
            "trace",
            f"trace {devices}",
            {"device": device("SoftBoundsDevice"), "devices": devices, "pulses": 400, "loops": 1},
            quick=True,
            expected=0.05,
        )
    yield Case(
        "trace million devices x 400 pulses",
        "trace memory",
        "trace million",
        {"device": device("SoftBoundsDevice"), "devices": 1_000_000, "pulses": 400, "loops": 1},
        in_table=True,
        expected=10,
    )


def _figures() -> Iterator[Case]:
    for kind in ("core", "figure"):
        yield Case(
            f"compact plot, {kind}",
            f"compact {kind}",
            f"compact {kind}",
            {"preset": "ReRamSBPresetDevice"},
            quick=True,
            expected=0.3,
        )


def _fits() -> Iterator[Case]:
    yield Case(
        "fit SoftBoundsReferenceDevice, 400 points, Powell",
        "fit",
        "fit",
        {
            "device": {"class": "SoftBoundsReferenceDevice"},
            "pulses": 400,
            "truth": {"step": 0.012, "imbalance": -0.2, "w_max": 1.2, "w_min": -0.8},
            "parameters": {
                "dw_min": [0.01, 0.001, 1.0], "up_down": [0.0, -0.99, 0.99], "w_max": [1.0, 0.1, 2.0],
                "w_min": [-1.0, -2.0, -0.1],
            },
        },
        quick=True,
        expected=5,
    )  # fmt: skip


def _training() -> Iterator[Case]:
    for batch in (5, 64):
        for algorithm in ALGORITHMS:
            goal = f"training B={batch}" + (" chopped" if batch == 64 and algorithm in CHOPPED else "")
            yield Case(
                f"training step {algorithm} B={batch}",
                "training",
                goal,
                {
                    "algorithm": algorithm, "device": TRAINED_DEVICE, "batch": batch, "batches": 16,
                    "layers": [784, 256, 128, 10],
                    "lr": 0.1,
                },
                quick=True,
                expected=1e-3 * batch**0.5,
            )  # fmt: skip


def _mixed_precision() -> Iterator[Case]:
    for batch in (1, 32):
        yield Case(
            f"mixed-precision update n=512 B={batch}",
            "cell update",
            "mixed precision",
            {
                "algorithm": "mp", "device": device("SoftBoundsReferenceDevice"), "update": UPDATE, "size": 512,
                "batch": batch, "lr": 0.1,
            },
            quick=True,
            two_threads=True,
            expected=0.1,
        )  # fmt: skip


def _memory() -> Iterator[Case]:
    for goal, words in (("bytes", "without"), ("bytes spread", "with")):
        for name in ("ConstantStepDevice", "SoftBoundsDevice", "SoftBoundsReferenceDevice"):
            made = device(name)
            if goal == "bytes":
                made |= {field: 0.0 for field in made if field.endswith("_dtod") or field == "reference_std"}
            yield Case(
                f"memory {name} {words} spread",
                "memory",
                goal,
                {"device": made, "update": UPDATE, "size": 2048, "lr": 0.01},
                quick=True,
                expected=1,
            )
