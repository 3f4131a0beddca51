"""Run a fixed piece of work through every kernel and print a digest of all results: equal digests are equal bits.

Started as a program, so that the instruction set (environment) and the number of threads (argument) are fixed first.
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import torch

from tilewright import configs
from tilewright.devices import nominal_response, trace_pulses
from tilewright.kernels import capabilities
from tilewright.tile import AnalogTile

DEVICES = {
    "constant": configs.ConstantStepDevice(construction_seed=5),
    "linear": configs.LinearStepDevice(gamma_up=0.4, gamma_down=0.2, mult_noise=False, write_noise_std=1.0),
    "soft": configs.SoftBoundsDevice(dw_min=0.01, dw_min_dtod_log_normal=True, diffusion=0.01, lifetime=50.0),
    "reference": configs.SoftBoundsReferenceDevice(
        dw_min=0.02, subtract_symmetry_point=True, reference_std=0.05, write_noise_std=2.0, slope_up_dtod=0.1
    ),
    "exp": configs.ExpStepDevice(dw_min=0.01, dw_min_std_add=0.02, dw_min_std_slope=0.1, write_noise_std=1.0),
    "pow": configs.PowStepDevice(dw_min=0.02, w_max=0.7, pow_gamma=1.7, pow_up_down=0.2, count_pulses=True),
    "pow-reference": configs.PowStepReferenceDevice(dw_min=0.02, pow_gamma=1.3, subtract_symmetry_point=True),
    "piecewise": configs.PiecewiseStepDevice(
        dw_min=0.01, w_max=0.8, piecewise_up=[2, 1, 0.3], piecewise_down=[0.2, 1, 2]
    ),
    "jumps": configs.TableStepDevice(
        dw_min=0.01,
        quantile_levels=[0.1, 0.5, 0.9],
        quantiles_up=[[0, 1, 3], [0, 0.5, 1]],
        quantiles_down=[[0, 0.2, 1], [0.5, 1, 2]],
        drift=configs.DriftParameters(nu=0.1),
    ),
}
UPDATES = {
    "default": {},
    "fixed": {"update_bl_management": False, "desired_bl": 40},
    "plain": {"update_bl_management": False, "update_management": False, "res": 0.05, "sto_round": True},
    "signed": {"pulse_type": "Stochastic"},
    "counted": {"pulse_type": "MeanCount"},
    "implicit": {"pulse_type": "DeterministicImplicit", "x_res_implicit": 0.02},
    "clipped": {"pulse_type": "NoneWithDevice"},
    "exact": {"pulse_type": "None"},
}
PERIPHERIES = {
    "default": {},
    "tight": {"out_bound": 1.0, "inp_noise": 0.05, "w_noise": 0.02, "w_noise_type": "PCMRead"},
    "worst": {"out_bound": 0.7, "bound_management": "IterativeWorstCase", "out_noise_std": 0.3},
    "split": {
        "mv_type": "PosNegSeparateDigitalSum", "w_read_asymmetry_dtod": 0.1, "inp_sto_round": True,
        "out_sto_round": True, "w_noise": 0.02, "w_noise_type": "AdditiveConstant",
    },
    "wires": {
        "mv_type": "PosNegSeparate", "ir_drop": 1.0, "ir_drop_g_ratio": 100.0, "r_series": 0.02, "v_offset_std": 0.02,
        "out_nonlinearity": 0.2, "out_nonlinearity_std": 0.1, "slope_calibration": 0.5, "inp_asymmetry": 0.05,
        "out_asymmetry": 0.05,
    },
    "average": {"noise_management": "AverageAbsMax", "nm_decay": 0.3, "zero_input_silent": False, "inp_clip": False},
    "sum": {"noise_management": "AbsMaxNPSum", "nm_assumed_wmax": 5.0},
    "perfect": {"is_perfect": True},
}  # fmt: skip
SHAPE = (37, 53)  # neither a multiple of a vector nor of a block


def batch(rng: np.random.Generator, size: int = 11) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and errors with some zeros and one sample of each scale."""
    x, d = rng.normal(size=(size, SHAPE[1])), rng.normal(size=(size, SHAPE[0])) * 0.1
    x[rng.uniform(size=x.shape) < 0.2] = 0
    x[3], d[5] = 0, 0
    x[4] *= 1e-3
    return torch.tensor(x, dtype=torch.float32), torch.tensor(d, dtype=torch.float32)


def exercise(tile: AnalogTile, seed: int) -> list[torch.Tensor]:
    """Products both ways and updates, twice, with time passing."""
    rng = np.random.default_rng(seed)
    weights = torch.tensor(rng.uniform(-0.4, 0.4, size=SHAPE), dtype=torch.float32)
    tile.set_weights(weights)
    results = [tile.get_weights()]
    for _ in range(2):
        x, d = batch(rng)
        results += [tile.forward(x), tile.backward(d)]
        tile.update(x, d, 0.05)
        tile.pass_time()
        results.append(tile.get_weights())
    return results


def results() -> dict[str, list[torch.Tensor]]:
    """All the work, by name."""
    found: dict[str, list[torch.Tensor]] = {}
    for name, device in DEVICES.items():
        for label, update in UPDATES.items():
            config = configs.SingleRPUConfig(device=device, update=configs.UpdateParameters(**update))
            found[f"{name}/{label}"] = exercise(AnalogTile(*SHAPE, config, seed=9), 1)
        pulses = np.repeat([1, -1, 1], 40)
        found[f"{name}/trace"] = [torch.from_numpy(trace_pulses(device, pulses, n_traces=29, seed=3, w0=0.1))]
        found[f"{name}/nominal"] = [torch.from_numpy(np.array(nominal_response(device, pulses, 0.1)))]
    for label, io in PERIPHERIES.items():
        periphery = configs.IOParameters(**io)
        config = configs.SingleRPUConfig(device=DEVICES["soft"], forward=periphery, backward=periphery)
        found[f"product/{label}"] = exercise(AnalogTile(*SHAPE, config, seed=9), 2)
    for label, cell in {
        "ttv2": {},
        "c-ttv2": {"out_chop_prob": 0.1, "gamma": 0.1},
        "agad": {"auto_scale": True, "in_chop_prob": 0.5},
        "mp": {"n_x_bins": 7, "n_d_bins": 5},
    }.items():
        for columns in (True, False) if label != "mp" else (True,):
            options = cell if label == "mp" else cell | {"transfer_columns": columns}
            config = configs.build_config(label, DEVICES["reference"], construction_seed=4, cell=options)
            tile = AnalogTile(*SHAPE, config, seed=9)
            found[f"{label}/{columns}"] = [*exercise(tile, 3), *tile.cell.digital_buffers()]
    for label, cell in {
        "tiki-taka": {"with_reset_prob": 0.4, "n_reads_per_transfer": 5, "random_selection": True},
        "tiki-taka/at-once": {"n_reads_per_transfer": 5, "transfer_columns": False},
        "residual-v2": {"auto_scale": True, "n_reads_per_transfer": 5},
        "rider": {"n_reads_per_transfer": 5, "transfer_columns": False},
        "e-rider": {"n_reads_per_transfer": 53, "chop_prob": 0.5},
    }.items():
        algorithm = label.partition("/")[0]
        config = configs.build_config(algorithm, DEVICES["reference"], construction_seed=4, cell=cell)
        found[label] = exercise(AnalogTile(*SHAPE, config, seed=9), 3)
    pair = configs.OneSidedUnitCell(
        unit_cell_devices=[DEVICES["reference"]], refresh_every=1, refresh_upper_thres=0.1, refresh_lower_thres=0.0
    )
    found["one-sided"] = exercise(AnalogTile(*SHAPE, configs.UnitCellRPUConfig(device=pair), seed=9), 3)
    found["full-trains"] = full_trains()
    return found | large_work()


def full_trains() -> list[torch.Tensor]:
    """Every slot of many words meets in every crosspoint, which is more than a byte can count; half of them up."""
    x, d = torch.ones(48, SHAPE[1]), torch.ones(48, SHAPE[0])
    d[::2] = -1
    device = configs.ConstantStepDevice(dw_min=1e-4, construction_seed=5)
    tile = AnalogTile(*SHAPE, configs.SingleRPUConfig(device=device), seed=9)
    tile.update(x, d, 31e-4)
    sent = tile.cell.array.sent.pulses
    assert sent == 48 * 31 * SHAPE[0] * SHAPE[1], sent
    return [tile.get_weights()]


def large_work() -> dict[str, list[torch.Tensor]]:
    """Work of each kind that is large enough for several threads to share it."""
    shape, rng = (203, 301), np.random.default_rng(4)
    x = torch.tensor(rng.normal(size=(64, shape[1])), dtype=torch.float32)
    d = torch.tensor(rng.normal(size=(64, shape[0])), dtype=torch.float32)
    found: dict[str, list[torch.Tensor]] = {}
    for name, device in DEVICES.items():
        for label in ("default", "counted"):
            config = configs.SingleRPUConfig(device=device, update=configs.UpdateParameters(**UPDATES[label]))
            tile = AnalogTile(*shape, config, seed=9)
            tile.update(x, d, 0.05)
            found[f"large-{name}/{label}"] = [tile.get_weights(), tile.forward(x), tile.backward(d)]
        traces = trace_pulses(device, np.repeat([1, -1], 200), n_traces=1501, seed=3, w0=0.1)
        found[f"large-{name}/trace"] = [torch.from_numpy(traces)]
    return found


def digest(tensors: list[torch.Tensor]) -> str:
    """Hash of the bits."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print(f"running on {capabilities()['instruction_set']} with {torch.get_num_threads()} threads")
    for key, value in results().items():
        print(key, digest(value))
