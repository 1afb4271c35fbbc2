"""What owns an image's axes: spacing, origin and units, so that labels are right by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from posterior.plots.style import SIGNED

_UNITS: dict[str, tuple[float, str]] = {
    "s^2/m^2": (1e6, "s²/km²"),
    "m/s": (1e-3, "km/s"),
    "m": (1e-3, "km"),
    "kg/m^3": (1e-3, "g/cm³"),
}


@final
@dataclass(frozen=True)
class Quantity:
    """Name and unit of the values shown, and the factor from the stored SI unit to it."""

    name: str = "value"
    unit: str = ""
    scale: float = 1.0

    @classmethod
    def from_si(cls, name: str, unit: str) -> Quantity:
        """The quantity in the unit geophysicists read: s²/km² for s^2/m^2, km/s for m/s; others as is."""
        scale, shown = _UNITS.get(unit, (1.0, unit))
        return cls(name, shown, scale)

    @property
    def label(self) -> str:
        """Label of an axis or colour bar: name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def number(self, value: float) -> str:
        """A value in SI units as text in the shown unit, three significant digits."""
        return f"{value * self.scale:.3g} {self.unit}".rstrip()


@final
@dataclass(frozen=True)
class ImageAxes:
    """Axes (x, z) of sections stored as (nx, nz), cell centres at ``origin + index * spacing``."""

    spacing: tuple[float, float]
    """Grid spacing (dx, dz) [m]."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Position (x, z) of the centre of cell (0, 0) [m]."""
    length_unit: Literal["m", "km"] | None = None
    """Unit of length shown; None chooses by the size of the section."""

    def __post_init__(self) -> None:
        if not all(np.isfinite(step) and step > 0.0 for step in self.spacing):
            raise ValueError(f"expected a positive spacing (dx, dz) in metres, got {self.spacing}")

    def unit(self, shape: tuple[int, ...]) -> tuple[float, str]:
        """Factor from metres and name of the unit of length, by itself km from a width or depth of 2 km."""
        if len(shape) != 2:
            raise ValueError(f"expected a section of shape (nx, nz), got {shape}; take a slice of a volume")
        if self.length_unit is not None:
            return (1e-3 if self.length_unit == "km" else 1.0), self.length_unit
        longest = max(size * step for size, step in zip(shape, self.spacing, strict=True))
        return (1e-3, "km") if longest >= 2000.0 else (1.0, "m")

    def coordinates(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions of the cell centres along x and z, in :meth:`unit`."""
        factor, _ = self.unit(shape)
        x = factor * (self.origin[0] + self.spacing[0] * np.arange(shape[0], dtype=np.float64))
        z = factor * (self.origin[1] + self.spacing[1] * np.arange(shape[1], dtype=np.float64))
        return x, z

    def show(
        self,
        ax: Axes,
        image: ArrayLike,
        *,
        limits: tuple[float, float],
        cmap: str | Colormap = SIGNED,
        labels: str = "xz",
    ) -> AxesImage:
        """Draw a section with x to the right and depth downwards, at true proportions.

        Args:
            ax: Where to draw.
            image: Section (nx, nz); only here is it transposed.
            limits: Values at the ends of the colour map.
            cmap: Colour map.
            labels: Axes that carry label and numbers: any of ``x`` and ``z``.
        """
        section = np.asarray(image)
        factor, unit = self.unit(section.shape)
        x, z = self.coordinates(section.shape)
        half_x, half_z = (0.5 * factor * step for step in self.spacing)
        extent = (x[0] - half_x, x[-1] + half_x, z[-1] + half_z, z[0] - half_z)
        drawn = ax.imshow(
            section.T, extent=extent, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest"
        )
        ax.set_xlabel(f"Distance ({unit})" if "x" in labels else "")
        ax.set_ylabel(f"Depth ({unit})" if "z" in labels else "")
        ax.tick_params(labelbottom="x" in labels, labelleft="z" in labels)
        ax.locator_params(nbins=5)
        return drawn

    def width_over_depth(self, shape: tuple[int, ...]) -> float:
        """Proportion of a section as it is drawn."""
        return shape[0] * self.spacing[0] / (shape[1] * self.spacing[1])


def symmetric_limits(*images: ArrayLike, percentile: float = 98.0) -> tuple[float, float]:
    """Limits -v, v that clip the given share of cells' largest magnitudes, the same for all images."""
    values = np.concatenate([np.abs(np.asarray(image)).ravel() for image in images])
    size = float(np.percentile(values, percentile)) or float(values.max()) or 1.0
    return -size, size
