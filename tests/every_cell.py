"""Every kind of cell with everything random switched on, for tests that any of them has to pass.

Cells that nobody listed here are added with their default settings, so that a new one is covered on arrival.
"""

from __future__ import annotations

from typing import Any

from tilewright import configs
from tilewright.cells.parameters import UnitCell
from tilewright.parameters import ParameterError, Parameters
from tilewright.presets import TutorialRRAMPresetDevice

LEAKY = configs.SoftBoundsReferenceDevice(
    dw_min=0.02, subtract_symmetry_point=True, reference_std=0.05, write_noise_std=2.0, diffusion=1e-3, lifetime=100.0
)


def configurations() -> dict[str, Any]:
    """Every kind of cell, with everything random switched on."""
    found: dict[str, Any] = {
        name: configs.build_config(name, LEAKY, construction_seed=3)
        for name in ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp")
    }
    found["c-ttv2"].device.gamma = 0.1
    found["c-ttv2"].device.out_chop_prob = 0.2
    found["ttv2"].device.transfer_columns = False
    found["mp"].device.n_x_bins = 7
    found["mp"].device.transfer_every = 3
    found["agad"].device.in_chop_random = True
    found["agad"].device.experimental_fast_lr_feedback = True
    found["tiki-taka"].device = configs.TransferCompound(
        unit_cell_devices=[LEAKY, LEAKY, LEAKY], gamma=0.1, transfer_every=2.0, units_in_mbatch=False,
        n_reads_per_transfer=2, random_selection=True, with_reset_prob=0.3, construction_seed=3,
    )  # fmt: skip
    for name in ("residual-v2", "rider", "e-rider"):
        found[name] = configs.build_config(
            name, LEAKY, construction_seed=3, cell={"n_reads_per_transfer": 4, "transfer_lr": 3.0}
        )
    found["e-rider"].device.chop_prob = 0.5
    found["rider"].device.transfer_columns = False
    found["multi-tile-residual"] = configs.UnitCellRPUConfig(
        device=configs.MultiTileResidualCompound(
            unit_cell_devices=[LEAKY, LEAKY, LEAKY], gamma=0.3, transfer_every=1.0, units_in_mbatch=False,
            switch_on_plateau=True, plateau_patience=3, construction_seed=3,
        )
    )  # fmt: skip
    found["buffered"] = configs.UnitCellRPUConfig(
        device=configs.BufferedTransferCompound(
            unit_cell_devices=[LEAKY, LEAKY, LEAKY], transfer_every=3.0, units_in_mbatch=False, construction_seed=3
        )
    )
    for policy in configs.VectorUnitCellUpdatePolicy:
        found[f"vector {policy.value}"] = configs.UnitCellRPUConfig(
            device=configs.VectorUnitCell(unit_cell_devices=[LEAKY] * 3, update_policy=policy, construction_seed=3)
        )
    found["reference"] = configs.UnitCellRPUConfig(device=configs.ReferenceUnitCell(unit_cell_devices=[LEAKY]))
    pair = configs.OneSidedUnitCell(
        unit_cell_devices=[LEAKY], refresh_every=2, refresh_upper_thres=0.1, refresh_lower_thres=0.02
    )
    found["one-sided"] = configs.UnitCellRPUConfig(device=pair)
    found["mp on a pair"] = configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=pair))
    found["scaled"] = configs.build_config("sgd", TutorialRRAMPresetDevice(), construction_seed=3)
    found["scaled"].mapping = configs.MappingParameter(
        weight_scaling_omega=0.6, weight_scaling_columnwise=True, learn_out_scaling=True, max_input_size=8
    )
    found["unseeded"] = configs.build_config("ttv2", LEAKY)
    for name in configs.algorithm_names():
        config = configs.build_config(name, LEAKY, construction_seed=3)
        if not any(type(known.device) is type(config.device) for known in found.values()):
            found[name] = config
    listed = {
        type(part) for config in found.values() for part in (config.device, getattr(config.device, "device", None))
    }
    for cls in Parameters._registry.values():
        if (
            issubclass(cls, UnitCell)
            and not cls._abstract
            and cls not in listed
            and cls.__module__.startswith("tilewright.")
        ):
            found[f"default {cls.__name__}"] = default_config(cls)
    found["ideal"] = configs.SingleRPUConfig(device=configs.IdealDevice())
    found["floating point"] = configs.FloatingPointRPUConfig()
    return found


def default_config(cell: type[UnitCell]) -> configs.RPUConfig:
    """A tile of a cell about which nothing is known but what its fields need."""
    reasons = []
    for kind in (configs.UnitCellRPUConfig, configs.DigitalRankUpdateRPUConfig):
        for members in (2, 3, 1):
            needed = {
                name: [LEAKY] * members if "list" in str(info.annotation) else LEAKY
                for name, info in cell.model_fields.items()
                if info.is_required()
            }
            try:
                return kind(device=cell(**needed))
            except ParameterError as error:
                reasons.append(str(error))
    raise AssertionError(f"list {cell.__name__} in this file by hand: {'; '.join(reasons)}")


CONFIGURATIONS = configurations()
