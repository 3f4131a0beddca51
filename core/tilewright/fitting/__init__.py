"""Fitting device models to measurements: parameters with errors, model choice, noise."""

from tilewright.fitting.device_fit import FITTABLE_CLASSES, fit_device
from tilewright.fitting.measurements import fit_measurements
from tilewright.fitting.noise import NoiseEstimate, estimate_noise, variogram
from tilewright.fitting.ranges import default_ranges
from tilewright.fitting.ranking import Ranking, RankingRow, fit_all_devices
from tilewright.fitting.result import DeviceFit, FitCancelled, FitError, FittedParameter, value_with_error

__all__ = [
    "FITTABLE_CLASSES",
    "DeviceFit",
    "FitCancelled",
    "FitError",
    "FittedParameter",
    "NoiseEstimate",
    "Ranking",
    "RankingRow",
    "default_ranges",
    "estimate_noise",
    "fit_all_devices",
    "fit_device",
    "fit_measurements",
    "value_with_error",
    "variogram",
]
