"""Which algorithm learns digits on a noisy device: the 784-256-128-10 network on ``TutorialRRAMPresetDevice``.

    python tests/benchmarks/digits_on_noisy_device.py --data FOLDER [--full] [--seeds 1 2 3] [--algorithms fp sgd mp]

FOLDER holds the four idx files of MNIST. One pass takes 18,000 images drawn at random once (3,600 steps of 5);
``--full`` takes all 60,000 three times. All ten thousand test images are read on the same noisy hardware. Batch 5,
learning rate 0.1; TTv2 with its recommended settings and a fifth of the rate after two thirds. Prints a Markdown table
and writes every figure to ``--out`` as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from tilewright.configs import FloatingPointRPUConfig, RPUConfig, UpdateParameters, build_config
from tilewright.data import load_dataset
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import RunSpec, train
from tilewright.runs.recommended import recommended_config
from tilewright.runs.spec import ConstantSchedule, DataSource, DropSchedule, Seeds

TENTHS = 10


def configuration(algorithm: str) -> RPUConfig:
    """Tile of each contestant; plain SGD at the rate of the others, on purpose."""
    device = TutorialRRAMPresetDevice(construction_seed=123)
    if algorithm == "fp":
        return FloatingPointRPUConfig()
    if algorithm == "sgd":
        return build_config("sgd", device, up_parameters=UpdateParameters(desired_bl=10))
    return recommended_config(algorithm, device)


def specification(algorithm: str, seed: int, folder: Path, full: bool) -> RunSpec:
    """The run as data."""
    return RunSpec(
        name=f"{algorithm} seed {seed}",
        data=DataSource(name="idx", folder=str(folder)),
        rpu_config=configuration(algorithm),
        learning_rate=0.1,
        lr_schedule=DropSchedule() if algorithm in ("ttv2", "c-ttv2") else ConstantSchedule(),
        epochs=3 if full else 1,
        batch_size=5,
        train_limit=0 if full else 18_000,
        seeds=Seeds(data=seed, weights=seed, devices=seed),
    )


def run(spec: RunSpec) -> dict[str, object]:
    """Test accuracy after each epoch, mean loss of each tenth of the run, and the time it took."""
    start = time.process_time()
    accuracy: list[float] = []
    losses: list[tuple[int, float]] = []
    for event in train(spec, dataset=load_dataset(spec.data.name, spec.data.folder), checkpoint_seconds=1e9):
        if event.kind == "step":
            losses.append((event.step, event.values["loss"]))
        elif event.kind == "epoch":
            accuracy.append(event.values["test_accuracy"])
        elif event.kind == "failed":
            raise RuntimeError(event.message)
    steps = np.array([step for step, _ in losses])
    values = np.array([loss for _, loss in losses])
    tenth = np.minimum((steps - 1) * TENTHS // steps[-1], TENTHS - 1)
    return {
        "name": spec.name,
        "digest": spec.digest(),
        "test_accuracy": accuracy,
        "loss_by_tenth": [round(float(values[tenth == k].mean()), 3) for k in range(TENTHS)],
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the MNIST idx files")
    parser.add_argument("--full", action="store_true", help="three passes over all images instead of one over 18,000")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--algorithms", nargs="+", default=["fp", "sgd", "mp", "ttv2"])
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, list[dict[str, object]]] = {}
    for algorithm in options.algorithms:
        for seed in options.seeds:
            found = run(specification(algorithm, seed, options.data, options.full))
            results.setdefault(algorithm, []).append(found)
            print(json.dumps(found), flush=True)
            if options.out:
                options.out.write_text(json.dumps(results, indent=1))
    print("\n| algorithm | test accuracy, mean of seeds | each seed | CPU s |\n|---|---|---|---|")
    for algorithm, found in results.items():
        last = [float(r["test_accuracy"][-1]) for r in found]  # type: ignore[index]
        seconds = np.mean([float(r["cpu_seconds"]) for r in found])  # type: ignore[arg-type]
        each = ", ".join(f"{value:.3f}" for value in last)
        print(f"| {algorithm} | {np.mean(last):.3f} | {each} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
