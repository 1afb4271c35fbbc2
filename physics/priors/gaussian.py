"""Gaussian random fields of Matern covariance about a trend with depth."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.config import GaussianPriorConfig
from physics.errors import PhysicsError
from physics.priors.covariance import CovarianceField, matern
from physics.priors.grid import Grid

Array = NDArray[np.float64]


@final
class GaussianPrior:
    r"""Velocity as a Gaussian random field, cut off at the limits of the velocity range.

    .. math:: v(x, z) = \mathrm{clip}(v_0 + k z + \sigma f(x, z), v_{min}, v_{max}), \qquad
              E[f(p) f(q)] = \rho_\nu(|L^{-1} R^T (p - q)|)

    with :math:`\rho_\nu` Matern's correlation, L the correlation lengths and R the rotation by the dip in
    the plane of x and z. Before the cut the covariance is exact between any two cells of the grid; where the
    trend comes within two standard deviations of a limit the cut shows, and `summarise` says how often.

    Args:
        config: Trend, standard deviation and covariance.
        shape: Cells ``(nx, nz)`` or ``(nx, ny, nz)``.
        spacing: Grid spacing of each axis [m].

    Raises:
        ValueError: If the correlation lengths do not belong to a model of this dimension, or reach too far
            beyond it.

    Example:
        >>> prior = GaussianPrior(GaussianPriorConfig(), shape=(64, 48), spacing=(12.5, 12.5))
        >>> prior.draw(np.random.default_rng(0)).shape
        (64, 48)
    """

    def __init__(
        self, config: GaussianPriorConfig, *, shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> None:
        self.grid = Grid(shape, spacing)
        self.vmin, self.vmax = config.velocity
        self._config = config
        self._field = CovarianceField(shape, spacing, self.correlation)

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one earth model: velocity [m/s] between ``vmin`` and ``vmax``, of the prior's shape."""
        return np.clip(self.draw_uncut(rng), self.vmin, self.vmax).astype(np.float32)

    def draw_uncut(self, rng: np.random.Generator) -> Array:
        """Draw the Gaussian field with its trend, before it is cut off at the limits [m/s]."""
        config = self._config
        mean = rng.uniform(*config.surface_velocity) + rng.uniform(*config.gradient) * self.grid.points[-1]
        return mean + config.std * self._field.draw(rng)

    def correlation(self, *lags: Array) -> Array:
        """Correlation of the field at lags (x, z) or (x, y, z) [m]."""
        lengths = self._config.lengths
        if len(lengths) == 2:
            lengths = (*[lengths[0]] * (len(lags) - 1), lengths[1])
        if len(lengths) != len(lags):
            raise PhysicsError(
                f"expected {len(lags)} correlation lengths in prior.lengths for a {len(lags)}-D model, or "
                f"(horizontal, vertical), got {len(lengths)}: {lengths}"
            )
        dip = np.deg2rad(self._config.dip)
        x, *middle, z = lags
        along, across = np.cos(dip) * x + np.sin(dip) * z, np.cos(dip) * z - np.sin(dip) * x
        scaled = [lag / length for lag, length in zip((along, *middle, across), lengths, strict=True)]
        return matern(np.sqrt(sum(lag**2 for lag in scaled)), self._config.smoothness)
