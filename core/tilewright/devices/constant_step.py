"""Devices whose step does not depend on the weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilewright.devices.pulsed import Array, PulsedDevice


class ConstantStepDevice(PulsedDevice):
    """Constant step between hard bounds: ``w += s (1 + sigma xi)``, then clip.

    Has no symmetry point unless its steps are equal. Source: Gokmen and Vlasov, Front. Neurosci. 10:333 (2016).
    """

    @property
    def kernel_kind(self) -> int:
        """Constant step."""
        return 0

    def drawn_steps(self, drawn: Mapping[str, Array], raw: Array) -> tuple[Array, Array]:
        """Noise-free ``(up, down)`` step sizes of drawn devices."""
        nothing = np.zeros_like(raw)
        return drawn["up"] + nothing, drawn["down"] + nothing
