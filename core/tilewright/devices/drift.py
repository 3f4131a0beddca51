"""Power-law drift of a weight since it was last written."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.parameters import Parameters, parameter

SMALLEST_CONDUCTANCE = 1e-12


class DriftParameters(Parameters):
    """Conductance that falls as ``(t / t_0)^-nu`` since the device was last written; ``nu = 0`` is no drift.

    With ``g = (w - w_offset) / wg_ratio + g_offset``: ``g(t) = g_written (t / t_0)^-nu``, where
    ``nu = nu_device (1 + nu_std xi) - nu_k (ln g_written - log_g0)``. Only a call of ``drift_weights`` lets time
    pass. Source: Ielmini et al., IEEE Trans. Electron Devices 54:308 (2007); Le Gallo et al. (2018).
    """

    nu: float = parameter(0.0, "mean drift exponent; 0 is no drift", ge=0, typical=(0, 0.2))
    t_0: float = parameter(1.0, "unit of the time of a call", unit="s", gt=0, log=True, typical=(1e-3, 100))
    nu_dtod: float = parameter(0.0, "device-to-device spread of the exponent", unit="nu", ge=0, typical=(0, 1))
    nu_std: float = parameter(0.0, "spread of the exponent from call to call", unit="nu", ge=0, typical=(0, 1))
    wg_ratio: float = parameter(1.0, "range of the weight over range of the conductance", gt=0, typical=(0.1, 10))
    g_offset: float = parameter(0.0, "conductance at w_offset", typical=(-1, 1))
    w_offset: float = parameter(0.0, "weight that the conductance g_offset stands for", unit="weight", typical=(-1, 1))
    nu_k: float = parameter(0.0, "fall of the exponent with the logarithm of the conductance", typical=(-0.1, 0.1))
    log_g0: float = parameter(0.0, "logarithm of the conductance at which the exponent is nu", typical=(-5, 5))
    w_noise_std: float = parameter(0.0, "noise added by each call", unit="weight", ge=0, typical=(0, 0.1))


@dataclass(frozen=True)
class DriftState:
    """What a drifting array keeps: exponents, and when and at what raw weight each device was last written."""

    nu: Tensor
    since: Tensor
    written: Tensor


def drifted(parameters: DriftParameters, state: DriftState, now: float, fluctuation: Tensor | None) -> Tensor:
    """Raw weights at a time.

    Args:
        parameters: of the drift.
        state: exponents, times (in units of ``t_0``) and weights of the last writes.
        now: time, in units of ``t_0``.
        fluctuation: standard normal numbers of the exponents of this call, or None.
    """
    p = parameters
    conductance = (state.written - p.w_offset) / p.wg_ratio + p.g_offset
    nu = state.nu if fluctuation is None else state.nu * (1 + p.nu_std * fluctuation)
    if p.nu_k != 0:
        nu = nu - p.nu_k * (torch.log(conductance.clamp(min=SMALLEST_CONDUCTANCE)) - p.log_g0)
    elapsed = (now - state.since).clamp(min=1.0)
    shift = p.g_offset * p.wg_ratio - p.w_offset
    scale = elapsed**-nu
    return state.written * scale + shift * (scale - 1)
