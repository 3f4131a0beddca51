"""What the range of a device does to training: MNIST on soft-bounds devices of 1e-3 steps and bounds of +-tau.

    python tests/benchmarks/bounds_sweep.py --data FOLDER [--seeds 1 2 3] [--cases ...] [--quick]

FOLDER holds the four idx files of MNIST. The 784-256-128-10 network with sigmoids learns for two epochs at batch 10
(in-memory SGD at tau 2.0, which leaves the plateau late, for three) and a constant rate of 0.05, through 8-bit
converters and with a learned output scale per tile. In-memory SGD drifts to
the symmetry point of its devices faster than the gradient of the first plateau pulls, unless the range is wide;
Tiki-Taka keeps its gradients on an array of its own. After arXiv:2406.12774, shortened from 80 epochs. Algorithms that
the recipe says nothing of have their recommended settings.
"""

from __future__ import annotations

from pathlib import Path

from evidence import Results, mean_accuracies, options, outside, record_runs

from tilewright.configs import (
    FloatingPointRPUConfig,
    IOParameters,
    MappingParameter,
    RPUConfig,
    SoftBoundsReferenceDevice,
    UpdateParameters,
    build_config,
)
from tilewright.data import load_dataset
from tilewright.runs import RunSpec
from tilewright.runs.recommended import recommend
from tilewright.runs.spec import DataSource, Seeds

# Algorithm, bounds, rate of the transfer.
CASES: dict[str, tuple[str, float, float]] = {
    "sgd, tau 0.7": ("sgd", 0.7, 0.0),
    "tiki-taka, tau 0.7, transfer_lr 0.1": ("tiki-taka", 0.7, 0.1),
    "sgd, tau 2.0": ("sgd", 2.0, 0.0),
    "tiki-taka, tau 0.7, transfer_lr 0.01": ("tiki-taka", 0.7, 0.01),
    "tiki-taka, tau 0.8, transfer_lr 0.1": ("tiki-taka", 0.8, 0.1),
    "tiki-taka, tau 2.0, transfer_lr 0.1": ("tiki-taka", 2.0, 0.1),
    "floating point": ("fp", 0.0, 0.0),
    "residual-v2, tau 0.7": ("residual-v2", 0.7, 0.0),
    "rider, tau 0.7": ("rider", 0.7, 0.0),
    "e-rider, tau 0.7": ("e-rider", 0.7, 0.0),
    "multi-tile-residual, tau 0.7": ("multi-tile-residual", 0.7, 0.0),
}
EPOCHS = 2
LATE = {"sgd, tau 2.0": 3}  # runs that may still be on the plateau after two epochs


def configuration(case: str) -> RPUConfig:
    """The tiles of a case."""
    algorithm, tau, transfer_lr = CASES[case]
    if algorithm == "fp":
        return FloatingPointRPUConfig()
    device = SoftBoundsReferenceDevice(dw_min=1e-3, w_max=tau, w_min=-tau, construction_seed=123)
    eight_bits = IOParameters(inp_res=1 / 254, out_res=1 / 254, out_bound=20.0, out_noise=0.1)
    shared = {
        "io_parameters": eight_bits,
        "up_parameters": UpdateParameters(desired_bl=31),
        "mapping": MappingParameter(learn_out_scaling=True),
    }
    if algorithm == "sgd":
        return build_config("sgd", device, **shared)
    if algorithm != "tiki-taka":
        config = recommend(algorithm, device, construction_seed=123).rpu_config
        config.forward, config.backward = eight_bits, eight_bits
        config.mapping.learn_out_scaling = True
        return config
    read = IOParameters(noise_management="None", bound_management="None")
    cell = {
        "fast_lr": 0.05,
        "scale_fast_lr": False,
        "transfer_lr": transfer_lr,
        "scale_transfer_lr": False,
        "transfer_forward": read,
        "construction_seed": 123,
    }
    return build_config("tiki-taka", device, cell=cell, **shared)


def specification(case: str, seed: int, folder: Path | None, quick: bool = False) -> RunSpec:
    """The run as data; on the bundled digits without a folder."""
    return RunSpec(
        name=f"{case}, seed {seed}",
        data=DataSource() if folder is None else DataSource(name="idx", folder=str(folder)),
        rpu_config=configuration(case),
        learning_rate=0.05,
        epochs=LATE.get(case, EPOCHS),
        batch_size=10,
        train_limit=3_000 if quick else 0,
        seeds=Seeds(data=seed, weights=seed, devices=seed),
    )


# Lowest and highest mean test accuracy after the last epoch.
BARS: dict[str, tuple[float, float]] = {
    "sgd, tau 0.7": (0.09, 0.15),
    "tiki-taka, tau 0.7, transfer_lr 0.1": (0.90, 1),
    "tiki-taka, tau 0.7, transfer_lr 0.01": (0.60, 1),
    "tiki-taka, tau 0.8, transfer_lr 0.1": (0.90, 1),
    "sgd, tau 2.0": (0.70, 1),
    "tiki-taka, tau 2.0, transfer_lr 0.1": (0.90, 1),
}


def missed_bars(results: Results) -> list[str]:
    """What the recorded means miss, one sentence each; what was not run is not judged."""
    return outside(mean_accuracies(results), BARS)


def main() -> None:
    """Run the grid and print the table."""
    found = options(
        __doc__,
        "bounds_sweep",
        list(CASES),
        data={"type": Path, "required": True, "help": "folder of MNIST's idx files"},
    )
    data = load_dataset("idx", found.data)

    results = record_runs(found, lambda case, seed: specification(case, seed, found.data, found.quick), data)
    if not found.quick:
        print("\n".join(missed_bars(results)) or "every bar is met")


if __name__ == "__main__":
    main()
