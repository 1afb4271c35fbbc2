"""Cells whose posterior has two modes, and the draws of the one where it shows most."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import as_sections, draw_section, magnitude_limits, optional_truth, wide_bar
from posterior.plots.significance import outline, row_of_sections
from posterior.plots.style import ESTIMATE, RAW, TRUTH, styled
from posterior.uq import Bimodality


@styled
def bimodality(
    result: Bimodality,
    draws: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    truth: ArrayLike | None = None,
    level: float = 0.05,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the excess mass of a second mode, cells called bimodal outlined; the most bimodal cell's draws.

    Args:
        result: Test of every cell, (nx, nz).
        draws: The draws it was made of, (S, nx, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        truth: True section, (nx, nz), if it is known.
        level: Level of the test; at most this share of cells with one mode is called bimodal.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: If draws and result do not fit each other, or values are not finite.
    """
    cube = as_sections(draws)
    if cube.shape[1:] != result.excess.shape or len(cube) != result.num_samples:
        raise ValueError(
            f"expected the {result.num_samples} draws of shape {result.excess.shape} that were tested, got "
            f"{cube.shape}"
        )
    target = optional_truth(truth, result.excess.shape)
    figure, (left, right) = row_of_sections(axes, result.excess.shape, 1, beside=1.2)
    look = Look(magnitude_limits(result.excess, percentile=100.0), "viridis")
    percent = Quantity("", "%", 100.0)
    drawn = draw_section(left, result.excess, axes, quantity=percent, look=look)
    outline(left, drawn, result.cells(level))
    left.set_title(
        f"{100 * result.fraction(level):.1f} % of cells bimodal (chance: at most {100 * level:.4g} %)"
    )
    wide_bar(figure, drawn, [left], label="Mass of a second mode (%)", extend="neither")
    i, j = (int(n) for n in np.unravel_index(np.argmax(result.excess), result.excess.shape))
    x, z = axes.coordinates(result.excess.shape)
    _, unit = axes.unit(result.excess.shape)
    left.plot(x[i], z[j], marker="o", ms=7, mfc="none", mec=RAW, mew=1.3)
    _histogram(right, cube[:, i, j], quantity, None if target is None else float(target[i, j]))
    right.set_title(f"Cell at x = {x[i]:.4g}, z = {z[j]:.4g} {unit}")
    return figure, np.array([left, right], dtype=object)


def _histogram(ax: Axes, values: NDArray[np.floating], quantity: Quantity, truth: float | None) -> None:
    ax.hist(values * quantity.scale, bins=max(8, min(30, len(values) // 6)), color=ESTIMATE, alpha=0.7)
    if truth is not None:
        ax.axvline(truth * quantity.scale, color=TRUTH, lw=1.2, label="truth")
        ax.legend(loc="upper right")
    ax.set(xlabel=quantity.label, ylabel=f"Draws (of {len(values)})")
    ax.set_ylim(top=1.2 * ax.get_ylim()[1])  # room for the legend
    ax.locator_params(nbins=5)
