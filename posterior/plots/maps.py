"""Maps over all pairs: mean std, coverage and contraction of every cell."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.style import DEPARTURE, MAGNITUDE, new_figure, styled


@styled
def maps(
    std: NDArray[np.floating],
    coverage: NDArray[np.floating],
    contraction: NDArray[np.floating],
    *,
    axes: ImageAxes,
    quantity: Quantity,
    level: float = 0.9,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw where in a section the posterior is wide, where its intervals hold, and where the data decide.

    Args:
        std: Root mean posterior variance over pairs, (nx, nz).
        coverage: Share of pairs whose interval holds the truth, (nx, nz); NaN where cells do not count.
        contraction: Share of the prior variance the data removed, (nx, nz); NaN where cells do not count.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        level: Level of the intervals, the white of the coverage map.

    Returns:
        The figure and its three axes.
    """
    figure = new_figure("double", 5.4 / axes.width_over_depth(std.shape) + 2.9)
    grid = figure.subplots(1, 3, sharex=True, sharey=True)
    reach = 100.0 * min(level, 1.0 - level)
    unit = f" ({quantity.unit})" if quantity.unit else ""
    sections = [
        ("Posterior std", f"std{unit}", std * quantity.scale, (0.0, _high(std) * quantity.scale), MAGNITUDE),
        (
            f"Coverage of {100 * level:.0f} % intervals",
            "cells covered (%)",
            100.0 * coverage,
            (100.0 * level - reach, 100.0 * level + reach),
            DEPARTURE,
        ),
        ("Contraction", "prior variance removed (%)", 100.0 * contraction, (0.0, 100.0), "viridis"),
    ]
    for ax, (title, label, section, limits, cmap) in zip(grid, sections, strict=True):
        drawn = axes.show(ax, section, limits=limits, cmap=cmap, labels="xz" if ax is grid[0] else "x")
        ax.set_facecolor("#d9d9d9")  # cells that do not count
        ax.set_title(title)
        figure.colorbar(drawn, ax=ax, location="bottom", label=label, shrink=0.85, aspect=22)
    return figure, grid


def _high(values: NDArray[np.floating]) -> float:
    return float(np.nanpercentile(values, 99.0)) or 1.0
