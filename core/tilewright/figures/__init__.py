"""Figure factories: data in, plotly figure out. The same figure on a page, in a notebook, in a report."""

from tilewright.figures.comparison import (
    plot_against,
    plot_bands,
    plot_heat_map,
    plot_intervals,
    plot_parallel,
    plot_snapshot,
)
from tilewright.figures.device import plot_device_compact, plot_step_curves, ramp_pulses
from tilewright.figures.fit import (
    plot_correlation,
    plot_population,
    plot_predicted_errors,
    plot_profiles,
    plot_variogram,
)
from tilewright.figures.frame import empty_figure, figure_data
from tilewright.figures.lessons import plot_coincidences, plot_one_weight
from tilewright.figures.measurement import branches, plot_fit, plot_measurement, plot_overlay
from tilewright.figures.palette import algorithm_colour, algorithm_label
from tilewright.figures.spread import plot_f_and_g, plot_spread_histograms, plot_step_bands
from tilewright.figures.symmetry_search import plot_symmetry_search
from tilewright.figures.tile import (
    agreement,
    plot_converters,
    plot_error_sources,
    plot_mvm_scatter,
    plot_update_scatter,
    relative_error,
)
from tilewright.figures.training import Curve, plot_comparison, plot_losses, running_mean

__all__ = [
    "Curve",
    "agreement",
    "algorithm_colour",
    "algorithm_label",
    "branches",
    "empty_figure",
    "figure_data",
    "plot_against",
    "plot_bands",
    "plot_coincidences",
    "plot_comparison",
    "plot_converters",
    "plot_correlation",
    "plot_device_compact",
    "plot_error_sources",
    "plot_f_and_g",
    "plot_fit",
    "plot_heat_map",
    "plot_intervals",
    "plot_losses",
    "plot_measurement",
    "plot_mvm_scatter",
    "plot_one_weight",
    "plot_overlay",
    "plot_parallel",
    "plot_population",
    "plot_predicted_errors",
    "plot_profiles",
    "plot_snapshot",
    "plot_spread_histograms",
    "plot_step_bands",
    "plot_step_curves",
    "plot_symmetry_search",
    "plot_update_scatter",
    "plot_variogram",
    "ramp_pulses",
    "relative_error",
    "running_mean",
]
