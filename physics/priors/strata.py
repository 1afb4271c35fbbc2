"""Strata and what tectonics does to them: stacks of layers, and faults that are undone point by point.

A section is drawn backwards: every point is followed through the faults and the folds to its stratigraphic
depth, where a stack of layers gives slowness, averaged exactly over the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Range = tuple[float, float]

_FAR = 1e6
"""Thickness of the layers without end above and below a stack [m]."""


@final
@dataclass(frozen=True)
class Stack:
    """Integral of a stack's slowness over its stratigraphic depth, piecewise linear between interfaces."""

    interfaces: Array
    integral: Array

    @classmethod
    def of(cls, interfaces: Array, velocity: Array) -> Stack:
        """A stack of ``n`` homogeneous layers [m/s] between ``n + 1`` interfaces, increasing [m]."""
        thickness = np.diff(interfaces)
        return cls(interfaces, np.concatenate([[0.0], np.cumsum(thickness / velocity)]))

    @classmethod
    def without_end(cls, interfaces: Array, velocity: Array) -> Stack:
        """A stack of ``n + 1`` layers that ``n`` interfaces part; the outer layers go on without end."""
        # Counted from the first interface on: the integral there is small and keeps its digits.
        stack = cls.of(np.concatenate([interfaces, [interfaces[-1] + _FAR]]), velocity[1:])
        above = interfaces[0] - _FAR
        return cls(
            np.concatenate([[above], stack.interfaces]),
            np.concatenate([[-_FAR / velocity[0]], stack.integral]),
        )

    def mean_slowness(self, depth: Array, thickness: float) -> Array:
        """Average over an interval about each depth: a cell that is crossed keeps its travel time."""
        # Folds and faults may reach past the stack: its first and last layers go on without end.
        half = 0.5 * thickness
        depth = np.clip(depth, self.interfaces[0] + half, self.interfaces[-1] - half)
        upper = np.interp(depth - half, self.interfaces, self.integral)
        lower = np.interp(depth + half, self.interfaces, self.integral)
        return (lower - upper) / thickness


@final
@dataclass(frozen=True, kw_only=True)
class Fault:
    """A plane along which the rocks above it moved down (throw > 0) or up.

    Args:
        facing: Horizontal unit vector into which the plane dips, of one or two components.
        point: A point of the plane (x, z) or (x, y, z) [m].
        dip: Angle of the plane with the horizontal [radians].
        throw: Vertical displacement [m].
        reach: Distance over which the displacement dies out, as over a listric plane [m]; infinite: never.
    """

    facing: tuple[float, ...]
    point: tuple[float, ...]
    dip: float
    throw: float
    reach: float

    def undo(self, points: tuple[Array, ...], cell: float) -> tuple[Array, ...]:
        """Where each point lay before the fault moved it [m]; the plane is as wide as a ``cell`` [m]."""
        *across, z = points
        *x0, z0 = self.point
        offset = sum(n * (x - c) for n, x, c in zip(self.facing, across, x0, strict=True))
        distance = np.sin(self.dip) * offset - np.cos(self.dip) * (z - z0)
        moved = np.clip(0.5 + distance / cell, 0.0, 1.0)
        moved = moved * np.exp(-np.maximum(distance, 0.0) / self.reach) * self.throw / np.sin(self.dip)
        before = [x - moved * (n * np.cos(self.dip)) for n, x in zip(self.facing, across, strict=True)]
        return (*before, z - moved * np.sin(self.dip))


def draw_facing(rng: np.random.Generator, ndim: int) -> tuple[float, ...]:
    """Draw a horizontal unit vector: left or right in 2-D, any azimuth in 3-D."""
    if ndim == 2:
        return (float(rng.choice((-1.0, 1.0))),)
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    return (float(np.cos(azimuth)), float(np.sin(azimuth)))


def draw_trend(
    rng: np.random.Generator, *, depth: float, thickness: Range, trend: tuple[float, float], layering: float
) -> Stack:
    """Draw layers about a linear trend of velocity with depth, from one section above to two below.

    Args:
        rng: Source of randomness.
        depth: Depth of the section [m].
        thickness: Smallest and largest layer thickness [m].
        trend: Velocity at depth 0 [m/s] and its increase with depth [1/s].
        layering: Relative standard deviation of a layer's velocity about the trend.
    """
    edges = [-depth]
    while edges[-1] < 3.0 * depth:
        edges.append(edges[-1] + float(np.exp(rng.uniform(*np.log(thickness)))))
    interfaces = np.array(edges)
    middle = 0.5 * (interfaces[1:] + interfaces[:-1])
    velocity = trend[0] + trend[1] * np.maximum(middle, 0.0)
    change = layering * np.clip(rng.standard_normal(middle.shape), -3.0, 3.0)
    return Stack.of(interfaces, np.maximum(velocity * (1.0 + change), 0.1 * trend[0]))
