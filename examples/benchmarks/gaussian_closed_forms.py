"""Closed forms of what posterior.uq estimates, for a Gaussian posterior of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, hyp1f1
from scipy.stats import multivariate_normal, norm

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class GaussianCells:
    """N(mean, covariance) of images (n, n); images are flattened row by row in the covariance."""

    mean: Array
    """(n, n)."""
    covariance: Array
    """(n^2, n^2)."""

    @property
    def std(self) -> Array:
        """(n, n)."""
        return np.sqrt(np.diag(self.covariance)).reshape(self.mean.shape)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Draws (count, n, n)."""
        white = rng.standard_normal((count, self.mean.size))
        return self.mean + (white @ np.linalg.cholesky(self.covariance).T).reshape(count, *self.mean.shape)

    def quantiles(self, levels: Array) -> Array:
        """(P, n, n)."""
        return self.mean + self.std * norm.ppf(levels)[:, None, None]

    def cdf(self, values: Array) -> Array:
        """P(x < value), (P, n, n)."""
        return norm.cdf(values, self.mean, self.std)

    def exceedance(self, threshold: float) -> Array:
        """P(x > t), (n, n)."""
        return norm.sf(threshold, self.mean, self.std)

    def crps(self, truth: Array) -> Array:
        """(n, n). Source: Gneiting and Raftery, JASA 102 (2007), equation 21 and below."""
        u = (truth - self.mean) / self.std
        return self.std * (u * (2.0 * norm.cdf(u) - 1.0) + 2.0 * norm.pdf(u) - 1.0 / np.sqrt(np.pi))

    def interval_score(self, truth: Array, level: float) -> Array:
        """(n, n)."""
        lower, upper = self.quantiles(np.array([0.5 * (1.0 - level), 0.5 * (1.0 + level)]))
        miss = np.maximum(np.maximum(lower - truth, truth - upper), 0.0)
        return upper - lower + 2.0 / (1.0 - level) * miss

    def energy_score(self, truth: Array) -> float:
        """With the root mean square over cells as norm."""
        from_truth = _mean_norm((self.mean - truth).ravel(), self.covariance)
        return from_truth - 0.5 * _mean_norm(np.zeros(truth.size), 2.0 * self.covariance)

    def variogram_score(self, truth: Array) -> float:
        """Over neighbours along both axes."""
        total, pairs, place = 0.0, 0, np.arange(truth.size).reshape(truth.shape)
        for first, second in ((place[1:], place[:-1]), (place[:, 1:], place[:, :-1])):
            one, other = first.ravel(), second.ravel()
            shift = self.mean.ravel()[one] - self.mean.ravel()[other]
            var = np.diag(self.covariance)
            spread = np.sqrt(var[one] + var[other] - 2.0 * self.covariance[one, other])
            roots = np.sqrt(np.abs(truth.ravel()[one] - truth.ravel()[other]))
            total += ((roots - _mean_root(shift, spread)) ** 2).sum()
            pairs += one.size
        return float(total / pairs)

    def correlation(self, point: tuple[int, int]) -> Array:
        """With one cell, (n, n)."""
        row = self.covariance[np.ravel_multi_index(point, self.mean.shape)].reshape(self.mean.shape)
        return row / (self.std[point] * self.std)

    def mode_variances(self, count: int, draws: int) -> Array:
        """Mean variances along the leading modes of that many draws, to first order in their inverse.

        Source: Lawley, Biometrika 43 (1956).
        """
        values = np.linalg.eigvalsh(self.covariance)[::-1]
        lead = values[:count, None]
        gap = np.where(lead == values, np.inf, lead - values)
        return lead[:, 0] * (1.0 + (values / gap).sum(axis=1) / (draws - 1))

    def passage(self, depth: int, threshold: float, shares: Array) -> Array:
        """P(x passes the threshold upwards within a share of the step from a cell to the next), (P, n).

        On a straight line between cells that is so if the upper one lies below, and the value at the share
        above, the threshold: an orthant of two Gaussian numbers.
        """
        size = self.mean.shape[1]
        found = np.empty((len(shares), len(self.mean)))
        for trace, values in enumerate(self.mean[:, depth : depth + 2]):
            at = trace * size + depth
            both = self.covariance[at : at + 2, at : at + 2]
            for number, share in enumerate(shares):
                turn = np.array([[1.0, 0.0], [-(1.0 - share), -share]])
                centre = turn @ values
                # A share of exactly 0 is the point itself, which is above with probability 0.
                found[number, trace] = (
                    multivariate_normal(centre, turn @ both @ turn.T).cdf([threshold, -threshold])
                    if share > 0.0
                    else 0.0
                )
        return found


def small_sample_std(draws: int) -> float:
    """Mean of the sample std of Gaussian draws over their std."""
    return float(np.sqrt(2.0 / (draws - 1)) * np.exp(gammaln(draws / 2.0) - gammaln((draws - 1) / 2.0)))


def _mean_norm(shift: Array, covariance: Array) -> float:
    r"""E |v| / sqrt(D) for v ~ N(shift, covariance), from the Laplace transform of its square.

    .. math:: E \sqrt Q = \frac{1}{2 \sqrt\pi} \int_0^\infty (1 - E e^{-t Q}) t^{-3/2} dt
    """
    values, vectors = np.linalg.eigh(covariance / shift.size)
    squares = (vectors.T @ shift) ** 2 / shift.size
    logs = np.linspace(-45.0, 45.0, 9001)[:, None]
    bend = 1.0 + 2.0 * np.exp(logs) * values
    transform = -0.5 * np.log(bend).sum(axis=1) - (np.exp(logs) * squares / bend).sum(axis=1)
    integrand: Any = -np.expm1(transform) * np.exp(-0.5 * logs[:, 0])
    return float(np.trapezoid(integrand, logs[:, 0]) / (2.0 * np.sqrt(np.pi)))


def _mean_root(shift: Array, spread: Array) -> Array:
    """E |v|^(1/2) for v ~ N(shift, spread^2)."""
    factor = np.sqrt(spread) * 2.0**0.25 * np.exp(gammaln(0.75)) / np.sqrt(np.pi)
    return factor * hyp1f1(-0.25, 0.5, -0.5 * (shift / spread) ** 2)
