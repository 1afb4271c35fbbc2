"""Probability that a cell exceeds a threshold: salt, gas, a velocity to drill through."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_samples


def exceedance(samples: ArrayLike, threshold: ArrayLike) -> Array:
    """Probability per cell that x exceeds a threshold, ``(1/S) sum_s 1[x_s > t]``.

    Unbiased, with standard error ``sqrt(p (1 - p) / S)``; :class:`Exceedance` gives bounds for it.

    Args:
        samples: Posterior draws, (S, ...).
        threshold: Threshold t in units of x: a number, or one for each cell, (...).

    Returns:
        Probability in [0, 1], (...).

    Raises:
        ValueError: If a threshold is not finite or does not fit the cells.
    """
    stream = Exceedance(threshold)
    stream.update(samples)
    return stream.probability


@final
class Exceedance:
    """Streams draws into the probability per cell of exceeding a threshold; memory of one draw.

    Args:
        threshold: Threshold in units of x: a number, or one for each cell, (...).

    Raises:
        ValueError: If a threshold is not finite.

    Example:
        >>> salt = Exceedance(4000.0)
        >>> salt.update(np.array([[4500.0, 2000.0], [4200.0, 2100.0], [3000.0, 2200.0]]))
        >>> salt.probability.round(2).tolist()
        [0.67, 0.0]
    """

    def __init__(self, threshold: ArrayLike) -> None:
        self.threshold = np.asarray(threshold, dtype=np.float64)
        if not np.isfinite(self.threshold).all():
            raise ValueError("expected a finite threshold, got values that are NaN or infinite")
        self.count = 0
        self._above: Array = np.zeros(())

    def update(self, batch: ArrayLike) -> None:
        """Take in a batch of draws, (n, ...), n >= 1.

        Raises:
            ValueError: If its draws have another shape than those before or than the threshold, or are not
                finite.
        """
        draws = as_samples(batch, least=1)
        shape = self._above.shape if self.count else draws.shape[1:]
        if draws.shape[1:] != shape or self.threshold.shape not in ((), shape):
            raise ValueError(
                f"expected draws of shape {self.threshold.shape or shape}, like the threshold and the draws "
                f"before, got {draws.shape[1:]}"
            )
        self._above = self._above + np.count_nonzero(draws > self.threshold, axis=0)
        self.count += len(draws)

    @property
    def probability(self) -> Array:
        """Share of the draws above the threshold, (...)."""
        if self.count < 1:
            raise ValueError("expected at least 1 draw for a probability, got 0")
        return self._above / self.count

    def bounds(self, errors: float = 2.0) -> tuple[Array, Array]:
        """Bounds on the probability that an endless number of draws would give, each (...).

        The probabilities p whose share of S draws lies within ``errors`` standard errors ``sqrt(p (1 - p) /
        S)`` of the one found: unlike p plus or minus an error they say something where no draw exceeded.

        Args:
            errors: Number of standard errors; 2 holds about 95 %.

        Source: Wilson, JASA 22 (1927).
        """
        share, square = self.probability, errors**2 / self.count
        centre = (share + 0.5 * square) / (1.0 + square)
        reach = np.sqrt(share * (1.0 - share) * square + 0.25 * square**2) / (1.0 + square)
        return np.clip(centre - reach, 0.0, 1.0), np.clip(centre + reach, 0.0, 1.0)
