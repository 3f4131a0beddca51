"""Fitting device models to measurements: parameters with errors, model choice, noise."""

from tilewright.fitting.device_fit import FITTABLE_CLASSES, fit_device
from tilewright.fitting.intervals import Draws, Profile, bootstrap, markov_chain, profile_likelihood, with_profiles
from tilewright.fitting.measurements import fit_measurements
from tilewright.fitting.noise import NoiseEstimate, estimate_noise, variogram
from tilewright.fitting.population import PopulationFit, Spread, fit_population, population_noise, typical_fit
from tilewright.fitting.ranges import default_ranges, started_device
from tilewright.fitting.ranking import Ranking, RankingRow, fit_all_devices
from tilewright.fitting.result import DeviceFit, FitCancelled, FitError, FittedParameter, value_with_error
from tilewright.fitting.second_pass import fit_with_noise
from tilewright.fitting.verdict import AlgorithmAdvice, DeviceVerdict, device_verdict

__all__ = [
    "FITTABLE_CLASSES",
    "AlgorithmAdvice",
    "DeviceFit",
    "DeviceVerdict",
    "Draws",
    "FitCancelled",
    "FitError",
    "FittedParameter",
    "NoiseEstimate",
    "PopulationFit",
    "Profile",
    "Ranking",
    "RankingRow",
    "Spread",
    "bootstrap",
    "default_ranges",
    "device_verdict",
    "estimate_noise",
    "fit_all_devices",
    "fit_device",
    "fit_measurements",
    "fit_population",
    "fit_with_noise",
    "markov_chain",
    "population_noise",
    "profile_likelihood",
    "started_device",
    "typical_fit",
    "value_with_error",
    "variogram",
    "with_profiles",
]
