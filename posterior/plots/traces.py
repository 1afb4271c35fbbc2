"""A vertical and a horizontal profile with the draws themselves as thin lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.sections import as_sections, optional_truth
from posterior.plots.style import ESTIMATE, RAW, TRUTH, new_figure, styled

_LINES = 40
"""Draws shown at most: more of them cover one another."""


@styled
def traces(
    draws: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    truth: ArrayLike | None = None,
    at: tuple[int, int] | None = None,
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the column x0 against depth and the row z0 along the section: draws, mean, truth.

    Unlike bands, the lines show how neighbouring cells vary together.

    Args:
        draws: Posterior draws, (S, nx, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        truth: True section, (nx, nz), if it is known.
        at: Indices of column and row (x0, z0); the middle by default.

    Returns:
        The figure and its two axes.

    Raises:
        ValueError: If the lines lie outside the section, or values are not finite or do not fit.
    """
    cube = as_sections(draws)
    nx, nz = cube.shape[1:]
    i, j = at if at is not None else (nx // 2, nz // 2)
    if not (0 <= i < nx and 0 <= j < nz):
        raise ValueError(f"expected a column within 0..{nx - 1} and a row within 0..{nz - 1}, got {at}")
    target = optional_truth(truth, cube.shape[1:])
    x, z = axes.coordinates((nx, nz))
    _, unit = axes.unit((nx, nz))
    figure = new_figure("double", 8.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 2.1))
    scaled = cube * quantity.scale
    true = None if target is None else target * quantity.scale
    _lines(left, scaled[:, i], None if true is None else true[i], z, upright=True)
    _lines(right, scaled[:, :, j], None if true is None else true[:, j], x, upright=False)
    left.set(ylim=(z[-1], z[0]), xlabel=quantity.label, ylabel=f"Depth ({unit})")
    right.set(xlim=(x[0], x[-1]), xlabel=f"Distance ({unit})", ylabel=quantity.label)
    left.set_title(f"Column x = {x[i]:.4g} {unit}")
    right.set_title(f"Row z = {z[j]:.4g} {unit}")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure, np.array([left, right], dtype=object)


def _lines(
    ax: Axes,
    draws: NDArray[np.floating],
    truth: NDArray[np.floating] | None,
    place: NDArray[np.floating],
    *,
    upright: bool,
) -> None:
    shown = draws[:_LINES]
    many = f"{len(shown)} of {len(draws)} draws" if len(shown) < len(draws) else f"{len(draws)} draws"
    opacity = float(np.clip(9.0 / len(shown), 0.15, 0.6))
    lines: list[tuple[NDArray[np.floating], dict[str, Any]]] = [
        (values, {"color": RAW, "lw": 0.5, "alpha": opacity}) for values in shown
    ]
    ax.plot([], [], color=RAW, lw=0.8, label=many)
    lines.append((draws.mean(axis=0), {"color": ESTIMATE, "label": f"mean of {len(draws)}"}))
    if truth is not None:
        lines.append((truth, {"color": TRUTH, "lw": 1.2, "label": "truth"}))
    for values, look in lines:
        ax.plot(*((values, place) if upright else (place, values)), **look)
    ax.locator_params(nbins=5)
