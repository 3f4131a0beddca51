"""How every algorithm fits a small linear map on three kinds of devices: loss over 400 steps, 20 seeds.

    python tests/benchmarks/linear_regression.py [--seeds 1 2 ...] [--cases ...] [--quick]

An 8 x 4 layer without bias learns a uniform W* within +-0.5 from batches of ten uniform inputs, with half the summed
squared error as loss, through the default periphery, from W = 0. Devices have 200 states: constant steps, soft bounds,
and soft bounds whose down step is half the up step. Settings are the recommended ones. About a minute
of CPU time in all.
"""

from __future__ import annotations

import time

import torch
from evidence import Entry, as_text, digest_of, options, record

from tilewright.configs import ConstantStepDevice, PulsedDevice, SoftBoundsDevice
from tilewright.runs.recommended import recommend, recommended_names
from tilewright.tile import AnalogTile

OUTPUTS, INPUTS, BATCH, STEPS = 4, 8, 10, 400
POINTS = 40
SEEDS = list(range(1, 21))
BOUNDS = {"w_max": 1.0, "w_min": -1.0, "w_max_dtod": 0.1, "w_min_dtod": 0.1}
DEVICES: dict[str, PulsedDevice] = {
    "constant step": ConstantStepDevice(dw_min=0.01, **BOUNDS),
    "soft bounds": SoftBoundsDevice(dw_min=0.01, **BOUNDS),
    "asymmetric": SoftBoundsDevice(dw_min=0.01, up_down=0.5, up_down_dtod=0.05, **BOUNDS),
}
CASES = [f"{algorithm}, {device}" for device in DEVICES for algorithm in recommended_names()]


def fit(case: str, seed: int, steps: int = STEPS) -> Entry:
    """Mean loss of each of the ``POINTS`` parts of the run; W*, inputs, devices and noise follow from the seed."""
    start = time.process_time()
    algorithm, device = case.split(", ")
    advice = recommend(algorithm, DEVICES[device])
    draws = torch.Generator().manual_seed(seed)
    wanted = torch.rand(OUTPUTS, INPUTS, generator=draws) - 0.5
    inputs = torch.rand(steps, BATCH, INPUTS, generator=draws) * 2 - 1
    targets = inputs @ wanted.t()
    tile = AnalogTile(OUTPUTS, INPUTS, advice.rpu_config, seed=seed)
    losses = torch.empty(steps)
    with torch.no_grad():
        for k in range(steps):
            error = tile(inputs[k]) - targets[k]
            losses[k] = error.square().sum(dim=1).mean() / 2
            tile.update(inputs[k], error / BATCH, advice.learning_rate * advice.lr_schedule.factor(k / steps))
    parts = losses.reshape(min(POINTS, steps), -1).mean(dim=1)
    return {
        "seed": seed,
        "digest": digest(case, seed),
        "loss": [round(float(part), 5) for part in parts],
        "last_tenth": round(float(losses[-(steps // 10) :].mean()), 5),
        "cpu_seconds": round(time.process_time() - start, 2),
    }


def digest(case: str, seed: int) -> str:
    """What decides the losses, in short."""
    algorithm, device = case.split(", ")
    advice = recommend(algorithm, DEVICES[device])
    return digest_of(advice.rpu_config, advice.learning_rate, advice.lr_schedule.to_yaml(), STEPS, seed)


def main() -> None:
    """Run the grid and print the table."""
    found = options(__doc__, "linear_regression", CASES, SEEDS)
    seeds = found.seeds[:2] if found.quick else found.seeds
    results = record(found.cases, seeds, digest, fit, found.out)
    print("\n| case | loss over the last tenth |\n|---|---|")
    for case, entries in results.items():
        print(f"| {case} | {as_text([entry['last_tenth'] for entry in entries], 4)} |")


if __name__ == "__main__":
    main()
