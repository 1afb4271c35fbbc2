"""Pointwise posteriors at a few cells: prior, amortised, corrected, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.sections import as_sections, optional_truth
from posterior.plots.series import distinct
from posterior.plots.style import TRUTH, new_figure, styled


@styled
def histograms(
    posteriors: Mapping[str, ArrayLike],
    cells: Sequence[tuple[int, int]],
    *,
    axes: ImageAxes,
    quantity: Quantity,
    truth: ArrayLike | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the marginal densities of some cells for several sets of draws.

    A posterior as wide as the prior learnt nothing of its cell; one that leaves the truth in its tail too
    often is overconfident.

    Args:
        posteriors: Name (``prior``, ``amortised``, ``corrected``) to draws, (S, nx, nz); at most four.
        cells: Indices (x, z) of one to four cells.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        truth: True section, (nx, nz), if it is known.

    Returns:
        The figure and its axes, one a cell.

    Raises:
        ValueError: If draws are on different grids or not finite, or a cell lies outside.
    """
    cubes = {name: as_sections(draws) for name, draws in posteriors.items()}
    drawn = list(distinct(cubes, "posteriors"))
    shapes = sorted({cube.shape[1:] for cube in cubes.values()})
    if len(shapes) > 1:
        raise ValueError(f"expected draws on one grid, got {shapes}")
    shape = shapes[0]
    inside = all(0 <= i < shape[0] and 0 <= j < shape[1] for i, j in cells)
    if not 1 <= len(cells) <= 4 or not inside:
        raise ValueError(f"expected 1 to 4 cells within a section of shape {shape}, got {list(cells)}")
    target = optional_truth(truth, shape)
    x, z = axes.coordinates(shape)
    _, unit = axes.unit(shape)
    figure = new_figure("single" if len(cells) == 1 else "double", 6.0)
    grid = figure.subplots(1, len(cells), squeeze=False)[0]
    for ax, (i, j) in zip(grid, cells, strict=True):
        for colour, _, name, cube in drawn:
            values = quantity.scale * cube[:, i, j].astype(np.float64)
            shown: dict[str, Any] = {"bins": _edges(values), "density": True, "color": colour}
            ax.hist(values, histtype="stepfilled", alpha=0.18, **shown)
            ax.hist(values, histtype="step", lw=1.0, label=name, **shown)
        if target is not None:
            ax.axvline(quantity.scale * float(target[i, j]), color=TRUTH, lw=1.2, label="truth")
        ax.set_title(f"x = {x[i]:.4g}, z = {z[j]:.4g} {unit}")
        ax.tick_params(left=False, labelleft=False)
        ax.locator_params(nbins=4)
    grid[0].set_ylabel("Density")
    figure.supxlabel(quantity.label, fontsize="medium")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure, grid


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bins of one set of draws, by Freedman and Diaconis; each has its own, as widths may differ tenfold."""
    low, high = float(values.min()), float(values.max())
    if not low < high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    width = 2.0 * float(np.subtract(*np.percentile(values, [75, 25]))) / len(values) ** (1 / 3)
    bins = np.ceil((high - low) / width) if width > 0.0 else 1
    return np.linspace(low, high, int(np.clip(bins, 1, 60)) + 1)
