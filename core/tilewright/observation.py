"""What happened inside one analog product: for teaching pages and for looking into a periphery that misbehaves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ProductReport:
    """A forward product and the decisions of its periphery.

    Attributes:
        output: what the tile answered (samples, outputs), in logical units without the learned output scale.
        exact: the product without any periphery, in the same units.
        alpha: scale the noise management chose for each sample (samples,).
        rho: reduction the bound management ended with (samples,), 1 when the first pass was kept.
        passes: products spent on each sample (samples,), 0 for an input answered with zero.
        dac_clipped: share of the inputs beyond the DAC range, over all passes.
        adc_clipped: share of the results at the ADC bound in the pass that was kept.
    """

    output: Tensor
    exact: Tensor
    alpha: Tensor
    rho: Tensor
    passes: Tensor
    dac_clipped: float
    adc_clipped: float

    @property
    def signal_to_noise(self) -> float:
        """Power of the exact result over the power of the deviation from it; infinite for an exact product."""
        signal = float(torch.sum(self.exact.double() ** 2))
        noise = float(torch.sum((self.output - self.exact).double() ** 2))
        return signal / noise if noise > 0 else float("inf")

    @property
    def effective_bits(self) -> float:
        """Bits of an ideal converter with the same signal-to-noise ratio for a full-scale sine, (SNR dB - 1.76) / 6.02.

        Source: IEEE Std 1241, definition of the effective number of bits.
        """
        ratio = torch.tensor(self.signal_to_noise, dtype=torch.float64)
        return float((10 * torch.log10(ratio) - 1.76) / 6.02)
