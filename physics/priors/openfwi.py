"""Few homogeneous layers, flat or curved, whole or faulted: families after OpenFWI on any grid."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.config import OpenFWIPriorConfig
from physics.priors.grid import Grid
from physics.priors.strata import Fault, Stack, draw_facing

Array = NDArray[np.float64]

_SMALLEST_SHARE = 0.4
"""Smallest layer thickness and velocity step, as a share of what equal ones would be."""
_HARMONICS = 2
"""Sines that a fold is made of."""


@final
class OpenFWIPrior:
    """Layers of constant velocity, after the families of OpenFWI.

    ``flat`` families have horizontal interfaces, ``curve`` families sines; ``fault`` families are cut by
    planes along which the rocks moved as blocks. In version ``a`` velocities increase with depth, in version
    ``b`` the same velocities come in random order. The originals have 70 x 70 cells of 10 m and 1500 to
    4500 m/s. The numbers of layers and faults and the sizes of folds and throws are this package's own,
    stated in the configuration: draws look like the originals and are no copies of them. Cells that an
    interface cuts keep their travel time.

    Args:
        config: Which family, and its ranges.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)``.
        spacing: Grid spacing of each axis [m].

    Source:
        Deng et al., OpenFWI: Large-scale multi-structural benchmark datasets for full waveform inversion,
        NeurIPS 2022, datasets and benchmarks.

    Example:
        >>> config = OpenFWIPriorConfig(kind="curve-fault-b")
        >>> prior = OpenFWIPrior(config, shape=(70, 70), spacing=(10.0, 10.0))
        >>> prior.draw(np.random.default_rng(0)).shape
        (70, 70)
    """

    def __init__(
        self, config: OpenFWIPriorConfig, *, shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> None:
        self.grid = Grid(shape, spacing)
        self.vmin, self.vmax = config.velocity
        self._config = config
        form, structure, self._version = config.kind.split("-")
        self._curved, self._faulted = form == "curve", structure == "fault"

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        stack = self._stack(rng)
        points = self._before_faults(rng) if self._faulted else self.grid.points
        depth = points[-1] - (self._fold(rng, points) if self._curved else 0.0)
        slowness = stack.mean_slowness(depth, self.grid.spacing[-1])
        return np.clip(1.0 / slowness, self.vmin, self.vmax).astype(np.float32)

    def _stack(self, rng: np.random.Generator) -> Stack:
        """Draw the interfaces and the velocities between them."""
        count = int(rng.integers(*self._config.layers, endpoint=True))
        interfaces = self.grid.depth * _spread(rng, count + 1)[1:-1]
        velocity = self.vmin + (self.vmax - self.vmin) * _spread(rng, count + 2)[1:-1]
        if self._version == "b":
            velocity = rng.permutation(velocity)
        return Stack.without_end(interfaces, velocity)

    def _before_faults(self, rng: np.random.Generator) -> tuple[Array, ...]:
        """Where each point lay before the blocks moved, the youngest fault undone first [m]."""
        grid, points = self.grid, self.grid.points
        for _ in range(rng.integers(*self._config.faults, endpoint=True)):
            across = [rng.uniform(0.15, 0.85) * side for side in grid.extent[:-1]]
            fault = Fault(
                facing=draw_facing(rng, grid.ndim),
                point=(*across, rng.uniform(0.2, 0.8) * grid.depth),
                dip=float(np.deg2rad(rng.uniform(*self._config.dip))),
                throw=float(rng.choice((-1.0, 1.0)) * rng.uniform(*self._config.throw) * grid.depth),
                reach=np.inf,
            )
            points = fault.undo(points, min(grid.spacing))
        return points

    def _fold(self, rng: np.random.Generator, points: tuple[Array, ...]) -> Array:
        """Depth of a folded bed about its mean: sines of random phases [m], in 3-D of random azimuths too."""
        amplitude = rng.uniform(*self._config.relief) * self.grid.depth
        share = rng.dirichlet(np.ones(_HARMONICS))
        fold = np.zeros(self.grid.shape)
        for weight in share:
            facing = draw_facing(rng, self.grid.ndim)
            wavenumber = 2.0 * np.pi * rng.uniform(*self._config.waves) / self.grid.width
            along = sum(n * x for n, x in zip(facing, points[:-1], strict=True))
            fold += weight * np.sin(wavenumber * along + rng.uniform(0.0, 2.0 * np.pi))
        return amplitude * fold


def _spread(rng: np.random.Generator, count: int) -> Array:
    """Random numbers that increase from 0 to 1 in steps none of which is very small."""
    steps = _SMALLEST_SHARE + (1.0 - _SMALLEST_SHARE) * (count - 1) * rng.dirichlet(np.ones(count - 1))
    return np.concatenate([[0.0], np.cumsum(steps)]) / (count - 1)
