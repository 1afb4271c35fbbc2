"""What a prior is to those who draw from it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from physics.priors.grid import Grid


@runtime_checkable
class Prior(Protocol):
    """A distribution of earth models, all of one shape.

    ``vmin`` and ``vmax`` [m/s] bound every draw, so that a time step or a grid can be judged for all draws.
    """

    vmin: float
    vmax: float

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity ``(nx, nz)`` or ``(nx, ny, nz)`` [m/s]."""
        ...


@runtime_checkable
class GridPrior(Prior, Protocol):
    """A prior that knows the grid of its draws, as all priors of this package do."""

    grid: Grid
