"""Every device class, and every way in which devices are random: what the matrix of distributions runs over."""

from __future__ import annotations

from typing import Any

from devices.recipes import without_noise

from tilewright import configs

# Class and the fields that make its step depend on the weight, up and down differently.
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "constant": ("ConstantStepDevice", {}),
    "linear": ("LinearStepDevice", {"gamma_up": 0.4, "gamma_down": 0.2}),
    "linear, own bounds": ("LinearStepDevice", {"gamma_up": 0.4, "gamma_down": 0.2, "mean_bound_reference": False}),
    "linear, reversed": ("LinearStepDevice", {"gamma_up": 0.3, "reverse_up": True, "reverse_down": True}),
    "soft": ("SoftBoundsDevice", {}),
    "soft reference": ("SoftBoundsReferenceDevice", {}),
    "pmax": ("SoftBoundsPmaxDevice", {"p_max": 60, "alpha": 0.02, "range_min": -0.6, "range_max": 0.6}),
    "exponential": (
        "ExpStepDevice",
        {"A_up": 0.3, "A_down": 0.2, "gamma_up": 2.0, "gamma_down": 3.0, "a": 0.5, "b": 0.1},
    ),
    "power": ("PowStepDevice", {"pow_gamma": 1.6, "pow_up_down": 0.2}),
    "power reference": ("PowStepReferenceDevice", {"pow_gamma": 1.3}),
    "piecewise": (
        "PiecewiseStepDevice",
        {"piecewise_up": [1.4, 0.9, 1.1, 0.3], "piecewise_down": [0.2, 1.0, 0.8, 1.5]},
    ),
    "table": (
        "TableStepDevice",
        {"points_weight": [-0.6, -0.3, 0.0, 0.3, 0.6], "points_up": [1.5, 1.2, 1.0, 0.6, 0.2],
         "points_down": [0.1, 0.5, 1.0, 1.3, 1.4]},
    ),
    "jumps": (
        "TableStepDevice",
        {"points_weight": [-0.6, 0.0, 0.6], "quantile_levels": [0.01, 0.3, 0.7, 0.99],
         "quantiles_up": [[0.8, 1.2, 1.6, 2.9], [0.2, 0.6, 1.1, 2.4], [-0.3, 0.1, 0.4, 1.0]],
         "quantiles_down": [[-0.2, 0.1, 0.3, 0.9], [0.5, 0.8, 1.0, 1.1], [0.7, 1.0, 1.8, 2.5]]},
    ),
}  # fmt: skip

# Fields that switch one kind of randomness on, for the classes that have all of them.
KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "cycle noise": {"dw_min_std": 0.8},
    "cycle noise in proportion": {"dw_min_std": 0.8, "mult_noise": True},
    "cycle noise as at 0": {"dw_min_std": 0.8, "mult_noise": False},
    "cycle noise in parts": {"dw_min_std": 0.5, "dw_min_std_add": 0.004, "dw_min_std_slope": 0.02},
    "large cycle noise": {"dw_min_std": 6.0},
    "write noise": {"write_noise_std": 2.0},
    "cycle and write noise": {"dw_min_std": 0.8, "write_noise_std": 1.0},
    "step": {"dw_min_dtod": 0.2},
    "log-normal step": {"dw_min_dtod": 0.4, "dw_min_dtod_log_normal": True},
    "steps of both signs": {"dw_min_dtod": 0.8, "enforce_consistency": False},
    "imbalance": {"up_down": 0.3, "up_down_dtod": 0.1},
    "negative imbalance": {"up_down": -0.3, "up_down_dtod": 0.1},
    "upper bound": {"w_max_dtod": 0.2},
    "lower bound": {"w_min_dtod": 0.2},
    "both bounds": {"w_max_dtod": 0.3, "w_min_dtod": 0.3},
    "slope": {"gamma_up_dtod": 0.1, "gamma_down_dtod": 0.2},
    "increasing slope": {"gamma_up_dtod": 0.4, "gamma_down_dtod": 0.4, "allow_increasing": True},
    "slope by bounds": {"slope_up_dtod": 0.1, "slope_down_dtod": 0.15},
    "exponent": {"pow_gamma_dtod": 0.2},
    "exponent imbalance": {"pow_up_down_dtod": 0.1},
    "reference": {"reference_mean": 0.05, "reference_std": 0.03},
    "symmetry point": {"subtract_symmetry_point": True, "up_down": 0.2, "dw_min_dtod": 0.1, "w_max_dtod": 0.1},
    "stuck": {"corrupt_devices_prob": 0.3, "corrupt_devices_range": 0.2},
    "everything": {
        "dw_min_std": 0.5, "dw_min_dtod": 0.2, "up_down": 0.1, "up_down_dtod": 0.05, "w_max_dtod": 0.1,
        "w_min_dtod": 0.1, "corrupt_devices_prob": 0.1,
    },
}  # fmt: skip
BASE = {"dw_min": 0.02, "w_max": 0.6, "w_min": -0.6}


def device_class(recipe: str) -> type | None:
    return getattr(configs, RECIPES[recipe][0], None)


def applies(recipe: str, kind: str) -> bool:
    """Whether the class has every field of the kind. Fields that a class derives from others count as absent."""
    cls = device_class(recipe)
    if cls is None or (RECIPES[recipe][1].get("reverse_up") and KINDS[kind].get("mult_noise") is False):
        return False  # the class refuses growing steps with noise as at 0
    return set(KINDS[kind]) <= set(cls.model_fields) - derived(cls)


def derived(cls: type) -> set[str]:
    """Fields that follow from others."""
    return set(BASE) | {"up_down"} if cls.__name__ == "SoftBoundsPmaxDevice" else set()


def make(recipe: str, **fields: Any) -> Any:
    """A device of a recipe, without any randomness but what the fields switch on."""
    cls = device_class(recipe)
    return without_noise(
        cls, **({k: v for k, v in BASE.items() if k not in derived(cls)} | RECIPES[recipe][1] | fields)
    )
