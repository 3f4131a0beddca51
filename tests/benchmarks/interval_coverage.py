"""How often 95 % intervals of fitted parameters hold the truth, for every device class.

    python tests/benchmarks/interval_coverage.py [--classes LinearStepDevice ...] [--simulations 200] [--out FILE]

Each simulation is one record of the device in ``tests/fitting/truths.py`` with step noise of one step in each pulse,
and write noise of two steps or, where the class has none, read noise of 0.02. It is fitted from default first guesses;
its intervals are those the Fit page shows (``with_profiles``). Counted are parameters that the fit calls determined; an
open end holds everything on its side. A third of a second of CPU time a simulation, two for tables. Prints the table
of the documentation; ``--recorded`` prints that of the recorded runs only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fitting"))

from truths import NAMES, TRUTHS, fitted_to, noisy, value_of

from tilewright.fitting import with_profiles

RESULTS = Path(__file__).resolve().parent / "results" / "interval_coverage.json"
HEADER = "| device class | held | worst parameter | open | determined |"
AIM = (0.90, 0.98)

Counts = dict[str, Any]


def coverage(name: str, seeds: range) -> Counts:
    """Intervals, how many hold the truth, and how many have an open end, of each parameter of a class."""
    device = TRUTHS[name][0]
    noise = {"step": 1.0, "write": 2.0} if device.supports_write_noise else {"step": 1.0, "read": 0.02}
    counts = {field: {"intervals": 0, "inside": 0, "open": 0} for field in NAMES[name]}
    for seed in seeds:
        measurement = noisy(name, seed, **noise)
        fit, _ = with_profiles(measurement, fitted_to(name, measurement))
        for field, count in counts.items():
            if fit[field].determined:
                low, high = fit[field].interval
                count["intervals"] += 1
                count["inside"] += bool(low <= value_of(device, field) <= high)
                count["open"] += not (math.isfinite(low) and math.isfinite(high))
    return {"simulations": len(seeds), "parameters": counts}


def share(counts: Counts, what: str = "inside") -> float:
    """Part of all intervals of a class that hold the truth, or that have an open end."""
    parameters = counts["parameters"].values()
    return float(sum(p[what] for p in parameters) / sum(p["intervals"] for p in parameters))


def row(name: str, counts: Counts) -> str:
    """The line of a class in the table of the documentation."""
    parameters = {k: p for k, p in counts["parameters"].items() if p["intervals"] >= counts["simulations"] / 4}
    worst = min(parameters, key=lambda k: parameters[k]["inside"] / parameters[k]["intervals"])
    low = parameters[worst]["inside"] / parameters[worst]["intervals"]
    total = len(counts["parameters"]) * counts["simulations"]
    known = sum(p["intervals"] for p in counts["parameters"].values()) / total
    return f"| `{name}` | {share(counts):.3f} | `{worst}` {low:.2f} | {share(counts, 'open'):.2f} | {known:.2f} |"


def stored() -> dict[str, Counts]:
    """What was recorded."""
    found: dict[str, Counts] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    return found


def main() -> None:
    """Simulate, fit, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", choices=list(TRUTHS), default=list(TRUTHS))
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--recorded", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(HEADER + "\n|---|---|---|---|---|")
    if options.recorded:
        print("\n".join(row(name, counts) for name, counts in stored().items()))
        return
    for name in options.classes:
        found = coverage(name, range(1, options.simulations + 1))
        kept = json.loads(options.out.read_text()) if options.out.is_file() else {}
        kept[name] = found
        ordered = {key: kept[key] for key in TRUTHS if key in kept}
        options.out.write_text(json.dumps(ordered, indent=1) + "\n")
        print(row(name, found), flush=True)


if __name__ == "__main__":
    main()
