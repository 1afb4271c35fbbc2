"""Three orthogonal slices of a volume, each with the places of the others marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from posterior.plots.cross import cross
from posterior.plots.image_axes import ImageAxes, Quantity
from posterior.plots.look import Look
from posterior.plots.sections import draw_section
from posterior.plots.style import RAW, styled


@final
@dataclass(frozen=True)
class VolumeAxes:
    """Axes (x, y, z) of volumes stored as (nx, ny, nz), cell centres at ``origin + index * spacing``."""

    spacing: tuple[float, float, float]
    """Grid spacing (dx, dy, dz) [m]."""
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Position (x, y, z) of the centre of cell (0, 0, 0) [m]."""

    def plane(self, first: int, second: int, shape: tuple[int, ...]) -> ImageAxes:
        """Axes of the section that two axes of the volume span; one unit of length for all of them."""
        longest = max(size * step for size, step in zip(shape, self.spacing, strict=True))
        return ImageAxes(
            (self.spacing[first], self.spacing[second]),
            (self.origin[first], self.origin[second]),
            "km" if longest >= 2000.0 else "m",
        )


@styled
def slices(
    volume: ArrayLike,
    *,
    axes: VolumeAxes,
    quantity: Quantity,
    at: tuple[int, int, int] | None = None,
    look: Look | None = None,
    width: Literal["single", "double"] = "single",
) -> tuple[Figure, NDArray[np.object_]]:
    """Draw a volume, such as a posterior mean or std, on three planes at true proportions.

    Below left the section along x, above it the map at depth z, to its right the section along y; lines mark
    where the planes cut each other.

    Args:
        volume: Values, (nx, ny, nz), SI units.
        axes: Spacing and origin of the grid.
        quantity: Name and unit of the values.
        at: Indices of the planes (x0, y0, z0); the middle by default.
        look: Colours and limits, as shared by several volumes; by default those of the volume.
        width: One or two columns of a page.

    Returns:
        The figure and its three axes: section along x, map, section along y.

    Raises:
        ValueError: If this is no finite volume, or a plane lies outside it.
    """
    values = np.asarray(volume, dtype=np.float64)
    if values.ndim != 3 or not np.isfinite(values).all():
        raise ValueError(
            f"expected a finite volume of shape (nx, ny, nz), got {values.shape} or values not finite"
        )
    i, j, k = at if at is not None else tuple(size // 2 for size in values.shape)
    if not all(0 <= index < size for index, size in zip((i, j, k), values.shape, strict=True)):
        raise ValueError(f"expected planes within a volume of shape {values.shape}, got {at}")
    front, side, top = (axes.plane(*pair, values.shape) for pair in ((0, 2), (1, 2), (0, 1)))
    section = values[:, j]
    share = values.shape[1] * axes.spacing[1] / (values.shape[0] * axes.spacing[0])
    places = cross(width, front.width_over_depth(section.shape), share)
    chosen = look if look is not None else Look.of(values)
    drawn = draw_section(places.main, section, front, quantity=quantity, look=chosen)
    draw_section(places.above, values[:, :, k], top, quantity=quantity, look=chosen)
    draw_section(places.beside, values[i], side, quantity=quantity, look=chosen)
    (x, z), (y, _) = front.coordinates(section.shape), side.coordinates(values[i].shape)
    _, unit = front.unit(section.shape)
    for ax, across, down in (
        (places.main, x[i], z[k]),
        (places.above, x[i], y[j]),
        (places.beside, y[j], z[k]),
    ):
        ax.axvline(across, color=RAW, lw=0.7)
        ax.axhline(down, color=RAW, lw=0.7)
        ax.locator_params(nbins=4)
    places.above.invert_yaxis()  # a map has y upwards, only depth points down
    places.main.set_xlabel(f"x ({unit})")
    places.above.set(xlabel="", ylabel=f"y ({unit})", title=f"z = {z[k]:.4g} {unit}")
    places.above.tick_params(labelbottom=False)
    places.beside.set(xlabel=f"y ({unit})", ylabel="", title=f"x = {x[i]:.4g} {unit}")
    places.beside.tick_params(labelleft=False)
    places.figure.colorbar(
        drawn, cax=places.bar, orientation="horizontal", extend="both", label=quantity.label
    )
    places.bar.locator_params(nbins=5)
    return places.figure, np.array([places.main, places.above, places.beside], dtype=object)
