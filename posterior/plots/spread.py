"""Width of the posterior in every cell: std, relative std, credible intervals of both kinds."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior import uq
from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import (
    as_sections,
    draw_section,
    edge_labels,
    grid_of_sections,
    magnitude_limits,
    unit_suffix,
    wide_bar,
)
from posterior.plots.significance import NOT_COUNTED
from posterior.plots.style import DEPARTURE, MAGNITUDE, styled

_PLAIN = Quantity()


@styled
def spread(
    draws: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    level: float = 0.9,
    relative: Literal["envelope", "mean"] = "envelope",
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw median, std and relative std; widths of the equal-tailed and the shortest interval, their ratio.

    Both intervals share a scale. A ratio well below 1 says that a cell's posterior is skewed.

    Args:
        draws: Posterior draws, (S, nx, nz), SI units; enough for the level.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        level: Level of the intervals.
        relative: Std over the envelope of the mean (images) or over the mean itself (velocity).

    Returns:
        The figure and its six axes.

    Raises:
        ValueError: With too few draws for the level, or values that are not finite or do not fit.
    """
    cube = as_sections(draws)
    mean, std = uq.mean(cube), uq.std(cube)
    lower, upper = uq.credible_interval(cube, level)
    shortest = np.subtract(*uq.highest_density_interval(cube, level)[::-1])
    width = upper - lower
    by_envelope = relative == "envelope"
    ratio = (uq.normalised_std if by_envelope else uq.coefficient_of_variation)(mean, std)
    skew = np.divide(shortest, width, out=np.full(width.shape, np.nan), where=width > 0.0)
    median = np.median(cube, axis=0)
    unit, percent = unit_suffix(quantity), f"{100 * level:.4g} %"
    widths = Look(magnitude_limits(width, shortest), MAGNITUDE)
    panels = [
        ("Median", quantity.label, median, Look.of(median), quantity),
        ("Standard deviation", f"std{unit}", std, Look(magnitude_limits(std), MAGNITUDE), quantity),
        (
            f"Std over the {'envelope of the mean' if by_envelope else 'mean'}",
            "ratio",
            ratio,
            Look(magnitude_limits(ratio), MAGNITUDE),
            _PLAIN,
        ),
        (f"Equal-tailed {percent} interval", f"width{unit}", width, widths, quantity),
        (f"Shortest {percent} interval", f"width{unit}", shortest, widths, quantity),
        ("Shortest over equal-tailed width", "ratio", skew, Look((0.7, 1.3), DEPARTURE), _PLAIN),
    ]
    figure, grid = grid_of_sections(axes, mean.shape, len(panels), columns=3, each=2.0, base=1.2)
    for place, (ax, (title, label, image, look, shown)) in enumerate(zip(grid, panels, strict=True)):
        labels = edge_labels(place, len(panels), 3)
        drawn = draw_section(ax, image, axes, quantity=shown, look=look, labels=labels)
        ax.set_facecolor(NOT_COUNTED)  # a ratio of nothing to nothing
        ax.set_title(title)
        wide_bar(figure, drawn, [ax], label=label, extend="both" if place in (0, 5) else "max")
    return figure, grid
