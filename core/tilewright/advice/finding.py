"""One finding about settings that will not learn, or learn badly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad it is: ``CANNOT_LEARN`` will fail however long it trains, ``POOR`` loses much of what is possible."""

    CANNOT_LEARN = "cannot learn"
    POOR = "poor"


class SettingsWarning(UserWarning):
    """Settings of a tile that cannot learn."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a setting.

    Attributes:
        check: short name of the check.
        field: path of the field to change, such as ``device.auto_granularity`` or ``learning_rate``.
        what: what will happen, in a few words.
        why: the numbers behind it.
        remedy: what to set instead.
        severity: how bad it is.
    """

    check: str
    field: str
    what: str
    why: str
    remedy: str
    severity: Severity

    def __str__(self) -> str:
        return f"{self.field}: {self.what}. {self.why}. {self.remedy}."


CANNOT_LEARN, POOR = Severity.CANNOT_LEARN, Severity.POOR
