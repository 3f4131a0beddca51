"""Whether the algorithm that the verdict recommends is the one that trains best, on a dozen devices unlike each other.

    python tests/benchmarks/verdict_against_training.py [--seeds 1 2 3] [--devices NAME ...] [--out FILE]

A 64-64-10 network with sigmoids on the bundled 8x8 digits, batch 5, six passes; every algorithm with the settings that
:func:`recommend` gives it, but SGD at the rate of the others. Test images are read on the same noisy hardware. Prints,
for each device, the accuracy of each algorithm (mean and standard deviation over seeds), what the verdict says, and
whether that is the best or within the interval of the best: a difference of means below two standard errors of it.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

from tilewright.configs import (
    ConstantStepDevice,
    LinearStepDevice,
    PowStepDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
)
from tilewright.data import load_dataset
from tilewright.fitting.verdict import device_verdict
from tilewright.presets import EcRamPresetDevice, ReRamESPresetDevice, TutorialRRAMPresetDevice
from tilewright.runs import RunSpec, train
from tilewright.runs.recommended import recommend
from tilewright.runs.spec import DataSource, Perceptron, Seeds

UPDATES = 6 * 323
ALGORITHMS = ("sgd", "mp", "tiki-taka", "ttv2", "c-ttv2", "agad")

STEADY = {"dw_min_dtod": 0.1, "w_max_dtod": 0.1, "w_min_dtod": 0.1, "up_down_dtod": 0.01}
DEVICES: dict[str, PulsedDevice] = {
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
}


def trained(device: PulsedDevice, algorithm: str, seed: int) -> float:
    """Test accuracy of one run, at its end."""
    settings = recommend(algorithm, device, construction_seed=seed)
    spec = RunSpec(
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
    accuracy = math.nan
    for event in train(spec, dataset=load_dataset(spec.data.name, spec.data.folder), checkpoint_seconds=1e9):
        if event.kind == "epoch":
            accuracy = event.values["test_accuracy"]
        elif event.kind == "failed":
            raise RuntimeError(event.message)
    return accuracy


def main() -> None:
    """Train, ask the verdict, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--devices", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--out", type=Path, help="JSON of all accuracies; runs that it holds already are not repeated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, float] = {}
    if options.out and options.out.exists():
        known = json.loads(options.out.read_text())
    for seed in options.seeds:
        for name in options.devices:
            for algorithm in options.algorithms:
                key = f"{name} | {algorithm} | {seed}"
                if key not in known:
                    known[key] = trained(DEVICES[name], algorithm, seed)
                    if options.out:
                        options.out.write_text(json.dumps(known, indent=1))
    report(known, options.devices, options.algorithms, options.seeds)


def report(known: dict[str, float], devices: list[str], algorithms: list[str], seeds: list[int]) -> None:
    """The table, and how often the verdict was right."""
    right = 0
    print("| device | " + " | ".join(algorithms) + " | verdict | |\n|---" * 1 + "|---" * (len(algorithms) + 2) + "|")
    for name in devices:
        found = {a: np.array([known[f"{name} | {a} | {seed}"] for seed in seeds]) for a in algorithms}
        best = max(found, key=lambda a: float(found[a].mean()))
        chosen = next(a for a in device_verdict(DEVICES[name], updates=UPDATES, lines=64).order if a in found)
        gap = float(found[best].mean() - found[chosen].mean())
        spread = math.sqrt(sum(float(found[a].var(ddof=1)) / len(seeds) for a in (best, chosen)))
        good = gap <= 2 * spread
        right += good
        cells = " | ".join(f"{found[a].mean():.3f} ± {found[a].std(ddof=1):.3f}" for a in algorithms)
        print(
            f"| {name} | {cells} | {chosen} | {'best' if gap == 0 else 'within its interval' if good else 'missed'} |"
        )
    print(f"\n{right} of {len(devices)} right")


if __name__ == "__main__":
    main()
