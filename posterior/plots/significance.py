"""Maps of standard scores of cells, with the cells outlined that chance does not explain."""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from posterior.plots.image_axes import ImageAxes
from posterior.plots.style import WIDTHS, new_figure
from posterior.uq.checks import as_levels

NOT_COUNTED = "#d9d9d9"
"""Colour of cells that do not count, which carry NaN."""
_LONG = 1.8  # width over depth
_FINE = 6  # points of an outline a cell


def bonferroni(cells: int, confidence: float) -> float:
    """Size of a standard normal score that none of so many cells exceeds, with this probability or more."""
    as_levels(confidence)
    if cells < 1:
        raise ValueError("expected at least one cell that counts, got none")
    return NormalDist().inv_cdf(1.0 - 0.5 * (1.0 - confidence) / cells)


def outline(ax: Axes, drawn: AxesImage, marked: NDArray[np.bool_]) -> None:
    """Draw a line around the marked cells (nx, nz) of a section, along the edges of cells."""
    if not marked.any():
        return
    fine = np.kron(np.pad(marked, 1), np.ones((_FINE, _FINE)))
    left, right, bottom, top = drawn.get_extent()
    places = []
    for start, end, cells in ((left, right, marked.shape[0]), (top, bottom, marked.shape[1])):
        step = (end - start) / cells
        places.append(start - step + step * (np.arange(_FINE * (cells + 2)) + 0.5) / _FINE)
    ax.autoscale(enable=False)
    ax.contour(*places, fine.T, levels=[0.5], colors="black", linewidths=0.6)


def row_of_sections(
    axes: ImageAxes, shape: tuple[int, ...], sections: int, *, beside: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure with axes for sections side by side; long sections stand one under another.

    Side by side up to two sections take one column of a page, more take two.

    Args:
        axes: Spacing and origin of the grid.
        shape: (nx, nz).
        sections: How many.
        beside: Width of a further plot after them, in widths of a section; 0 for none.
    """
    proportion = axes.width_over_depth(shape)
    ratios = [1.0] * sections + ([beside] if beside else [])
    if proportion > _LONG:
        heights = [(WIDTHS["single"] - 1.6) / proportion + 3.8] * sections + ([4.6] if beside else [])
        figure = new_figure("single", sum(heights))
        stacked: list[Axes] = figure.subplots(len(ratios), 1, height_ratios=heights, squeeze=False)[
            :, 0
        ].tolist()
        return figure, stacked
    width: Literal["single", "double"] = "single" if sum(ratios) <= 2.0 else "double"
    section = (WIDTHS[width] - 1.3) / sum(ratios) - 0.35
    figure = new_figure(width, section / proportion + (3.9 if width == "single" else 3.0))
    row: list[Axes] = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0].tolist()
    for ax in row[sections:]:
        ax.set_box_aspect(min(1.4, 1.0 / (beside * proportion)))
    for ax in row:
        ax.set_anchor("N")
    return figure, row


def labels_of(ax: Axes) -> str:
    """Axes that carry label and numbers: depth only in the first column."""
    place = ax.get_subplotspec()
    return "xz" if place is None or place.is_first_col() else "x"
