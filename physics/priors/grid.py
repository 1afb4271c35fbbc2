"""The grid of a draw: cells, positions and what part of a cell lies inside a body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.errors import PhysicsError

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Grid:
    """Cells (nx, nz) or (nx, ny, nz) and their spacing [m]; cell i of an axis is centred at i times it.

    Raises:
        ValueError: If the shape is not that of a 2-D or 3-D model, or the spacing does not belong to it.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shape) not in (2, 3) or min(self.shape) < 2:
            raise PhysicsError(
                "expected a prior's shape (nx, nz) or (nx, ny, nz), at least 2 cells an axis, "
                f"got {self.shape}"
            )
        if len(self.spacing) != len(self.shape) or not all(h > 0.0 for h in self.spacing):
            raise PhysicsError(
                f"expected {len(self.shape)} positive spacings in metres for a prior of shape {self.shape}, "
                f"got {self.spacing}"
            )

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return len(self.shape)

    @property
    def extent(self) -> tuple[float, ...]:
        """Size of all cells of an axis together [m]."""
        return tuple(n * h for n, h in zip(self.shape, self.spacing, strict=True))

    @property
    def width(self) -> float:
        """Extent along x [m]."""
        return self.extent[0]

    @property
    def depth(self) -> float:
        """Extent along z [m]."""
        return self.extent[-1]

    @cached_property
    def points(self) -> tuple[Array, ...]:
        """Coordinates of all cells, one array of the grid's shape for each axis [m]."""
        axes = [np.arange(n) * h for n, h in zip(self.shape, self.spacing, strict=True)]
        return tuple(np.meshgrid(*axes, indexing="ij"))

    def share_inside(self, level: Array) -> Array:
        r"""Share of each cell where a smooth function is positive, to first order.

        .. math:: s = \mathrm{clip}(1/2 + f / \sum_i |\partial_i f| h_i, 0, 1)

        Args:
            level: The function f at the cells' centres, of the grid's shape.
        """
        slope = np.gradient(level, *self.spacing)
        change = sum(np.abs(g) * h for g, h in zip(slope, self.spacing, strict=True))
        cut = np.abs(level) < change
        return np.clip(0.5 + np.divide(level, change, out=np.sign(level), where=cut), 0.0, 1.0)
