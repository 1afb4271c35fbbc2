"""Vertical profiles of the posterior: mean, credible bands and truth against depth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.style import ESTIMATE, NEUTRAL, TRUTH, new_figure, styled

Band = tuple[NDArray[np.floating], NDArray[np.floating]]


@styled
def profiles(
    truth: NDArray[np.floating],
    mean: NDArray[np.floating],
    bands: Mapping[float, Band],
    *,
    axes: ImageAxes,
    quantity: Quantity,
    columns: tuple[int, ...] | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the posterior along vertical lines, depth downwards.

    Args:
        truth: True section, (nx, nz).
        mean: Posterior mean, (nx, nz).
        bands: Level to lower and upper bound of its credible interval, each (nx, nz).
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values; zero, the background, is marked.
        columns: Indices along x; a quarter, half and three quarters of the width by default.

    Returns:
        The figure and its axes, one for each column.

    Raises:
        ValueError: If a column lies outside the section.
    """
    nx = truth.shape[0]
    chosen = columns if columns is not None else (nx // 4, nx // 2, (3 * nx) // 4)
    if not chosen or not all(0 <= column < nx for column in chosen):
        raise ValueError(f"expected columns within 0..{nx - 1}, got {chosen}")
    x, z = axes.coordinates(truth.shape)
    _, unit = axes.unit(truth.shape)
    figure = new_figure("double", 9.5)
    grid = np.atleast_1d(figure.subplots(1, len(chosen), sharex=True, sharey=True))
    levels = sorted(bands, reverse=True)
    for ax, column in zip(grid, chosen, strict=True):
        for place, level in enumerate(levels):
            lower, upper = (bound[column] * quantity.scale for bound in bands[level])
            shade = 0.18 + 0.22 * place
            ax.fill_betweenx(
                z, lower, upper, color=ESTIMATE, alpha=shade, lw=0, label=f"{100 * level:.0f} % interval"
            )
        ax.axvline(0.0, color=NEUTRAL, lw=0.6, ls=":", label="background")
        ax.plot(mean[column] * quantity.scale, z, color=ESTIMATE, label="posterior mean")
        ax.plot(truth[column] * quantity.scale, z, color=TRUTH, lw=1.0, label="truth")
        ax.set_title(f"x = {x[column]:.4g} {unit}")
        ax.set_xlabel(quantity.label)
        ax.locator_params(axis="x", nbins=5)
    grid[0].set_ylabel(f"Depth ({unit})")
    grid[0].set_ylim(z[-1], z[0])
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure, grid
