"""What a prior holds, before a day is spent on it: velocities, profiles, correlation lengths, grid needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from physics.accuracy import points_per_wavelength, stable_time_step
from physics.errors import PhysicsError
from physics.priors.prior import GridPrior

Array = NDArray[np.float64]

_BINS = 50
_SHOWN_FREQUENCY = 1.5
"""Frequency below which 90 % of a Ricker wavelet's energy lies, over its peak frequency."""
_AT_LIMIT = 1e-6
"""A velocity this near to a bound, relatively, was cut off there."""


@final
@dataclass(frozen=True, eq=False)
class PriorStatistics:
    """Statistics of some draws of a prior; depth is the last axis."""

    count: int
    """Draws that the numbers come from."""
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    """Grid spacing of each axis [m]."""
    bounds: tuple[float, float]
    """Smallest and largest velocity that the prior promises [m/s]."""
    velocity: tuple[float, float]
    """Smallest and largest velocity that was drawn [m/s]."""
    at_bounds: tuple[float, float]
    """Share of the cells that lie at the lower and at the upper bound."""
    edges: Array
    """Edges of the histogram's bins [m/s]."""
    histogram: Array
    """Share of the cells in each bin."""
    mean: Array
    """Mean velocity at each depth, over draws and along the horizontal axes [m/s]."""
    std: Array
    """Standard deviation of the velocity at each depth [m/s]."""
    reflectivity: Array
    """Standard deviation of the reflection coefficients (v2 - v1) / (v2 + v1) down z, of shape (nz - 1,)."""
    lengths: tuple[float, ...]
    """Distance at which the correlation of the departures from the mean falls to 1 / e, for each axis [m];
    infinite where it does not within half the model."""
    gradient: float
    """Slope of the mean profile [1/s]."""

    def points_per_wavelength(self, f0: float) -> float:
        """Grid points that the shortest wavelength has where a Ricker wavelet of peak ``f0`` [Hz] has energy.

        The slowest velocity that was drawn, at 1.5 f0, below which 90 % of the wavelet's energy lies.
        """
        return self.velocity[0] / (_SHOWN_FREQUENCY * f0 * max(self.spacing))

    def stable_dt(self, space_order: int = 8) -> float:
        """Largest time step that is stable for every earth model that the prior may draw [s]."""
        return stable_time_step(space_order, self.spacing, self.bounds[1])

    def table(self, f0: float | None = None, space_order: int = 8) -> str:
        """The numbers as text, for people; with a peak frequency also what it asks of the grid.

        Args:
            f0: Peak frequency of the Ricker wavelet [Hz].
            space_order: Order of accuracy in space.
        """
        depth = self.shape[-1] * self.spacing[-1]
        low, high = (int(np.searchsorted(np.cumsum(self.histogram), q)) for q in (0.05, 0.95))
        names = ("x", "z") if len(self.shape) == 2 else ("x", "y", "z")
        rows = [
            ("draws", f"{self.count} of {' x '.join(map(str, self.shape))} cells"),
            ("spacing", " x ".join(f"{h:g}" for h in self.spacing) + " m"),
            ("velocity drawn", f"{self.velocity[0]:.0f} to {self.velocity[1]:.0f} m/s"),
            ("velocity allowed", f"{self.bounds[0]:.0f} to {self.bounds[1]:.0f} m/s"),
            ("cells at the bounds", f"{self.at_bounds[0]:.1%} lower, {self.at_bounds[1]:.1%} upper"),
            ("90 % of the cells", f"{self.edges[low]:.0f} to {self.edges[high + 1]:.0f} m/s"),
            ("mean, top to bottom", f"{self.mean[0]:.0f} to {self.mean[-1]:.0f} m/s over {depth:g} m"),
            ("gradient of the mean", f"{self.gradient:.2f} 1/s"),
            ("std at a depth", f"{self.std.min():.0f} to {self.std.max():.0f} m/s"),
            ("reflectivity std", f"{np.sqrt(np.mean(self.reflectivity**2)):.4f}"),
        ]
        for name, length, n, h in zip(names, self.lengths, self.shape, self.spacing, strict=True):
            text = f"{length:.0f} m" if np.isfinite(length) else f"more than {0.5 * n * h:.0f} m"
            rows.append((f"correlation length {name}", text))
        if f0 is not None:
            points, need = self.points_per_wavelength(f0), points_per_wavelength(space_order)
            largest = max(self.spacing) * points / need
            verdict = "enough" if points >= need else f"too few: space by at most {largest:.3g} m"
            rows.append((f"points a wavelength, {f0:g} Hz", f"{points:.1f}, need {need:.1f} ({verdict})"))
            rows.append((f"stable step, order {space_order}", f"{1e3 * self.stable_dt(space_order):.3g} ms"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def summarise(prior: GridPrior, count: int = 100, seed: int = 0) -> PriorStatistics:
    """Draw from a prior and describe what came.

    Args:
        prior: The prior.
        count: Draws.
        seed: Seed of the draws: draw i is that of ``default_rng([seed, i])``.

    Raises:
        ValueError: If ``count`` is below 2.

    Example:
        >>> from physics.config import LayeredPriorConfig
        >>> from physics.priors import make_prior
        >>> prior = make_prior(LayeredPriorConfig(), (32, 32), (12.5, 12.5))
        >>> print(summarise(prior, count=10).table(f0=15.0).splitlines()[0])
        draws                       10 of 32 x 32 cells
    """
    if count < 2:
        raise PhysicsError(f"expected at least 2 draws for statistics, got {count}")
    draws = np.stack([prior.draw(np.random.default_rng([seed, i])) for i in range(count)]).astype(np.float64)
    across = tuple(range(draws.ndim - 1))
    mean, std = draws.mean(axis=across), draws.std(axis=across)
    edges = np.linspace(prior.vmin, prior.vmax, _BINS + 1)
    inner = np.clip(draws, prior.vmin, prior.vmax)
    jumps = np.diff(draws, axis=-1) / (draws[..., 1:] + draws[..., :-1])
    depth = np.arange(mean.size) * prior.grid.spacing[-1]
    return PriorStatistics(
        count=count,
        shape=prior.grid.shape,
        spacing=prior.grid.spacing,
        bounds=(prior.vmin, prior.vmax),
        velocity=(float(draws.min()), float(draws.max())),
        at_bounds=(
            float(np.mean(draws <= prior.vmin * (1.0 + _AT_LIMIT))),
            float(np.mean(draws >= prior.vmax * (1.0 - _AT_LIMIT))),
        ),
        edges=edges,
        histogram=np.histogram(inner, edges)[0] / draws.size,
        mean=mean,
        std=std,
        reflectivity=jumps.std(axis=across),
        lengths=_correlation_lengths(draws - mean, prior.grid.spacing),
        gradient=float(np.polyfit(depth, mean, 1)[0]),
    )


def _correlation_lengths(departures: Array, spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Lag at which the correlation of ``(count, *shape)`` departures falls to 1 / e, for each axis [m]."""
    return tuple(_correlation_length(departures, axis, h) for axis, h in enumerate(spacing, start=1))


def _correlation_length(departures: Array, axis: int, spacing: float) -> float:
    values = np.moveaxis(departures, axis, 0)
    variance = np.mean(values**2)
    before = 1.0
    # Beyond half the model too few pairs of cells are left to say anything.
    for lag in range(1, len(values) // 2 + 1):
        now = float(np.mean(values[lag:] * values[:-lag]) / variance) if variance > 0.0 else 1.0
        if now < np.exp(-1.0):
            return spacing * (lag - 1 + (before - np.exp(-1.0)) / (before - now))
        before = now
    return np.inf
