"""Is the departure of coverage from nominal more than chance: over all levels, and cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from posterior.uq.calibration import CoverageCurve, rank_coverage
from posterior.uq.checks import Array, as_levels


def sign_flip_test(departures: ArrayLike, *, trials: int = 1999, seed: int = 0) -> float:
    """p-value of the hypothesis that rows of independent pairs have mean zero, in all columns at once.

    The statistic is ``max_l |sum_p d_pl| / sqrt(sum_p d_pl^2)``, compared with its values under random signs
    of whole rows, so that whatever the columns have in common is kept. Exact for rows that are symmetric
    about zero, else as the number of pairs grows.

    Args:
        departures: Departures d, (P, L).
        trials: Random signs.
        seed: Of the signs.

    Raises:
        ValueError: With fewer than eight pairs, whose signs cannot resolve 1 %.

    Source: Rademacher multiplier bootstrap, Liu, Annals of Statistics 16 (1988).
    """
    rows = np.asarray(departures, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 8 or not np.isfinite(rows).all():
        raise ValueError(f"expected finite departures of shape (P, L) with P >= 8 pairs, got {rows.shape}")
    size = np.sqrt((rows**2).sum(axis=0))
    scaled = rows[:, size > 0.0] / size[size > 0.0]
    if not scaled.size:
        return 1.0
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(trials, len(rows)))
    null = np.abs(signs @ scaled).max(axis=1)
    return float((1 + np.count_nonzero(null >= np.abs(scaled.sum(axis=0)).max())) / (1 + trials))


def coverage_test(curve: CoverageCurve, *, trials: int = 1999, seed: int = 0) -> float:
    """p-value of the hypothesis that intervals cover what they claim at all levels of the curve.

    Cells of a pair may depend on one another in any way: signs are drawn by pair. Levels outside 0.05 ..
    0.95, where few cells decide, are left out. The correction for the number of draws is in the curve
    already.

    Power at the 5 % level, 60 pairs of 64 cells: a std 15 % too small or 30 % too large is found always, a
    shift by 0.3 std in 63 % of trials (300 pairs: always). Blind to cells that are wrong only together, and
    to a posterior that ignores the data.

    Args:
        curve: Coverage of each pair.
        trials: Random signs.
        seed: Of the signs.

    Raises:
        ValueError: With fewer than eight pairs or no level in 0.05 .. 0.95.
    """
    used = (curve.levels >= 0.05 - 1e-9) & (curve.levels <= 0.95 + 1e-9)
    if not used.any():
        raise ValueError(f"expected a level in 0.05 .. 0.95, got {curve.levels.tolist()}")
    weights = curve.cells / curve.cells.mean()
    departures = weights[:, None] * (curve.pairs - curve.levels)[:, used]
    return sign_flip_test(departures, trials=trials, seed=seed)


@final
@dataclass(frozen=True)
class CoverageMapTest:
    """Cells whose coverage over pairs is more than chance away from the level."""

    score: Array
    """``(coverage - level) / standard error``, (...); below 0 where intervals are too narrow."""
    threshold: float
    """Size of the score that no cell of a calibrated posterior exceeds with the probability asked for."""

    @property
    def outside(self) -> Array:
        """The cells beyond the threshold, boolean, (...)."""
        return np.abs(np.nan_to_num(self.score)) > self.threshold


def coverage_map_test(
    coverage: ArrayLike, level: float, *, pairs: int, num_samples: int, confidence: float = 0.95
) -> CoverageMapTest:
    """Compare a coverage map with the level, allowing for as many comparisons as there are cells.

    Under uniform ranks the share that a pair adds has a known variance v (:func:`rank_coverage`), so the
    standard error is ``sqrt(v / P)``. The threshold is Bonferroni's over the cells, which holds whatever they
    share.

    Args:
        coverage: Coverage of each cell over pairs, (...); NaN where a cell does not count.
        level: Level of the map.
        pairs: Pairs P behind every cell.
        num_samples: Draws S of each pair.
        confidence: Probability that a calibrated posterior has no cell beyond the threshold.

    Raises:
        ValueError: Where the normal law does not hold: fewer than ten pairs expected outside the intervals.
    """
    as_levels([level, confidence])
    if pairs * min(level, 1.0 - level) < 10.0 - 1e-9:
        needed = int(np.ceil(10.0 / min(level, 1.0 - level) - 1e-9))
        raise ValueError(f"expected at least {needed} pairs for a test at level {level}, got {pairs}")
    values = np.asarray(coverage, dtype=np.float64)
    cells = int(np.count_nonzero(np.isfinite(values)))
    if not cells:
        raise ValueError("expected at least one cell that counts, got none")
    variance = (rank_coverage(num_samples, level)[0] ** 2).mean() - level**2
    quantile = NormalDist().inv_cdf(1.0 - 0.5 * (1.0 - confidence) / cells)
    return CoverageMapTest((values - level) / np.sqrt(variance / pairs), quantile)
