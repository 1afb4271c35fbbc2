"""Prior 2: layered, folded, dipping and faulted synthetic earth models."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from physics.config import LayeredPriorConfig
from physics.priors.grid import Grid
from physics.priors.random_fields import gaussian_field
from physics.priors.strata import Fault, Stack, draw_facing

Array = NDArray[np.float64]

_FOLD_LENGTH = (0.2, 0.6)
"""Correlation length of the folds, as a share of the width."""
_LATERAL_CHANGE = 0.02
"""Standard deviation of the gentle relative change of velocity within layers."""
_LAYER_CHANGE = 0.12
"""Standard deviation of a layer's velocity about the trend, as a share of the velocity range."""
_FAULT_DIP = (50.0, 80.0)
"""Smallest and largest dip of a fault plane [degrees]."""
_UNCONFORMITY = 0.35
"""Probability that an older, more strongly folded stack lies below an erosion surface."""


@final
class LayeredPrior:
    """Sedimentary sections built as geology builds them: deposited, folded, eroded, buried, faulted.

    Each point is followed back through the faults and the folds to its stratigraphic depth; there a stack of
    layers gives slowness, averaged exactly over the cell. Velocities follow a random trend with depth. In 3-D
    the dip and the faults have random azimuths.

    Args:
        config: Ranges of velocities, thicknesses, relief, dip and faults.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)``.
        spacing: Grid spacing of each axis [m].

    Example:
        >>> prior = LayeredPrior(LayeredPriorConfig(), shape=(32, 32), spacing=(10.0, 10.0))
        >>> prior.draw(np.random.default_rng(0)).shape
        (32, 32)
    """

    def __init__(
        self, config: LayeredPriorConfig, *, shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> None:
        self.grid = Grid(shape, spacing)
        self.vmin, self.vmax = config.velocity
        self._config = config

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        grid, points = self.grid, self._before_faults(rng)
        dz = grid.spacing[-1]
        slowness = self._stack(rng).mean_slowness(self._before_folds(rng, points, strength=1.0), dz)
        if rng.random() < _UNCONFORMITY:
            older = self._stack(rng).mean_slowness(self._before_folds(rng, points, strength=2.0), dz)
            erosion = rng.uniform(0.35, 0.75) * grid.depth
            below = self._before_folds(rng, points, strength=0.5) - erosion
            weight = np.clip(0.5 + below / dz, 0.0, 1.0)
            slowness = weight * older + (1.0 - weight) * slowness
        length = 0.4 * min(grid.extent)
        slowness = slowness * np.exp(_LATERAL_CHANGE * gaussian_field(rng, grid.shape, grid.spacing, length))
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def _before_faults(self, rng: np.random.Generator) -> tuple[Array, ...]:
        """Where each point lay before the faults moved it, the youngest fault undone first [m]."""
        grid, points = self.grid, self.grid.points
        for _ in range(rng.integers(0, self._config.faults, endpoint=True)):
            dip = float(np.deg2rad(rng.uniform(*_FAULT_DIP)))
            facing = draw_facing(rng, grid.ndim)
            across = [rng.uniform(0.05, 0.95) * side for side in grid.extent[:-1]]
            point = (*across, rng.uniform(0.2, 0.8) * grid.depth)
            throw = rng.uniform(0.3, 1.0) * self._config.throw * (1.0 if rng.random() < 0.75 else -1.0)
            fault = Fault(facing=facing, point=point, dip=dip, throw=throw, reach=grid.width)
            points = fault.undo(points, min(grid.spacing))
        return points

    def _before_folds(self, rng: np.random.Generator, points: tuple[Array, ...], *, strength: float) -> Array:
        """Stratigraphic depth: less the dip, less folds that change gently from top to bottom [m]."""
        *across, z = points
        extent = self.grid.extent
        slope = np.tan(np.deg2rad(rng.uniform(-1.0, 1.0) * self._config.dip))
        # In 2-D the sign of the slope says all; in 3-D the beds dip into any azimuth.
        facing = (1.0,) if self.grid.ndim == 2 else draw_facing(rng, 3)
        length = rng.uniform(*_FOLD_LENGTH) * extent[0]
        top, bottom = (self._fold(rng, across, length) for _ in range(2))
        share = np.clip(z / extent[-1], 0.0, 1.0)
        relief = strength * self._config.relief * ((1.0 - share) * top + share * bottom)
        along = sum(n * (x - 0.5 * side) for n, x, side in zip(facing, across, extent[:-1], strict=True))
        return z - slope * along - relief

    def _fold(self, rng: np.random.Generator, across: list[Array], length: float) -> Array:
        """A random surface at the points: drawn beyond the section, for points that faults have moved."""
        spacing = self.grid.spacing[:-1]
        axes = [np.arange(-0.5 * w, 1.5 * w, h) for w, h in zip(self.grid.extent, spacing, strict=False)]
        fold = gaussian_field(rng, tuple(axis.size for axis in axes), spacing, length)
        if len(axes) == 1:
            return np.interp(across[0], axes[0], fold)
        index = [(x - axis[0]) / h for x, axis, h in zip(across, axes, spacing, strict=True)]
        return scipy.ndimage.map_coordinates(fold, index, order=1, mode="nearest")

    def _stack(self, rng: np.random.Generator) -> Stack:
        """Draw layers from well above to well below the section: thicknesses and velocities along a trend."""
        depth = self.grid.depth
        low, high = np.log(self._config.thickness)
        above = depth + 4.0 * self._config.relief
        need = 2.0 * above + depth
        thickness: list[float] = []
        while sum(thickness) < need:
            thickness.append(float(np.exp(rng.uniform(low, high))))
        interfaces = np.concatenate([[0.0], np.cumsum(thickness)]) - above
        middle = 0.5 * (interfaces[1:] + interfaces[:-1])
        span = self.vmax - self.vmin
        top, bottom = np.sort(rng.uniform(0.05, 0.95, size=2))
        trend = top + (bottom - top) * np.clip(middle / depth, -0.2, 1.2)
        share = trend + _LAYER_CHANGE * rng.standard_normal(middle.shape)
        # Reflected rather than cut at the limits, so that no two neighbours become one layer.
        share = np.abs(share)
        share = 1.0 - np.abs(1.0 - share)
        slowness = 1.0 / (self.vmin + span * np.clip(share, 0.0, 1.0))
        integral = np.concatenate([[0.0], np.cumsum(slowness * np.diff(interfaces))])
        return Stack(interfaces, integral)
