"""A layer of water over any prior."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.config import WaterConfig
from physics.errors import PhysicsError
from physics.priors.grid import Grid
from physics.priors.prior import GridPrior
from physics.priors.random_fields import RandomFunction

_LARGEST = 3.0
"""Standard deviations at which the relief of the sea floor is cut off."""


@final
class WaterPrior:
    """Draws of another prior with water down to a random sea floor, flat or rough.

    What the prior drew above the sea floor is replaced; below, its draw is kept bit for bit, and so are its
    random numbers: the same generator gives the same rocks with and without water. The cells that the sea
    floor cuts keep their travel time. The relief is cut off at three standard deviations.

    Args:
        rocks: The prior below the sea floor.
        config: Depth, velocity and relief of the water layer.

    Raises:
        ValueError: If the water would reach the bottom of the model.

    Example:
        >>> from physics.config import LayeredPriorConfig
        >>> from physics.priors import LayeredPrior
        >>> rocks = LayeredPrior(LayeredPriorConfig(), shape=(32, 32), spacing=(10.0, 10.0))
        >>> float(WaterPrior(rocks, WaterConfig()).draw(np.random.default_rng(0))[5, 0])
        1500.0
    """

    def __init__(self, rocks: GridPrior, config: WaterConfig) -> None:
        self.grid: Grid = rocks.grid
        deepest = config.depth[1] + _LARGEST * config.relief
        if deepest >= self.grid.depth - self.grid.spacing[-1]:
            raise PhysicsError(
                f"expected a sea floor above the bottom of the model at {self.grid.depth:g} m, got "
                f"water.depth up to {config.depth[1]:g} m with a relief of {config.relief:g} m, which "
                f"reaches {deepest:g} m: make the water shallower or the model deeper"
            )
        self.vmin = min(rocks.vmin, config.velocity)
        self.vmax = max(rocks.vmax, config.velocity)
        self._rocks = rocks
        self._config = config

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        rocks = self._rocks.draw(rng)
        dz = self.grid.spacing[-1]
        share = np.clip(0.5 + (self._sea_floor(rng) - self.grid.points[-1]) / dz, 0.0, 1.0)
        slowness = share / self._config.velocity + (1.0 - share) / rocks.astype(np.float64)
        return np.where(share == 0.0, rocks, np.clip(1.0 / slowness, self.vmin, self.vmax)).astype(np.float32)

    def _sea_floor(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the depth of the sea floor [m], of shape ``(nx, 1)`` or ``(nx, ny, 1)``."""
        depth = np.full((*self.grid.shape[:-1], 1), rng.uniform(*self._config.depth))
        if self._config.relief == 0.0:
            return depth
        across = [x[..., :1] for x in self.grid.points[:-1]]
        relief = RandomFunction(rng, self.grid.extent[:-1], self._config.length)(*across)
        return np.maximum(depth + self._config.relief * np.clip(relief, -_LARGEST, _LARGEST), 0.0)
