"""The cross-hair figure: the mean section, and all draws along one row and one column of it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.cross import Cross, cross
from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import as_sections, draw_section
from posterior.plots.style import RAW, styled

_SHARE = 0.42


@styled
def juxtapose(
    draws: ArrayLike,
    *,
    axes: ImageAxes,
    quantity: Quantity,
    at: tuple[int, int] | None = None,
    width: Literal["single", "double"] = "single",
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw the mean; above it the row z0 of all draws, to its right the column x0 of all draws.

    Stripes that run through all draws are sure; what flickers from draw to draw is not. All three share one
    scale.

    Args:
        draws: Posterior draws, (S, nx, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        at: Indices of column and row (x0, z0); the middle by default.
        width: One or two columns of a page.

    Returns:
        The figure and its three axes: section, above, beside.

    Raises:
        ValueError: If the lines lie outside the section, or values are not finite.
    """
    cube = as_sections(draws)
    nx, nz = cube.shape[1:]
    column, row = at if at is not None else (nx // 2, nz // 2)
    if not (0 <= column < nx and 0 <= row < nz):
        raise ValueError(f"expected a column within 0..{nx - 1} and a row within 0..{nz - 1}, got {at}")
    mean = cube.mean(axis=0, dtype=np.float64)
    look = Look.of(mean, cube[:, :, row], cube[:, column])
    places = cross(width, axes.width_over_depth(mean.shape), _SHARE)
    drawn = draw_section(places.main, mean, axes, quantity=quantity, look=look)
    x, z = axes.coordinates(mean.shape)
    places.main.axvline(x[column], color=RAW, lw=0.7)
    places.main.axhline(z[row], color=RAW, lw=0.7)
    _stack(places, cube[:, :, row] * quantity.scale, cube[:, column].T * quantity.scale)
    _, unit = axes.unit(mean.shape)
    places.above.set_title(f"Row z = {z[row]:.4g} {unit}")
    places.beside.set_title(f"Column\nx = {x[column]:.4g} {unit}")
    places.figure.colorbar(
        drawn, cax=places.bar, orientation="horizontal", extend="both", label=quantity.label
    )
    places.bar.locator_params(nbins=5)
    return places.figure, np.array([places.main, places.above, places.beside], dtype=object)


def _stack(places: Cross, rows: NDArray[np.floating], columns: NDArray[np.floating]) -> None:
    """All draws of a row, one under another, and of a column, one beside another; the section's colours."""
    section = places.main.images[0]
    left, right, bottom, top = section.get_extent()
    last = len(rows) + 0.5
    shown: dict[str, Any] = {
        "cmap": section.get_cmap(),
        "norm": section.norm,
        "aspect": "auto",
        "interpolation": "nearest",
    }
    places.above.imshow(rows, extent=(left, right, last, 0.5), **shown)
    places.beside.imshow(columns, extent=(0.5, last, bottom, top), **shown)
    for axis in (places.above.yaxis, places.beside.xaxis):
        axis.set_ticks([1, len(rows)])
    places.above.set(ylabel="Draw", xlim=places.main.get_xlim())
    places.beside.set(xlabel="Draw", ylim=places.main.get_ylim())
    places.above.tick_params(labelbottom=False)
    places.beside.tick_params(labelleft=False)
