"""What owns the axes of a field: spacing, origin and units, so that labels are right by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from physics.errors import NonFiniteError, PhysicsError
from physics.model import EarthModel
from physics.plots.style import SIGNED, VELOCITY

_NAMES = {2: ("x", "z"), 3: ("x", "y", "z")}
QUANTILE = 0.99
"""Share of the values that a colour scale of amplitudes does not clip, by default."""


@final
@dataclass(frozen=True)
class Frame:
    """Axes (x, z) or (x, y, z) of fields on a grid, cell centres at ``origin + index * spacing``.

    Args:
        spacing: Grid spacing of each axis [m].
        origin: Position of the centre of the first cell [m]; zeros by default.

    Raises:
        ValueError: If the spacing is not two or three positive numbers, or the origin not as many.

    Example:
        >>> frame = Frame((12.5, 12.5))
        >>> frame.check(np.zeros((64, 48))).shape
        (64, 48)
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.spacing) not in _NAMES or not all(np.isfinite(h) and h > 0.0 for h in self.spacing):
            raise PhysicsError(f"expected 2 or 3 positive spacings in metres, got {self.spacing}")
        if self.origin is not None and len(self.origin) != self.ndim:
            raise PhysicsError(f"expected {self.ndim} coordinates of the origin, got {self.origin}")

    @classmethod
    def of(cls, model: EarthModel) -> Self:
        """The frame of a model's fields."""
        return cls(model.spacing, model.lower)

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return len(self.spacing)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return _NAMES[self.ndim]

    def check(self, field: ArrayLike, what: str = "a field") -> NDArray[Any]:
        """A field as an array, if it has as many axes as the frame."""
        array = np.asarray(field)
        if array.ndim != self.ndim:
            raise PhysicsError(
                f"expected {what} of shape ({', '.join(f'n{name}' for name in self.names)}), as the spacing "
                f"{self.spacing} has it, got shape {array.shape}"
            )
        return array

    def edges(self, axis: int, cells: int) -> tuple[float, float]:
        """Outer edges of the first and of the last cell of an axis [km]."""
        first = 0.0 if self.origin is None else self.origin[axis]
        h = self.spacing[axis]
        return (first - 0.5 * h) / 1e3, (first + (cells - 0.5) * h) / 1e3

    def centre(self, axis: int, index: int) -> float:
        """Position of a cell's centre on an axis [km]."""
        return ((0.0 if self.origin is None else self.origin[axis]) + index * self.spacing[axis]) / 1e3

    def nearest(self, axis: int, position: float, cells: int) -> int:
        """The cell nearest to a position [m] on an axis of so many cells."""
        first = 0.0 if self.origin is None else self.origin[axis]
        index = round((position - first) / self.spacing[axis])
        if not 0 <= index < cells:
            low, high = first, first + (cells - 1) * self.spacing[axis]
            raise PhysicsError(
                f"expected a position on the {self.names[axis]} axis from {low:g} to {high:g} m, "
                f"got {position:g} m"
            )
        return index

    def section(self, values: NDArray[Any], y: float) -> tuple[NDArray[Any], Frame]:
        """The section at ``y`` [m] of values (..., nx, ny, nz), and its frame; in 2-D both as they are."""
        if self.ndim == 2:
            return values, self
        cell = self.nearest(1, y, values.shape[-2])
        origin = None if self.origin is None else (self.origin[0], self.origin[2])
        return values.take(cell, axis=-2), Frame((self.spacing[0], self.spacing[2]), origin)

    def show(
        self,
        ax: Axes,
        section: NDArray[Any],
        look: Look,
        *,
        axes: tuple[int, int] = (0, -1),
        alpha: NDArray[Any] | None = None,
    ) -> AxesImage:
        """Draw a section at true proportions, its first axis to the right and its second downwards.

        Args:
            ax: Where to draw.
            section: Values in the unit of the look.
            look: Colour map and its limits.
            axes: Axes of the frame that the section has.
            alpha: Opacity of each cell.
        """
        right, down = (axis % self.ndim for axis in axes)
        left_right = self.edges(right, section.shape[0])
        top_bottom = self.edges(down, section.shape[1])
        drawn = ax.imshow(
            section.T,
            extent=(*left_right, top_bottom[1], top_bottom[0]),
            cmap=look.cmap,
            vmin=look.limits[0],
            vmax=look.limits[1],
            alpha=None if alpha is None else alpha.T,
        )
        ax.set(xlabel=f"{self.names[right]} (km)", ylabel=f"{self.names[down]} (km)")
        ax.locator_params(nbins=5)
        return drawn


@final
@dataclass(frozen=True)
class Look:
    """How values become colours: colour map, limits in the shown unit, and what the colour bar says."""

    cmap: str
    limits: tuple[float, float]
    label: str

    @classmethod
    def velocity(cls, vp: NDArray[Any]) -> Self:
        """Of velocities in km/s, from their smallest to their largest."""
        return cls(VELOCITY, (float(vp.min()), float(vp.max())), "velocity (km/s)")

    @classmethod
    def signed(
        cls, values: NDArray[Any], label: str, *, quantile: float = QUANTILE, cmap: str = SIGNED
    ) -> Self:
        """Of amplitudes of both signs, symmetric about zero, clipped at a quantile of their magnitudes."""
        size = clip(values, quantile)
        return cls(cmap, (-size, size), label)


def clip(values: NDArray[Any], quantile: float) -> float:
    """The quantile of the magnitudes; where it is zero their largest, and 1 for zeros only.

    Raises:
        ValueError: If the quantile is not in (0, 1], or a value is not finite.

    Example:
        >>> clip(np.array([-4.0, 1.0, 2.0]), 0.5)
        2.0
    """
    if not 0.0 < quantile <= 1.0:
        raise PhysicsError(f"expected a quantile in (0, 1], got {quantile}")
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise NonFiniteError(f"expected finite values to draw, got {bad} of {values.size} NaN or infinite")
    size = np.abs(values)
    return float(np.quantile(size, quantile)) or float(size.max()) or 1.0


def percent(quantile: float) -> str:
    """A quantile as figures state it."""
    return f"{100.0 * quantile:g} %"
