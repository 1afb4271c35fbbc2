"""Salt bodies with flanks, overhangs and sediments below, in a background whose velocity grows with depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.config import SaltPriorConfig
from physics.priors.grid import Grid
from physics.priors.random_fields import RandomFunction
from physics.priors.strata import draw_trend

Array = NDArray[np.float64]

_BULB = (0.20, 0.40)
"""Where a body is widest, as a share of its height below its top."""
_NECK = (0.55, 0.75)
"""Where a body is narrowest, as a share of its height below its top."""
_FOOT = (1.0, 1.6)
"""Width of the foot over that of the neck."""
_LEAN = 0.3
"""Largest horizontal shift of a body's axis per depth."""
_HEIGHT = (0.3, 0.6)
"""Height of a body with a base, as a share of the section's depth."""
_ROUGH_LENGTH = 0.7
"""Correlation length of a flank, in radii around the body and in half heights along it."""
_UPTURN_LENGTH = 0.5
"""Distance over which the uplift of the beds dies out, in radii of the body."""
_BASE_RELIEF = 0.03
"""Standard deviation of the base of salt, as a share of the section's depth."""


@final
@dataclass(frozen=True)
class _Body:
    """One salt body: where it is, as a function that is positive inside the flanks [m], and its base [m]."""

    flanks: Array
    base: Array
    radius: float


@final
class SaltPrior:
    """Salt diapirs: a rounded top, a bulb, a narrower neck (so the bulb overhangs), a foot, a base at times.

    A body is what lies within a radius ``r < R w(s) (1 + roughness f)`` of a leaning axis, with ``s`` the
    share of its height and ``w`` a half ellipse above the bulb and smooth steps to the neck and the foot
    below it. The beds are dragged up at the flanks. Salt has one velocity in a draw. In 2-D the section cuts
    the bodies through their axes.

    Args:
        config: Ranges of velocities, sizes and shapes.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)``.
        spacing: Grid spacing of each axis [m].

    Example:
        >>> prior = SaltPrior(SaltPriorConfig(), shape=(64, 48), spacing=(20.0, 20.0))
        >>> prior.draw(np.random.default_rng(0)).shape
        (64, 48)
    """

    def __init__(
        self, config: SaltPriorConfig, *, shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> None:
        self.grid = Grid(shape, spacing)
        self.vmin = min(config.velocity[0], config.salt_velocity[0])
        self.vmax = max(config.velocity[1], config.salt_velocity[1])
        self._config = config

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        config, z = self._config, self.grid.points[-1]
        trend = (rng.uniform(*config.surface_velocity), rng.uniform(*config.gradient))
        stack = draw_trend(
            rng, depth=self.grid.depth, thickness=config.thickness, trend=trend, layering=config.layering
        )
        velocity = rng.uniform(*config.salt_velocity)
        share, uplift = np.zeros(self.grid.shape), np.zeros(self.grid.shape)
        for _ in range(rng.integers(*config.bodies, endpoint=True)):
            body = self._body(rng)
            share = np.maximum(share, self._share(body))
            uplift = np.maximum(uplift, rng.uniform() * config.upturn * self.grid.depth * self._drag(body))
        slowness = stack.mean_slowness(z + uplift, self.grid.spacing[-1])
        slowness = np.clip(slowness, 1.0 / config.velocity[1], 1.0 / config.velocity[0])
        slowness = share / velocity + (1.0 - share) * slowness
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def _share(self, body: _Body) -> Array:
        """Share of salt in each cell."""
        return self.grid.share_inside(body.flanks) * self.grid.share_inside(body.base - self.grid.points[-1])

    def _drag(self, body: _Body) -> Array:
        """How far the beds follow the salt upwards: 1 at the flank, none far away and below the base."""
        outside = np.maximum(np.maximum(-body.flanks, self.grid.points[-1] - body.base), 0.0)
        return np.exp(-outside / (_UPTURN_LENGTH * body.radius))

    def _body(self, rng: np.random.Generator) -> _Body:
        """Draw one body."""
        config, depth = self._config, self.grid.depth
        radius = 0.5 * rng.uniform(*config.width) * self.grid.width
        top = rng.uniform(*config.top) * depth
        has_base = rng.random() < config.subsalt
        # Without a base the foot lies below the section.
        height = min(rng.uniform(*_HEIGHT), 0.92 - top / depth) * depth if has_base else 1.1 * depth - top
        offsets = self._offsets(rng, top)
        share = (self.grid.points[-1] - top) / height
        radius_here = radius * (1.0 + self._roughness(rng, offsets, share))
        distance = np.sqrt(sum(offset**2 for offset in offsets))
        flanks = _flanks(rng, distance / radius_here, share, overhang=rng.uniform(*config.overhang))
        base = np.full(self.grid.shape, np.inf if not has_base else top + height)
        if has_base:
            across = [x[..., :1] for x in self.grid.points[:-1]]
            base += _BASE_RELIEF * depth * RandomFunction(rng, self.grid.extent[:-1], radius)(*across)
        return _Body(radius_here * flanks, np.minimum(base, 2.0 * depth), radius)

    def _offsets(self, rng: np.random.Generator, top: float) -> list[Array]:
        """Horizontal distances from a leaning axis [m]; in 3-D of an ellipse of random orientation."""
        *across, z = self.grid.points
        offsets = [
            x - rng.uniform(0.2, 0.8) * side - rng.uniform(-_LEAN, _LEAN) * (z - top)
            for x, side in zip(across, self.grid.extent, strict=False)
        ]
        if len(offsets) == 1:
            return offsets
        azimuth, aspect = rng.uniform(0.0, np.pi), rng.uniform(0.6, 1.0)
        along = np.cos(azimuth) * offsets[0] + np.sin(azimuth) * offsets[1]
        beside = np.cos(azimuth) * offsets[1] - np.sin(azimuth) * offsets[0]
        return [along, beside / aspect]

    def _roughness(self, rng: np.random.Generator, offsets: list[Array], share: Array) -> Array:
        """Relative change of the radius: a smooth function on the cylinder around the axis."""
        distance = np.sqrt(sum(offset**2 for offset in offsets)) + 1e-3
        # The two flanks of a section are the ends of a diameter; a full turn closes without a step.
        around = [offset / distance for offset in offsets]
        lower, extent = (-1.0,) * len(offsets) + (0.0,), (2.0,) * (len(offsets) + 1)
        change = RandomFunction(rng, extent, _ROUGH_LENGTH, lower=lower)(*around, 2.0 * np.clip(share, 0, 1))
        return self._config.roughness * np.clip(change, -2.5, 2.5)


def _flanks(rng: np.random.Generator, distance: Array, share: Array, *, overhang: float) -> Array:
    """Draw a profile; give its distance inside the flanks, in radii.

    Args:
        rng: Source of randomness.
        distance: Distance from the axis over the radius of the bulb.
        share: Depth below the top over the body's height.
        overhang: How much narrower the neck is than the bulb.
    """
    bulb, neck = rng.uniform(*_BULB), rng.uniform(*_NECK)
    narrow = 1.0 - overhang
    foot = narrow * rng.uniform(*_FOOT)
    width = 1.0 + (narrow - 1.0) * _step((share - bulb) / (neck - bulb))
    width = width + (foot - narrow) * _step((share - neck) / (1.0 - neck))
    head = 1.0 - np.sqrt(distance**2 + ((bulb - share) / bulb) ** 2)
    return np.where(share < bulb, head, width - distance)


def _step(t: Array) -> Array:
    """A smooth step from 0 at t <= 0 to 1 at t >= 1."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
