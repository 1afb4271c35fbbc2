"""Do the error bars hold what they claim: ranks of the truth, coverage at all levels, contraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.checks import Array, as_levels, as_mask, as_samples, as_truth

DEFAULT_LEVELS: Array = np.arange(1, 100) / 100.0


def rank(samples: ArrayLike, truth: ArrayLike, *, seed: int = 0) -> Array:
    """Rank of the truth among the draws, per cell: the number of draws below it, 0..S.

    Uniform on 0..S when truth and draws come from the same distribution. Draws equal to the truth are
    counted as below with an equal chance for every count, which keeps the rank uniform for distributions
    with atoms.

    Args:
        samples: Posterior draws, (S, ...).
        truth: True values, (...).
        seed: Seed of the ties.

    Returns:
        Ranks, int64, (...).

    Source: Talts et al., arXiv:1804.06788, theorem 1.
    """
    draws = as_samples(samples, least=1)
    target = as_truth(truth, draws.shape[1:])
    below = np.asarray(np.count_nonzero(draws < target, axis=0))
    tied = np.asarray(np.count_nonzero(draws == target, axis=0))
    if tied.any():
        below = below + np.random.default_rng(seed).integers(0, tied + 1)
    return below.astype(np.int64)


def rank_coverage(num_samples: int, levels: ArrayLike = DEFAULT_LEVELS) -> Array:
    """Coverage that a truth of rank r adds to the equal-tailed interval of each level.

    The S + 1 ranks split [0, 1] into slots of equal probability. The interval of level q is the slots
    within ``[(1 - q)/2, (1 + q)/2]``, and a slot cut by a bound counts with the share inside. With uniform
    ranks the mean over r is q at every level and every S: the finite-sample correction is exact, without a
    random number.

    Args:
        num_samples: Number of draws S.
        levels: Levels in (0, 1), (L,).

    Returns:
        Shares in [0, 1], (L, S + 1): entry (l, r) for rank r.
    """
    level = np.atleast_1d(as_levels(levels))[:, None]
    slots = num_samples + 1
    left = np.arange(slots) / slots
    inside = np.minimum(left + 1.0 / slots, 0.5 * (1.0 + level)) - np.maximum(left, 0.5 * (1.0 - level))
    return np.clip(inside * slots, 0.0, 1.0)


@final
@dataclass(frozen=True)
class CoverageCurve:
    """Empirical against nominal coverage.

    Cells of one pair are not independent, so standard errors are taken over pairs.
    """

    levels: Array
    """Nominal levels, (L,)."""
    pairs: Array
    """Coverage of each pair, (P, L)."""
    cells: Array
    """Cells that counted in each pair, (P,)."""

    @property
    def pooled(self) -> Array:
        """Share of all cells covered, (L,)."""
        return self._weights @ self.pairs

    @property
    def standard_error(self) -> Array:
        """Standard error of the pooled coverage over pairs, (L,); NaN for a single pair."""
        count = len(self.pairs)
        if count < 2:
            return np.full(self.levels.shape, np.nan)
        spread = (self._weights[:, None] ** 2 * (self.pairs - self.pooled) ** 2).sum(axis=0)
        return np.sqrt(spread * count / (count - 1))

    @property
    def error(self) -> float:
        """Mean absolute departure of the pooled coverage from the nominal one."""
        return float(np.abs(self.pooled - self.levels).mean())

    @property
    def _weights(self) -> Array:
        return self.cells / self.cells.sum()

    def at(self, level: float) -> tuple[float, float]:
        """Pooled coverage and its standard error at a level, linear between the levels held."""
        if not self.levels[0] <= level <= self.levels[-1]:
            raise ValueError(f"expected a level in [{self.levels[0]}, {self.levels[-1]}], got {level}")
        coverage = np.interp(level, self.levels, self.pooled)
        return float(coverage), float(np.interp(level, self.levels, self.standard_error))

    def percentiles(self, low: float, high: float) -> tuple[Array, Array]:
        """Two percentiles of coverage over pairs, each (L,): how far one pair may depart from the curve."""
        lower, upper = np.percentile(self.pairs, [low, high], axis=0)
        return lower, upper


@final
class Coverage:
    """Streams pairs into coverage at all levels, and into a map at one level.

    Args:
        levels: Increasing levels of the curve.
        map_level: Level of the map.
        seed: Seed of ties in rank.
    """

    def __init__(self, levels: ArrayLike = DEFAULT_LEVELS, *, map_level: float = 0.9, seed: int = 0) -> None:
        self.levels = np.atleast_1d(as_levels(levels))
        self.map_level = map_level
        self._seed = seed
        self._pairs: list[Array] = []
        self._cells: list[int] = []
        self._map: Array = np.zeros(())
        self._hits: Array = np.zeros(())

    def update(self, samples: ArrayLike, truth: ArrayLike, where: ArrayLike | None = None) -> None:
        """Take in one pair.

        Args:
            samples: Posterior draws, (S, ...).
            truth: True values, (...).
            where: Cells that count, (...); all by default.
        """
        draws = as_samples(samples)
        # Ties get fresh chances in every pair, whatever came before.
        ranks = rank(draws, truth, seed=self._seed + len(self._pairs))
        mask = as_mask(where, ranks.shape)
        if self._pairs and self._map.shape != ranks.shape:
            raise ValueError(
                f"expected pairs of shape {self._map.shape}, like those before, got {ranks.shape}"
            )
        count = draws.shape[0]
        counts = np.bincount(ranks[mask], minlength=count + 1)
        self._pairs.append(rank_coverage(count, self.levels) @ counts / counts.sum())
        self._cells.append(int(counts.sum()))
        self._map = self._map + np.where(mask, rank_coverage(count, self.map_level)[0][ranks], 0.0)
        self._hits = self._hits + mask

    def curve(self) -> CoverageCurve:
        """Coverage at all levels over the pairs so far."""
        if not self._pairs:
            raise ValueError("expected at least 1 pair for a coverage curve, got 0")
        return CoverageCurve(self.levels, np.stack(self._pairs), np.array(self._cells))

    def map(self) -> Array:
        """Coverage of each cell over pairs at ``map_level``, (...); NaN where a cell never counted."""
        return np.divide(self._map, self._hits, out=np.full(self._map.shape, np.nan), where=self._hits > 0)


def contraction(posterior_var: ArrayLike, prior_var: ArrayLike) -> Array:
    """Share of the prior variance that the data removed, per cell: ``1 - var_post / var_prior``.

    1 where the data decide, 0 where the posterior is the prior: with the posterior variance averaged over
    surveys it is a map of resolution and illumination. NaN where the prior does not vary.

    Args:
        posterior_var: Posterior variance, (...).
        prior_var: Prior variance, (...).

    Source: Betancourt, "Calibrating model-based inferences and decisions", arXiv:1803.08393.
    """
    post, prior = np.asarray(posterior_var, dtype=np.float64), np.asarray(prior_var, dtype=np.float64)
    if post.shape != prior.shape:
        raise ValueError(f"expected variances of one shape, got {post.shape} and {prior.shape}")
    ratio = np.divide(post, prior, out=np.full(post.shape, np.nan), where=prior > 0.0)
    return 1.0 - ratio
