"""What the periphery of a tile costs: error by source, and the curves of its converters."""

import streamlit as st

from studio.plots import show_figure
from tilewright.configs import AnalogRPUConfig, IOParameters, RPUConfig
from tilewright.error_sources import converter_curves, errors_by_source
from tilewright.figures import plot_converters, plot_error_sources
from tilewright.figures.probe import probed_weights


def show_periphery(config: RPUConfig) -> None:
    """Two figures for an analog tile, a sentence for a digital one."""
    if not isinstance(config, AnalogRPUConfig):
        st.caption("A floating-point tile has no periphery.")
        return
    code = (
        "from tilewright.error_sources import converter_curves, errors_by_source\n"
        "from tilewright.figures import plot_converters, plot_error_sources\n"
        f"{config.to_python('config')}\n"
    )
    largest = probed_weights(config)
    errors = errors_by_source(config.forward, config.backward, weight_range=largest)
    show_figure(
        plot_error_sources(errors), "tile-sources",
        settings=f"Each part alone, weights to ±{largest:.2g}; independent parts add up in squares",
        code=code
        + f"errors = errors_by_source(config.forward, config.backward, weight_range={largest:g})\n"
        + "plot_error_sources(errors).show()",
    )  # fmt: skip
    show_converters(config.forward, code)


def show_converters(io: IOParameters, code: str) -> None:
    """Curves of the forward converters, with their bits in words."""
    bits = [
        f"{name} {round(bits, 1):g} bits" if bits else f"{name} off"
        for name, bits in (("DAC", io.inp_bits), ("ADC", io.out_bits))
    ]
    show_figure(
        plot_converters(*converter_curves(io)), "tile-converters", settings=f"Forward: {', '.join(bits)}",
        code=code + "plot_converters(*converter_curves(config.forward)).show()",
    )  # fmt: skip
