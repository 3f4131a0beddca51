"""Two settings of the residual family by experiment: how fast RIDER may track, and how many tiles at which rate.

    python tests/benchmarks/residual_settings.py [--seeds 1 2 3] [--cases ...] [--quick]

The matrix, inputs and devices of ``weight_programming.py``, in batches of ten. RIDER's ``eta`` is tried at 20 states
against the error of the reference; multi-tile residual learning with two to four tiles at 20 and at 6 states without
one, its coarsest tile written each ten times as seldom as the finer one. The figure is the standard deviation of the
programming error in percent of half the window over the last tenth of the inputs. Forty seconds of CPU time in all.
"""

from __future__ import annotations

import time

import torch
from evidence import Entry, as_text, digest_of, options, record
from weight_programming import EXACT, SIZE, Setting, error_of, fast_array, main_array, wanted_weights

from tilewright.configs import RPUConfig, UpdateParameters, build_config
from tilewright.tile import AnalogTile

BATCH, VECTORS, LR = 10, 10_000, 0.1
ETAS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SIGMAS = (0.0, 0.1, 0.3, 0.5)
STATES, TILES, RATES = (20, 6), (2, 3, 4), (0.3, 1.0)


def eta_case(eta: float, sigma: float) -> str:
    """Key in the results."""
    return f"rider, eta {eta:g}, sigma_r {sigma:g}"


def tiles_case(states: int, tiles: int, rate: float) -> str:
    """Key in the results."""
    return f"multi-tile-residual, {states} states, {tiles} tiles, transfer_lr {rate:g}"


def _residual(algorithm: str, setting: Setting, tiles: int, **fields: float) -> RPUConfig:
    cell = {
        "unit_cell_devices": [fast_array(setting), *(main_array(setting) for _ in range(tiles - 1))],
        "auto_scale": True, "fast_lr": 1.0, "transfer_every": 5, "units_in_mbatch": False, "transfer_columns": True,
        "transfer_forward": EXACT,
    }  # fmt: skip
    update = UpdateParameters(desired_bl=5)
    return build_config(algorithm, main_array(setting), EXACT, update, cell=cell | fields)


CASES: dict[str, RPUConfig] = {
    **{
        eta_case(eta, sigma): _residual("rider", Setting("rider", sigma), 2, eta=eta)
        for eta in ETAS
        for sigma in SIGMAS
    },
    **{
        tiles_case(states, tiles, rate): _residual(
            "multi-tile-residual", Setting("multi-tile-residual", states=states), tiles, transfer_lr=rate
        )
        for states in STATES
        for tiles in TILES
        for rate in RATES
    },
}


def configuration(case: str, seed: int) -> RPUConfig:
    """The tile of a case, its devices drawn from the seed."""
    made = CASES[case].model_copy(deep=True)
    made.device.construction_seed = seed  # type: ignore[attr-defined]
    return made


def digest(case: str, seed: int) -> str:
    """What decides the figure, in short."""
    return digest_of(configuration(case, seed), BATCH, VECTORS, LR, seed)


def program(case: str, seed: int, vectors: int = VECTORS) -> Entry:
    """Programming error in percent over the last tenth of the inputs, twenty readings."""
    start = time.process_time()
    wanted = wanted_weights()
    tile = AnalogTile(SIZE, SIZE, configuration(case, seed), seed=seed)
    inputs = torch.randn(vectors, SIZE, generator=torch.Generator().manual_seed(99))
    batches, readings = vectors // BATCH, []
    last = batches - batches // 10
    with torch.no_grad():
        for k in range(batches):
            x = inputs[k * BATCH : (k + 1) * BATCH]
            tile.update(x, (tile(x) - x @ wanted.t()) / BATCH, LR)
            if k >= last and (k - last) % max(1, batches // 200) == 0:
                readings.append(error_of(tile, wanted))
    return {
        "seed": seed,
        "digest": digest(case, seed),
        "error": round(sum(readings) / len(readings), 4),
        "cpu_seconds": round(time.process_time() - start, 2),
    }


def main() -> None:
    """Run the grid and print the table."""
    found = options(__doc__, "residual_settings", list(CASES))
    vectors = 1_000 if found.quick else VECTORS
    results = record(found.cases, found.seeds, digest, lambda case, seed: program(case, seed, vectors), found.out)
    print("\n| setting | error in % |\n|---|---|")
    for case, entries in results.items():
        print(f"| {case} | {as_text([entry['error'] for entry in entries])} |")


if __name__ == "__main__":
    main()
