"""Does a large std point to a large error: z-scores, correlation and sparsification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_samples, as_truth
from posterior.uq.reliability import as_cells


def z_scores(samples: ArrayLike, truth: ArrayLike) -> Array:
    """Signed error of the mean in posterior std, ``(truth - mean) / (std sqrt(1 + 1/S))``, per cell.

    Of mean 0 for a right posterior; for a Gaussian one Student's t with S - 1 degrees of freedom: 4.55 % lie
    beyond 2 with very many draws, 4.8 % with 100. Infinite (or 0 where the error is 0) in cells where draws
    do not vary.

    Args:
        samples: Posterior draws, (S, ...).
        truth: True values, (...).
    """
    draws = as_samples(samples)
    target = as_truth(truth, draws.shape[1:])
    error = target - draws.mean(axis=0, dtype=np.float64)
    width = draws.std(axis=0, ddof=1, dtype=np.float64) * np.sqrt(1.0 + 1.0 / len(draws))
    unreachable = np.where(error == 0.0, 0.0, np.copysign(np.inf, error))
    return np.divide(error, width, out=unreachable, where=width > 0.0)


def error_std_correlation(std: ArrayLike, error: ArrayLike) -> tuple[float, float]:
    """Correlation of std and absolute error over cells: Pearson's, and Spearman's of their ranks.

    Well below 1 for a right posterior: of a Gaussian with std spread over an octave about 0.2. Says how well
    cells are ordered, not whether error bars are right.

    Args:
        std: Posterior std, any shape.
        error: Posterior mean less truth, the same shape.

    Raises:
        ValueError: If shapes differ, or std or error is the same in all cells.
    """
    sigma, error = as_cells(std, error)
    miss = np.abs(error)
    if np.ptp(sigma) == 0.0 or np.ptp(miss) == 0.0:
        raise ValueError("expected std and errors that vary from cell to cell")
    return float(np.corrcoef(sigma, miss)[0, 1]), float(np.corrcoef(_ranks(sigma), _ranks(miss))[0, 1])


@final
@dataclass(frozen=True)
class Sparsification:
    """RMSE of the cells that are left when the least certain ones are taken away."""

    removed: Array
    """Shares of cells taken away, (F,), from 0."""
    by_std: Array
    """RMSE left, the largest std taken first, over the RMSE of all cells, (F,)."""
    by_error: Array
    """The same with the largest error taken first: no order of cells does better."""
    expected: Array
    """``by_std`` if errors were Gaussian with the posterior's own std."""
    expected_by_error: Array
    """``by_error`` in that case."""

    @property
    def ause(self) -> float:
        """Area between the curves by std and by error: 0 if std told every error, which no posterior can."""
        return _area(self.removed, self.by_std - self.by_error)

    @property
    def expected_ause(self) -> float:
        """The area for a right Gaussian posterior with these std: what to compare :attr:`ause` with."""
        return _area(self.removed, self.expected - self.expected_by_error)


def sparsification(std: ArrayLike, error: ArrayLike, *, steps: int = 50, seed: int = 0) -> Sparsification:
    """Take cells away by std, and by error, and follow the RMSE of the rest.

    Args:
        std: Posterior std of the cells of all pairs, any shape.
        error: Posterior mean less truth, the same shape.
        steps: Points of the curve, shares 0, 1/steps, ... below 1.
        seed: Seed of the simulated errors.

    Raises:
        ValueError: If shapes differ, there are fewer cells than steps, or all errors or all std are 0.

    Source: Ilg et al., ECCV 2018, section 4.
    """
    sigma, error = as_cells(std, error)
    miss = np.abs(error)
    if not 2 <= steps <= sigma.size:
        raise ValueError(f"expected between 2 and {sigma.size} steps for {sigma.size} cells, got {steps}")
    if not (sigma.any() and miss.any()):
        raise ValueError("expected errors and std that are not all 0")
    # A stream of its own: with a caller's plain seed it could repeat the noise that made the cells.
    own = np.abs(sigma * np.random.default_rng((seed, 2)).standard_normal(sigma.size))
    removed = np.arange(steps) / steps
    curves = [_rmse_left(order, e, removed) for e in (miss, own) for order in (sigma, e)]
    return Sparsification(removed, *curves)


def _rmse_left(order: Array, error: Array, removed: Array) -> Array:
    squares = error[np.argsort(order, kind="stable")] ** 2
    kept = squares.size - (removed * squares.size).astype(np.int64)
    left = np.sqrt(np.cumsum(squares)[kept - 1] / kept)
    return left / left[0]


def _area(removed: Array, height: Array) -> float:
    return float(np.sum(0.5 * (height[1:] + height[:-1]) * np.diff(removed)))


def _ranks(values: Array) -> Array:
    """Ranks with ties at their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[place]
