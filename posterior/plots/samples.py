"""Posterior draws side by side, on one scale."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import (
    as_sections,
    draw_section,
    edge_labels,
    grid_of_sections,
    optional_truth,
    wide_bar,
)
from posterior.plots.style import styled

_COLUMNS = 4


@styled
def samples(
    draws: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    truth: ArrayLike | None = None,
    count: int = 6,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the truth, the mean of all draws and the first few of them, with shared limits.

    What all draws have in common the data decided; where they differ, they did not.

    Args:
        draws: Posterior draws, (S, nx, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        truth: True section, (nx, nz), if it is known.
        count: Draws shown, at most S.

    Returns:
        The figure and its axes, one a section.

    Raises:
        ValueError: With fewer than ``count`` draws, or values that are not finite or do not fit.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 draw to show, got {count}")
    cube = as_sections(draws, least=count)
    target = optional_truth(truth, cube.shape[1:])
    mean = cube.mean(axis=0, dtype=np.float64)
    sections = {} if target is None else {"Truth": target}
    sections[f"Mean of {len(cube)} draws"] = mean
    sections |= {f"Draw {number + 1}": cube[number] for number in range(count)}
    look = Look.of(*sections.values())
    figure, grid = grid_of_sections(axes, mean.shape, len(sections), columns=_COLUMNS)
    for place, (ax, (title, section)) in enumerate(zip(grid, sections.items(), strict=True)):
        labels = edge_labels(place, len(sections), _COLUMNS)
        drawn = draw_section(ax, section, axes, quantity=quantity, look=look, labels=labels)
        ax.set_title(title)
    wide_bar(figure, drawn, list(grid), label=quantity.label)
    return figure, grid
