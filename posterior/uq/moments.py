"""Mean, standard deviation, quantiles and shape of posterior draws, at once or streamed."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_samples


def mean(samples: ArrayLike) -> Array:
    """Posterior mean per cell, in double precision: ``(1/S) sum_s x_s``.

    Args:
        samples: Posterior draws, (S, ...).

    Returns:
        The mean, (...).
    """
    return as_samples(samples, least=1).mean(axis=0, dtype=np.float64)


def std(samples: ArrayLike) -> Array:
    """Posterior standard deviation per cell, ``sqrt(sum_s (x_s - mean)^2 / (S - 1))``.

    Args:
        samples: Posterior draws, (S, ...), at least two.

    Returns:
        The standard deviation, (...).
    """
    return as_samples(samples).std(axis=0, ddof=1, dtype=np.float64)


def quantiles(samples: ArrayLike, probabilities: ArrayLike) -> Array:
    """Quantiles of the posterior from S draws that are unbiased in probability.

    Each of the S + 1 gaps between sorted draws holds a further draw with the same probability, so the k-th
    order statistic has ``P(X < x_(k)) = k / (S + 1)`` whatever the distribution. The quantile of p is
    therefore read at the position ``h = p (S + 1)``, linearly between ``x_(floor h)`` and ``x_(floor h +
    1)``. At whole h this is exact; between, it is exact where the density is level across the gap, and
    never off by more than the gap's own probability ``1 / (S + 1)``. The usual ``h = 1 + p (S - 1)`` puts
    tail quantiles too far in and makes intervals undercover.

    Args:
        samples: Posterior draws, (S, ...).
        probabilities: Values in [1/(S+1), S/(S+1)], any shape P.

    Returns:
        Quantiles, (P..., ...).

    Raises:
        ValueError: If there are too few draws for a probability.

    Source: Weibull (1939); Hyndman and Fan, The American Statistician 50 (1996), definition 6.

    Example:
        >>> float(quantiles(np.arange(1.0, 10.0), 0.25))
        2.5
    """
    draws = as_samples(samples)
    levels = as_levels(probabilities)
    tail = float(np.minimum(levels, 1.0 - levels).min())
    require_draws(draws.shape[0], tail)
    return np.quantile(draws, levels, axis=0, method="weibull")


def require_draws(count: int, tail: float) -> None:
    """Refuse a tail probability that ``count`` draws cannot resolve.

    Raises:
        ValueError: If ``tail < 1 / (count + 1)``, naming the number of draws it takes.
    """
    # The slack forgives rounding: 1 - 0.9 is a little below 0.1.
    if tail * (count + 1) < 1.0 - 1e-9:
        needed = int(np.ceil(1.0 / tail - 1.0 - 1e-9))
        raise ValueError(
            f"expected at least {needed} draws for a tail probability of {tail:.4g}, got {count}"
        )


@final
class Moments:
    """Mean and variance of draws that arrive in batches, in memory of one draw.

    With n draws of mean m and squared deviations M, a batch of n', m', M' gives, with ``d = m' - m`` and
    ``N = n + n'``, ``m <- m + d n'/N`` and ``M <- M + M' + d^2 n n'/N``: stable where the sum of squares
    cancels.

    Source: Welford, Technometrics 4 (1962); Chan, Golub and LeVeque, The American Statistician 37 (1983).

    Example:
        >>> moments = Moments()
        >>> moments.update(np.array([[1.0], [3.0]]))
        >>> float(moments.mean[0]), float(moments.var[0])
        (2.0, 2.0)
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Array = np.zeros(())
        self._squares: Array = np.zeros(())

    def update(self, batch: ArrayLike) -> None:
        """Take in a batch of draws, (n, ...), n >= 1.

        Raises:
            ValueError: If its draws have another shape than those before, or are not finite.
        """
        draws = as_samples(batch, least=1)
        centre = draws.mean(axis=0, dtype=np.float64)
        self._absorb(draws.shape[0], centre, ((draws - centre) ** 2).sum(axis=0))

    def merge(self, other: Moments) -> None:
        """Take in the draws another accumulator has seen (another process, another file)."""
        if other.count:
            self._absorb(other.count, other._mean, other._squares)

    def _absorb(self, count: int, centre: Array, squares: Array) -> None:
        if self.count == 0:
            self.count, self._mean, self._squares = count, centre, squares
            return
        if centre.shape != self._mean.shape:
            raise ValueError(
                f"expected draws of shape {self._mean.shape}, like those before, got {centre.shape}"
            )
        total = self.count + count
        shift = centre - self._mean
        self._mean = self._mean + shift * (count / total)
        self._squares = self._squares + squares + shift**2 * (self.count * count / total)
        self.count = total

    @property
    def mean(self) -> Array:
        """Mean of the draws so far."""
        if self.count < 1:
            raise ValueError("expected at least 1 draw for a mean, got 0")
        return self._mean

    @property
    def var(self) -> Array:
        """Variance of the draws so far, with divisor ``count - 1``."""
        if self.count < 2:
            raise ValueError(f"expected at least 2 draws for a variance, got {self.count}")
        return self._squares / (self.count - 1)

    @property
    def std(self) -> Array:
        """Standard deviation of the draws so far."""
        return np.sqrt(self.var)


@final
class ShapeMoments:
    r"""Skewness and excess kurtosis of draws that arrive in batches, in memory of four draws.

    With central moments ``m_k`` of n draws,

    .. math:: G_1 = \frac{\sqrt{n (n - 1)}}{n - 2} \frac{m_3}{m_2^{3/2}}, \qquad
        G_2 = \frac{n - 1}{(n - 2)(n - 3)} \Big[ (n + 1) \Big( \frac{m_4}{m_2^2} - 3 \Big) + 6 \Big]

    both of mean 0 for Gaussian draws, at every n. Sums of powers are joined about the common mean, as in
    :class:`Moments`.

    Source: Pébay, Sandia report SAND2008-6212 (2008), equations 2.1 and 2.2; G1 and G2: Joanes and Gill, The
        Statistician 47 (1998).

    Example:
        >>> shape = ShapeMoments()
        >>> shape.update(np.array([[1.0], [2.0], [3.0], [4.0], [10.0]]))
        >>> float(shape.skewness[0].round(3)), float(shape.kurtosis[0].round(3))
        (1.697, 3.152)
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Array = np.zeros(())
        self._sums: Array = np.zeros((3,))

    def update(self, batch: ArrayLike) -> None:
        """Take in a batch of draws, (n, ...), n >= 1.

        Raises:
            ValueError: If its draws have another shape than those before, or are not finite.
        """
        draws = as_samples(batch, least=1)
        centre = draws.mean(axis=0, dtype=np.float64)
        offset = draws - centre
        square = offset**2
        # Products that are summed as they are formed: no further array of the batch's size.
        sums = [np.einsum("s...,s...->...", square, other) for other in (offset, square)]
        self._absorb(len(draws), centre, np.stack([square.sum(axis=0), *sums]))

    def merge(self, other: ShapeMoments) -> None:
        """Take in the draws another accumulator has seen."""
        if other.count:
            self._absorb(other.count, other._mean, other._sums)

    def _absorb(self, n: int, centre: Array, sums: Array) -> None:
        if self.count == 0:
            self.count, self._mean, self._sums = n, centre, sums
            return
        if centre.shape != self._mean.shape:
            raise ValueError(
                f"expected draws of shape {self._mean.shape}, like those before, got {centre.shape}"
            )
        m, total = self.count, self.count + n
        d = centre - self._mean
        (a2, a3, a4), (b2, b3, b4) = self._sums, sums
        second = a2 + b2 + d**2 * (m * n / total)
        third = a3 + b3 + d**3 * (m * n * (m - n) / total**2) + 3.0 * d * (m * b2 - n * a2) / total
        fourth = a4 + b4 + d**4 * (m * n * (m**2 - m * n + n**2) / total**3)
        fourth += 6.0 * d**2 * (m**2 * b2 + n**2 * a2) / total**2 + 4.0 * d * (m * b3 - n * a3) / total
        self.count, self._mean = total, self._mean + d * (n / total)
        self._sums = np.stack([second, third, fourth])

    @property
    def skewness(self) -> Array:
        """G1, (...): above 0 where the tail of large values is the longer; NaN where draws do not vary."""
        n = self._enough()
        return np.sqrt(n * (n - 1.0)) / (n - 2.0) * self._ratio(1, 1.5)

    @property
    def kurtosis(self) -> Array:
        """G2, (...): above 0 where tails are heavier than a Gaussian's; NaN where draws do not vary."""
        n = self._enough()
        return (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * (self._ratio(2, 2.0) - 3.0) + 6.0)

    @property
    def standard_errors(self) -> tuple[float, float]:
        """Standard deviations of G1 and G2 for Gaussian draws: 0.17 and 0.34 with 200 of them."""
        n = self._enough()
        first = np.sqrt(6.0 * n * (n - 1.0) / ((n - 2.0) * (n + 1.0) * (n + 3.0)))
        return float(first), float(2.0 * first * np.sqrt((n**2 - 1.0) / ((n - 3.0) * (n + 5.0))))

    def _enough(self) -> int:
        if self.count < 4:
            raise ValueError(f"expected at least 4 draws for skewness and kurtosis, got {self.count}")
        return self.count

    def _ratio(self, which: int, power: float) -> Array:
        variance = self._sums[0] / self.count
        size = variance**power
        missing = np.full(size.shape, np.nan)
        return np.divide(self._sums[which] / self.count, size, out=missing, where=size > 0.0)
