"""What figures of sections share: checked draws, a grid of sections, a section in its unit, a colour bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.style import WIDTHS, new_figure
from posterior.uq.checks import Array, as_samples, as_truth


def as_sections(draws: ArrayLike, *, least: int = 2) -> Array:
    """Draws of one channel as an array (S, nx, nz), at least ``least`` of them, all finite.

    Raises:
        ValueError: With fewer draws, another number of axes, or values that are not finite.
    """
    array = as_samples(draws, least=least)
    if array.ndim != 3:
        raise ValueError(f"expected draws of one channel, (S, nx, nz), got {array.shape}")
    return array


def optional_truth(truth: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """The truth as a finite array of the shape of one draw; None where it is not known."""
    return None if truth is None else as_truth(truth, shape)


def one_section(axes: ImageAxes, shape: tuple[int, ...], *, beside: float = 4.0) -> tuple[Figure, Axes]:
    """A figure of one column of a page with one section.

    Args:
        axes: Spacing and origin of the grid.
        shape: (nx, nz).
        beside: Height above and below the section [cm]; with too little the automatic layout cuts the title.
    """
    figure = new_figure("single", (WIDTHS["single"] - 1.6) / axes.width_over_depth(shape) + beside)
    return figure, figure.subplots()


def grid_of_sections(
    axes: ImageAxes, shape: tuple[int, ...], count: int, *, columns: int, each: float = 0.6, base: float = 2.7
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure of two columns of a page with ``count`` sections in rows.

    Args:
        axes: Spacing and origin of the grid.
        shape: (nx, nz).
        count: Sections.
        columns: Sections in a row.
        each: Height beside the section itself in every row [cm]: title, colour bar.
        base: Height below all rows [cm].

    Returns:
        The figure and its axes, (count,).
    """
    rows = -(-count // columns)
    section = (WIDTHS["double"] - 1.3) / columns - 0.25
    figure = new_figure("double", rows * (section / axes.width_over_depth(shape) + each) + base)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax in grid[count:]:
        ax.remove()
    return figure, grid[:count]


def edge_labels(place: int, count: int, columns: int) -> str:
    """Axes that carry labels at a place of a grid: depth at the left, distance where nothing is below."""
    return ("x" if place + columns >= count else "") + ("z" if place % columns == 0 else "")


def draw_section(
    ax: Axes, image: ArrayLike, axes: ImageAxes, *, quantity: Quantity, look: Look, labels: str = "xz"
) -> AxesImage:
    """Draw a section in the unit shown; image and limits come in the stored unit."""
    low, high = look.limits
    limits = (low * quantity.scale, high * quantity.scale)
    return axes.show(ax, np.asarray(image) * quantity.scale, limits=limits, cmap=look.cmap, labels=labels)


def wide_bar(
    figure: Figure, drawn: AxesImage, over: Sequence[Axes], *, label: str, extend: str = "both"
) -> Colorbar:
    """One horizontal colour bar below sections that share a scale."""
    many = len(over) > 2
    bar = figure.colorbar(
        drawn,
        ax=list(over),
        location="bottom",
        label=label,
        extend=extend,
        shrink=0.5 if many else 0.9,
        aspect=36 if many else 24,
    )
    bar.ax.locator_params(nbins=5)
    return bar


def magnitude_limits(*images: ArrayLike, percentile: float = 99.0) -> tuple[float, float]:
    """Limits 0, v that clip the given share of the cells' values that are numbers, the same for all."""
    values = np.concatenate([np.asarray(image, dtype=np.float64).ravel() for image in images])
    return 0.0, float(np.nanpercentile(values, percentile)) or 1.0


def unit_suffix(quantity: Quantity) -> str:
    """The unit in brackets with a space before, or nothing."""
    return f" ({quantity.unit})" if quantity.unit else ""
