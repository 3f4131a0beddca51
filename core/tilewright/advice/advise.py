"""Everything there is to say about the settings of a tile."""

from __future__ import annotations

from tilewright.advice import single
from tilewright.advice.conditions import Conditions
from tilewright.advice.finding import Finding, Severity
from tilewright.advice.residual import residual_findings
from tilewright.advice.transfer import transfer_findings
from tilewright.configs import RPUConfig

_CHECKS = (
    single.weights_outside,
    single.plain_training,
    single.noisy_pair,
    single.direct_updates,
    single.mixed_precision,
    transfer_findings,
    residual_findings,
)


def advise(config: RPUConfig, conditions: Conditions | None = None) -> list[Finding]:
    """Settings of a tile that cannot learn, or learn badly; the worst first.

    Args:
        config: of the tile.
        conditions: what the tile will meet; checks that need what is not known are left out.
    """
    at = conditions or Conditions()
    found = [finding for check in _CHECKS for finding in check(config, at)]
    return sorted(found, key=lambda finding: finding.severity is not Severity.CANNOT_LEARN)
