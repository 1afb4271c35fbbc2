"""Meandering sand channels in a layered background: ribbons in 3-D, lenses where a 2-D section cuts them."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.spatial
import scipy.special
from numpy.typing import NDArray

from physics.config import ChannelPriorConfig
from physics.priors.grid import Grid
from physics.priors.random_fields import RandomFunction
from physics.priors.strata import draw_trend

Array = NDArray[np.float64]

_LAYERING = 0.06
"""Relative standard deviation of a layer's velocity about the trend."""
_TREND = (0.1, 0.8)
"""Where the trend starts and ends within the velocity range, at the most."""
_RELIEF_LENGTH = 0.4
"""Correlation length of the beds' undulation, as a share of the width."""
_STEP = 0.05
"""Step along a channel, as a share of its width."""
_UNEVEN = 0.3
"""Relative standard deviation of the turns along a channel: no two meanders are alike."""


@final
class ChannelPrior:
    """Sand channels as rivers leave them: sine-generated meanders filled with a lens of sand.

    The channel's direction is ``theta(s) = omega sin(2 pi s / L)`` along its arc length s, with L such that
    the meanders have the stated wavelength along the valley. Its fill has a flat top and a parabolic base,
    ``t (1 - (2 d / w)^2)`` thick at the distance d from the centre line, and follows the beds' undulation. A
    2-D section is the plane y = 0 through the same rivers: one meandering channel may be cut several times.

    Args:
        config: Ranges of the background and of the channels.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)``.
        spacing: Grid spacing of each axis [m].

    Source:
        Langbein & Leopold, River meanders: theory of minimum variance, USGS Professional Paper 422-H, 1966.

    Example:
        >>> prior = ChannelPrior(ChannelPriorConfig(), shape=(64, 48), spacing=(12.5, 12.5))
        >>> prior.draw(np.random.default_rng(0)).shape
        (64, 48)
    """

    def __init__(
        self, config: ChannelPriorConfig, *, shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> None:
        self.grid = Grid(shape, spacing)
        self.vmin, self.vmax = config.velocity
        self._config = config
        across = [x[..., 0] for x in self.grid.points[:-1]]
        self._map = np.stack(np.broadcast_arrays(*across, *[0.0] * (3 - self.grid.ndim)), axis=-1)

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        config, grid = self._config, self.grid
        start, end = self.vmin + (self.vmax - self.vmin) * np.sort(rng.uniform(*_TREND, size=2))
        stack = draw_trend(
            rng,
            depth=grid.depth,
            thickness=config.thickness,
            trend=(start, (end - start) / grid.depth),
            layering=_LAYERING,
        )
        across = [x[..., :1] for x in grid.points[:-1]]
        relief = RandomFunction(rng, grid.extent[:-1], _RELIEF_LENGTH * grid.width)(*across)
        depth = grid.points[-1] - config.relief * relief
        slowness = stack.mean_slowness(depth, grid.spacing[-1])
        for _ in range(rng.integers(*config.channels, endpoint=True)):
            share, level = self._fill(rng, depth)
            contrast = rng.uniform(*config.contrast) * (-1.0 if rng.random() < config.slower else 1.0)
            beds = float(stack.mean_slowness(np.array(level), config.depth[0]))
            slowness = share * beds / (1.0 + contrast) + (1.0 - share) * slowness
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def _fill(self, rng: np.random.Generator, depth: Array) -> tuple[Array, float]:
        """Draw a channel: the share of its fill in each cell, and the depth of its top in the beds [m]."""
        config = self._config
        width, thickness = rng.uniform(*config.width), rng.uniform(*config.depth)
        level = rng.uniform(0.1, 0.9) * self.grid.depth
        distance = self._distance(rng, width)[..., None]
        base = level + thickness * np.maximum(1.0 - (2.0 * distance / width) ** 2, 0.0)
        half = 0.5 * self.grid.spacing[-1]
        overlap = np.minimum(depth + half, base) - np.maximum(depth - half, level)
        return np.clip(overlap / (2.0 * half), 0.0, 1.0), level

    def _distance(self, rng: np.random.Generator, width: float) -> Array:
        """Draw a centre line; distance of each column of cells from it [m], ``(nx,)`` or ``(nx, ny)``."""
        sides = [*self.grid.extent[:-1], *[0.0] * (3 - self.grid.ndim)]
        reach = 2.0 * float(np.linalg.norm(sides))
        # Through a point of the model, so that every channel shows.
        place = np.array([rng.uniform(0.15, 0.85) * side for side in sides])
        line = place + _meander(
            rng,
            wavelength=rng.uniform(*self._config.wavelength),
            turn=float(np.deg2rad(rng.uniform(*self._config.turn))),
            reach=reach,
            step=_STEP * width,
        )
        distance, _ = scipy.spatial.cKDTree(line).query(self._map)
        return distance


def _meander(rng: np.random.Generator, *, wavelength: float, turn: float, reach: float, step: float) -> Array:
    """Points of a meandering line through the origin, of random azimuth, ``(n, 2)`` [m].

    Args:
        rng: Source of randomness.
        wavelength: Length of a meander along the valley [m].
        turn: Largest angle with the valley [radians].
        reach: Length along the valley at the least [m].
        step: Distance of the points [m].
    """
    # Mean of cos(omega sin(t)) over a period: how much longer the river is than its valley.
    straightness = float(scipy.special.j0(turn))
    length = reach / straightness
    arc = np.arange(-0.5 * length, 0.5 * length, step)
    phase = 2.0 * np.pi * straightness * arc / wavelength + rng.uniform(0.0, 2.0 * np.pi)
    uneven = RandomFunction(rng, (length,), wavelength / straightness, lower=(-0.5 * length,))
    turns = turn * np.clip(1.0 + _UNEVEN * uneven(arc), 0.4, 1.2)
    angle = turns * np.sin(phase) + rng.uniform(0.0, np.pi)
    steps = step * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    line = np.cumsum(steps, axis=0)
    return line - line[len(line) // 2]
