"""The posterior std laid over the mean section: where what one sees is not to be relied on."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import draw_section, grid_of_sections, magnitude_limits, unit_suffix, wide_bar
from posterior.plots.style import styled
from posterior.uq.checks import as_truth

_OPAQUE = 0.8
"""Opacity of the largest std as colour: the section is still seen through it."""


@styled
def overlay(
    mean: ArrayLike, std: ArrayLike, *, axes: ImageAxes, quantity: Quantity
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the mean with the std over it: as colour that thickens with it, and as fog that hides the mean.

    Clear are the 5 % of cells with the smallest std.

    Args:
        mean: Posterior mean, (nx, nz), SI units.
        std: Posterior std, (nx, nz).
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: If the shapes differ, a value is not finite, or a std is negative.
    """
    centre = np.asarray(mean, dtype=np.float64)
    width = as_truth(std, centre.shape)
    if (width < 0.0).any():
        raise ValueError("expected a std of at least 0, got negative values")
    look = Look.of(centre)
    low, high = float(np.percentile(width, 5.0)), magnitude_limits(width)[1]
    limits = (low if low < high else 0.0, high)
    figure, grid = grid_of_sections(axes, centre.shape, 2, columns=2, base=3.0)
    ramp = np.linspace(0.0, 1.0, 256)
    colour = colormaps["YlOrRd"](0.15 + 0.85 * ramp)
    colour[:, 3] = _OPAQUE * ramp
    fog = np.ones((256, 4))
    fog[:, 3] = ramp
    drawn = (("Std as colour over the mean", colour), ("Std as fog over the mean", fog))
    for ax, (title, colours) in zip(grid, drawn, strict=True):
        labels = "xz" if ax is grid[0] else "x"
        section = draw_section(ax, centre, axes, quantity=quantity, look=look, labels=labels)
        over = Look(limits, ListedColormap(colours))
        laid = draw_section(ax, width, axes, quantity=quantity, look=over, labels=labels)
        bar = wide_bar(figure, laid, [ax], label=f"std{unit_suffix(quantity)}", extend="max")
        bar.ax.set_facecolor(section.get_cmap()(0.35))  # what shows through
        ax.set_title(title)
    return figure, grid
