"""Which algorithm learns digits on a noisy device: the 784-256-128-10 network on ``TutorialRRAMPresetDevice``.

    python tests/benchmarks/digits_on_noisy_device.py [--size short] [--seeds 1 2 3] [--cases fp sgd mp] [--quick]
    python tests/benchmarks/digits_on_noisy_device.py --size one-pass --data FOLDER
    python tests/benchmarks/digits_on_noisy_device.py --size full --data FOLDER --seeds 1

``short`` is three epochs of the bundled 6,000 digits, tested on 1,000 others; ``one-pass`` takes 18,000 of MNIST's
60,000 once, ``full`` all of them three times, both tested on MNIST's 10,000. FOLDER holds the four idx files. Test
images are read on the same noisy hardware. Batch 5, learning rate 0.1 throughout; the transfer algorithms have their
recommended settings (AGAD a faster chopper) and drop to a fifth of the rate after two thirds, which ``short`` does for
every case but SGD.
"""

from __future__ import annotations

from pathlib import Path

from evidence import Results, last_accuracies, mean_accuracies, options, outside, record_runs

from tilewright.configs import FloatingPointRPUConfig, RPUConfig, UpdateParameters, build_config
from tilewright.data import load_dataset
from tilewright.presets import TutorialRRAMPresetDevice
from tilewright.runs import RunSpec
from tilewright.runs.recommended import recommend
from tilewright.runs.spec import ConstantSchedule, DataSource, DropSchedule, Schedule, Seeds

SIZES = ("short", "one-pass", "full")
NEWER = ["residual-v2", "rider", "e-rider", "multi-tile-residual"]
CASES = ["fp", "sgd", "sgd, lr 0.01", "mp", "tiki-taka", "ttv2", "c-ttv2", "agad", *NEWER]


# The large layer is swept 70 times in these runs, which is few for the chopper that is recommended to AGAD.
AGAD_CHOPPER = 0.1


def configuration(case: str) -> RPUConfig:
    """Tile of each contestant; plain SGD as it is built, on purpose."""
    device = TutorialRRAMPresetDevice(construction_seed=123)
    if case == "fp":
        return FloatingPointRPUConfig()
    if case.startswith("sgd"):
        return build_config("sgd", device, up_parameters=UpdateParameters(desired_bl=10))
    config = recommend(case, device).rpu_config
    if case == "agad":
        config.device.in_chop_prob = AGAD_CHOPPER  # type: ignore[attr-defined]
    return config


def schedule(case: str, size: str) -> Schedule:
    """A fifth of the rate after two thirds, or none."""
    if case.startswith("sgd") or (size != "short" and case in ("fp", "mp")):
        return ConstantSchedule()
    return DropSchedule(drop=0.2, after=0.67)


def specification(case: str, seed: int, size: str = "short", folder: Path | None = None, limit: int = 0) -> RunSpec:
    """The run as data."""
    return RunSpec(
        name=f"{case} seed {seed}",
        data=DataSource() if folder is None else DataSource(name="idx", folder=str(folder)),
        rpu_config=configuration(case),
        learning_rate=0.01 if case.endswith("lr 0.01") else 0.1,
        lr_schedule=schedule(case, size),
        epochs=1 if size == "one-pass" else 3,
        batch_size=5,
        train_limit=limit or (18_000 if size == "one-pass" else 0),
        seeds=Seeds(data=seed, weights=seed, devices=seed),
    )


# Lowest and highest mean test accuracy, of runs of two seeds or more.
BARS: dict[str, dict[str, tuple[float, float]]] = {
    "short": {
        "fp": (0.80, 1), "mp": (0.84, 1), "ttv2": (0.75, 1), "c-ttv2": (0.75, 1), "agad": (0.75, 1),
        "tiki-taka": (0.45, 1), "sgd": (0, 0.45),
    },
    "one-pass": {},
    "full": {"fp": (0.95, 1), "mp": (0.90, 1), "ttv2": (0.86, 1), "sgd": (0, 0.50)},
}  # fmt: skip
AHEAD_OF_SGD = 0.25  # TTv2, seed by seed, in the short run
BEHIND_DIGITAL = 0.05  # mixed precision at most, in the full run


def missed_bars(results: Results, size: str) -> list[str]:
    """What the recorded means miss, one sentence each; what was not run is not judged."""
    means = mean_accuracies(results)
    missed = outside(means, BARS[size])
    last = {case: last_accuracies(entries) for case, entries in results.items()}
    if size == "short" and {"sgd", "ttv2"} <= set(means):
        close = [b for a, b in zip(last["sgd"], last["ttv2"], strict=False) if b - a < AHEAD_OF_SGD]
        missed += [f"ttv2 is not {AHEAD_OF_SGD} ahead of sgd in a seed where it reaches {value:.3f}" for value in close]
    if size == "full" and {"fp", "mp"} <= set(means) and means["fp"] - means["mp"] > BEHIND_DIGITAL:
        missed.append(f"mp is {means['fp'] - means['mp']:.3f} behind fp, not {BEHIND_DIGITAL} or less")
    return missed


def main() -> None:
    """Run the grid, print the table and what it misses."""
    size = {"choices": SIZES, "default": "short", "help": "how much to train"}
    folder = {"type": Path, "help": "folder of MNIST's idx files; all but short need it"}
    found = options(__doc__, "digits_{size}", CASES, size=size, data=folder)
    if found.size != "short" and found.data is None:
        raise SystemExit(f"--size {found.size} needs --data FOLDER, the folder of MNIST's idx files")
    folder_used = None if found.size == "short" else found.data
    data = load_dataset("mnist-small") if folder_used is None else load_dataset("idx", folder_used)
    if found.out is not None:
        found.out = found.out.with_name(found.out.name.format(size=found.size.replace("-", "_")))

    limit = 500 if found.quick else 0
    results = record_runs(found, lambda case, seed: specification(case, seed, found.size, folder_used, limit), data)
    if not found.quick:
        print("\n".join(missed_bars(results, found.size)) or "every bar is met")


if __name__ == "__main__":
    main()
