"""Figure of a search for symmetry points: how fast pulses alone pull devices there."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from tilewright.devices.symmetry_search import SymmetrySearch
from tilewright.figures.device import WEIGHT
from tilewright.figures.frame import COUNT_AXIS, empty_figure, framed, thinned
from tilewright.figures.palette import DASHES, REFERENCE, SEQUENCE

_NAMES = {"alternating": "Up and down in turn", "random": "Random order"}


def plot_symmetry_search(searches: SymmetrySearch | list[SymmetrySearch]) -> go.Figure:
    """Weights of a few devices under the pulses of a search, and the distance of all from their symmetry points.

    Args:
        searches: one search, or several of the same devices; the paths shown are those of the first.
    """
    found = [searches] if isinstance(searches, SymmetrySearch) else list(searches)
    if not found or found[0].path.size == 0:
        return empty_figure("Nothing was followed in this search.")
    first = found[0]
    if not np.isfinite(first.true).any():
        return empty_figure("These devices have no symmetry point: their up and down steps are nowhere equal.")
    keep = thinned(len(first.path))
    left = [
        {
            "x": keep, "y": first.path[keep, k], "mode": "lines", "name": f"Device {k + 1}", "showlegend": False,
            "line": {"width": 1.4, "color": SEQUENCE[k % len(SEQUENCE)]},
            "hovertemplate": "pulse %{x}<br>weight %{y:.3f}<extra>%{fullData.name}</extra>",
        }
        for k in range(first.path.shape[1])
    ]  # fmt: skip
    points = [
        {
            "x": [0, first.pulses], "y": [first.true[k]] * 2, "mode": "lines", "showlegend": k == 0,
            "name": "Symmetry point", "line": {"width": 1.4, "dash": "dot", "color": REFERENCE}, "hoverinfo": "skip",
        }
        for k in range(first.path.shape[1])
        if np.isfinite(first.true[k])
    ]  # fmt: skip
    right = [
        {
            "x": thinned(search.error.size), "y": search.error[thinned(search.error.size)], "mode": "lines",
            "name": _NAMES[search.method], "xaxis": "x2", "yaxis": "y2",
            "line": {"width": 2.2, "color": SEQUENCE[k % len(SEQUENCE)], "dash": DASHES[k % len(DASHES)]},
            "hovertemplate": "pulse %{x}<br>distance %{y:.4f}<extra>%{fullData.name}</extra>",
        }
        for k, search in enumerate(found)
    ]  # fmt: skip
    axes = {
        "xaxis": {**COUNT_AXIS, "title": "Pulse number", "domain": [0, 0.46]},
        "yaxis": {"title": WEIGHT},
        "xaxis2": {**COUNT_AXIS, "title": "Pulse number", "domain": [0.56, 1], "anchor": "y2"},
        "yaxis2": {"title": "Distance from the point (rms)", "anchor": "x2", "rangemode": "tozero"},
    }
    return framed([*left, *points, *right], axes, key="symmetry-search", height=340)
