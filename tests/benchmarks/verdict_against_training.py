"""Whether the algorithm that the verdict recommends is the one that trains best, on devices unlike each other.

    python tests/benchmarks/verdict_against_training.py [--part judged-on] [--seeds 1 2 3] [--cases ...] [--recorded]

A 64-64-10 network with sigmoids on the bundled 8x8 digits, batch 5, six passes; every algorithm with the settings that
``recommend`` gives it, but SGD at rate 0.1. Test images are read on the same noisy hardware.

The constants of the verdict are fitted to the devices of ``chosen-by`` (see ``fit_verdict.py``): those with names, and
sixty drawn at random. It is judged on the devices of ``judged-on``, twelve others from the same draw that had no part
in it. Prints, for each device, the accuracy of each algorithm (mean and standard deviation over seeds), what the
verdict says, and whether that is the best or within the interval of the best: the 95 % t interval of the difference to
it, seed by seed, includes 0. ``--recorded`` prints what is recorded without training.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
from drawn_devices import drawn_device
from evidence import (
    Entry,
    Results,
    last_accuracies,
    mean_and_interval,
    options,
    record,
    run_digest,
    stored,
    training_run,
)
from numpy.typing import NDArray

from tilewright.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from tilewright.data import Dataset, load_dataset
from tilewright.fitting.verdict import DeviceVerdict, device_verdict
from tilewright.presets import (
    CapacitorPresetDevice,
    EcRamMOPresetDevice,
    EcRamPresetDevice,
    ReRamArrayHfO2PresetDevice,
    ReRamESPresetDevice,
    ReRamSBPresetDevice,
    TutorialRRAMPresetDevice,
)
from tilewright.runs import RunSpec
from tilewright.runs.recommended import recommend
from tilewright.runs.spec import DataSource, Perceptron, Seeds

NAME = "verdict_against_training"
VECTORS, LINES = 6 * 1615, 64
ALGORITHMS = ("sgd", "mp", "tiki-taka", "ttv2", "c-ttv2", "agad")
LEAST_SEEDS = 3  # of an interval
HEADER = f"| device | {' | '.join(ALGORITHMS)} | verdict | |"

STEADY = {"dw_min_dtod": 0.1, "w_max_dtod": 0.1, "w_min_dtod": 0.1, "up_down_dtod": 0.01}
NAMED: dict[str, PulsedDevice] = {
    "fine and symmetric": ConstantStepDevice(dw_min=0.0005, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **STEADY),
    "coarse and symmetric": ConstantStepDevice(dw_min=0.02, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **STEADY),
    "fine, nearly linear": LinearStepDevice(
        dw_min=0.0005, w_max=1.0, w_min=-1.0, gamma_up=0.1, gamma_down=0.1, dw_min_std=0.3, **STEADY
    ),
    "1000 states, soft bounds": SoftBoundsDevice(dw_min=0.002, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **STEADY),
    "100 states, soft bounds": SoftBoundsDevice(dw_min=0.02, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **STEADY),
    "symmetry point off zero": SoftBoundsDevice(
        dw_min=0.004, up_down=0.4, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **STEADY
    ),
    "reference at the symmetry point": SoftBoundsReferenceDevice(
        dw_min=0.004, up_down=0.4, w_max=1.0, w_min=-1.0, dw_min_std=0.3, subtract_symmetry_point=True, **STEADY
    ),
    "reference 0.2 off": SoftBoundsReferenceDevice(
        dw_min=0.004, w_max=1.0, w_min=-1.0, dw_min_std=0.3, subtract_symmetry_point=True, reference_std=0.2, **STEADY
    ),
    "noisy pulses": SoftBoundsReferenceDevice(
        dw_min=0.01, w_max=1.0, w_min=-1.0, dw_min_std=5.0, subtract_symmetry_point=True, mult_noise=False, **STEADY
    ),
    "noisy writes": SoftBoundsReferenceDevice(
        dw_min=0.005, w_max=1.0, w_min=-1.0, write_noise_std=30.0, subtract_symmetry_point=True, **STEADY
    ),
    "tutorial RRAM": TutorialRRAMPresetDevice(),
    "ReRAM, exponential steps": ReRamESPresetDevice(),
    "ECRAM": EcRamPresetDevice(),
    "power-law steps": PowStepDevice(dw_min=0.01, pow_gamma=2.0, w_max=1.0, w_min=-1.0, dw_min_std=1.0, **STEADY),
    "40 states, noisy": SoftBoundsDevice(dw_min=0.05, w_max=1.0, w_min=-1.0, dw_min_std=1.0, **STEADY),
    "fine, reference at the symmetry point": SoftBoundsReferenceDevice(
        dw_min=0.0005, up_down=0.2, w_max=0.8, w_min=-1.2, dw_min_std=0.5, subtract_symmetry_point=True, **STEADY
    ),
    "linear, unequal slopes": LinearStepDevice(
        dw_min=0.005, w_max=0.8, w_min=-0.8, gamma_up=0.9, gamma_down=0.3, dw_min_std=0.5, **STEADY
    ),
    "coarse exponential steps": ExpStepDevice(
        dw_min=0.02, A_up=0.3, A_down=0.3, gamma_up=3.0, gamma_down=2.0, a=0.5, b=0.0, w_max=1.0, w_min=-1.0,
        dw_min_std=0.5, **STEADY
    ),
    "power steps, unequal, noisy": PowStepDevice(
        dw_min=0.02, pow_gamma=1.5, pow_up_down=0.3, up_down=-0.1, w_max=1.0, w_min=-1.0, dw_min_std=2.0, **STEADY
    ),
    "constant steps, unequal, large spread": ConstantStepDevice(
        dw_min=0.004, up_down=0.05, w_max=0.7, w_min=-0.7, dw_min_std=1.0, dw_min_dtod=0.3, w_max_dtod=0.3,
        w_min_dtod=0.3, up_down_dtod=0.05,
    ),
    "growing and shrinking steps": PiecewiseStepDevice(
        dw_min=0.004, w_max=1.0, w_min=-1.0, piecewise_up=[0.5, 1.4, 1.2, 0.9, 0.7, 0.3],
        piecewise_down=[0.2, 0.6, 1.0, 1.3, 1.4, 0.9], dw_min_std=0.5, **STEADY
    ),
    "Capacitor": CapacitorPresetDevice(),
    "ReRAM, soft bounds": ReRamSBPresetDevice(),
    "HfO2 ReRAM array": ReRamArrayHfO2PresetDevice(),
    "metal-oxide ECRAM": EcRamMOPresetDevice(),
}  # fmt: skip


def _drawn(numbers: Iterable[int]) -> dict[str, PulsedDevice]:
    found = {}
    for number in numbers:
        kind, device = drawn_device(number)
        found[f"{number}: {kind}, {1 / device.dw_min:.0f} steps, noise {device.dw_min_std:g}"] = device
    return found


PARTS = {"chosen-by": NAMED | _drawn(range(1, 61)), "judged-on": _drawn(range(1001, 1013))}
DEVICES = PARTS["chosen-by"] | PARTS["judged-on"]
CASES = [f"{algorithm}, {device}" for device in DEVICES for algorithm in ALGORITHMS]


@functools.cache
def verdict_on(device: str) -> DeviceVerdict:
    """What the verdict says of a device for a training of this length."""
    return device_verdict(DEVICES[device], vectors=VECTORS, lines=LINES)


def specification(case: str, seed: int) -> RunSpec:
    """The run as data."""
    algorithm, _, device = case.partition(", ")
    settings = recommend(algorithm, DEVICES[device], construction_seed=seed)
    return RunSpec(
        name=f"{algorithm} seed {seed}",
        data=DataSource(name="digits8x8"),
        network=Perceptron(layer_sizes=[64, 64, 10], activation="Sigmoid"),
        rpu_config=settings.rpu_config,
        # six passes are too few for the small rate that is recommended for SGD
        learning_rate=0.1 if algorithm == "sgd" else settings.learning_rate,
        lr_schedule=settings.lr_schedule,
        epochs=6,
        batch_size=5,
        seeds=Seeds(data=seed, weights=seed, devices=seed),
    )


def accuracies(results: Results, device: str) -> dict[str, NDArray[np.float64]]:
    """Of each algorithm, seed by seed; empty unless all were trained."""
    found = {a: np.array(last_accuracies(results.get(f"{a}, {device}", []))) for a in ALGORITHMS}
    return found if all(len(values) for values in found.values()) else {}


def judged(found: dict[str, NDArray[np.float64]], chosen: str) -> tuple[float, bool]:
    """How far a choice lies behind the best of the means, and whether the interval of the difference includes 0.

    Of two seeds it is so wide that it says nothing, and counts as not including it.
    """
    best = max(found, key=lambda a: float(found[a].mean()))
    mean, half = mean_and_interval(list(found[best] - found[chosen]))
    return mean, mean == 0 or (len(found[best]) >= LEAST_SEEDS and mean <= half)


def rows(results: Results, devices: Iterable[str]) -> list[str]:
    """A line of the table for each device that has been trained with every algorithm."""
    lines = []
    for device in devices:
        if found := accuracies(results, device):
            chosen = verdict_on(device).recommended
            behind, within = judged(found, chosen)
            word = (
                "best" if behind == 0 else f"within its interval ({behind:.3f})" if within else f"{behind:.3f} behind"
            )
            cells = " | ".join(_cell(values) for values in found.values())
            lines.append(f"| {device} | {cells} | {chosen} | {word} |")
    return lines


def _cell(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def behind_best(results: Results, devices: Iterable[str]) -> dict[str, list[float]]:
    """How far the means of each algorithm, and of the verdict's choice, lie behind the best one, device by device."""
    behind: dict[str, list[float]] = {name: [] for name in ("verdict", *ALGORITHMS)}
    for device in devices:
        if found := accuracies(results, device):
            means = {a: float(values.mean()) for a, values in found.items()}
            means["verdict"] = means[verdict_on(device).recommended]
            for name, values in behind.items():
                values.append(max(means.values()) - means[name])
    return behind


def report(results: Results, devices: Iterable[str]) -> None:
    """The table, how often the verdict was right, and what else one could have gone by."""
    lines = rows(results, devices)
    print(HEADER + "\n" + "|---" * (len(ALGORITHMS) + 3) + "|")
    print("\n".join(lines))
    print(f"\n{sum(' behind' not in line for line in lines)} of {len(lines)} right; behind the best on average:")
    for name, values in behind_best(results, devices).items():
        print(f"{name}: {np.mean(values):.3f}")


def main() -> None:
    """Train, ask the verdict, compare."""
    part = {"choices": list(PARTS), "default": "judged-on", "help": "which devices"}
    recorded = {"action": "store_true", "help": "print what is recorded only"}
    chosen = options(__doc__, NAME, CASES, part=part, recorded=recorded)
    devices = PARTS[chosen.part]
    if chosen.recorded:
        report(stored(NAME), devices)
        return
    data: Dataset = load_dataset("digits8x8")

    def run(case: str, seed: int) -> Entry:
        found = training_run(specification(case, seed), data)
        return {name: found[name] for name in ("seed", "digest", "cpu_seconds")} | {
            "test_accuracy": found["test_accuracy"][-1:]
        }

    def digest(case: str, seed: int) -> str:
        return run_digest(specification(case, seed), data)

    cases = [case for case in chosen.cases if case.partition(", ")[2] in devices]
    report(record(cases, chosen.seeds, digest, run, chosen.out), devices)


if __name__ == "__main__":
    main()
