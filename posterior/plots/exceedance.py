"""Probability of exceeding a threshold, cell by cell, with the line where the truth passes it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import draw_section, one_section, optional_truth, wide_bar
from posterior.plots.style import RAW, styled
from posterior.uq import Exceedance


@styled
def exceedance(
    result: Exceedance, *, axes: ImageAxes, quantity: Quantity, truth: ArrayLike | None = None
) -> tuple[Figure, Axes]:
    """Draw the share of draws above the threshold, which the title states with its Monte-Carlo error.

    Args:
        result: Counts of the draws, whose cells are (nx, nz).
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        truth: True section, (nx, nz); its line at the threshold is drawn.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: If no draw was counted, or the truth does not fit.
    """
    share = result.probability
    target = optional_truth(truth, share.shape)
    figure, ax = one_section(axes, share.shape, beside=4.0 if target is None else 4.6)
    percent = Quantity("Probability", "%", 100.0)
    drawn = draw_section(ax, share, axes, quantity=percent, look=Look((0.0, 1.0), "cividis"))
    single = result.threshold.ndim == 0
    limit = quantity.number(float(result.threshold)) if single else "the threshold of each cell"
    error = 100.0 * float(np.sqrt(share * (1.0 - share) / result.count).max())
    ax.set_title(
        f"{quantity.name} > {limit}\n{result.count} draws, standard error at most {error:.1f} points"
    )
    if target is not None:
        _true_line(figure, ax, target - result.threshold, axes)
    wide_bar(figure, drawn, [ax], label=percent.label, extend="neither")
    return figure, ax


def _true_line(figure: Figure, ax: Axes, excess: NDArray[np.floating], axes: ImageAxes) -> None:
    """The line where the truth passes the threshold; none is drawn where it never does."""
    if excess.min() < 0.0 < excess.max():
        x, z = axes.coordinates(excess.shape)
        ax.contour(x, z, excess.T, levels=[0.0], colors=RAW, linewidths=0.9)
        handle = Line2D([], [], color=RAW, lw=0.9, label="truth at the threshold")
        figure.legend(handles=[handle], loc="outside lower center")
