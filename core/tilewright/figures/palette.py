"""One palette for every figure: safe for colour-blind eyes, readable on light and dark ground.

An algorithm keeps its colour everywhere; up is warm, down is cool; what was measured is neutral, what was modelled
is coloured. The hues are those of Okabe and Ito, darkened or lightened a little so that they hold on both grounds.
"""

from __future__ import annotations

from typing import Final

UP: Final = "#d9662b"
DOWN: Final = "#2f7fc1"
MIXED: Final = "#8a7fb5"
MEASURED: Final = "#7d8794"
MODEL: Final = "#c2478f"
REFERENCE: Final = "#7d8794"
WARNING: Final = "#d1293d"
MARK: Final = "#8a6d00"
GRID: Final = "rgba(128,136,148,0.22)"
AXIS: Final = "rgba(128,136,148,0.75)"
# Low to high, each readable on both grounds: what a colour bar tells.
SCALE: Final = ((0.0, "#2f7fc1"), (0.5, "#1a9a75"), (1.0, "#e0b000"))
GROUND: Final = "rgba(0,0,0,0)"

ALGORITHM_COLOURS: Final[dict[str, str]] = {
    "fp": "#7d8794",
    "sgd": "#d9662b",
    "tiki-taka": "#c9a400",
    "ttv2": "#2f7fc1",
    "c-ttv2": "#5ab4e5",
    "agad": "#c2478f",
    "mp": "#1a9a75",
    "residual-v2": "#8a7fb5",
    "rider": "#b0563a",
    "e-rider": "#7fa03c",
    "multi-tile-residual": "#4a6fa5",
}
ALGORITHM_LABELS: Final[dict[str, str]] = {
    "fp": "Floating point",
    "sgd": "In-memory SGD",
    "tiki-taka": "Tiki-Taka",
    "ttv2": "TTv2",
    "c-ttv2": "c-TTv2",
    "agad": "AGAD",
    "mp": "Mixed precision",
    "residual-v2": "Residual v2",
    "rider": "RIDER",
    "e-rider": "E-RIDER",
    "multi-tile-residual": "Multi-tile residual",
}
SEQUENCE: Final = ("#2f7fc1", "#d9662b", "#1a9a75", "#c2478f", "#c9a400", "#5ab4e5", "#8a7fb5", "#7d8794")
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash")

_OTHER_NAMES: Final = {
    "floating-point": "fp",
    "floating_point": "fp",
    "digital": "fp",
    "ideal": "fp",
    "mixed-precision": "mp",
    "mixed_precision": "mp",
    "ttv3": "c-ttv2",
    "chopped-ttv2": "c-ttv2",
    "tt": "tiki-taka",
    "ttv1": "tiki-taka",
    "ttv4": "agad",
}


def algorithm_key(name: str) -> str:
    """The short name of an algorithm (``Mixed precision`` gives ``mp``); unknown names come back in lower case."""
    low = name.strip().lower().replace(" ", "-")
    for key, label in ALGORITHM_LABELS.items():
        if low in (key, label.lower().replace(" ", "-")):
            return key
    return _OTHER_NAMES.get(low, low)


def algorithm_colour(name: str) -> str:
    """The colour of an algorithm; one that is not listed gets a fixed colour from its name."""
    key = algorithm_key(name)
    return ALGORITHM_COLOURS.get(key) or SEQUENCE[sum(map(ord, key)) % len(SEQUENCE)]


def algorithm_label(name: str) -> str:
    """The name of an algorithm as people write it."""
    return ALGORITHM_LABELS.get(algorithm_key(name), name)


def translucent(colour: str, opacity: float) -> str:
    """``#rrggbb`` as an ``rgba(...)`` text, for bands."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
