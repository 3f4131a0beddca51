"""Make the example measurements in ``assets/examples``: traces of our own device models, labelled synthetic.

Run from the checkout: ``python assets/make_examples.py``. The same files come out every time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilewright.configs import LinearStepDevice, PulsedDevice, SoftBoundsDevice
from tilewright.devices import trace_pulses
from tilewright.measurement import tutorial_pulses

FOLDER = Path(__file__).resolve().parent / "examples"
Trace = NDArray[np.float64]

TUTORIAL_DEVICE = SoftBoundsDevice(
    dw_min=0.0116, up_down=-0.24, w_max=2.0, w_min=-0.777, dw_min_std=1.0, write_noise_std=12.0, mult_noise=False,
    dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0,
)  # fmt: skip
ECRAM_DEVICE = LinearStepDevice(
    dw_min=0.0026, up_down=0.08, w_max=1.1, w_min=-0.95, gamma_up=0.12, gamma_down=0.51, dw_min_std=0.5,
    write_noise_std=3.0, dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0, gamma_up_dtod=0.0,
    gamma_down_dtod=0.0,
)  # fmt: skip
ARRAY_DEVICE = SoftBoundsDevice(
    dw_min=0.02, up_down=0.1, w_max=0.9, w_min=-1.0, dw_min_std=0.5, write_noise_std=1.0, mult_noise=False,
    dw_min_dtod=0.25, up_down_dtod=0.03, w_max_dtod=0.15, w_min_dtod=0.15, construction_seed=7,
)  # fmt: skip
CYCLED_DEVICE = SoftBoundsDevice(
    dw_min=0.025, up_down=0.05, w_max=1.0, w_min=-1.0, dw_min_std=0.3, write_noise_std=0.6, mult_noise=False,
    dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0,
)  # fmt: skip


def before_each_pulse(device: PulsedDevice, pulses: NDArray[np.int8], seed: int, w0: float, n: int = 1) -> Trace:
    """Visible weights (n_pulses, n) before each pulse; the last pulse is applied and not read."""
    return np.asarray(trace_pulses(device, pulses, n_traces=n, seed=seed, w0=w0)[:-1], dtype=np.float64)


def described(device: PulsedDevice) -> list[str]:
    """Comment lines that say where the numbers come from."""
    return [
        "# synthetic: simulated by Tilewright, no device was measured",
        *(f"# {x}" for x in str(device).splitlines()),
    ]


def write(name: str, lines: list[str]) -> None:
    """Write one example."""
    (FOLDER / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def tutorial_rram() -> None:
    """One column at the tutorial's protocol: 200 up, 200 down, 100 x (up, down)."""
    weights = before_each_pulse(TUTORIAL_DEVICE, tutorial_pulses(), seed=3, w0=-0.31)[:, 0]
    conductance = 20 + 8 * weights
    comments = [
        *described(TUTORIAL_DEVICE),
        "# conductance in uS before each of 200 up, 200 down, 100 x (up, down) pulses",
    ]
    write("tutorial-rram", [*comments, "conductance (uS)", *(f"{g:.4f}" for g in conductance)])


def ecram_up_down() -> None:
    """Two columns: 800 up pulses, then 800 down pulses from where they ended."""
    pulses = np.repeat(np.array([1, -1], dtype=np.int8), 800)
    weights = before_each_pulse(ECRAM_DEVICE, pulses, seed=11, w0=-0.9)[:, 0]
    up, down = 250 + 180 * weights[:800], 250 + 180 * weights[800:]
    rows = [f"{a:.3f},{b:.3f}" for a, b in zip(up, down, strict=True)]
    write("ecram-up-down", [*described(ECRAM_DEVICE), "up (nS),down (nS)", *rows])


def rram_array() -> None:
    """Long form: eight devices of an array with spread, 120 up, 120 down, 40 x (up, down)."""
    pulses = np.array([1] * 120 + [-1] * 120 + [1, -1] * 40, dtype=np.int8)
    weights = before_each_pulse(ARRAY_DEVICE, pulses, seed=5, w0=-0.8, n=8)
    rows = [f"D{j + 1},{k + 1},{pulses[k]},{40 + 25 * weights[k, j]:.3f}" for j in range(8) for k in range(len(pulses))]
    write("rram-array", [*described(ARRAY_DEVICE), "device,pulse,polarity,conductance (uS)", *rows])


def fifty_devices() -> None:
    """One column a device: fifty devices of an array with spread, 120 up, 120 down, 30 x (up, down)."""
    pulses = np.array([1] * 120 + [-1] * 120 + [1, -1] * 30, dtype=np.int8)
    weights = before_each_pulse(ARRAY_DEVICE, pulses, seed=21, w0=-0.8, n=50)
    header = ",".join(["pulse", "polarity", *(f"D{j + 1} (uS)" for j in range(50))])
    rows = [f"{k + 1},{pulses[k]}," + ",".join(f"{40 + 25 * w:.3f}" for w in weights[k]) for k in range(len(pulses))]
    write("fifty-devices", [*described(ARRAY_DEVICE), header, *rows])


def drifting_cycles() -> None:
    """Six cycles of 150 up and 150 down pulses; the conductance falls by 1.2 uS a cycle, of a range of about 40 uS."""
    cycle = np.repeat(np.array([1, -1], dtype=np.int8), 150)
    pulses = np.tile(cycle, 6)
    weights = before_each_pulse(CYCLED_DEVICE, pulses, seed=31, w0=-0.9)[:, 0]
    conductance = 45 + 22 * weights - 1.2 * np.arange(len(pulses)) / len(cycle)
    rows = [f"{k // 300 + 1},{k % 300 + 1},{pulses[k]},{conductance[k]:.3f}" for k in range(len(pulses))]
    comments = [*described(CYCLED_DEVICE), "# with a drift of -1.2 uS a cycle added"]
    write("drifting-cycles", [*comments, "cycle,pulse,polarity,conductance (uS)", *rows])


def bad_device() -> None:
    """A record with known faults: a wild reading, missing readings, a coarse read-out, branches that do not meet, a
    subtracted offset, a jump of the count."""
    pulses = np.repeat(np.array([1, -1], dtype=np.int8), 150)
    weights = before_each_pulse(CYCLED_DEVICE, pulses, seed=41, w0=-0.95)[:, 0]
    conductance = 26 + 24 * weights
    conductance[150:] -= 12
    conductance = np.round(conductance / 1.5) * 1.5
    cells = [f"{g:.1f}" for g in conductance]
    cells[60] = "96.0"
    for k in (30, 31, 32, 200, 201):
        cells[k] = "NaN"
    count = [k + 1 if k < 220 else k + 41 for k in range(300)]
    faults = [
        "# faults put in: reading 61 is 96 uS; 5 readings are missing; the read-out has steps of 1.5 uS; the down",
        "# branch lies 12 uS too low, so that it does not meet the up branch and ends below 0; the count jumps from",
        "# 220 to 261",
    ]
    rows = [f"{n},{p},{cell}" for n, p, cell in zip(count, pulses, cells, strict=True)]
    write("bad-device", [*described(CYCLED_DEVICE), *faults, "pulse,polarity,conductance (uS)", *rows])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    tutorial_rram()
    ecram_up_down()
    rram_array()
    fifty_devices()
    drifting_cycles()
    bad_device()
