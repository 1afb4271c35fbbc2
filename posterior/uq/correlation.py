"""Which cells vary with a given one: correlation maps of a point or of any number drawn with the image."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_samples


def correlation_map(samples: ArrayLike, point: Sequence[int]) -> Array:
    """Correlation of every cell with one, over the draws.

    Args:
        samples: Posterior draws, (S, ...), S >= 3.
        point: Index of the cell, one integer for each axis of a draw.

    Returns:
        Correlations in [-1, 1], (...); 1 at the point, NaN where a cell does not vary.

    Raises:
        ValueError: If the point lies outside the image or does not vary.

    Example:
        >>> draws = np.array([[1.0, -2.0], [2.0, -4.0], [4.0, -8.0]])
        >>> correlation_map(draws, (0,)).round(3).tolist()
        [1.0, -1.0]
    """
    draws = as_samples(samples, least=3)
    shape, index = draws.shape[1:], tuple(point)
    inside = len(index) == len(shape) and all(-n <= i < n for i, n in zip(index, shape, strict=True))
    if not inside:
        raise ValueError(f"expected a point within a draw of shape {shape}, got {index}")
    stream = CorrelationMap()
    stream.update(draws, np.moveaxis(draws, 0, -1)[index])
    return stream.result()


@final
class CorrelationMap:
    """Streams draws into the correlation of every cell with a number that goes with each draw.

    The number may be the value of a cell, the depth of a horizon, the mean of a block, a PCA score. Means,
    squared deviations and their products are merged batch by batch, stable as in
    :class:`posterior.uq.moments.Moments`; memory of three draws.

    Source: Chan, Golub and LeVeque, The American Statistician 37 (1983), for products.
    """

    def __init__(self) -> None:
        self.count = 0
        self._cells: Array = np.zeros(())
        self._value = 0.0
        self._squares: Array = np.zeros(())
        self._products: Array = np.zeros(())
        self._value_squares = 0.0

    def update(self, batch: ArrayLike, values: ArrayLike) -> None:
        """Take in a batch of draws, (n, ...), and the number that goes with each, (n,).

        Raises:
            ValueError: If shapes differ from those before or from each other, or a value is not finite.
        """
        draws = as_samples(batch, least=1)
        numbers = as_samples(values, least=1).astype(np.float64)
        if numbers.shape != (len(draws),):
            raise ValueError(f"expected values of shape ({len(draws)},), one a draw, got {numbers.shape}")
        if self.count and draws.shape[1:] != self._cells.shape:
            raise ValueError(
                f"expected draws of shape {self._cells.shape}, like those before, got {draws.shape[1:]}"
            )
        centre, value = draws.mean(axis=0, dtype=np.float64), float(numbers.mean())
        offsets, deviations = draws - centre, numbers - value
        total = self.count + len(draws)
        shift, value_shift = centre - self._cells, value - self._value
        weight = self.count * len(draws) / total
        self._squares = self._squares + (offsets**2).sum(axis=0) + shift**2 * weight
        products = np.tensordot(deviations, offsets, axes=1)
        self._products = self._products + products + shift * (value_shift * weight)
        self._value_squares += float(deviations @ deviations) + value_shift**2 * weight
        self._cells = self._cells + shift * (len(draws) / total)
        self._value += value_shift * len(draws) / total
        self.count = total

    def result(self) -> Array:
        """Correlations in [-1, 1], (...); NaN where a cell does not vary.

        Raises:
            ValueError: With fewer than 3 draws, or if the numbers are all the same.
        """
        if self.count < 3:
            raise ValueError(f"expected at least 3 draws for a correlation, got {self.count}")
        if self._value_squares == 0.0:
            raise ValueError("expected a reference that varies from draw to draw, got one that is constant")
        size = np.sqrt(self._squares) * np.sqrt(self._value_squares)
        ratio = np.divide(self._products, size, out=np.full(size.shape, np.nan), where=size > 0.0)
        return np.clip(ratio, -1.0, 1.0)

    def noise(self, level: float = 0.95) -> float:
        """See :func:`correlation_noise`, for the draws so far."""
        return correlation_noise(self.count, level)


def correlation_noise(num_samples: int, level: float = 0.95) -> float:
    """Size of a correlation that an unrelated cell stays below with probability ``level``.

    ``tanh(z / sqrt(S - 3))`` with the Gaussian quantile z: 0.14 for 200 draws at 95 %. One cell in twenty of
    a map without any correlation exceeds it.

    Args:
        num_samples: Number of draws S, at least 4.
        level: Probability.

    Source: Fisher, Metron 1 (1921).
    """
    as_levels(level)
    if num_samples < 4:
        raise ValueError(f"expected at least 4 draws for the noise of a correlation, got {num_samples}")
    return float(np.tanh(NormalDist().inv_cdf(0.5 * (1.0 + level)) / np.sqrt(num_samples - 3)))
