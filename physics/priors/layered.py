"""Prior 2: layered, folded, dipping and faulted synthetic earth models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.config import LayeredPriorConfig
from physics.priors.random_fields import gaussian_field

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


@dataclass(frozen=True)
class _Stack:
    """Integral of a stack's slowness over its stratigraphic depth, piecewise linear between interfaces."""

    interfaces: Array
    integral: Array

    def mean_slowness(self, depth: Array, thickness: float) -> Array:
        """Average over an interval about each depth: a cell that is crossed keeps its travel time."""
        # Folds and faults may reach past the stack: its first and last layers go on without end.
        half = 0.5 * thickness
        depth = np.clip(depth, self.interfaces[0] + half, self.interfaces[-1] - half)
        upper = np.interp(depth - half, self.interfaces, self.integral)
        lower = np.interp(depth + half, self.interfaces, self.integral)
        return (lower - upper) / thickness


@final
class LayeredPrior:
    """Sedimentary sections built as geology builds them: deposited, folded, eroded, buried, faulted.

    Each point is followed back through the faults and the folds to its stratigraphic depth; there a stack of
    layers gives slowness, averaged exactly over the cell. Velocities follow a random trend with depth.

    Args:
        config: Ranges of velocities, thicknesses, relief, dip and faults.
        shape: Cells ``(nx, nz)``.
        spacing: Grid spacing ``(dx, dz)`` [m].

    Example:
        >>> prior = LayeredPrior(LayeredPriorConfig(), shape=(32, 32), spacing=(10.0, 10.0))
        >>> prior.draw(np.random.default_rng(0)).shape
        (32, 32)
    """

    def __init__(
        self, config: LayeredPriorConfig, *, shape: tuple[int, int], spacing: tuple[float, float]
    ) -> None:
        self.shape = shape
        self.spacing = spacing
        self.vmin, self.vmax = config.velocity
        self._config = config
        self._extent = tuple(n * h for n, h in zip(shape, spacing, strict=True))
        axes = [np.arange(n) * h for n, h in zip(shape, spacing, strict=True)]
        self._x, self._z = np.meshgrid(*axes, indexing="ij")

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity ``(nx, nz)`` [m/s] between ``vmin`` and ``vmax``."""
        x, z = self._before_faults(rng)
        dz = self.spacing[1]
        slowness = self._stack(rng).mean_slowness(self._before_folds(rng, x, z, strength=1.0), dz)
        if rng.random() < _UNCONFORMITY:
            older = self._stack(rng).mean_slowness(self._before_folds(rng, x, z, strength=2.0), dz)
            erosion = rng.uniform(0.35, 0.75) * self._extent[1]
            below = self._before_folds(rng, x, z, strength=0.5) - erosion
            weight = np.clip(0.5 + below / dz, 0.0, 1.0)
            slowness = weight * older + (1.0 - weight) * slowness
        length = 0.4 * min(self._extent)
        slowness = slowness * np.exp(_LATERAL_CHANGE * gaussian_field(rng, self.shape, self.spacing, length))
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def _before_faults(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Where each point lay before the faults moved it, the youngest fault undone first [m]."""
        x, z = self._x, self._z
        for _ in range(rng.integers(0, self._config.faults, endpoint=True)):
            dip = np.deg2rad(rng.uniform(*_FAULT_DIP))
            facing = rng.choice((-1.0, 1.0))
            x0 = rng.uniform(0.05, 0.95) * self._extent[0]
            z0 = rng.uniform(0.2, 0.8) * self._extent[1]
            throw = rng.uniform(0.3, 1.0) * self._config.throw * (1.0 if rng.random() < 0.75 else -1.0)
            along = np.array([facing * np.cos(dip), np.sin(dip)])
            distance = facing * np.sin(dip) * (x - x0) - np.cos(dip) * (z - z0)
            moved = np.clip(0.5 + distance / min(self.spacing), 0.0, 1.0)
            # The hanging wall recovers its level away from the fault, as over a listric plane.
            moved = moved * np.exp(-np.maximum(distance, 0.0) / self._extent[0]) * throw / np.sin(dip)
            x, z = x - moved * along[0], z - moved * along[1]
        return x, z

    def _before_folds(self, rng: np.random.Generator, x: Array, z: Array, *, strength: float) -> Array:
        """Stratigraphic depth: less the dip, less folds that change gently from top to bottom [m]."""
        width, depth = self._extent
        slope = np.tan(np.deg2rad(rng.uniform(-1.0, 1.0) * self._config.dip))
        length = rng.uniform(*_FOLD_LENGTH) * width
        # Drawn on a line that reaches beyond the section, for points that faults have moved.
        line = np.arange(-0.5 * width, 1.5 * width, self.spacing[0])
        folds = [gaussian_field(rng, line.shape, self.spacing[:1], length) for _ in range(2)]
        top, bottom = (np.interp(x, line, fold) for fold in folds)
        share = np.clip(z / depth, 0.0, 1.0)
        relief = strength * self._config.relief * ((1.0 - share) * top + share * bottom)
        return z - slope * (x - 0.5 * width) - relief

    def _stack(self, rng: np.random.Generator) -> _Stack:
        """Draw layers from well above to well below the section: thicknesses and velocities along a trend."""
        depth = self._extent[1]
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
        return _Stack(interfaces, integral)
